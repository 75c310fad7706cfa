//! `password_must_change_or_expired`
//!
//! ## What it says
//! The password is right but has expired, or has to be changed at the next logon.
//!
//! ## How we know
//! On premises the box that checks answers the one 401 of every refusal: open beside `bad_password`, until a domain controller is
//! asked. Exchange Online says 457, and with it where the password is changed (`X-MS-Credential-Service-Url`).
//!
//! ## What it is not
//! - A wrong password, a locked or a disabled account: the directory tells.
//!
//! ## What to do
//! See the text.

use parallax_model::{FaultId, Generation, Need, Purpose};

use super::user::{self, Reason};
use crate::claim::Claim;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::responder;
use crate::seen::Seen;
use crate::texts::pages;

const WHAT: &str = "Get-ADUser: PasswordExpired, pwdLastSet; or 4776 with 0xC0000071 or 0xC0000224";

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("password_must_change_or_expired"),
    layer: Layer::Account,
    owner: Owner::Directory,
    era: Era::Any,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("password_must_change_or_expired"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let mut cases = user::behind_a_refusal(seen, Reason::OfTheAccount, WHAT);
    for account in seen.accounts(Purpose::Subject) {
        let said = user::told(seen, account).into_iter().find(|(spot, met)| {
            met.status() == Some(457)
                && responder::generation(seen, spot.endpoint) == Some(Generation::Online)
        });
        if let Some((spot, met)) = said {
            let names_place =
                met.answer().is_some_and(|it| it.headers.has("X-MS-Credential-Service-Url"));
            let firm = if names_place {
                Claim::given()
            } else {
                Claim::unknown(Need::OnTheServer { what: WHAT })
            };
            let case = user::case(account, spot, &met, Claim::holds(met.reference()));
            cases.push(case.firmer(firm));
        }
    }
    cases
}
