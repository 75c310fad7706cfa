//! Servers that are not Exchange, and what the tools of the prober themselves bring about.

use crate::fault::Fault;

mod not_exchange_server;

/// In the order in which a request meets them.
pub(super) const ALL: &[Fault] = &[not_exchange_server::FAULT];
