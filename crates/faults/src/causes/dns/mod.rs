//! DNS: the name and the addresses it leads to.

use crate::fault::Fault;

mod dns_host_nxdomain;

/// In the order in which a request meets them.
pub(super) const ALL: &[Fault] = &[dns_host_nxdomain::FAULT];
