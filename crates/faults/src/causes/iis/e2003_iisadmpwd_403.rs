//! `e2003_iisadmpwd_403`
//!
//! ## What it says
//! Exchange 2003 refuses a user with 403 because the password is about to expire and IIS wants to tell so (IISADMPWD).
//!
//! ## How we know
//! The 2003 server asks for a logon, answers this account with 403 at once and accepts another one. Likely only where the
//! answer itself names IISADMPWD; otherwise when the password expires has to be looked up, since mobile services switched
//! off for one user look the same.
//!
//! ## What it is not
//! - Mobile services switched off for the user: the date on which the password expires tells.
//! - SSL required: that 403 comes before a logon.
//! - `ActiveSync` disabled on a newer server: that 403 is held back for 20 s.
//!
//! ## What to do
//! See the text.

use parallax_model::{
    Account, Answer, FaultId, Generation, Look, Need, Purpose, Standing, TextPlace,
};

use crate::causes::account::user;
use crate::claim::{Claim, all};
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::logon;
use crate::responder;
use crate::seen::{Met, Seen, Spot};
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("e2003_iisadmpwd_403"),
    layer: Layer::Iis,
    owner: Owner::Exchange,
    era: Era::Mailbox2003,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("e2003_iisadmpwd_403"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let mut cases = Vec::new();
    for account in seen.accounts(Purpose::Subject) {
        let found = user::told(seen, account).into_iter().rev().find(|(spot, met)| {
            responder::generation(seen, spot.endpoint) == Some(Generation::Exchange2003)
                && met.answer().is_some_and(|it| it.status == 403 && !logon::is_slow(it))
        });
        if let Some((spot, met)) = found {
            cases.push(case(seen, account, spot, &met));
        }
    }
    cases
}

fn case<'e>(seen: &Seen<'e>, account: &'e Account, spot: &Spot<'e>, met: &Met<'e>) -> Case {
    let challenged = match spot.answer(&Look::OPTIONS) {
        Some((anonymous, answer)) if answer.status == 401 => Claim::holds(anonymous.reference()),
        Some((anonymous, _)) => Claim::fails(anonymous.reference()),
        None => Claim::undecidable(),
    };
    let named = if met.answer().is_some_and(names_the_notice) {
        Claim::given()
    } else {
        Claim::unknown(Need::OnTheServer { what: "when the password of the account expires" })
    };
    let must = all([
        Claim::holds(met.reference()),
        challenged,
        user::another_is_accepted(seen, account, spot, met),
        named,
    ]);
    Case::new(spot, must, &[Stage::Logon])
        .at_most(Standing::Likely)
        .explaining(user::explains(account))
        .with(TextPlace::Account, crate::causes::login(account))
        .with(TextPlace::Seen, words::exchange(met.exchange))
        .with(TextPlace::Expected, "200")
}

fn names_the_notice(answer: &Answer) -> bool {
    let is_named = |text: &str| text.to_ascii_lowercase().contains("iisadmpwd");
    is_named(&answer.body.beginning) || answer.headers.all("Location").any(is_named)
}
