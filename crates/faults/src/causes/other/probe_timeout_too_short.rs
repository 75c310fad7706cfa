//! `probe_timeout_too_short`
//!
//! ## What it says
//! Our own patience ended before the answer came; what is called a timeout here is the length of our limit.
//!
//! ## How we know
//! The same request at the same endpoint was answered another time, or for another vantage, after more than half of the limit.
//!
//! ## What it is not
//! - A server that never answers: then no such late answer was ever seen, and nothing is said.
//! - `proxy_upstream_timeout`: there a device ends the wait with a status of its own.
//!
//! ## What to do
//! See the text.

use std::collections::BTreeMap;

use parallax_model::{
    EndpointName, FaultId, HttpFailure, Look, Outcome, Role, Standing, TextPlace,
};

use crate::claim::{Claim, all};
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::{Met, Seen, Spot};
use crate::sign::{Fact, Sign, along};
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("probe_timeout_too_short"),
    layer: Layer::NonExchange,
    owner: Owner::Service,
    era: Era::Any,
    basis: Basis::Observed,
    reach: Reach::Options,
    severity: Severity::Warning,
    pages: pages!("probe_timeout_too_short"),
    cases,
};

type Slowest<'e> = BTreeMap<(&'e EndpointName, &'e Look), Met<'e>>;

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let mut slowest = Slowest::new();
    for spot in &seen.paths {
        for met in spot.exchanges(|_| true) {
            let place = slowest.entry((&spot.endpoint.name, &met.exchange.look)).or_insert(met);
            if waited(&met) > waited(place) {
                *place = met;
            }
        }
    }
    along(
        seen.paths.iter().filter(|it| it.endpoint.role != Role::Control),
        |spot| gave_up(spot, &slowest),
        |spot, gave_up_claim| {
            // Explains nothing: it takes back a reading, and names no cause.
            let late = cut_short(spot, &slowest).map(|(_, late)| late);
            let seen_late = late.map(|met| Claim::holds(met.reference()));
            let took = late.and_then(|met| met.answer()).map(|it| words::seconds(it.took));
            Case::new(spot, all([gave_up_claim].into_iter().chain(seen_late)), &[])
                .at_most(Standing::Likely)
                .with(TextPlace::Seen, took.unwrap_or_default())
        },
    )
}

fn waited(met: &Met<'_>) -> std::time::Duration {
    met.answer().map(|it| it.took).unwrap_or_default()
}

fn gave_up<'e>(spot: &Spot<'e>, slowest: &Slowest<'e>) -> Sign<'e> {
    match (cut_short(spot, slowest), spot.exchanges(|_| true).first()) {
        (Some((met, _)), _) => Sign::Shown(Fact::Exchange(met)),
        (None, Some(met)) => Sign::Denied(Fact::Exchange(*met)),
        (None, None) => Sign::Unknown(Vec::new()),
    }
}

/// A request that we gave up, and an answer to the same that came late.
fn cut_short<'e>(spot: &Spot<'e>, slowest: &Slowest<'e>) -> Option<(Met<'e>, Met<'e>)> {
    spot.exchanges(|_| true).into_iter().find_map(|met| {
        let Outcome::Failed(HttpFailure::TimedOut { after }) = &met.exchange.outcome else {
            return None;
        };
        let late = slowest.get(&(&spot.endpoint.name, &met.exchange.look))?;
        (waited(late) * 2 >= *after && late.answer().is_some()).then_some((met, *late))
    })
}
