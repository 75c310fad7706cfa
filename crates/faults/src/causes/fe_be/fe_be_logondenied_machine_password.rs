//! `fe_be_logondenied_machine_password`
//!
//! ## What it says
//! After a 2010 server changed its machine password, the newer front end can no longer log on to it.
//!
//! ## How we know
//! 500 from the front end itself, whose body names the status `LogonDenied`, for a mailbox on Exchange 2010 behind a
//! front end of 2013 or later. At most likely: whether KB 3140410 is missing stands on the server.
//!
//! ## What it is not
//! - `fe_be_kerberos_rejected`: the same word for a mailbox on 2013 or later.
//! - `bad_password`: the front end had let the caller in.
//!
//! ## What to do
//! See the text.

use parallax_model::{FaultId, Generation, Need, Standing};

use super::front_logon::{self, Answered, FRONTS, ticket_failure};
use crate::claim::{Claim, all};
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::Seen;
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("fe_be_logondenied_machine_password"),
    layer: Layer::FrontEndToBackEnd,
    owner: Owner::Exchange,
    era: Era::From2013,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("fe_be_logondenied_machine_password"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    front_logon::cases(seen, FRONTS, is_such, |it| {
        let on_the_server = Claim::unknown(Need::OnTheServer {
            what: "whether KB 3140410 is installed on the Exchange 2010 server",
        });
        let must = all([it.holds(), it.mailbox_is(|it| it == Generation::Exchange2010)]);
        it.case(must, "200").firmer(on_the_server).at_most(Standing::Likely)
    })
}

fn is_such(it: &Answered<'_, '_>) -> bool {
    it.is_of_front_end()
        && it.answer.status == 500
        && ticket_failure(it.answer).is_some_and(|it| it.eq_ignore_ascii_case("LogonDenied"))
}
