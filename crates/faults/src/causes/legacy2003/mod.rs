//! Exchange 2003 and 2000 behind something newer, or by themselves.

use crate::fault::Fault;

mod e2003_be_exchange_vdir_iwa_missing;
mod e2003_be_iwa_missing;
mod e2003_be_ssl_required_on_eas_vdir;
mod e2003_direct_push_off_or_mobile_disabled;
mod e2003_exchange_vdir_ssl_or_fba;
mod e2003_hotfix_937031_missing;
mod e2003_iwa_set_in_iis_manager;
mod e2003_negotiate_provider_missing;
mod e2013_cannot_proxy_2003;
pub(in crate::causes) mod legacy;
mod legacy_blocked_on_new_cas;

/// In the order in which a request meets them.
pub(super) const ALL: &[Fault] = &[
    legacy_blocked_on_new_cas::FAULT,
    e2013_cannot_proxy_2003::FAULT,
    e2003_iwa_set_in_iis_manager::FAULT,
    e2003_hotfix_937031_missing::FAULT,
    e2003_be_iwa_missing::FAULT,
    e2003_negotiate_provider_missing::FAULT,
    e2003_be_ssl_required_on_eas_vdir::FAULT,
    e2003_direct_push_off_or_mobile_disabled::FAULT,
    e2003_be_exchange_vdir_iwa_missing::FAULT,
    e2003_exchange_vdir_ssl_or_fba::FAULT,
];
