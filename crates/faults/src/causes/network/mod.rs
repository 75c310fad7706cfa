//! TCP and what lies below and beside it.

use crate::fault::Fault;

mod tcp;
mod tcp_443_filtered;
mod tcp_443_refused;

/// In the order in which a request meets them.
pub(super) const ALL: &[Fault] = &[tcp_443_filtered::FAULT, tcp_443_refused::FAULT];
