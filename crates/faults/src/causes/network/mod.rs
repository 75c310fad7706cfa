//! TCP and what lies below and beside it.

use crate::fault::Fault;

pub(super) mod back_end;
mod idle_timeout_too_short;
mod ips_resets_options;
mod mtu_blackhole;
mod tcp;
mod tcp_443_filtered;
mod tcp_443_refused;
mod tcp_cas_to_be_port_blocked;
mod tcp_port_exhaustion_cas;

/// In the order in which a request meets them.
pub(super) const ALL: &[Fault] = &[
    tcp_443_filtered::FAULT,
    tcp_443_refused::FAULT,
    mtu_blackhole::FAULT,
    ips_resets_options::FAULT,
    tcp_port_exhaustion_cas::FAULT,
    tcp_cas_to_be_port_blocked::FAULT,
    idle_timeout_too_short::FAULT,
];
