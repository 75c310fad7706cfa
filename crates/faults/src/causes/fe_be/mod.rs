//! Front end to back end, and one client access server to another.

use crate::fault::Fault;

mod be_eas_apppool_down;
mod be_timeout_504;
mod bounded_backoff_503;
mod cas_cas_tls_untrusted;
mod cas_proxy_subdir_auth_missing;
mod cas_proxy_target_not_https;
mod clock_skew_kerberos;
mod exchange_update_interrupted_500;
mod external_url_loop_451;
mod fe_be_duplicate_spn_or_wrong_account;
mod fe_be_kerberos_rejected;
mod fe_be_logondenied_machine_password;
mod fe_be_spn_missing;
pub(in crate::causes) mod front_logon;
mod mailbox_db_dismounted_or_failover;
mod mailbox_other_site_451;
mod no_target_cas_discovered;
mod redirect_451_old_client;

/// In the order in which a request meets them.
pub(super) const ALL: &[Fault] = &[
    fe_be_spn_missing::FAULT,
    fe_be_logondenied_machine_password::FAULT,
    clock_skew_kerberos::FAULT,
    fe_be_duplicate_spn_or_wrong_account::FAULT,
    fe_be_kerberos_rejected::FAULT,
    be_eas_apppool_down::FAULT,
    be_timeout_504::FAULT,
    mailbox_db_dismounted_or_failover::FAULT,
    exchange_update_interrupted_500::FAULT,
    no_target_cas_discovered::FAULT,
    cas_proxy_target_not_https::FAULT,
    cas_cas_tls_untrusted::FAULT,
    cas_proxy_subdir_auth_missing::FAULT,
    mailbox_other_site_451::FAULT,
    bounded_backoff_503::FAULT,
    external_url_loop_451::FAULT,
    redirect_451_old_client::FAULT,
];
