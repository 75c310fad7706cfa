//! `vdir_basic_disabled_one_node`
//!
//! ## What it says
//! Some of the servers behind a name do not offer Basic on the `ActiveSync` virtual directory, and others do.
//!
//! ## How we know
//! One server's own answer (dialled directly, or named by `X-FEServer`) is a 401 without Basic, another server's own answer
//! a 401 with it. Clients that a balancer sends to the first are refused.
//!
//! ## What it is not
//! - `vdir_basic_disabled`: there no server offers Basic.
//! - A proxy that takes the challenge away: then no server's own answer lacks it.
//! - One server that was seen to do both: nothing is said about such a one.
//!
//! ## What to do
//! See the text.

use std::rc::Rc;

use parallax_model::{FaultId, Generation, PathId, Role, TextPlace};

use super::node::{self, Offers};
use crate::claim::{Claim, all};
use crate::claims::other_side;
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Explains, Fault, Layer, Owner, Reach, Severity};
use crate::responder;
use crate::seen::{Met, Seen, Spot};
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("vdir_basic_disabled_one_node"),
    layer: Layer::Iis,
    owner: Owner::Exchange,
    era: Era::From2007,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("vdir_basic_disabled_one_node"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let offers = node::offers(seen);
    let without: Rc<[PathId]> = seen
        .fronts()
        .filter(|spot| {
            spot.latest(&parallax_model::Look::OPTIONS)
                .iter()
                .any(|met| met.answer().is_some_and(|it| it.status == 401 && !node::has_basic(it)))
        })
        .map(|spot| spot.path.clone())
        .collect();
    offers
        .without
        .iter()
        .filter(|(_, (spot, _))| {
            responder::generation(seen, spot.endpoint) != Some(Generation::Exchange2003)
        })
        .map(|(server, (spot, met))| case(&offers, &without, server, spot, met))
        .collect()
}

fn case(
    offers: &Offers<'_, '_>,
    paths: &Rc<[PathId]>,
    server: &str,
    spot: &Spot<'_>,
    met: &Met<'_>,
) -> Case {
    let direct = if spot.endpoint.role == Role::Cas {
        Claim::given()
    } else {
        Claim::unknown(other_side(spot))
    };
    let offered = met.answer().map(|answer| words::schemes(&answer.challenges)).unwrap_or_default();
    let stages = &[Stage::Anonymous, Stage::Logon];
    Case::new(spot, all([Claim::holds(met.reference()), another_offers_it(offers)]), stages)
        .firmer(direct)
        .explaining(Explains { paths: Rc::clone(paths), stages, logons_of: None })
        .with(TextPlace::Elsewhere, server)
        .with(TextPlace::Seen, offered)
        .with(TextPlace::Expected, "Basic")
}

/// Another server has it. Where two or more were heard and none has it, it is not one of several; of one alone nobody knows.
fn another_offers_it(offers: &Offers<'_, '_>) -> Claim {
    if let Some(met) = offers.with.values().next() {
        return Claim::holds(met.reference());
    }
    if offers.without.len() < 2 {
        return Claim::undecidable();
    }
    Claim::Fails(offers.without.values().map(|(_, met)| met.reference()).collect())
}
