//! The plan of a diagnosis as the API shows it: what is asked, from where, and what it may cost at the worst.

use std::collections::BTreeMap;

use parallax_model::{Evidence, Need, Zone};
use parallax_wire::{account_name, pb};

use super::facts::Facts;
use super::tally::count;
use crate::agents::FleetView;
use crate::plan::{self, PlannedLogon};

/// The plan. `anonymous_only` leaves the logons out.
pub(super) fn preview(facts: &Facts, fleet: &FleetView, anonymous_only: bool) -> pb::Plan {
    let Evidence { target, accounts, vantages, .. } = &facts.evidence;
    let paths = plan::first_round(target, accounts, vantages)
        .iter()
        .map(|proposal| pb::PlannedPath {
            path: Some((&proposal.path).into()),
            connected: fleet.connected.contains(&proposal.path.vantage),
            looks: proposal.looks.iter().map(Into::into).collect(),
        })
        .collect();
    let logons = if anonymous_only {
        Vec::new()
    } else {
        plan::worst_case(&facts.evidence, &facts.account_budgets())
    };
    let may_be_made = logons.iter().filter(|it| it.held.is_empty()).count();
    pb::Plan {
        paths,
        logons_max: count(may_be_made),
        counts_max: count(worst_cost(&logons)),
        logons: logons.iter().map(encode).collect(),
        gaps: gaps(&facts.evidence).iter().map(Into::into).collect(),
    }
}

/// One refused logon per account and diagnosis: the dearest one of the account that is hit most.
fn worst_cost(logons: &[PlannedLogon]) -> u32 {
    let mut by_account = BTreeMap::new();
    for logon in logons.iter().filter(|it| it.held.is_empty()) {
        let worst = by_account.entry(&logon.account).or_insert(0);
        *worst = logon.cost.max(*worst);
    }
    by_account.into_values().max().unwrap_or(0)
}

fn encode(logon: &PlannedLogon) -> pb::PlannedLogon {
    pb::PlannedLogon {
        path: Some((&logon.path).into()),
        account: account_name(&logon.account),
        cost: count(logon.cost),
        held: logon.held.clone(),
    }
}

/// What keeps the answer from being firm, as far as it can be seen before anybody looked.
fn gaps(evidence: &Evidence) -> Vec<Need> {
    let Evidence { target, vantages, .. } = evidence;
    let mut gaps = Vec::new();
    let unseen =
        target.endpoints.iter().filter(|it| !vantages.iter().any(|vantage| it.is_for(vantage)));
    for endpoint in unseen {
        let zone = match endpoint.role {
            parallax_model::Role::External | parallax_model::Role::Control => Zone::External,
            parallax_model::Role::Cas => Zone::Internal,
            parallax_model::Role::Backend => Zone::Backend,
        };
        let need = Need::Vantage { zone };
        if !gaps.contains(&need) {
            gaps.push(need);
        }
    }
    if !target.accounts.iter().any(|it| it.purpose == parallax_model::Purpose::Subject) {
        gaps.push(Need::Subject);
    }
    gaps
}
