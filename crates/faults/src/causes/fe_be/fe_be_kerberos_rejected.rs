//! `fe_be_kerberos_rejected`
//!
//! ## What it says
//! The front end of Exchange 2013 or later built a Kerberos ticket, and the back end refused it.
//!
//! ## How we know
//! After a good logon the front end answers 503 itself, chose a back end, and says in the reason phrase that the
//! logon there failed. At most likely: a broken computer account, a double SPN, Extended Protection and a clock all
//! end in this phrase.
//!
//! ## What it is not
//! - `bad_password`: the caller was let in and the mailbox found before this answer.
//! - `clock_skew_kerberos`: there the clocks of the two servers are measured too far apart.
//! - `fe_be_duplicate_spn_or_wrong_account`: there a log names `KRB_AP_ERR_MODIFIED`.
//! - `be_eas_apppool_down`: a 503 without this phrase, and the back end itself answers 503.
//!
//! ## What to do
//! See the text.

use parallax_model::{FaultId, Generation, Need, Standing};

use super::clock_skew_kerberos::skew_behind;
use super::fe_be_duplicate_spn_or_wrong_account::is_logged;
use super::front_logon::{self, Answered, FRONTS, is_ticket_refused, ticket_failure};
use crate::claim::{Claim, all, not};
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::Seen;
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("fe_be_kerberos_rejected"),
    layer: Layer::FrontEndToBackEnd,
    owner: Owner::Exchange,
    era: Era::From2013,
    basis: Basis::Observed,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("fe_be_kerberos_rejected"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    front_logon::cases(seen, FRONTS, is_such, |it| {
        let on_the_server = Claim::unknown(Need::OnTheServer {
            what: "Test-ComputerSecureChannel, setspn -X and Extended Protection on the back end",
        });
        let is_other = [not(skew_behind(it)), not(is_logged(seen))];
        // What is not known to be the other cause stays the plain one.
        let is_plain = all(is_other.map(open_is_given));
        it.case(all([it.holds(), is_plain]), "200").firmer(on_the_server).at_most(Standing::Likely)
    })
}

fn open_is_given(claim: Claim) -> Claim {
    match claim {
        Claim::Unknown { .. } => Claim::given(),
        settled @ (Claim::Holds(_) | Claim::Fails(_)) => settled,
    }
}

/// A mailbox on 2003 or 2010 behind a newer front end has causes of its own.
fn is_such(it: &Answered<'_, '_>) -> bool {
    let is_older = it.account.mailbox.is_some_and(|it| !Generation::is_2013_or_later(it));
    let is_denied = ticket_failure(it.answer) == Some("LogonDenied") && !is_older;
    it.is_of_front_end()
        && it.account.mailbox != Some(Generation::Exchange2003)
        && (is_ticket_refused(it.answer) || is_denied)
}
