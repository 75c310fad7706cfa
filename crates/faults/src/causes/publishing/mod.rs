//! The publishing layer: reverse proxies, load balancers, gateways.

use crate::fault::Fault;

mod cdn_waf_challenge;
mod entra_app_proxy_preauth;
mod f5_apm_not_clientless;
mod fba_intercepts_eas;
mod fronts;
mod host_header_not_preserved;
mod http_to_https_redirect_drops_post;
mod isa_fba_listener_502_on_bad_password;
mod isa_useragent_mapping_forms;
mod lb_health_check_false_down;
mod lb_pool_member_bad;
mod mdm_gateway_block;
mod netscaler_aaa_redirect_or_connector_block;
mod preauth;
mod proxy_cert_name_mismatch_to_backend;
mod proxy_delegation_none;
mod proxy_delegation_scheme_mismatch;
mod proxy_injects_invalid_header;
mod proxy_preauth_other_directory;
mod proxy_rewrites_versions;
mod proxy_strips_authorization;
mod proxy_strips_challenge;
mod proxy_strips_or_answers_options;
mod proxy_upstream_timeout;
mod proxy_upstream_unreachable;
mod proxy_url_not_published;
mod ssl_offload_vdir_requires_ssl;
mod wap_adfs_preauth_on_eas;

/// In the order in which a request meets them.
pub(super) const ALL: &[Fault] = &[
    cdn_waf_challenge::FAULT,
    http_to_https_redirect_drops_post::FAULT,
    f5_apm_not_clientless::FAULT,
    netscaler_aaa_redirect_or_connector_block::FAULT,
    wap_adfs_preauth_on_eas::FAULT,
    entra_app_proxy_preauth::FAULT,
    fba_intercepts_eas::FAULT,
    isa_useragent_mapping_forms::FAULT,
    mdm_gateway_block::FAULT,
    proxy_strips_or_answers_options::FAULT,
    proxy_url_not_published::FAULT,
    proxy_delegation_none::FAULT,
    proxy_strips_challenge::FAULT,
    proxy_strips_authorization::FAULT,
    proxy_preauth_other_directory::FAULT,
    proxy_delegation_scheme_mismatch::FAULT,
    isa_fba_listener_502_on_bad_password::FAULT,
    proxy_rewrites_versions::FAULT,
    proxy_injects_invalid_header::FAULT,
    host_header_not_preserved::FAULT,
    ssl_offload_vdir_requires_ssl::FAULT,
    proxy_upstream_unreachable::FAULT,
    proxy_cert_name_mismatch_to_backend::FAULT,
    proxy_upstream_timeout::FAULT,
    lb_health_check_false_down::FAULT,
    lb_pool_member_bad::FAULT,
];
