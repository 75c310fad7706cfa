//! `be_timeout_504`
//!
//! ## What it says
//! The back end took longer than the front end (Exchange 2013 or later) waits for it.
//!
//! ## How we know
//! 504 after a good logon, made by the front end itself. Firm once the back end, asked directly, is slow as well.
//!
//! ## What it is not
//! - A proxy that gives up: its 504 lacks `X-FEServer`.
//! - A blocked port between the two: there the back end does not answer the inner vantage at all.
//!
//! ## What to do
//! See the text.

use std::time::Duration;

use parallax_model::{Answer, FaultId, HttpFailure, Need, Outcome, Place, Standing, Zone};

use super::front_logon::{self, Answered, FRONTS, is_named};
use crate::claim::{Claim, any};
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::logon;
use crate::seen::Seen;
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("be_timeout_504"),
    layer: Layer::FrontEndToBackEnd,
    owner: Owner::Exchange,
    era: Era::From2013,
    basis: Basis::Observed,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("be_timeout_504"),
    cases,
};

/// An anonymous 401 takes milliseconds; a server that needs this long is in trouble.
const SLOW: Duration = Duration::from_secs(5);

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    front_logon::cases(seen, FRONTS, is_such, |it| {
        it.case(it.holds(), "200").firmer(back_end_is_slow(it)).at_most(Standing::Confirmed)
    })
}

fn is_such(it: &Answered<'_, '_>) -> bool {
    it.is_of_front_end() && it.answer.status == 504
}

/// A quick anonymous answer says nothing about the mailbox store behind it.
fn back_end_is_slow(it: &Answered<'_, '_>) -> Claim {
    let servers = it.other_servers();
    let name = it.answer.headers.first("X-CalculatedBETarget");
    let chosen = servers.into_iter().filter(|spot| name.is_some_and(|it| is_named(spot, it)));
    let claims: Vec<Claim> = chosen
        .flat_map(|spot| spot.exchanges(|look| look.place == Place::ActiveSync))
        .map(|met| match &met.exchange.outcome {
            Outcome::Done(answer) if answer.took >= SLOW && !is_held_back(answer) => {
                Claim::holds(met.reference())
            }
            Outcome::Failed(HttpFailure::TimedOut { .. }) => Claim::holds(met.reference()),
            Outcome::Done(_) | Outcome::Failed(_) | Outcome::NotReached => {
                Claim::unknown(Need::OnTheServer {
                    what: "store, directory and processor load of the back end",
                })
            }
        })
        .collect();
    if claims.is_empty() {
        Claim::unknown(Need::Vantage { zone: Zone::Backend })
    } else {
        any(claims)
    }
}

/// Exchange holds its own refusals back for 20 s on purpose.
fn is_held_back(answer: &Answer) -> bool {
    answer.status >= 400 && logon::is_slow(answer)
}
