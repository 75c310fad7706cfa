//! TLS and certificates, server and client.

use crate::fault::Fault;

mod tls_cert_expired;
mod tls_cert_name_mismatch;
mod tls_intermediate_missing;

/// In the order in which a request meets them.
pub(super) const ALL: &[Fault] =
    &[tls_cert_expired::FAULT, tls_cert_name_mismatch::FAULT, tls_intermediate_missing::FAULT];
