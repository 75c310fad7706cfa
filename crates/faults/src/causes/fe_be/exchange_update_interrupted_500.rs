//! `exchange_update_interrupted_500`
//!
//! ## What it says
//! An update of Exchange was interrupted and left the server, or objects of its databases, half done.
//!
//! ## How we know
//! Anonymous requests get the healthy 401, every accepted logon a 500 that says nothing, and the operator entered an
//! update. At most likely.
//!
//! ## What it is not
//! - `fe_be_spn_missing`, `clock_skew_kerberos`: there the body of the 500 names the reason.
//! - `exchange_starting_anonymous_500`: there only requests without a logon get the 500.
//! - A publisher's own 500: it bears the publisher's mark.
//!
//! ## What to do
//! See the text.

use std::time::Duration;

use parallax_model::{EventKind, FaultId, Standing};

use super::front_logon::{self, Answered, FRONTS, ticket_failure};
use crate::claim::all;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::Seen;
use crate::texts::pages;
use crate::time;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("exchange_update_interrupted_500"),
    layer: Layer::FrontEndToBackEnd,
    owner: Owner::Exchange,
    era: Era::From2013,
    basis: Basis::Observed,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("exchange_update_interrupted_500"),
    cases,
};

/// Damage of an update shows at once or when the next mailbox moves; later events have causes of their own.
const AFTER_AN_UPDATE: Duration = Duration::from_hours(90 * 24);

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    front_logon::cases(seen, FRONTS, is_such, |it| {
        let is_2013 = it.front_is(parallax_model::Generation::is_2013_or_later);
        let what =
            "an update of Exchange that failed or was interrupted, as an event of the target";
        let updated = time::happened(seen, &[EventKind::Update], AFTER_AN_UPDATE, what);
        it.case(all([it.holds(), is_2013, updated]), "200").at_most(Standing::Likely)
    })
}

fn is_such(it: &Answered<'_, '_>) -> bool {
    it.answer.status == 500
        && it.is_challenged()
        && (it.answer.headers.has("request-id") || it.answer.headers.has("X-FEServer"))
        && ticket_failure(it.answer).is_none()
        && it.account.mailbox.is_none_or(parallax_model::Generation::is_2013_or_later)
}
