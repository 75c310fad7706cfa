//! Looks that cost no logon: what a fault waits for along a path, and at an address that another vantage was given.
//!
//! INVARIANT: nothing here carries a credential of an account, and no logon follows to an address of another vantage's.
//! INVARIANT: an address of another vantage's is dialled once along a path; where that came to nothing (the agent's policy does
//! not list it, the agent fell silent), the need stays for the operator and is not asked again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use parallax_model::{Credential, Diagnosis, Evidence, Exchange, Generation, Look, Need, PathId};

use super::ladder::{own_observations, sights};
use super::{NextRound, Proposal};

/// Addresses of other vantages that are dialled along one path in one diagnosis.
const DIALS_PER_PATH_MAX: usize = 8;

/// What faults wait for, open ones first.
fn needs(diagnosis: &Diagnosis) -> impl Iterator<Item = &Need> {
    let open = diagnosis.open.iter().flat_map(|it| &it.needs);
    open.chain(diagnosis.findings.iter().flat_map(|it| &it.needs))
}

/// Free looks that an open or likely fault waits for; a user name that cannot exist at most once per endpoint, and never at
/// Exchange Online.
pub(super) fn free_looks(evidence: &Evidence, diagnosis: &Diagnosis, next: &mut NextRound) {
    let mut asked: BTreeMap<PathId, Vec<Look>> = BTreeMap::new();
    for need in needs(diagnosis) {
        let Need::Look { path, look } = need else { continue };
        let is_known = own_observations(evidence, path)
            .into_iter()
            .flat_map(|it| &it.exchanges)
            .any(|it| it.look == *look);
        let is_reporting = !sights(evidence, path).is_empty();
        let is_spent = *look == Look::IMPOSSIBLE_USER
            && (is_impossible_user_spent(evidence, path)
                || asked
                    .iter()
                    .any(|(it, looks)| it.endpoint == path.endpoint && looks.contains(look)));
        if !is_known && is_reporting && !is_spent {
            let looks = asked.entry(path.clone()).or_default();
            if !looks.contains(look) {
                looks.push(look.clone());
            }
        }
    }
    for (path, looks) in asked {
        // Once per endpoint means at one address of it.
        let is_control = looks.contains(&Look::IMPOSSIBLE_USER);
        let only_address = if is_control { any_answering_address(evidence, &path) } else { None };
        next.proposals.push(Proposal {
            path,
            looks,
            logon: None,
            only_address,
            without_sni: false,
        });
    }
}

/// The first address that answered the anonymous question at all.
fn any_answering_address(evidence: &Evidence, path: &PathId) -> Option<std::net::IpAddr> {
    let is_answered =
        |exchange: &Exchange| exchange.look == Look::OPTIONS && exchange.outcome.done().is_some();
    own_observations(evidence, path)
        .into_iter()
        .find(|it| it.exchanges.iter().any(is_answered))
        .map(|it| it.address.ip())
}

fn is_impossible_user_spent(evidence: &Evidence, path: &PathId) -> bool {
    let endpoint = evidence.target.endpoint(&path.endpoint);
    let generation = endpoint.and_then(|it| it.generation).or(evidence.target.generation);
    generation == Some(Generation::Online)
        || evidence
            .rounds
            .iter()
            .flat_map(|round| &round.reports)
            .filter(|it| it.path.endpoint == path.endpoint)
            .filter_map(|it| it.report.seen())
            .flat_map(|it| &it.observations)
            .flat_map(|it| &it.exchanges)
            .any(|it| it.look.credential == Credential::ImpossibleUser)
}

/// Cross dials that an open or likely fault waits for. A path is asked once in a round, so one address at a time and only where
/// nothing else is asked along it.
pub(super) fn dials(evidence: &Evidence, diagnosis: &Diagnosis, next: &mut NextRound) {
    let mut wanted: BTreeMap<&PathId, BTreeSet<IpAddr>> = BTreeMap::new();
    for need in needs(diagnosis) {
        if let Need::Dial { path, address, .. } = need {
            wanted.entry(path).or_default().insert(*address);
        }
    }
    let taken: BTreeSet<PathId> = next.proposals.iter().map(|it| it.path.clone()).collect();
    for (path, addresses) in wanted {
        if taken.contains(path) || has_gone_unanswered(evidence, path) {
            continue;
        }
        let seen: BTreeSet<IpAddr> = sights(evidence, path)
            .into_iter()
            .flat_map(|it| &it.observations)
            .map(|it| it.address.ip())
            .collect();
        let own = own_observations(evidence, path).into_iter().map(|it| it.address.ip());
        let dialled = seen.len() - own.collect::<BTreeSet<_>>().len();
        let address = addresses.into_iter().find(|it| !seen.contains(it));
        if let Some(address) = address.filter(|_| dialled < DIALS_PER_PATH_MAX) {
            next.proposals.push(Proposal {
                path: path.clone(),
                looks: vec![Look::OPTIONS, Look::GET],
                logon: None,
                only_address: Some(address),
                without_sni: false,
            });
        }
    }
}

/// Whether a path is not to be asked for an address of another vantage's: it has no sight at all, or something was asked after it
/// and came to nothing. Which task it was is not in the evidence; asking once too little only leaves a need.
fn has_gone_unanswered(evidence: &Evidence, path: &PathId) -> bool {
    let mut reports = evidence
        .rounds
        .iter()
        .flat_map(|round| &round.reports)
        .filter(|it| it.path == *path)
        .map(|it| it.report.seen().is_some())
        .peekable();
    reports.peek().is_none() || reports.any(|is_seen| !is_seen)
}
