//! The publishing layer: reverse proxies, load balancers, gateways.

use crate::fault::Fault;

mod proxy_strips_or_answers_options;
mod proxy_url_not_published;

/// In the order in which a request meets them.
pub(super) const ALL: &[Fault] =
    &[proxy_strips_or_answers_options::FAULT, proxy_url_not_published::FAULT];
