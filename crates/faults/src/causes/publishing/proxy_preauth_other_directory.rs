//! `proxy_preauth_other_directory`
//!
//! ## What it says
//! The publishing device checks passwords itself, and not against the directory of Exchange.
//!
//! ## How we know
//! Outside the challenge is the device's own (another realm for the same host name, no mark of Exchange), a logon gets
//! exactly that answer again, and the same secret is accepted inside.
//!
//! ## What it is not
//! - `proxy_strips_authorization`: there the challenge is Exchange's own.
//! - `bad_password`: the secret is accepted inside.
//! - A device that asks the same directory: there the logon passes. One that cannot read this form of the name looks the
//!   same, so
//! - never more than likely.
//!
//! ## What to do
//! See the text.

use parallax_model::{FaultId, Look, Standing, TextPlace};

use super::fronts::{
    Inside, Tried, accepted_inside, basic_realm, elsewhere, is_same_as_anonymous, published, tried,
};
use crate::claim::{Claim, all, not};
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::{Seen, Spot};
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("proxy_preauth_other_directory"),
    layer: Layer::Publishing,
    owner: Owner::Publishing,
    era: Era::Any,
    basis: Basis::Observed,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("proxy_preauth_other_directory"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let inside = Inside::of(seen);
    published(seen)
        .flat_map(|spot| tried(seen, spot).into_iter().map(move |it| (spot, it)))
        .map(|(spot, tried)| case(seen, &inside, spot, &tried))
        .collect()
}

fn case(seen: &Seen<'_>, inside: &Inside<'_, '_>, spot: &Spot<'_>, tried: &Tried<'_>) -> Case {
    let must = if tried.answer.status == 401 {
        all([
            Claim::holds(tried.met.reference()),
            is_same_as_anonymous(spot, tried),
            not(inside.is_own_challenge(spot)),
            accepted_inside(seen, spot, tried.account, tried.form),
        ])
    } else {
        Claim::fails(tried.met.reference())
    };
    let realm = spot.answer(&Look::OPTIONS).and_then(|(_, it)| basic_realm(it));
    let seen_words = realm.map_or_else(
        || words::answer(tried.answer),
        |it| format!("{}, realm \"{}\"", words::answer(tried.answer), words::shortened(it)),
    );
    Case::new(spot, must, &[Stage::Logon])
        .at_most(Standing::Likely)
        .with(TextPlace::Account, tried.account.id.to_string())
        .with(TextPlace::Seen, seen_words)
        .with(TextPlace::Expected, "200")
        .with(TextPlace::Elsewhere, elsewhere(inside, spot))
}
