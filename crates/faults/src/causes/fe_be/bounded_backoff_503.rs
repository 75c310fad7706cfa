//! `bounded_backoff_503`
//!
//! ## What it says
//! A client access server met three errors of a back end within a minute and leaves it alone for the next one.
//!
//! ## How we know
//! A quick 503 to an accepted logon whose mailbox is on an older back end, and the same logon got another answer
//! shortly before or after: it heals by itself after 60 s of silence. Seen once it stays open, to be asked again. At
//! most likely: what the back end does wrong is a cause of its own.
//!
//! ## What it is not
//! - `mailbox_db_dismounted_or_failover`: there Exchange holds its 503 back for 20 s.
//! - `e2003_be_iwa_missing` and others behind it: this 503 neither denies nor proves them.
//!
//! ## What to do
//! See the text.

use std::time::Duration;

use parallax_model::{FaultId, Generation, Need, Standing};

use super::front_logon::{self, Answered, FRONTS};
use crate::claim::{Claim, all};
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::Seen;
use crate::texts::pages;
use crate::time::{Earlier, earlier_reference};

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("bounded_backoff_503"),
    layer: Layer::FrontEndToBackEnd,
    owner: Owner::Exchange,
    era: Era::From2007,
    basis: Basis::Observed,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("bounded_backoff_503"),
    cases,
};

/// `BackOffTimeOut` of the web.config.
const BACK_OFF: Duration = Duration::from_mins(1);
/// An answer from so short a time before belongs to the same trouble.
const SHORTLY: Duration = Duration::from_hours(1);

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    front_logon::cases(seen, FRONTS, is_such, |it| {
        let front = it.front_is(|it| it.is_2007_or_2010() || it == Generation::Exchange2013);
        it.case(all([it.holds(), front, comes_and_goes(it)]), "200")
            .firmer(it.another_passes())
            .at_most(Standing::Likely)
    })
}

fn is_such(it: &Answered<'_, '_>) -> bool {
    it.answer.status == 503
        && !it.is_slow()
        && it.is_of_exchange()
        && !it.answer.headers.has("X-FEServer")
        && it
            .account
            .mailbox
            .is_none_or(|it| it == Generation::Exchange2003 || it == Generation::Exchange2007)
}

/// The same logon got another answer in this diagnosis, or in one shortly before.
fn comes_and_goes(it: &Answered<'_, '_>) -> Claim {
    let look = &it.met.exchange.look;
    let here = it.spot.exchanges(|other| other == look);
    let now = it.seen.evidence.now;
    if let Some(met) = here.iter().find(|met| met.status().is_some_and(|it| it != 503)) {
        return Claim::holds(met.reference());
    }
    let earlier = Earlier::new(it.seen, look);
    let is_near = |at| now.duration_since(at).is_ok_and(|age| age <= SHORTLY);
    let other = earlier.of(it.spot.path).iter().rev();
    let other = other.take_while(|(at, _)| is_near(*at)).find(|(_, it)| it.status != 503);
    match other {
        Some((at, answer)) => Claim::holds(earlier_reference(it.spot.path, *at, answer)),
        None => Claim::unknown(Need::AskAgain {
            path: it.spot.path.clone(),
            look: look.clone(),
            after: BACK_OFF,
        }),
    }
}
