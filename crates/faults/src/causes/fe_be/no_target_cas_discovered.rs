//! `no_target_cas_discovered`
//!
//! ## What it says
//! The client access server finds no server in the mailbox's site that it could hand the request on to.
//!
//! ## How we know
//! 403 for an account of another site, made by Exchange, and the operator entered event 1044 from its log. Without
//! that entry it stays open. At most likely.
//!
//! ## What it is not
//! - `cas_proxy_target_not_https`: a target is known, and its URL is plain HTTP.
//! - A user who may not use `ActiveSync`: that is event 1031.
//!
//! ## What to do
//! See the text.

use parallax_model::{FaultId, Generation, Standing};

use super::front_logon::{self, Answered, FRONTS};
use crate::claim::all;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::Seen;
use crate::texts::pages;
use crate::time;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("no_target_cas_discovered"),
    layer: Layer::FrontEndToBackEnd,
    owner: Owner::Exchange,
    era: Era::From2007,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("no_target_cas_discovered"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    front_logon::cases(seen, FRONTS, is_such, |it| {
        let what = "event 1044 of MSExchange ActiveSync on the client access server";
        let logged = time::logged(seen, &["1044", "DiscoveryInfoMissing"], what);
        let front = it.front_is(Generation::is_2007_or_2010);
        it.case(all([it.holds(), front, logged]), "200").at_most(Standing::Likely)
    })
}

fn is_such(it: &Answered<'_, '_>) -> bool {
    it.answer.status == 403
        && it.is_challenged()
        && it.account.mailbox.is_none_or(Generation::is_2007_or_2010)
}
