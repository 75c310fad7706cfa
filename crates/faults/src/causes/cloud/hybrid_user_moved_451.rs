//! `hybrid_user_moved_451`
//!
//! ## What it says
//! The mailbox was moved to Exchange Online, and the server on premises sends the device there.
//!
//! ## How we know
//! After a good logon on premises 451, and `X-MS-Location` names Exchange Online; another account passes at the same
//! server. Expected: the device has to follow.
//!
//! ## What it is not
//! - `exo_consumer_account_451`, `exo_anonymous_451_cba`: there Microsoft's own front answers.
//! - `mailbox_other_site_451`: there another host of the organisation is named.
//! - `hybrid_user_moved_403_no_redirect`: the same user without the redirect.
//!
//! ## What to do
//! See the text.

use parallax_model::{FaultId, Generation, TextPlace};

use crate::causes::fe_be::front_logon::{self, Answered, FRONTS, named_host};
use crate::condition;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::responder;
use crate::seen::Seen;
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("hybrid_user_moved_451"),
    layer: Layer::Cloud,
    owner: Owner::Client,
    era: Era::From2007,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("hybrid_user_moved_451"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    front_logon::cases(seen, FRONTS, is_such, |it| {
        it.case(it.holds(), "200")
            .firmer(it.another_passes())
            .with(TextPlace::Elsewhere, named_host(it.answer).unwrap_or_default())
    })
}

fn is_such(it: &Answered<'_, '_>) -> bool {
    let generation = responder::generation(it.seen, it.spot.endpoint);
    generation != Some(Generation::Online)
        && !it.answer.headers.has("X-Proxy-BackendServerStatus")
        && !condition::is_certificate_host_redirect(it.answer)
        && named_host(it.answer).is_some_and(|host| responder::is_online_host(&host))
}
