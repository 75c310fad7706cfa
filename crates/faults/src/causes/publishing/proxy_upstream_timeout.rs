//! `proxy_upstream_timeout`
//!
//! ## What it says
//! The publishing device waits a shorter time than Exchange takes, and puts its own 502 or 504 in the place of the true answer.
//!
//! ## How we know
//! Outside the anonymous question passes, a logon gets the device's 502 or 504 after some seconds, and inside the same
//! account gets its answer, whatever it is, only later than that. Exchange 2013 and later holds its own refusals back for 20 s.
//!
//! ## What it is not
//! - `proxy_upstream_unreachable`: there the anonymous question fails as well.
//! - ISA Server's 502 for a wrong password: that comes at once, and the password is wrong inside as well.
//! - `be_timeout_504`: there the answer is of Exchange's front end.
//!
//! ## What to do
//! See the text.

use std::time::Duration;

use parallax_model::{
    Account, Answer, FaultId, Look, NameForm, Need, Place, Purpose, Standing, TextPlace,
};

use super::fronts::{Inside, Tried, is_gateway_word, published, tried};
use crate::claim::{Claim, all};
use crate::claims::{self, may_carry_a_secret};
use crate::condition::{self, Stage};
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::logon::{self, LogonOutcome};
use crate::responder;
use crate::seen::{Met, Seen, Spot, logon_of};
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("proxy_upstream_timeout"),
    layer: Layer::Publishing,
    owner: Owner::Publishing,
    era: Era::Any,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("proxy_upstream_timeout"),
    cases,
};

/// A gateway that gives up sooner did not wait for anything.
const WAITED_MIN: Duration = Duration::from_secs(2);
/// Two answers that are not further apart came at the same time.
const MARGIN_MIN: Duration = Duration::from_secs(2);

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let inside = Inside::of(seen);
    let mut cases: Vec<Case> = published(seen)
        .flat_map(|spot| tried(seen, spot).into_iter().map(move |it| (spot, it)))
        .map(|(spot, tried)| case(seen, &inside, spot, &tried))
        .collect();
    cases.extend(untried(seen, &inside));
    cases
}

fn is_given_up(answer: &Answer) -> bool {
    matches!(answer.status, 502 | 504) && is_gateway_word(answer) && answer.took >= WAITED_MIN
}

fn case(seen: &Seen<'_>, inside: &Inside<'_, '_>, spot: &Spot<'_>, tried: &Tried<'_>) -> Case {
    let must = if is_given_up(tried.answer) {
        all([
            Claim::holds(tried.met.reference()),
            passes_anonymously(seen, spot),
            answered_later(inside, tried),
        ])
    } else {
        Claim::fails(tried.met.reference())
    };
    let took = tried.answer.took;
    Case::new(spot, must, &[Stage::Logon])
        .at_most(if is_certain(tried.answer) { Standing::Confirmed } else { Standing::Likely })
        .with(TextPlace::Account, tried.account.id.to_string())
        .with(TextPlace::Seen, format!("{}, {}", words::answer(tried.answer), words::seconds(took)))
        .with(TextPlace::Expected, later_words(inside, tried))
}

/// The device says who it is; a bare 504 might be anybody's on the way, and a 502 may be about the answer that did come.
fn is_certain(answer: &Answer) -> bool {
    answer.status == 504 && responder::publisher_mark(answer).is_some()
}

fn passes_anonymously(seen: &Seen<'_>, spot: &Spot<'_>) -> Claim {
    spot.sign(&Look::OPTIONS, |it| condition::is_anonymous_healthy(seen, spot.endpoint, it))
        .claim(spot)
}

/// What the account got inside, in any form of its name.
fn answers_inside<'e>(inside: &Inside<'_, 'e>, account: &Account) -> Vec<(Met<'e>, &'e Answer)> {
    let mut nodes: Vec<&Spot<'e>> = inside.nodes.iter().map(|it| it.spot).collect();
    nodes.dedup_by_key(|it| it.path);
    nodes
        .into_iter()
        .flat_map(|spot| spot.logons(&account.id))
        .filter(|met| logon_of(met.exchange).is_some_and(|(_, _, it)| it == Place::ActiveSync))
        .filter_map(|met| met.answer().map(|it| (met, it)))
        .collect()
}

fn later_words(inside: &Inside<'_, '_>, tried: &Tried<'_>) -> String {
    let answers = answers_inside(inside, tried.account);
    let latest = answers.iter().max_by_key(|(_, it)| it.took);
    latest.map_or_else(String::new, |(_, it)| {
        format!("{}, {}", words::answer(it), words::seconds(it.took))
    })
}

/// Inside the same account's answer came, and later than the device was willing to wait.
fn answered_later(inside: &Inside<'_, '_>, tried: &Tried<'_>) -> Claim {
    let answers = answers_inside(inside, tried.account);
    let waited = tried.answer.took;
    let margin = MARGIN_MIN.max(waited / 5);
    if let Some((met, answer)) = answers.iter().find(|(_, it)| it.took >= waited + margin) {
        let mut reference = met.reference();
        reference.value = format!("{} after {}", reference.value, words::seconds(answer.took));
        return Claim::holds(reference);
    }
    // About as late: nobody knows which of the two was first.
    if answers.iter().any(|(_, it)| it.took + margin > waited) {
        return Claim::undecidable();
    }
    if let Some((met, _)) = answers.first() {
        return Claim::fails(met.reference());
    }
    let look = Look::logon(tried.account.id.clone(), tried.form, Place::ActiveSync);
    let node = inside.nodes.iter().find(|it| may_carry_a_secret(it.spot));
    node.map_or_else(Claim::undecidable, |it| {
        Claim::unknown(Need::Logon { path: it.spot.path.clone(), look })
    })
}

/// Inside the password was accepted and the answer came late: whether it gets out is worth one logon, from where phones are.
fn untried(seen: &Seen<'_>, inside: &Inside<'_, '_>) -> Vec<Case> {
    let mut cases = Vec::new();
    for account in seen.accounts(Purpose::Subject) {
        let Some((node, slow, form)) = slow_inside(seen, inside, account) else { continue };
        for endpoint in &seen.evidence.target.endpoints {
            let spot = published(seen).find(|it| {
                it.endpoint.name == endpoint.name
                    && Some(it.vantage.zone) == seen.outermost_zone(endpoint)
                    && claims::is_answering(it)
                    && may_carry_a_secret(it)
                    && !responder::is_exchange_itself(seen, it)
            });
            if let Some(spot) = spot.filter(|it| it.logons(&account.id).is_empty()) {
                let look = Look::logon(account.id.clone(), form, Place::ActiveSync);
                let needs = vec![Need::Logon { path: spot.path.clone(), look }];
                let must = Claim::Unknown { seen: vec![slow.reference()], needs };
                cases.push(Case::new(node, must, &[]));
            }
        }
    }
    cases
}

/// A logon inside that proved the password and was answered late.
fn slow_inside<'a, 'e>(
    seen: &Seen<'e>,
    inside: &Inside<'a, 'e>,
    account: &Account,
) -> Option<(&'a Spot<'e>, Met<'e>, NameForm)> {
    inside.nodes.iter().find_map(|node| {
        node.spot.logons(&account.id).into_iter().find_map(|met| {
            let (_, form, place) = logon_of(met.exchange)?;
            let is_late = met.answer().is_some_and(logon::is_slow);
            let is_proof =
                logon::outcome(Some((seen, node.spot)), met.exchange) == LogonOutcome::Accepted;
            (is_late && is_proof && place == Place::ActiveSync).then_some((node.spot, met, form))
        })
    })
}
