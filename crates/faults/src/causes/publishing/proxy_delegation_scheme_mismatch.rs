//! `proxy_delegation_scheme_mismatch`
//!
//! ## What it says
//! The publishing layer takes the password and then logs on to Exchange with a scheme that the virtual directory does not
//! take.
//!
//! ## How we know
//! The front asks in its own name and refuses a user name that cannot exist by itself; a password that the CAS accepts
//! directly gets past it and then 401 in the words of another box, or 500. At most likely: which scheme is passed on, only
//! the rule tells.
//!
//! ## What it is not
//! - `proxy_preauth_other_directory`: there the good password gets the same 401 of the front as nobody.
//! - `proxy_strips_authorization`: there the challenge outside is the one of Exchange from the beginning.
//! - `proxy_delegation_none`: there no challenge is shown at all.
//!
//! ## What to do
//! See the text.

use parallax_model::{Answer, Look, Need, Standing, TextPlace};

use super::fronts::{
    Inside, Tried, accepted_inside, basic_realm, is_marked_by_exchange, published, tried,
};
use super::preauth::{self, Told, nobody_is};
use crate::causes::login;
use crate::claim::{Claim, all, not};
use crate::claims::is_same_answer;
use crate::condition::Stage;
use crate::fault::{Basis, Case, Explains, Fault};
use crate::seen::{Seen, Spot};
use crate::sign::{self, Fact, Sign};
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = preauth::fault(
    "proxy_delegation_scheme_mismatch",
    Basis::Documented,
    pages!("proxy_delegation_scheme_mismatch"),
    cases,
);

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let (inside, told) = (Inside::of(seen), preauth::told(seen));
    let spots: Vec<&Spot<'_>> = published(seen)
        .filter(|spot| spot.met().iter().any(|met| met.exchange.look.is_logon()))
        .collect();
    sign::along(
        spots,
        |spot| second_refusal(seen, spot),
        |spot, shown| case(seen, &inside, &told, spot, shown),
    )
}

fn case(
    seen: &Seen<'_>,
    inside: &Inside<'_, '_>,
    told: &Told<'_>,
    spot: &Spot<'_>,
    shown: Claim,
) -> Case {
    let asked = spot.answer(&Look::OPTIONS);
    let found = latest(seen, spot);
    let is_good = found
        .as_ref()
        .map_or_else(Claim::undecidable, |it| accepted_inside(seen, spot, it.account, it.form));
    let refuses_itself = nobody_is(told, spot, |nobody| {
        asked.is_some_and(|(_, asked)| is_of_one_voice(asked, nobody))
    });
    let is_own = match asked {
        Some((met, it)) if it.status == 401 && basic_realm(it).is_some() => {
            all([Claim::holds(met.reference()), not(inside.is_own_challenge(spot))])
        }
        Some((met, _)) => Claim::fails(met.reference()),
        None => Claim::undecidable(),
    };
    let mut case = Case::new(
        spot,
        all([shown, is_good, is_own, refuses_itself]),
        &[Stage::Logon],
    )
    .firmer(Claim::unknown(Need::OnTheServer {
        what: "the delegation of the publishing rule, and the authentication of the virtual directory",
    }))
    .at_most(Standing::Likely)
    .with(TextPlace::Expected, "200");
    if let Some(it) = found {
        case = case
            .with(TextPlace::Account, login(it.account))
            .with(TextPlace::Seen, words::answer(it.answer))
            .explaining(Explains {
                logons_of: Some((it.account.id.clone(), Vec::new())),
                ..Explains::path(spot.path, &[Stage::Logon])
            });
    }
    case
}

/// A logon that came further than the anonymous question, and was refused there.
fn latest<'e>(seen: &Seen<'e>, spot: &Spot<'e>) -> Option<Tried<'e>> {
    let (_, asked) = spot.answer(&Look::OPTIONS)?;
    tried(seen, spot).into_iter().find(|it| is_refused_further_in(asked, it.answer))
}

fn is_refused_further_in(asked: &Answer, answer: &Answer) -> bool {
    match answer.status {
        401 => !is_of_one_voice(asked, answer),
        500 => !is_marked_by_exchange(answer),
        _ => false,
    }
}

/// The same answer, or at least the same challenge in the name of the same box.
fn is_of_one_voice(asked: &Answer, answer: &Answer) -> bool {
    is_same_answer(asked, answer)
        || (asked.status == answer.status
            && words::schemes(&asked.challenges) == words::schemes(&answer.challenges)
            && basic_realm(asked) == basic_realm(answer)
            && is_marked_by_exchange(asked) == is_marked_by_exchange(answer))
}

fn second_refusal<'e>(seen: &Seen<'e>, spot: &Spot<'e>) -> Sign<'e> {
    let logons = tried(seen, spot);
    match (latest(seen, spot), logons.first()) {
        (Some(it), _) => Sign::Shown(Fact::Exchange(it.met)),
        (None, Some(it)) => Sign::Denied(Fact::Exchange(it.met)),
        (None, None) => Sign::Unknown(Vec::new()),
    }
}
