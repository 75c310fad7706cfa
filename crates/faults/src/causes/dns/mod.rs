//! DNS: the name and the addresses it leads to.

use crate::fault::Fault;

mod dns_aaaa_unreachable;
mod dns_external_stale_ip;
mod dns_host_nxdomain;
mod dns_internal_be_name_wrong;
mod dns_split_brain_mismatch;
mod views;

/// In the order in which a request meets them.
pub(super) const ALL: &[Fault] = &[
    dns_host_nxdomain::FAULT,
    dns_external_stale_ip::FAULT,
    dns_split_brain_mismatch::FAULT,
    dns_aaaa_unreachable::FAULT,
    dns_internal_be_name_wrong::FAULT,
];
