//! `exchange_starting_anonymous_500`
//!
//! ## What it says
//! Exchange 2019 or later has just started and answers requests without a logon with 500 for some minutes.
//!
//! ## How we know
//! Anonymous `OPTIONS` gets 500 while a request of the same round that carries `Authorization` gets the healthy 401,
//! and a restart was entered or the path was healthy shortly before. At most likely: worth asking again before
//! anybody acts.
//!
//! ## What it is not
//! - A broken virtual directory: there every request gets the 500.
//! - `exchange_update_interrupted_500`: there logons get it, and anonymous requests do not.
//! - A publisher's 500: it bears the publisher's mark, or the server behind it answers 401.
//!
//! ## What to do
//! See the text.

use std::time::Duration;

use parallax_model::{Answer, EventKind, FaultId, Generation, Look, Need, Standing, TextPlace};

use crate::claim::{Claim, all, any};
use crate::claims::{is_generation, needed_look};
use crate::condition::{self, Stage};
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::{Seen, Spot};
use crate::sign::along;
use crate::texts::pages;
use crate::time::{self, Earlier};
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("exchange_starting_anonymous_500"),
    layer: Layer::Iis,
    owner: Owner::Exchange,
    era: Era::From2013,
    basis: Basis::Observed,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("exchange_starting_anonymous_500"),
    cases,
};

/// It was seen to clear within minutes.
const AGAIN_AFTER: Duration = Duration::from_mins(5);
/// A start that lies further back is over.
const STARTING: Duration = Duration::from_mins(30);

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let earlier = Earlier::new(seen, &Look::OPTIONS);
    along(
        seen.fronts(),
        |spot| spot.sign(&Look::OPTIONS, |answer| answer.status == 500),
        |spot, shown| {
            let what = "generation of the client access server";
            let is_2013 = is_generation(seen, spot, Generation::is_2013_or_later, what);
            let recent = any([
                time::happened(
                    seen,
                    &[EventKind::Restart, EventKind::Update],
                    STARTING,
                    "a restart of Exchange, as an event",
                ),
                was_healthy(seen, spot, &earlier),
            ]);
            let said = spot.answer(&Look::OPTIONS).map(|(_, it)| words::answer(it));
            Case::new(spot, all([shown, is_2013, serves_others(spot), recent]), &[Stage::Anonymous])
                .firmer(ask_again(spot))
                .at_most(Standing::Likely)
                .with(TextPlace::Seen, said.unwrap_or_default())
                .with(TextPlace::Expected, "401 Basic")
        },
    )
}

fn ask_again(spot: &Spot<'_>) -> Claim {
    let (path, look) = (spot.path.clone(), Look::OPTIONS);
    Claim::unknown(Need::AskAgain { path, look, after: AGAIN_AFTER })
}

/// A request with `Authorization` is looked at as ever.
fn serves_others(spot: &Spot<'_>) -> Claim {
    let looks = [Look::NTLM_PROXY, Look::IMPOSSIBLE_USER];
    let is_fine = |answer: &Answer| answer.status == 401;
    let claims: Vec<Claim> = looks
        .iter()
        .map(|look| match spot.answer(look) {
            Some((met, answer)) if is_fine(answer) => Claim::holds(met.reference()),
            Some((met, answer)) if answer.status == 500 => Claim::fails(met.reference()),
            Some(_) => Claim::undecidable(),
            None => Claim::Unknown { seen: Vec::new(), needs: needed_look(spot, look) },
        })
        .collect();
    any(claims)
}

/// The same path was in order a short while ago.
fn was_healthy(seen: &Seen<'_>, spot: &Spot<'_>, earlier: &Earlier<'_>) -> Claim {
    let now = seen.evidence.now;
    let is_near = |at| now.duration_since(at).is_ok_and(|age| age <= STARTING);
    let mut near = earlier.of(spot.path).iter().rev().take_while(|(at, _)| is_near(*at));
    let healthy = near.find(|(_, it)| condition::is_anonymous_healthy(seen, spot.endpoint, it));
    healthy.map_or_else(
        || ask_again(spot),
        |(at, answer)| Claim::holds(time::earlier_reference(spot.path, *at, answer)),
    )
}
