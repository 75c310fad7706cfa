//! `mailbox_db_dismounted_or_failover`
//!
//! ## What it says
//! The mailbox database of this user is dismounted or moving to another server.
//!
//! ## How we know
//! After a good logon Exchange itself answers 503 and holds it back for 20 s, as it does with its own errors; another
//! account passes at the same place. At most likely: throttling looks the same.
//!
//! ## What it is not
//! - `be_eas_apppool_down` and refused tickets: those come at once and from the front end.
//! - `bounded_backoff_503`: quick, and for everybody of an older back end.
//! - `be_timeout_504`: another status.
//!
//! ## What to do
//! See the text.

use parallax_model::{FaultId, Generation, Standing};

use super::front_logon::{self, Answered, FRONTS};
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::Seen;
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("mailbox_db_dismounted_or_failover"),
    layer: Layer::FrontEndToBackEnd,
    owner: Owner::Exchange,
    era: Era::From2007,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("mailbox_db_dismounted_or_failover"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    front_logon::cases(seen, FRONTS, is_such, |it| {
        it.case(it.holds(), "200").firmer(it.another_passes()).at_most(Standing::Likely)
    })
}

fn is_such(it: &Answered<'_, '_>) -> bool {
    it.answer.status == 503
        && it.is_slow()
        && !it.answer.headers.has("X-MS-ASThrottle")
        && it.account.mailbox != Some(Generation::Exchange2003)
        && (it.is_of_back_end() || (!it.answer.headers.has("X-FEServer") && it.is_of_exchange()))
}
