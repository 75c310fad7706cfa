//! `e2003_direct_push_off_or_mobile_disabled`
//!
//! ## What it says
//! Mobile synchronisation is switched off on Exchange 2003, for the organisation or for this user.
//!
//! ## How we know
//! The back end of 2003, dialled directly, asks for a logon with 401 and answers the good one with 403. At most
//! likely: the setting stands in the directory.
//!
//! ## What it is not
//! - `e2003_be_ssl_required_on_eas_vdir`: there the 403 comes before any logon and names 403.4.
//! - `legacy_blocked_on_new_cas`: there the back end lets the user in.
//! - `bad_password`: that is a 401.
//!
//! ## What to do
//! See the text.

use parallax_model::{FaultId, Generation, Role, Standing};

use super::legacy::is_403_4;
use crate::causes::fe_be::front_logon::{self, Answered, FRONTS, paths_of};
use crate::claim::all;
use crate::claims::is_generation;
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Explains, Fault, Layer, Owner, Reach, Severity};
use crate::seen::Seen;
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("e2003_direct_push_off_or_mobile_disabled"),
    layer: Layer::Legacy2003,
    owner: Owner::Exchange,
    era: Era::Mailbox2003,
    basis: Basis::Inferred,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("e2003_direct_push_off_or_mobile_disabled"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let fronts = front_logon::answered(seen, FRONTS);
    front_logon::cases(seen, &[Role::Backend], is_such, |it| {
        let what = "generation of the back end";
        let is_2003 = is_generation(seen, it.spot, |it| it == Generation::Exchange2003, what);
        // A CAS hands the status on.
        let handed_on = |front: &&Answered<'_, '_>| {
            front.account.id == it.account.id && front.answer.status == 403
        };
        let mut met: Vec<&Answered<'_, '_>> = fronts.iter().filter(handed_on).collect();
        met.push(it);
        let explains = Explains {
            paths: paths_of(&met),
            stages: &[Stage::Logon],
            logons_of: Some((it.account.id.clone(), Vec::new())),
        };
        it.case(all([it.holds(), is_2003]), "200").explaining(explains).at_most(Standing::Likely)
    })
}

fn is_such(it: &Answered<'_, '_>) -> bool {
    it.answer.status == 403 && it.is_challenged() && !is_403_4(it.answer)
}
