//! The account and its credential.

use crate::fault::Fault;

mod account_disabled_or_expired;
mod account_locked;
mod bad_password;
mod client_access_rule_blocks;
mod device_quota_or_abq;
mod eas_disabled_for_user;
mod mailbox_over_quota_507;
mod no_mailbox_or_mailuser;
mod non_ascii_password_charset;
mod password_must_change_or_expired;
mod stale_cached_token_divergence;
pub(super) mod upn_mismatch;
pub(super) mod user;
mod well_known_or_admin_account;
mod workstation_or_logon_hours_restriction;

/// In the order in which a request meets them.
pub(super) const ALL: &[Fault] = &[
    upn_mismatch::FAULT,
    non_ascii_password_charset::FAULT,
    bad_password::FAULT,
    account_locked::FAULT,
    account_disabled_or_expired::FAULT,
    password_must_change_or_expired::FAULT,
    workstation_or_logon_hours_restriction::FAULT,
    stale_cached_token_divergence::FAULT,
    eas_disabled_for_user::FAULT,
    client_access_rule_blocks::FAULT,
    well_known_or_admin_account::FAULT,
    no_mailbox_or_mailuser::FAULT,
    mailbox_over_quota_507::FAULT,
    device_quota_or_abq::FAULT,
];
