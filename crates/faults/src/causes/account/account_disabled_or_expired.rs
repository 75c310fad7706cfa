//! `account_disabled_or_expired`
//!
//! ## What it says
//! The account is disabled, or the date is over until which it was valid.
//!
//! ## How we know
//! The box that checks refuses it with 401; or a token is still cached, and Exchange itself says 403 after 20 s. Neither
//! decides it: open, beside the other reasons for the same answer, until the directory is asked. Exchange Online says 456
//! to a blocked account.
//!
//! ## What it is not
//! - A wrong password, or a locked account: the directory tells.
//! - `eas_disabled_for_user`: the same slow 403, and the account is in order.
//!
//! ## What to do
//! See the text.

use parallax_model::{FaultId, Generation, Need, Purpose, Standing};

use super::user::{self, Reason};
use crate::claim::{Claim, all, not};
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::responder;
use crate::seen::Seen;
use crate::texts::pages;

const WHAT: &str = "Get-ADUser: Enabled, AccountExpirationDate";

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("account_disabled_or_expired"),
    layer: Layer::Account,
    owner: Owner::Directory,
    era: Era::Any,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("account_disabled_or_expired"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let mut cases = user::behind_a_refusal(seen, Reason::OfTheAccount, WHAT);
    for account in seen.accounts(Purpose::Subject) {
        if let Some((spot, met)) = user::refused_after_logon(seen, account) {
            let must = all([
                Claim::holds(met.reference()),
                not(user::let_in(seen, account)),
                Claim::unknown(Need::OnTheServer { what: WHAT }),
            ]);
            cases.push(user::case(account, spot, &met, must));
        }
        let blocked = user::told(seen, account).into_iter().find(|(spot, met)| {
            met.status() == Some(456)
                && responder::generation(seen, spot.endpoint) == Some(Generation::Online)
        });
        if let Some((spot, met)) = blocked {
            let case = user::case(account, spot, &met, Claim::holds(met.reference()));
            cases.push(case.at_most(Standing::Likely));
        }
    }
    cases
}
