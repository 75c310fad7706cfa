//! `proxy_rewrites_versions`
//!
//! ## What it says
//! The publishing device shortens the list of protocol versions or commands that Exchange announces.
//!
//! ## How we know
//! The same account is accepted outside and inside by the same version of Exchange, and a list is shorter outside.
//!
//! ## What it is not
//! - A pool of mixed versions: there the servers differ among themselves, which `X-FEServer` and `MS-Server-ActiveSync` show.
//! - `proxy_strips_or_answers_options`: there the headers are gone altogether.
//!
//! ## What to do
//! See the text.

use std::collections::BTreeSet;

use parallax_model::{Answer, EvidenceRef, FaultId, TextPlace};

use super::fronts::{Inside, Tried, published, tried};
use crate::claim::{Claim, all};
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::logon;
use crate::seen::{Met, Seen, Spot};
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("proxy_rewrites_versions"),
    layer: Layer::Publishing,
    owner: Owner::Publishing,
    era: Era::Any,
    basis: Basis::Observed,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("proxy_rewrites_versions"),
    cases,
};

const LISTS: [&str; 2] = ["MS-ASProtocolVersions", "MS-ASProtocolCommands"];

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let inside = Inside::of(seen);
    published(seen)
        .flat_map(|spot| tried(seen, spot).into_iter().map(move |it| (spot, it)))
        .filter(|(_, tried)| logon::is_active_sync(tried.answer))
        .filter_map(|(spot, tried)| case(&inside, spot, &tried))
        .collect()
}

/// `None`: the account was let in nowhere inside, so there is nothing to compare with.
fn case(inside: &Inside<'_, '_>, spot: &Spot<'_>, tried: &Tried<'_>) -> Option<Case> {
    let accepted: Vec<(Met<'_>, &Answer)> = inside
        .nodes
        .iter()
        .flat_map(|node| node.spot.logons(&tried.account.id))
        .filter_map(|met| met.answer().filter(|it| logon::is_active_sync(it)).map(|it| (met, it)))
        .collect();
    let same_node = accepted.iter().find(|(_, it)| is_same(it, tried.answer, "X-FEServer"));
    let (met, answer) = same_node.or_else(|| accepted.first())?;
    let list = LISTS.into_iter().find(|it| is_shorter(tried.answer, answer, it));
    let shown = list.unwrap_or(LISTS[0]);
    let (here, there) = (listed(&tried.met, tried.answer, shown), listed(met, answer, shown));
    let must = if list.is_some() {
        all([
            Claim::holds(here.clone()),
            Claim::holds(there.clone()),
            of_one_build(&tried.met, tried.answer, answer),
        ])
    } else {
        Claim::fails(here.clone())
    };
    let is_one_server =
        same_node.is_some() || inside.nodes.iter().all(|it| it.spot.path == met.path);
    Some(
        Case::new(spot, must, &[])
            .firmer(if is_one_server { Claim::given() } else { Claim::undecidable() })
            .with(TextPlace::Account, tried.account.id.to_string())
            .with(TextPlace::Seen, here.value)
            .with(TextPlace::Expected, there.value),
    )
}

fn is_same(left: &Answer, right: &Answer, header: &str) -> bool {
    left.headers.has(header) && left.headers.first(header) == right.headers.first(header)
}

fn entries<'e>(answer: &'e Answer, header: &str) -> BTreeSet<&'e str> {
    let value = answer.headers.first(header).unwrap_or_default();
    value.split(',').map(str::trim).filter(|it| !it.is_empty()).collect()
}

/// Fewer entries, and none that the other has not: another server would have others.
fn is_shorter(outer: &Answer, inner: &Answer, header: &str) -> bool {
    let (outer, inner) = (entries(outer, header), entries(inner, header));
    outer.len() < inner.len() && outer.is_subset(&inner)
}

fn listed(met: &Met<'_>, answer: &Answer, header: &str) -> EvidenceRef {
    let value = answer.headers.first(header).unwrap_or_default();
    let mut reference = met.reference();
    reference.value = format!("{header}: {}", words::shortened(value));
    reference
}

/// The same build answered on both sides; where the device took that away too, nobody knows.
fn of_one_build(met: &Met<'_>, outer: &Answer, inner: &Answer) -> Claim {
    const BUILD: &str = "MS-Server-ActiveSync";
    if is_same(outer, inner, BUILD) {
        return Claim::given();
    }
    if outer.headers.has(BUILD) && inner.headers.has(BUILD) {
        return Claim::fails(met.reference());
    }
    Claim::undecidable()
}
