//! Round 1: every path at once, without a credential; and the worst that a diagnosis may cost, told before it starts.

use parallax_model::{
    Account, AccountId, Endpoint, Evidence, Look, PathId, Role, Target, Vantage, Zone,
};

use super::ladder::{Rung, ladder};
use super::{AccountBudget, Proposal, ROUNDS_MAX};

/// Every path that somebody is meant to look along, with its free looks. Sorted by path.
pub fn first_round(target: &Target, accounts: &[Account], vantages: &[Vantage]) -> Vec<Proposal> {
    let wants_witness_paths = accounts.iter().any(|it| it.has_password);
    let mut proposals: Vec<Proposal> = target
        .endpoints
        .iter()
        .flat_map(|endpoint| {
            vantages.iter().filter(|it| endpoint.is_for(it)).map(move |vantage| (endpoint, vantage))
        })
        .map(|(endpoint, vantage)| Proposal {
            path: PathId { vantage: vantage.name.clone(), endpoint: endpoint.name.clone() },
            looks: looks(endpoint.role, wants_witness_paths),
            logon: None,
            only_address: None,
            without_sni: is_published_name(endpoint, vantage),
        })
        .collect();
    proposals.sort_by(|a, b| a.path.cmp(&b.path));
    proposals
}

/// Where clients without a server name, and the monitors of load balancers, may come from.
fn is_published_name(endpoint: &Endpoint, vantage: &Vantage) -> bool {
    endpoint.role == Role::External
        && endpoint.is_https
        && vantage.zone <= Zone::Dmz
        && endpoint.host.parse::<std::net::IpAddr>().is_err()
}

/// The free looks of a role, the one that matters most first.
fn looks(role: Role, wants_witness_paths: bool) -> Vec<Look> {
    match role {
        Role::Control => vec![Look::GET],
        Role::Backend => vec![Look::OPTIONS, Look::GET, Look::NTLM, Look::NTLM_PROXY],
        Role::External | Role::Cas => {
            let mut looks = vec![
                Look::OPTIONS,
                Look::GET,
                Look::HEALTH_CHECK,
                Look::OWA,
                Look::NTLM_PROXY,
                Look::AUTODISCOVER_JSON,
            ];
            if wants_witness_paths {
                looks.extend([Look::AUTODISCOVER, Look::EWS]);
            }
            looks
        }
    }
}

/// A logon that may be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedLogon {
    pub path: PathId,
    pub account: AccountId,
    /// Counts of the directory, if refused.
    pub cost: u32,
    /// Why it will not be made; empty: it may be.
    pub held: String,
}

/// Every logon that a diagnosis could make at the worst: each account on the first rungs of its ladder, one in each of the
/// rounds after the first. A second refused one is never made, so the dearest of an account is its worst.
pub fn worst_case(evidence: &Evidence, budgets: &[AccountBudget]) -> Vec<PlannedLogon> {
    let rounds = usize::try_from(ROUNDS_MAX - 1).unwrap_or(usize::MAX);
    let mut planned = Vec::new();
    for declared in &evidence.target.accounts {
        let Some(account) =
            evidence.accounts.iter().find(|it| it.id == declared.account && it.has_password)
        else {
            continue;
        };
        let budget = budgets.iter().find(|it| it.account == account.id);
        let rungs: Vec<Rung> =
            distinct_endpoints(ladder(&evidence.target, &evidence.vantages, account));
        for rung in rungs.into_iter().take(rounds) {
            let cost = parallax_faults::cost(evidence, &rung.path);
            planned.push(PlannedLogon {
                held: held(budget, cost),
                path: rung.path,
                account: account.id.clone(),
                cost,
            });
        }
    }
    planned
}

/// One rung per endpoint, and the outermost of all: that is where health is proven.
fn distinct_endpoints(rungs: Vec<Rung>) -> Vec<Rung> {
    let last = rungs.last().cloned();
    let mut kept: Vec<Rung> = Vec::new();
    for rung in rungs {
        if !kept.iter().any(|it| it.path.endpoint == rung.path.endpoint) {
            kept.push(rung);
        }
    }
    if let Some(last) = last.filter(|it| !kept.contains(it)) {
        kept.push(last);
    }
    kept
}

fn held(budget: Option<&AccountBudget>, cost: u32) -> String {
    let Some(budget) = budget else { return String::new() };
    super::next::forbidden(budget, cost).unwrap_or_default()
}
