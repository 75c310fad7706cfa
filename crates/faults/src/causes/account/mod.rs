//! The account and its credential.

use crate::fault::Fault;

mod bad_password;
pub(super) mod upn_mismatch;

/// In the order in which a request meets them.
pub(super) const ALL: &[Fault] = &[upn_mismatch::FAULT, bad_password::FAULT];
