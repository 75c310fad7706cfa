//! The causes, one file each. A file holds the premises; the texts for people are Markdown under `texts/`.
//!
//! A cause never looks at another cause's result: conditions are stated on facts, precedence is the judge's.

use std::collections::BTreeMap;

use parallax_model::{Account, TextPlace};

use crate::fault::Fault;
use crate::seen::Spot;

mod account;
mod cloud;
mod dns;
mod fe_be;
mod iis;
mod legacy2003;
mod network;
mod other;
mod publishing;
mod tls;

pub(crate) use cloud::notes;

/// The catalogue by layer, in the order in which a request meets the layers.
const LAYERS: [&[Fault]; 10] = [
    dns::ALL,
    network::ALL,
    tls::ALL,
    publishing::ALL,
    iis::ALL,
    account::ALL,
    fe_be::ALL,
    legacy2003::ALL,
    cloud::ALL,
    other::ALL,
];

/// Every fault of the catalogue.
pub(crate) fn all() -> impl Iterator<Item = &'static Fault> {
    LAYERS.into_iter().flatten()
}

pub(crate) type Filled = Vec<(TextPlace, String)>;

/// Named places for the texts; a later entry wins.
pub(crate) fn places<const N: usize>(parts: [Filled; N]) -> BTreeMap<TextPlace, String> {
    parts.into_iter().flatten().filter(|(_, text)| !text.is_empty()).collect()
}

/// Where it is: endpoint, host, vantage, address.
pub(crate) fn at(spot: &Spot<'_>) -> Filled {
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
