//! `well_known_or_admin_account`
//!
//! ## What it says
//! The account is one that Windows or Exchange made for itself, or one protected as an administrator's; Exchange does not
//! give those `ActiveSync`.
//!
//! ## How we know
//! Exchange's own late 403 to an account whose name is a built-in one, while another account is let in there: likely. With an
//! ordinary name it stays open. A protected account passes `OPTIONS` and fails at `FolderSync`, which is not seen here.
//!
//! ## What it is not
//! - `eas_disabled_for_user`: an ordinary account with the switch off.
//!
//! ## What to do
//! See the text.

use parallax_model::{Account, FaultId, Need, Purpose};

use super::user;
use crate::causes::login;
use crate::claim::{Claim, all, not};
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::Seen;
use crate::texts::pages;

const WHAT: &str = "Get-ADUser: SID and adminCount";

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("well_known_or_admin_account"),
    layer: Layer::Account,
    owner: Owner::Exchange,
    era: Era::From2007,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("well_known_or_admin_account"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    seen.accounts(Purpose::Subject)
        .filter_map(|account| {
            let (spot, met) = user::refused_after_logon(seen, account)?;
            let must = all([
                Claim::holds(met.reference()),
                not(user::let_in(seen, account)),
                has_built_in_name(account),
                user::another_is_accepted(seen, account, spot, &met),
            ]);
            let sid = Claim::unknown(Need::OnTheServer { what: WHAT });
            Some(user::case(account, spot, &met, must).firmer(sid))
        })
        .collect()
}

fn has_built_in_name(account: &Account) -> Claim {
    if user::is_built_in(account) {
        return Claim::holds(Seen::declared(format!("user name {}", login(account))));
    }
    Claim::unknown(Need::OnTheServer { what: WHAT })
}
