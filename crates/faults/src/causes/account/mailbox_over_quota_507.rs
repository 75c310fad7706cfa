//! `mailbox_over_quota_507`
//!
//! ## What it says
//! The mailbox of this user is full.
//!
//! ## How we know
//! After the logon Exchange itself answers 507 to this account, which stands for nothing else there; firm when another account
//! is let in at the same place.
//!
//! ## What it is not
//! - A disk that is full on the server: then other accounts fail as well.
//! - A 507 of another product in front: it lacks Exchange's marks.
//!
//! ## What to do
//! See the text.

use parallax_model::{Account, Answer, FaultId, Purpose, TextPlace};

use super::user;
use crate::causes::login;
use crate::claim::{Claim, all, not};
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::responder;
use crate::seen::{Met, Seen, Spot};
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("mailbox_over_quota_507"),
    layer: Layer::Account,
    owner: Owner::Client,
    era: Era::From2007,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("mailbox_over_quota_507"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let witness = seen.accounts(Purpose::Witness).next().map(login).unwrap_or_default();
    seen.accounts(Purpose::Subject)
        .filter_map(|account| case(seen, account))
        .map(|it| it.with(TextPlace::Witness, witness.clone()))
        .collect()
}

fn case(seen: &Seen<'_>, account: &Account) -> Option<Case> {
    let (spot, met) = user::told(seen, account)
        .into_iter()
        .rev()
        .find(|(_, met)| met.answer().is_some_and(|answer| answer.status == 507))?;
    let must = all([
        Claim::holds(met.reference()),
        said_by_exchange(seen, spot, &met),
        not(user::let_in(seen, account)),
    ]);
    let another = user::another_is_accepted(seen, account, spot, &met);
    Some(user::case(account, spot, &met, must).firmer(another))
}

fn said_by_exchange(seen: &Seen<'_>, spot: &Spot<'_>, met: &Met<'_>) -> Claim {
    let is_marked = |answer: &Answer| {
        answer.headers.has("X-FEServer")
            || (responder::is_exchange_itself(seen, spot)
                && responder::is_exchange_or_iis(answer)
                && responder::publisher_mark(answer).is_none())
    };
    if met.answer().is_some_and(is_marked) { Claim::given() } else { Claim::undecidable() }
}
