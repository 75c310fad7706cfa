//! `lb_pool_member_bad`
//!
//! ## What it says
//! One of several servers behind the published name answers badly, and the balancer goes on sending clients to it.
//!
//! ## How we know
//! The same question through the same name is answered now well, now badly; and what is bad has a name: one server
//! (`X-FEServer`, else the computer of the Type-2), one address of the name, or one server that answers in the same way when
//! it is dialled directly.
//!
//! ## What it is not
//! - `vdir_basic_disabled`, `tls_cert_expired` on one server: a 401 without Basic and a certificate have causes of their own.
//! - `proxy_upstream_unreachable`, `lb_health_check_false_down`: there no answer is sound.
//! - Two vantages that are treated differently: the bad answers have to bear one server's name, and no sound one may bear it.
//!
//! ## What to do
//! See the text.

use std::collections::{BTreeMap, BTreeSet};

use parallax_model::{
    Answer, EndpointName, EvidenceRef, FaultId, Look, PathId, Standing, TextPlace,
};

use super::fronts::{Answered, Inside, is_challenge_page, published};
use super::host_header_not_preserved::is_same_machine;
use crate::claim::{Claim, all};
use crate::claims::is_meant_address;
use crate::condition::{self, Stage};
use crate::fault::{Basis, Case, Era, Explains, Fault, Layer, Owner, Reach, Severity};
use crate::seen::{Met, Seen, Spot};
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("lb_pool_member_bad"),
    layer: Layer::Publishing,
    owner: Owner::Publishing,
    era: Era::Any,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("lb_pool_member_bad"),
    cases,
};

/// The answers of one published name, of every round, address and vantage.
#[derive(Default)]
struct Pool<'a, 'e> {
    spots: Vec<&'a Spot<'e>>,
    sound: Vec<Met<'e>>,
    bad: Vec<Met<'e>>,
}

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let inside = Inside::of(seen);
    let mut pools: BTreeMap<&EndpointName, Pool<'_, '_>> = BTreeMap::new();
    for spot in published(seen).filter(|it| it.is_seen()) {
        let pool = pools.entry(&spot.endpoint.name).or_default();
        pool.spots.push(spot);
        for met in spot.exchanges(|look| *look == Look::OPTIONS) {
            match met.answer() {
                Some(it) if condition::is_anonymous_healthy(seen, spot.endpoint, it) => {
                    pool.sound.push(met);
                }
                Some(it) if is_a_servers(it) => pool.bad.push(met),
                Some(_) | None => {}
            }
        }
    }
    pools.values().filter_map(|pool| case(&inside, pool)).collect()
}

/// Not one of those that have a cause of their own: a 401 that offers too little, a redirect, a page for browsers.
fn is_a_servers(answer: &Answer) -> bool {
    !matches!(answer.status, 300..=399 | 401 | 407 | 429) && !is_challenge_page(answer)
}

fn case(inside: &Inside<'_, '_>, pool: &Pool<'_, '_>) -> Option<Case> {
    let first = pool.spots.first()?;
    let Some(bad) = pool.bad.first() else {
        return pool.sound.first().map(|it| Case::new(first, Claim::fails(it.reference()), &[]));
    };
    let told = |mets: &[Met<'_>]| mets.first().map(Met::reference);
    let Some(sound) = told(&pool.sound) else {
        return Some(Case::new(first, Claim::fails(bad.reference()), &[]));
    };
    let member = by_name(pool).or_else(|| by_node(inside, pool)).or_else(|| by_address(pool));
    let named = match &member {
        Some(it) => Claim::holds(it.reference.clone()),
        None if is_varying(pool) => Claim::undecidable(),
        None => Claim::fails(bad.reference()),
    };
    let must =
        all([Claim::holds(bad.reference()), Claim::holds(sound), named, is_meant_address(first)]);
    let paths: BTreeSet<&PathId> = pool.bad.iter().map(|it| it.path).collect();
    let name = member.as_ref().map(|it| it.name.clone()).unwrap_or_default();
    let at_most = member.map_or(Standing::Likely, |it| it.at_most);
    Some(
        Case::new(first, must, &[])
            .at_most(at_most)
            .explaining(Explains {
                paths: paths.into_iter().cloned().collect(),
                stages: &[Stage::Anonymous],
                logons_of: None,
            })
            .with(TextPlace::Elsewhere, name)
            .with(TextPlace::Seen, bad.reference().value)
            .with(TextPlace::Expected, "401 Basic"),
    )
}

/// Along one path the question was answered now well, now badly.
fn is_varying(pool: &Pool<'_, '_>) -> bool {
    pool.bad.iter().any(|bad| pool.sound.iter().any(|sound| sound.path == bad.path))
}

/// The one that answers badly.
struct Member {
    name: String,
    reference: EvidenceRef,
    at_most: Standing,
}

/// The server that an answer names, or that alone named itself in a Type-2 at the same address of the path.
fn server_of(pool: &Pool<'_, '_>, met: &Met<'_>) -> Option<String> {
    if let Some(name) = met.answer()?.headers.first("X-FEServer") {
        return Some(name.to_ascii_uppercase());
    }
    let spot = pool.spots.iter().find(|it| it.path == met.path)?;
    let address = met.observation.address;
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for other in spot.exchanges(|look| *look == Look::NTLM_PROXY || *look == Look::NTLM) {
        if other.observation.address == address {
            names.extend(other.answer()?.type2.as_ref()?.netbios_computer.as_deref());
        }
    }
    let only = names.pop_first().filter(|_| names.is_empty())?;
    Some(only.to_ascii_uppercase())
}

/// Every bad answer bears one name, and no sound one bears it.
fn by_name(pool: &Pool<'_, '_>) -> Option<Member> {
    let names: Option<BTreeSet<String>> = pool.bad.iter().map(|it| server_of(pool, it)).collect();
    let mut names = names?;
    let name = names.pop_first().filter(|_| names.is_empty())?;
    let others: BTreeSet<String> = pool.sound.iter().filter_map(|it| server_of(pool, it)).collect();
    if others.is_empty() || others.contains(&name) || !is_name_of_its_own(pool) {
        return None;
    }
    let mut reference = pool.bad.first()?.reference();
    reference.value = format!("{} by {}", reference.value, crate::words::shortened(&name));
    // Another vantage may be treated otherwise for other reasons; along one path only the server changes.
    // A bad answer without a name may be the balancer's own; the name is then that of another connection.
    let names_itself = |met: &Met<'_>| met.answer().is_some_and(|it| it.headers.has("X-FEServer"));
    let at_most = if is_varying(pool) && pool.bad.iter().all(names_itself) {
        Standing::Confirmed
    } else {
        Standing::Likely
    };
    Some(Member { name: crate::words::shortened(&name), reference, at_most })
}

/// The bad answers carry the name themselves. One taken from a Type-2 came over another connection: it counts where a balancer
/// keeps each client at one server, and a client of the same zone gets a sound answer from another.
fn is_name_of_its_own(pool: &Pool<'_, '_>) -> bool {
    let zone =
        |met: &Met<'_>| pool.spots.iter().find(|it| it.path == met.path).map(|it| it.vantage.zone);
    pool.bad.iter().all(|bad| {
        let is_named = bad.answer().is_some_and(|it| it.headers.has("X-FEServer"));
        is_named || pool.sound.iter().any(|sound| zone(sound) == zone(bad))
    })
}

/// One of the servers answers in that way when it is dialled directly, and the others do not.
fn by_node(inside: &Inside<'_, '_>, pool: &Pool<'_, '_>) -> Option<Member> {
    let is_same = |node: &&Answered<'_, '_>| {
        !node.is_sound
            && pool
                .bad
                .iter()
                .any(|it| it.answer().is_some_and(|it| it.status == node.answer.status))
    };
    // Under another name the same machine may answer otherwise, and is no other server.
    let is_another_name =
        |node: &&Answered<'_, '_>| inside.nodes.iter().any(|other| is_same_machine(node, other));
    let bad: Vec<&Answered<'_, '_>> =
        inside.nodes.iter().filter(is_same).filter(|it| !is_another_name(it)).collect();
    let node = bad.first()?;
    let is_one = bad.iter().all(|it| it.spot.endpoint.name == node.spot.endpoint.name);
    let is_other_sound = inside
        .nodes
        .iter()
        .any(|it| it.is_sound && it.spot.endpoint.name != node.spot.endpoint.name);
    (is_one && is_other_sound).then(|| Member {
        name: node.spot.endpoint.name.to_string(),
        reference: node.met.reference(),
        at_most: Standing::Likely,
    })
}

/// The name leads to several addresses, and one of them is always the bad one. It may be a record that should go.
fn by_address(pool: &Pool<'_, '_>) -> Option<Member> {
    let address = |met: &Met<'_>| met.observation.address.ip();
    let is_beside = |bad: &&Met<'_>| pool.sound.iter().any(|sound| sound.path == bad.path);
    let beside: Vec<&Met<'_>> = pool.bad.iter().filter(is_beside).collect();
    let met = beside.first()?;
    let only = address(met);
    let is_alone = beside.iter().all(|it| address(it) == only)
        && !pool.sound.iter().any(|it| address(it) == only);
    is_alone.then(|| Member {
        name: only.to_string(),
        reference: met.reference(),
        at_most: Standing::Likely,
    })
}
