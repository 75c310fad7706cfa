//! Servers that are not Exchange, URLs that lead past it, and what the tools of the prober themselves bring about.

use crate::fault::Fault;

mod anonymous_403_instead_of_401;
mod autod_external_url_missing_or_wrong;
mod egress_proxy_on_agent;
mod not_exchange_server;
mod probe_caused_lockout;
mod probe_timeout_too_short;

/// In the order in which a request meets them.
pub(super) const ALL: &[Fault] = &[
    egress_proxy_on_agent::FAULT,
    anonymous_403_instead_of_401::FAULT,
    autod_external_url_missing_or_wrong::FAULT,
    probe_caused_lockout::FAULT,
    not_exchange_server::FAULT,
    probe_timeout_too_short::FAULT,
];
