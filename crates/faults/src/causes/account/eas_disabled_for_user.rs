//! `eas_disabled_for_user`
//!
//! ## What it says
//! The mailbox of this user may not use `ActiveSync`.
//!
//! ## How we know
//! After the logon Exchange itself says 403 to this account: from 2013 on held back for 20 s and with the name of the
//! mailbox server. Another account is let in at the same place, and the operator declares where the mailbox lives. At most
//! likely: other policies of Exchange give the same answer, and only `Get-CASMailbox` shows the switch.
//!
//! ## What it is not
//! - A 403 of IIS or of a proxy: it comes at once, or before the logon.
//! - A rule about where clients come from: then the account is let in from another vantage.
//! - A mailbox in Exchange Online, or another reason that the operator entered from the server's log.
//! - An account without a mailbox, or one of Windows or Exchange itself.
//!
//! ## What to do
//! See the text.

use parallax_model::{Account, FaultId, Generation, Need, Purpose, TextPlace};

use super::user;
use crate::causes::login;
use crate::claim::{Claim, all, not};
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::Seen;
use crate::texts::pages;
use crate::time;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("eas_disabled_for_user"),
    layer: Layer::Account,
    owner: Owner::Exchange,
    era: Era::From2007,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("eas_disabled_for_user"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let witness = seen.accounts(Purpose::Witness).next().map(login).unwrap_or_default();
    seen.accounts(Purpose::Subject)
        .filter_map(|account| {
            let (spot, met) = user::refused_after_logon(seen, account)?;
            let must = all([
                Claim::holds(met.reference()),
                not(user::let_in(seen, account)),
                has_mailbox(account),
                is_ordinary(account),
                no_other_reason_is_logged(seen),
                user::another_is_accepted(seen, account, spot, &met),
            ]);
            let switch = Need::OnTheServer { what: "Get-CASMailbox: ActiveSyncEnabled" };
            let case = user::case(account, spot, &met, must).firmer(Claim::unknown(switch));
            Some(case.with(TextPlace::Witness, witness.clone()))
        })
        .collect()
}

fn has_mailbox(account: &Account) -> Claim {
    match account.mailbox {
        Some(Generation::Online) => {
            Claim::fails(Seen::declared(format!("mailbox of {}: Exchange Online", login(account))))
        }
        Some(generation) => Claim::holds(Seen::declared(format!(
            "mailbox of {}: {}",
            login(account),
            words::generation(generation)
        ))),
        None => Claim::unknown(Need::Declared { what: "which server holds the mailbox" }),
    }
}

/// The operator entered what the server's log says of this 403, and it is another reason.
fn no_other_reason_is_logged(seen: &Seen<'_>) -> Claim {
    const OTHERS: [&str; 7] =
        ["1028", "1030", "1044", "1053", "1055", "DiscoveryInfoMissing", "RemoteServerHasNoSSL"];
    match time::logged(seen, &OTHERS, "event 1031 of MSExchange ActiveSync") {
        Claim::Holds(logged) => Claim::Fails(logged),
        Claim::Fails(_) | Claim::Unknown { .. } => Claim::given(),
    }
}

fn is_ordinary(account: &Account) -> Claim {
    if user::is_built_in(account) {
        return Claim::unknown(Need::OnTheServer { what: "whether the account is a built-in one" });
    }
    Claim::given()
}
