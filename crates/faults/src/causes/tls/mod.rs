//! TLS and certificates, server and client.

use crate::fault::Fault;

mod be_cert_missing_444;
mod client_cert_mapping_off;
mod client_cert_strong_mapping_enforced;
mod client_cert_untrusted_or_expired;
pub(super) mod handshakes;
mod tls13_no_posthandshake_auth;
mod tls_cert_expired;
mod tls_cert_name_mismatch;
mod tls_cipher_no_overlap;
mod tls_client_cert_required;
mod tls_inspection_breaks_cba;
mod tls_intermediate_missing;
mod tls_legacy_version_only;
mod tls_sni_required_or_wrong_vhost;
mod tls_untrusted_or_selfsigned;

/// In the order in which a request meets them.
pub(super) const ALL: &[Fault] = &[
    tls_legacy_version_only::FAULT,
    tls_cipher_no_overlap::FAULT,
    tls_sni_required_or_wrong_vhost::FAULT,
    tls_cert_expired::FAULT,
    tls_cert_name_mismatch::FAULT,
    tls_untrusted_or_selfsigned::FAULT,
    tls_intermediate_missing::FAULT,
    tls_inspection_breaks_cba::FAULT,
    tls_client_cert_required::FAULT,
    tls13_no_posthandshake_auth::FAULT,
    client_cert_mapping_off::FAULT,
    client_cert_untrusted_or_expired::FAULT,
    client_cert_strong_mapping_enforced::FAULT,
    be_cert_missing_444::FAULT,
];
