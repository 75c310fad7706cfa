//! What is not as on a healthy path: marks, one per path and stage, before anybody asks why.
//!
//! A 401 to an anonymous `OPTIONS` is healthy on premises, a 451 to the certificate host is healthy at Exchange Online, a 200
//! without `ActiveSync` headers never is.
//!
//! INVARIANT: a silent path, and a path our own tools cannot see through, has no mark and is not healthy either.

use std::collections::BTreeMap;
use std::rc::Rc;

use parallax_model::{
    Answer, ChainJudgement, DnsFailure, Endpoint, EvidenceRef, Generation, Look, Outcome,
    PathCondition, PathId, Role, Scheme, TcpFailure, TlsFacts, TlsFailure, Zone,
};

use crate::logon::{self, LogonOutcome};
use crate::responder;
use crate::seen::{Met, Seen, Spot, logon_of};
use crate::words;

/// Stages in the order in which a client meets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Stage {
    Dns,
    Tcp,
    Tls,
    Anonymous,
    Logon,
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) path: PathId,
    pub(crate) role: Role,
    pub(crate) stage: Stage,
    /// Set for a logon: whose, and in which form of the name.
    pub(crate) account: Option<(parallax_model::AccountId, parallax_model::NameForm)>,
    pub(crate) reference: EvidenceRef,
}

/// Every mark of every path, outermost path first.
pub(crate) struct Marks {
    pub(crate) all: Vec<Mark>,
    /// Places in `all`; with many paths nobody looks through all of it for one.
    by_path: BTreeMap<PathId, Vec<usize>>,
    /// Paths that are judged, with the further ones that show the same: what explains a mark of the one explains it for all.
    alike: BTreeMap<PathId, Rc<[PathId]>>,
}

impl Marks {
    /// Places of the marks of one path.
    pub(crate) fn places(&self, path: &PathId) -> &[usize] {
        self.by_path.get(path).map_or(&[], Vec::as_slice)
    }

    /// Further paths that show what this one shows.
    pub(crate) fn alike(&self, path: &PathId) -> &[PathId] {
        self.alike.get(path).map_or(&[], |it| it)
    }

    /// Marks of one path.
    pub(crate) fn of(&self, path: &PathId) -> impl Iterator<Item = &Mark> {
        self.places(path).iter().map(|place| &self.all[*place])
    }
}

/// Looks for everything that is not as on a healthy path.
pub(crate) fn marks(seen: &Seen<'_>) -> Marks {
    let mut found = Vec::new();
    let every = seen.every();
    for spot in every.iter().filter(|it| it.endpoint.role != Role::Control && it.is_seen()) {
        if !is_out_of_reach(seen, spot) {
            mark_path(seen, spot, &mut found);
        }
    }
    let mut by_path: BTreeMap<PathId, Vec<usize>> = BTreeMap::new();
    for (place, mark) in found.iter().enumerate() {
        by_path.entry(mark.path.clone()).or_default().push(place);
    }
    Marks { alike: alike(seen), all: found, by_path }
}

fn alike(seen: &Seen<'_>) -> BTreeMap<PathId, Rc<[PathId]>> {
    let mut by_face: BTreeMap<usize, Vec<PathId>> = BTreeMap::new();
    for (face, path) in seen.alike() {
        by_face.entry(face).or_default().push(path.clone());
    }
    let by_face: BTreeMap<usize, Rc<[PathId]>> =
        by_face.into_iter().map(|(face, paths)| (face, paths.into())).collect();
    let judged = seen.paths.iter().filter_map(|it| Some((it.path, by_face.get(&it.face?)?)));
    judged.map(|(path, alike)| (path.clone(), Rc::clone(alike))).collect()
}

/// What a path amounts to.
pub(crate) fn condition(seen: &Seen<'_>, spot: &Spot<'_>, marks: &Marks) -> PathCondition {
    if !marks.places(spot.path).is_empty() {
        PathCondition::Fails
    } else if seen.is_set_aside(spot) || !spot.is_seen() || is_blind(spot) {
        PathCondition::Unknown
    } else if is_out_of_reach(seen, spot) {
        PathCondition::OutOfReach
    } else {
        PathCondition::Works
    }
}

/// Our own library could not talk to it, so nothing behind TLS is known.
fn is_blind(spot: &Spot<'_>) -> bool {
    let observations = spot.observations();
    observations.is_empty() && spot.dns().is_none()
        || observations.iter().any(|(_, it)| {
            matches!(it.transport.handshake(), Some(Outcome::Failed(TlsFailure::OurLimit { .. })))
        })
}

/// A client access server that a DMZ cannot reach while an inner vantage can: no finding, unless the operator declared it.
fn is_out_of_reach(seen: &Seen<'_>, spot: &Spot<'_>) -> bool {
    let is_by_default = spot.endpoint.role == Role::Cas
        && spot.endpoint.from.is_empty()
        && spot.vantage.zone == Zone::Dmz;
    is_by_default && !spot.opens() && seen.opens_inside(spot.endpoint)
}

fn mark_path(seen: &Seen<'_>, spot: &Spot<'_>, found: &mut Vec<Mark>) {
    let mut mark = |stage, account, reference| {
        found.push(Mark {
            path: spot.path.clone(),
            role: spot.endpoint.role,
            stage,
            account,
            reference,
        });
    };
    if let Some((round, Outcome::Failed(failure))) = spot.dns()
        && !matches!(failure, DnsFailure::NoNameServer)
    {
        mark(Stage::Dns, None, spot.reference(round, None, words::dns_failure(failure)));
    }
    let any_v4_opens =
        spot.observations().iter().any(|(_, it)| it.address.is_ipv4() && it.tcp.done().is_some());
    for &(round, observation) in spot.observations() {
        let address = Some(observation.address.ip());
        if let Outcome::Failed(failure) = &observation.tcp {
            let is_own_lack = observation.address.is_ipv6()
                && any_v4_opens
                && *failure == TcpFailure::Unreachable;
            if !is_own_lack {
                mark(Stage::Tcp, None, spot.reference(round, address, words::tcp_failure(failure)));
            }
        }
        if let Some(outcome) = observation.transport.handshake()
            && let Some(value) = tls_mark(seen, spot.endpoint, outcome)
        {
            mark(Stage::Tls, None, spot.reference(round, address, value));
        }
    }
    for met in spot.latest(&Look::OPTIONS) {
        if is_anonymous_bad(seen, spot, met) {
            mark(Stage::Anonymous, None, met.reference());
        }
    }
    for met in latest_logons(spot) {
        if let Some((account, form, place)) = logon_of(met.exchange)
            && place == parallax_model::Place::ActiveSync
            && is_logon_bad(seen, spot, &met)
        {
            mark(Stage::Logon, Some((account.clone(), form)), met.reference());
        }
    }
}

/// The latest logon of each account in each form, at any address.
fn latest_logons<'e>(spot: &Spot<'e>) -> Vec<Met<'e>> {
    let mut latest = BTreeMap::new();
    for met in spot.exchanges(Look::is_logon).into_iter().filter(|met| met.exchange.sent) {
        latest.insert(&met.exchange.look, met);
    }
    latest.into_values().collect()
}

fn is_logon_bad(seen: &Seen<'_>, spot: &Spot<'_>, met: &Met<'_>) -> bool {
    let is_accepted = logon::outcome(Some((seen, spot)), met.exchange) == LogonOutcome::Accepted;
    !(is_accepted && met.answer().is_some_and(logon::is_active_sync))
}

fn tls_mark(
    seen: &Seen<'_>,
    endpoint: &Endpoint,
    outcome: &Outcome<TlsFacts, TlsFailure>,
) -> Option<String> {
    match outcome {
        Outcome::Failed(TlsFailure::OurLimit { .. }) | Outcome::NotReached => None,
        Outcome::Failed(failure) => Some(words::tls_failure(failure)),
        Outcome::Done(facts) => certificate_mark(seen, endpoint, facts),
    }
}

/// Clients meet the certificate of the published name; behind it a device may accept what a phone would not, but no
/// device is right to serve one whose time is over.
fn certificate_mark(seen: &Seen<'_>, endpoint: &Endpoint, facts: &TlsFacts) -> Option<String> {
    let leaf = facts.chain.first()?;
    if !leaf.is_valid_at(seen.evidence.now) && endpoint.role != Role::Backend {
        return Some(dates(leaf, seen.evidence.now));
    }
    if endpoint.role != Role::External {
        return None;
    }
    if !facts.name_matches {
        return Some(format!("certificate for {}", words::shortened(&leaf.names.join(", "))));
    }
    (facts.trust.endpoint != ChainJudgement::Trusted).then(|| {
        format!("chain of {}: {}", facts.chain.len(), words::chain_judgement(facts.trust.endpoint))
    })
}

/// `expired 2026-10-01` or `not valid before 2026-12-01`.
pub(crate) fn dates(leaf: &parallax_model::Certificate, now: std::time::SystemTime) -> String {
    if leaf.not_after < now {
        format!("certificate expired {}", crate::calendar::date(leaf.not_after))
    } else {
        format!("certificate not valid before {}", crate::calendar::date(leaf.not_before))
    }
}

fn is_anonymous_bad(seen: &Seen<'_>, spot: &Spot<'_>, met: &Met<'_>) -> bool {
    match &met.exchange.outcome {
        Outcome::NotReached => false,
        Outcome::Failed(_) => true,
        Outcome::Done(answer) => !is_anonymous_healthy(seen, spot.endpoint, answer),
    }
}

/// Whether this is how a healthy service of its kind answers anonymous `OPTIONS`.
pub(crate) fn is_anonymous_healthy(seen: &Seen<'_>, endpoint: &Endpoint, answer: &Answer) -> bool {
    let offers = |scheme: &Scheme| answer.challenges.iter().any(|it| it.scheme == *scheme);
    let generation = responder::generation(seen, endpoint);
    if generation == Some(Generation::Online) {
        return is_certificate_host_redirect(answer)
            || (answer.status == 401 && (offers(&Scheme::Bearer) || offers(&Scheme::Basic)));
    }
    if endpoint.role == Role::Backend {
        // What a back end offers is judged by the faults that know who has to log on to it.
        return answer.status == 401 && !answer.challenges.is_empty();
    }
    answer.status == 401 && offers(&Scheme::Basic)
}

/// Exchange Online sends anonymous requests to its host for certificate logon; expected, and no redirect of a mailbox.
pub(crate) fn is_certificate_host_redirect(answer: &Answer) -> bool {
    answer.status == 451 && answer.headers.mentions("X-MS-Location", "outlook-cba.office365.com")
}
