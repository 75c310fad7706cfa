//! What faults on the way from the client access servers to a back end share: whose mailboxes lie behind it, and what the front
//! says to them.

use parallax_model::{Account, Answer, Endpoint, Look, Place, Purpose, Role};

use crate::claim::Claim;
use crate::claims::{Logons, Spelling};
use crate::logon;
use crate::responder;
use crate::seen::{Seen, Spot};

/// Subjects whose mailbox is of the back end's generation.
pub(in crate::causes) fn users<'e>(
    seen: &Seen<'e>,
    endpoint: &Endpoint,
) -> impl Iterator<Item = &'e Account> {
    let generation = responder::generation(seen, endpoint);
    seen.accounts(Purpose::Subject)
        .filter(move |it| generation.is_some() && it.mailbox == generation)
}

/// The front knows the user and gets no further: a server error. A logon that passes speaks against any trouble behind; a
/// refusal may have reasons of its own.
pub(in crate::causes) fn front_fails(seen: &Seen<'_>, account: &Account) -> Claim {
    let Some(account) = seen.evidence.accounts.iter().find(|it| it.id == account.id) else {
        return Claim::undecidable();
    };
    // What a publishing layer says is its own word; through one that only passes on, Exchange speaks as it does directly.
    let mut spots: Vec<&Spot<'_>> = seen
        .fronts()
        .filter(|it| it.answer(&Look::OPTIONS).is_some())
        .filter(|it| responder::is_exchange_itself(seen, it))
        .collect();
    let is_passed_on = spots.is_empty();
    if is_passed_on {
        spots = seen.with_role(Role::External).collect();
    }
    // Behind a publishing layer nobody knows whose 503 it is, and a marked 500 is that layer's own.
    let is_of_exchange = |answer: &Answer| {
        !is_passed_on || (answer.status == 500 && responder::publisher_mark(answer).is_none())
    };
    let passed = spots.iter().find_map(|spot| {
        let logons = spot.logons(&account.id);
        logons.into_iter().find(|met| met.answer().is_some_and(logon::is_active_sync))
    });
    if let Some(met) = passed {
        return Claim::fails(met.reference());
    }
    let spelling = Spelling::Qualified;
    let logons = Logons { seen, account, spelling, place: Place::ActiveSync, spots };
    match logons.answered(|answer| matches!(answer.status, 500 | 503) && is_of_exchange(answer)) {
        Claim::Fails(seen) => Claim::Unknown { seen, needs: Vec::new() },
        claim @ (Claim::Holds(_) | Claim::Unknown { .. }) => claim,
    }
}
