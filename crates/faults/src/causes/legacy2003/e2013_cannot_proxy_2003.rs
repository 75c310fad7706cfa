//! `e2013_cannot_proxy_2003`
//!
//! ## What it says
//! A client access server of Exchange 2013 or later stands in front of mailboxes on Exchange 2003, which it cannot
//! serve.
//!
//! ## How we know
//! The front is of 2013 or later, the account's mailbox is declared to be on 2003, and a logon ends in 403, 500 or
//! 503 (or in 401 although the back end takes the same secret). At most likely.
//!
//! ## What it is not
//! - `e2003_be_iwa_missing`: there the front is a CAS of 2007 or 2010, which can.
//! - `fe_be_kerberos_rejected` and its like: there the mailbox is on a newer server.
//!
//! ## What to do
//! See the text.

use parallax_model::{FaultId, Generation, Role, Standing};

use crate::causes::fe_be::front_logon::{self, Answered, FRONTS};
use crate::claim::{Claim, all, any};
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::responder;
use crate::seen::{Seen, Spot};
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("e2013_cannot_proxy_2003"),
    layer: Layer::Legacy2003,
    owner: Owner::Exchange,
    era: Era::Any,
    basis: Basis::Inferred,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("e2013_cannot_proxy_2003"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    front_logon::cases(seen, FRONTS, is_such, |it| {
        let proven = if it.answer.status == 401 { taken_by_2003(it) } else { Claim::given() };
        let front = it.front_is(Generation::is_2013_or_later);
        let mailbox = it.mailbox_is(|it| it == Generation::Exchange2003);
        it.case(all([it.holds(), front, mailbox, proven]), "200").at_most(Standing::Likely)
    })
}

fn is_such(it: &Answered<'_, '_>) -> bool {
    it.account.mailbox == Some(Generation::Exchange2003)
        && it.is_challenged()
        // A back end of 2013 or later that answered serves the mailbox, wherever it is declared to be.
        && !it.is_of_back_end()
        && matches!(it.answer.status, 401 | 403 | 500 | 503)
}

/// A 401 alone is what a wrong password gets.
fn taken_by_2003(it: &Answered<'_, '_>) -> Claim {
    let is_2003 = |spot: &&Spot<'_>| {
        spot.endpoint.role == Role::Backend
            && responder::generation(it.seen, spot.endpoint) == Some(Generation::Exchange2003)
    };
    let claims: Vec<Claim> =
        it.other_servers().into_iter().filter(is_2003).map(|spot| it.passes_at(spot)).collect();
    if claims.is_empty() { Claim::undecidable() } else { any(claims) }
}
