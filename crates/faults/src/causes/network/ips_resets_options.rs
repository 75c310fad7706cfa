//! `ips_resets_options`
//!
//! ## What it says
//! An intrusion filter on the way resets the connection as soon as it sees the method `OPTIONS`.
//!
//! ## How we know
//! Connection and TLS are in order, `OPTIONS` is reset after the request was sent, `GET` of the same path is answered at the
//! same address; further in `OPTIONS` is answered.
//!
//! ## What it is not
//! - `tcp_443_refused`: there no connection comes about.
//! - `proxy_strips_or_answers_options`: there a device answers `OPTIONS`, and nothing is reset.
//! - A server that resets every request: then `GET` gets no answer either.
//!
//! A proxy that treats its clients by where they come from looks the same, so this is never more than likely.
//!
//! ## What to do
//! See the text.

use parallax_model::{FaultId, HttpFailure, Look, Method, Outcome, Role, Standing, TextPlace};

use crate::claim::{Claim, all};
use crate::claims::works_further_in;
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::{Met, Seen, Spot};
use crate::sign::{Fact, Sign, along};
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("ips_resets_options"),
    layer: Layer::Network,
    owner: Owner::Firewall,
    era: Era::Any,
    basis: Basis::Observed,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("ips_resets_options"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    along(seen.with_role(Role::External), sign, |spot, shown| {
        let cut = spot.latest(&Look::OPTIONS).iter().find(|met| is_cut(met));
        Case::new(spot, all([shown, get_is_answered(spot)]), &[Stage::Anonymous, Stage::Logon])
            .firmer(all([works_further_in(seen, spot), every_options_is_cut(spot)]))
            .at_most(Standing::Likely)
            .with(TextPlace::Seen, cut.map(|met| words::exchange(met.exchange)).unwrap_or_default())
            .with(TextPlace::Expected, "401 Basic")
    })
}

/// Reset or closed without one byte of an answer, once the request was out.
fn is_cut(met: &Met<'_>) -> bool {
    met.exchange.sent
        && matches!(met.exchange.outcome, Outcome::Failed(HttpFailure::Reset | HttpFailure::Closed))
}

fn sign<'e>(spot: &Spot<'e>) -> Sign<'e> {
    let met = spot.latest(&Look::OPTIONS);
    match (met.iter().find(|it| is_cut(it)), met.first()) {
        (Some(cut), _) => Sign::Shown(Fact::Exchange(*cut)),
        (None, Some(first)) => Sign::Denied(Fact::Exchange(*first)),
        (None, None) => Sign::Unknown(Vec::new()),
    }
}

/// At the very address where `OPTIONS` is cut.
fn get_is_answered(spot: &Spot<'_>) -> Claim {
    let cut = spot.latest(&Look::OPTIONS).iter().filter(|it| is_cut(it));
    let claims: Vec<Claim> = cut
        .filter_map(|cut| {
            let same = |it: &&Met<'_>| it.observation.address == cut.observation.address;
            spot.latest(&Look::GET).iter().find(same)
        })
        .map(|met| match &met.exchange.outcome {
            Outcome::Done(_) => Claim::holds(met.reference()),
            Outcome::Failed(_) => Claim::fails(met.reference()),
            Outcome::NotReached => Claim::undecidable(),
        })
        .collect();
    if claims.is_empty() { Claim::undecidable() } else { all(claims) }
}

/// Another `OPTIONS` along this path that is answered says that the method alone does not do it.
fn every_options_is_cut(spot: &Spot<'_>) -> Claim {
    let answered = spot
        .exchanges(|look| look.method == Method::Options)
        .into_iter()
        .find(|met| met.answer().is_some());
    match answered {
        Some(met) => Claim::Unknown { seen: vec![met.reference()], needs: Vec::new() },
        None => Claim::given(),
    }
}
