//! `fe_be_spn_missing`
//!
//! ## What it says
//! The front end finds no account for the service principal name of the server it has to reach.
//!
//! ## How we know
//! 500 after a good logon, made by the front end itself, with a body that names the server and the status
//! `TargetUnknown`.
//!
//! ## What it is not
//! - `fe_be_logondenied_machine_password`, `clock_skew_kerberos`: the same body with another status word.
//! - `fe_be_kerberos_rejected`: there the ticket was built, and the back end refused it with 503.
//! - `exchange_update_interrupted_500`: a 500 without such a body.
//!
//! ## What to do
//! See the text.

use parallax_model::FaultId;

use super::front_logon::{self, Answered, FRONTS, ticket_failure};
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::Seen;
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("fe_be_spn_missing"),
    layer: Layer::FrontEndToBackEnd,
    owner: Owner::Exchange,
    era: Era::From2013,
    basis: Basis::Observed,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("fe_be_spn_missing"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    front_logon::cases(seen, FRONTS, is_such, |it| it.case(it.holds(), "200"))
}

fn is_such(it: &Answered<'_, '_>) -> bool {
    it.is_of_front_end()
        && it.answer.status == 500
        && ticket_failure(it.answer).is_some_and(|it| it.eq_ignore_ascii_case("TargetUnknown"))
}
