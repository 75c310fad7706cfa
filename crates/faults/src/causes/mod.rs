//! The causes, one file each. A file holds the premises; the texts for people are Markdown under `texts/`.
//!
//! A cause never looks at another cause's result: conditions are stated on facts, precedence is the judge's.

use std::collections::BTreeMap;

use parallax_model::{Account, TextPlace};

use crate::fault::Fault;
use crate::seen::Spot;

mod bad_password;
mod default_domain_missing;
mod dns_host_nxdomain;
mod e2003_be_iwa_missing;
mod e2003_be_ssl_required_on_eas_vdir;
mod e2003_negotiate_provider_missing;
mod exo_anonymous_451_cba;
mod exo_basic_retired;
mod legacy;
mod not_exchange_server;
mod proxy_strips_or_answers_options;
mod proxy_url_not_published;
mod tcp;
mod tcp_443_filtered;
mod tcp_443_refused;
mod tls_cert_expired;
mod tls_cert_name_mismatch;
mod tls_intermediate_missing;
mod upn_mismatch;
mod vdir_basic_disabled;

pub(crate) use exo_anonymous_451_cba::notes;

/// The catalogue, in the order in which a request meets the layers.
pub(crate) const ALL: [Fault; 17] = [
    dns_host_nxdomain::FAULT,
    tcp_443_filtered::FAULT,
    tcp_443_refused::FAULT,
    tls_cert_expired::FAULT,
    tls_cert_name_mismatch::FAULT,
    tls_intermediate_missing::FAULT,
    proxy_strips_or_answers_options::FAULT,
    proxy_url_not_published::FAULT,
    vdir_basic_disabled::FAULT,
    default_domain_missing::FAULT,
    upn_mismatch::FAULT,
    bad_password::FAULT,
    e2003_be_iwa_missing::FAULT,
    e2003_negotiate_provider_missing::FAULT,
    e2003_be_ssl_required_on_eas_vdir::FAULT,
    exo_basic_retired::FAULT,
    not_exchange_server::FAULT,
];

type Filled = Vec<(TextPlace, String)>;

/// Named places for the texts; a later entry wins.
fn places<const N: usize>(parts: [Filled; N]) -> BTreeMap<TextPlace, String> {
    parts.into_iter().flatten().filter(|(_, text)| !text.is_empty()).collect()
}

/// Where it is: endpoint, host, vantage, address.
fn at(spot: &Spot<'_>) -> Filled {
    let address =
        spot.observations().first().map(|(_, it)| it.address.ip().to_string()).unwrap_or_default();
    vec![
        (TextPlace::Endpoint, spot.endpoint.name.to_string()),
        (TextPlace::Host, spot.endpoint.host.clone()),
        (TextPlace::Vantage, spot.vantage.name.to_string()),
        (TextPlace::Address, address),
    ]
}

fn login(account: &Account) -> String {
    account.first_name().map(|name| name.login.clone()).unwrap_or_default()
}
