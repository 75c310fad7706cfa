//! `non_ascii_password_charset`
//!
//! ## What it says
//! The password has characters outside ASCII: clients that encode it as UTF-8 and clients that encode it as ISO-8859-1 send two
//! different passwords, and one of them is refused.
//!
//! ## How we know
//! The account's owner declared such a secret. It is never sent, for trying both encodings costs two attempts; so this is a
//! warning, at most likely.
//!
//! ## What it is not
//! - A wrong password: nothing was refused.
//!
//! ## What to do
//! See the text.

use parallax_model::{FaultId, Need, Purpose, TextPlace};

use crate::causes::login;
use crate::claim::Claim;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::Seen;
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("non_ascii_password_charset"),
    layer: Layer::Account,
    owner: Owner::Client,
    era: Era::Any,
    basis: Basis::Observed,
    reach: Reach::Options,
    severity: Severity::Warning,
    pages: pages!("non_ascii_password_charset"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let Some(front) = seen.fronts().next() else { return Vec::new() };
    seen.accounts(Purpose::Subject)
        .filter(|account| account.has_password && !account.secret_is_ascii)
        .map(|account| {
            let declared = format!("{}: the password is not ASCII", login(account));
            let other = Need::Declared { what: "a password of ASCII characters" };
            Case::new(front, Claim::holds(Seen::declared(declared)), &[])
                .firmer(Claim::unknown(other))
                .with(TextPlace::Account, login(account))
        })
        .collect()
}
