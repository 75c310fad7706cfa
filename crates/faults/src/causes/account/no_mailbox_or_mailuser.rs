//! `no_mailbox_or_mailuser`
//!
//! ## What it says
//! The account has no mailbox in this organisation: it never had one, it was removed, or only a mail user is left.
//!
//! ## How we know
//! The front end, having accepted the logon, says that it found no such mailbox (`X-CasErrorCode`): likely. A 403 held back
//! for 20 s alone does not tell it from a user who may not use `ActiveSync`: open.
//!
//! ## What it is not
//! - `eas_disabled_for_user`: there is a mailbox; the operator can declare which server holds it.
//! - A 451 to another service: the mailbox was moved there.
//! - A database or a server that the front end does not find: its code names those.
//!
//! ## What to do
//! See the text.

use parallax_model::{Account, Answer, FaultId, Need, Purpose};

use super::user;
use crate::claim::{Claim, all, not};
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::Seen;
use crate::texts::pages;

const WHAT: &str = "Get-Recipient: RecipientTypeDetails";

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("no_mailbox_or_mailuser"),
    layer: Layer::Account,
    owner: Owner::Exchange,
    era: Era::From2007,
    basis: Basis::Observed,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("no_mailbox_or_mailuser"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let mut cases = Vec::new();
    for account in seen.accounts(Purpose::Subject) {
        let unfound = user::told(seen, account)
            .into_iter()
            .rev()
            .find(|(_, met)| met.answer().is_some_and(says_no_mailbox));
        if let Some((spot, met)) = unfound {
            let must = all([Claim::holds(met.reference()), not(user::let_in(seen, account))]);
            let recipient = Claim::unknown(Need::OnTheServer { what: WHAT });
            cases.push(user::case(account, spot, &met, must).firmer(recipient));
        } else if let Some((spot, met)) = user::refused_after_logon(seen, account) {
            let must = all([
                Claim::holds(met.reference()),
                not(user::let_in(seen, account)),
                is_without(account),
            ]);
            cases.push(user::case(account, spot, &met, must));
        }
    }
    cases
}

fn says_no_mailbox(answer: &Answer) -> bool {
    let code = "X-CasErrorCode";
    matches!(answer.status, 403 | 404)
        && (answer.headers.mentions(code, "UserNotFound")
            || answer.headers.mentions(code, "UserHasNoMailbox"))
}

fn is_without(account: &Account) -> Claim {
    Claim::unknown(match account.mailbox {
        Some(_) => Need::OnTheServer { what: WHAT },
        None => Need::Declared { what: "which server holds the mailbox" },
    })
}
