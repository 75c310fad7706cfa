//! `hybrid_user_moved_403_no_redirect`
//!
//! ## What it says
//! The mailbox was moved to Exchange Online, and nothing tells the server on premises where to send the device.
//!
//! ## How we know
//! After a good logon on premises Exchange answers 403 and holds it back for 20 s, and the account's mailbox is
//! declared to be in Exchange Online. At most likely.
//!
//! ## What it is not
//! - `hybrid_user_moved_451`: there the redirect works.
//! - A user who may not use `ActiveSync`: the same 403 for a mailbox on premises.
//!
//! ## What to do
//! See the text.

use parallax_model::{FaultId, Generation, Standing};

use crate::causes::fe_be::front_logon::{self, Answered, FRONTS};
use crate::claim::all;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::responder;
use crate::seen::Seen;
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("hybrid_user_moved_403_no_redirect"),
    layer: Layer::Cloud,
    owner: Owner::Exchange,
    era: Era::From2007,
    basis: Basis::Observed,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("hybrid_user_moved_403_no_redirect"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    front_logon::cases(seen, FRONTS, is_such, |it| {
        let moved = it.mailbox_is(|it| it == Generation::Online);
        it.case(all([it.holds(), moved]), "451")
            .firmer(it.another_passes())
            .at_most(Standing::Likely)
    })
}

fn is_such(it: &Answered<'_, '_>) -> bool {
    let generation = responder::generation(it.seen, it.spot.endpoint);
    generation != Some(Generation::Online)
        && it.answer.status == 403
        && it.is_slow()
        && (it.answer.headers.has("X-FEServer") || it.is_of_exchange())
}
