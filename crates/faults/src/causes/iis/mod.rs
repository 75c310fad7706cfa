//! IIS and the virtual directory on the client access server or front end.

use crate::fault::Fault;

mod component_state_inactive;
mod default_domain_missing;
mod e2003_iisadmpwd_403;
mod iis_apppool_stopped;
mod iis_http_redirect_inherited;
mod iis_ip_restriction;
mod log_on_locally_right_missing;
mod node;
mod url_filter_blocks;
mod vdir_anonymous_enabled;
mod vdir_basic_disabled;
mod vdir_basic_disabled_one_node;
mod vdir_integrated_enabled_on_cas;
mod vdir_missing_or_corrupt;

/// In the order in which a request meets them.
pub(super) const ALL: &[Fault] = &[
    iis_apppool_stopped::FAULT,
    component_state_inactive::FAULT,
    iis_ip_restriction::FAULT,
    url_filter_blocks::FAULT,
    iis_http_redirect_inherited::FAULT,
    vdir_missing_or_corrupt::FAULT,
    vdir_anonymous_enabled::FAULT,
    vdir_basic_disabled::FAULT,
    vdir_basic_disabled_one_node::FAULT,
    vdir_integrated_enabled_on_cas::FAULT,
    default_domain_missing::FAULT,
    log_on_locally_right_missing::FAULT,
    e2003_iisadmpwd_403::FAULT,
];
