//! A proxy in a vantage's own network: what it does to every destination, the known good one too.
//!
//! INVARIANT: `Via`, and an issuer that is no public authority, are the vantage's own only where its control shows the same; the
//! issuer only where another vantage meets another one at the same endpoint. 407 speaks for itself.

use std::collections::{BTreeMap, BTreeSet};

use parallax_model::{ChainJudgement, EndpointName, Role, VantageName};

use super::publisher::Mark;
use super::{Device, Marked};
use crate::seen::{Seen, Spot};
use crate::words;

/// What stands in front of a vantage whatever it asks, by the answers of its controls.
pub(super) struct Own<'e> {
    via: BTreeSet<(&'e VantageName, &'e str)>,
    issuers: BTreeSet<(&'e VantageName, &'e str)>,
    /// Endpoints whose certificate not every vantage gets from the same issuer.
    differing: BTreeSet<&'e EndpointName>,
}

impl<'e> Own<'e> {
    pub(super) fn of(seen: &Seen<'e>) -> Self {
        let mut own =
            Self { via: BTreeSet::new(), issuers: BTreeSet::new(), differing: BTreeSet::new() };
        let paths = seen.paths.iter().chain(&seen.set_aside);
        for spot in paths.filter(|it| it.endpoint.role == Role::Control) {
            for answer in spot.met().iter().filter_map(crate::seen::Met::answer) {
                let values = answer.headers.0.iter();
                let via = values.filter(|(name, _)| name.eq_ignore_ascii_case("Via"));
                own.via.extend(via.map(|(_, value)| (&spot.vantage.name, value.as_str())));
            }
            own.issuers.extend(strange_issuer(spot).map(|(_, it)| (&spot.vantage.name, it)));
        }
        if !own.issuers.is_empty() {
            own.differing = differing(seen);
        }
        own
    }

    /// Whether no vantage is known to stand behind one.
    pub(super) fn is_nowhere(&self) -> bool {
        self.via.is_empty() && self.issuers.is_empty()
    }

    pub(super) fn is_own_via(&self, vantage: &VantageName, value: &str) -> bool {
        !self.via.is_empty() && self.via.contains(&(vantage, value))
    }

    /// What of it shows along a path.
    pub(super) fn along<'a, 's>(&self, spot: &'a Spot<'s>) -> Option<Device<'a, 's>> {
        let mut by = Vec::new();
        for met in spot.met() {
            let Some(answer) = met.answer() else { continue };
            if answer.status == 407 {
                super::add(&mut by, Marked::Ready(met.reference()));
            }
            if self.via.is_empty() {
                continue;
            }
            for (name, value) in &answer.headers.0 {
                if name.eq_ignore_ascii_case("Via") && self.is_own_via(&spot.vantage.name, value) {
                    super::add(&mut by, Marked::Seen(met, Mark::Named("Via", value)));
                }
            }
        }
        if self.differing.contains(&spot.endpoint.name)
            && let Some((round, issuer)) = strange_issuer(spot)
            && self.issuers.contains(&(&spot.vantage.name, issuer))
        {
            let value = format!("certificate issued by {}", words::shortened(issuer));
            super::add(&mut by, Marked::Ready(spot.reference(round, None, value)));
        }
        (!by.is_empty())
            .then(|| Device { what: "proxy of the vantage's own network".to_owned(), by })
    }
}

/// Who issued a certificate that is not of a public authority.
fn strange_issuer<'e>(spot: &Spot<'e>) -> Option<(u32, &'e str)> {
    spot.observations().iter().find_map(|(round, it)| {
        let tls = it.transport.tls()?;
        let leaf = tls.chain.first()?;
        (tls.trust.public != ChainJudgement::Trusted).then_some((*round, leaf.issuer.as_str()))
    })
}

fn differing<'e>(seen: &Seen<'e>) -> BTreeSet<&'e EndpointName> {
    let mut first: BTreeMap<&EndpointName, &str> = BTreeMap::new();
    let mut differing = BTreeSet::new();
    for spot in seen.paths.iter().chain(&seen.set_aside) {
        for (_, it) in spot.observations() {
            let Some(leaf) = it.transport.tls().and_then(|it| it.chain.first()) else { continue };
            let known = first.entry(&spot.endpoint.name).or_insert(&leaf.issuer);
            if *known != leaf.issuer {
                differing.insert(&spot.endpoint.name);
            }
        }
    }
    differing
}
