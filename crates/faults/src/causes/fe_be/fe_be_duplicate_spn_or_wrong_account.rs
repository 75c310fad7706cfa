//! `fe_be_duplicate_spn_or_wrong_account`
//!
//! ## What it says
//! The service principal name of the back end belongs to two accounts, or to one that the back end does not run as.
//!
//! ## How we know
//! The front end's ticket is refused (503 with its phrase, or a 401 or 503 from a 2010 server), and a log that the
//! operator entered names `KRB_AP_ERR_MODIFIED` or the double name. Seen from the network alone it stays open:
//! `setspn -X` tells.
//!
//! ## What it is not
//! - `fe_be_kerberos_rejected`: the same picture without that log entry.
//! - `fe_be_spn_missing`: there no account has the name at all.
//!
//! ## What to do
//! See the text.

use parallax_model::{FaultId, Standing};

use super::front_logon::{self, Answered, FRONTS, is_ticket_refused};
use crate::claim::{Claim, all};
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::Seen;
use crate::texts::pages;
use crate::time;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("fe_be_duplicate_spn_or_wrong_account"),
    layer: Layer::FrontEndToBackEnd,
    owner: Owner::Directory,
    era: Era::From2007,
    basis: Basis::Inferred,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("fe_be_duplicate_spn_or_wrong_account"),
    cases,
};

/// How the trouble is called in event logs and by `setspn -X`.
const WORDS: [&str; 4] =
    ["KRB_AP_ERR_MODIFIED", "0x29", "duplicate SPN", "duplicate service principal"];

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    front_logon::cases(seen, FRONTS, is_such, |it| {
        it.case(all([it.holds(), is_logged(seen)]), "200").at_most(Standing::Likely)
    })
}

/// A log says so.
pub(super) fn is_logged(seen: &Seen<'_>) -> Claim {
    let what =
        "setspn -X; KRB_AP_ERR_MODIFIED (event 4, source Security-Kerberos) on the front end";
    time::logged(seen, &WORDS, what)
}

fn is_such(it: &Answered<'_, '_>) -> bool {
    it.is_of_front_end() && is_ticket_refused(it.answer)
}
