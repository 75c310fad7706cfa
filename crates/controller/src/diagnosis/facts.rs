//! Brings together what a diagnosis starts from: target, accounts with their budgets, vantages, history.
//!
//! Absent on purpose: opinions. What is missing is told as a refusal before anything starts.
//!
//! INVARIANT: everything is read before the first byte leaves; later changes concern the next diagnosis.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use parallax_model::{
    AccountId, Evidence, Look, Past, Role, Sight, Target, TargetId, Vantage, VantageName, Zone,
};
use parallax_store::{Budget, DiagnosisStart, PastRecord, Store, StoreError};
use parallax_wire::{target_name, zone_word};
use tracing::warn;

use super::tally::Tally;
use crate::plan::{self, AccountBudget};
use crate::reasons::{Reason, Refusal, chain};
use crate::registry::decode_account;

/// How far back history is looked at.
const HISTORY: Duration = Duration::from_hours(90 * 24);
/// Records of history at the most, the newest.
const HISTORY_MAX: usize = 1000;

/// What a diagnosis starts from.
#[derive(Debug)]
pub(super) struct Facts {
    pub evidence: Evidence,
    /// The same, as it is kept beside the diagnosis.
    pub start: DiagnosisStart,
    pub budgets: BTreeMap<AccountId, Budget>,
}

impl Facts {
    pub(super) async fn gather(store: &Store, id: &TargetId) -> Result<Self, Refusal> {
        let mut start = DiagnosisStart { target: store.target(id).await?, ..Default::default() };
        let target = decode_target(&start.target)?;
        let mut accounts = Vec::with_capacity(target.accounts.len());
        let mut budgets = BTreeMap::new();
        for used in &target.accounts {
            let account = store.account(&used.account).await?;
            accounts.push(decode_account(&account)?);
            start.accounts.push(account);
            budgets.insert(used.account.clone(), store.budget(&used.account).await?);
        }
        let agents = store.agents().await?.into_iter();
        // One that is banned will never look; it is as if nobody were there.
        let vantages: Vec<Vantage> =
            agents.filter(|it| it.banned.is_none()).map(|it| it.vantage).collect();
        start.vantages.clone_from(&vantages);
        let now = SystemTime::now();
        let history = read_history(store, &target, now).await?;
        let evidence = Evidence { target, accounts, vantages, rounds: Vec::new(), history, now };
        Ok(Self { evidence, start, budgets })
    }

    pub(super) fn account_budgets(&self) -> Vec<AccountBudget> {
        let tally = Tally::begin(&self.budgets);
        self.budgets.iter().map(|(account, budget)| tally.account_budget(account, budget)).collect()
    }

    /// Refuses what cannot tell anything: an endpoint meant for vantages that nobody registered, no path at all.
    pub(super) fn check_vantages(&self) -> Result<(), Refusal> {
        let Evidence { target, accounts, vantages, .. } = &self.evidence;
        let subject = target_name(&target.id);
        let missing: Vec<String> = target
            .endpoints
            .iter()
            .filter(|it| !it.from.is_empty() && !vantages.iter().any(|vantage| it.is_for(vantage)))
            .map(|it| {
                let from: Vec<&str> = it.from.iter().map(VantageName::as_str).collect();
                format!("endpoint `{}` is meant for {}", it.name, from.join(", "))
            })
            .collect();
        if !missing.is_empty() {
            let message = format!("no agent is registered there: {}", missing.join("; "));
            return Err(Refusal::new(Reason::NoVantage, message)
                .unless(subject, "register an agent for one of these vantages, or change `from`"));
        }
        if !plan::first_round(target, accounts, vantages).is_empty() {
            return Ok(());
        }
        let zones: Vec<&str> = wanted_zones(target).into_iter().map(zone_word).collect();
        let zones = zones.join(", ");
        let message = format!("no agent is registered in a zone that this target needs ({zones})");
        Err(Refusal::new(Reason::NoVantage, message)
            .unless(subject, format!("register an agent in one of the zones {zones}"))
            .with("zones", zones))
    }

    /// Refuses a diagnosis whose accounts have nothing left to spend.
    pub(super) fn check_budgets(&self) -> Result<(), Refusal> {
        let held: Vec<_> =
            self.budgets.iter().filter(|(_, it)| it.secret_version > 0 && it.limit > 0).collect();
        if held.is_empty() || held.iter().any(|(_, it)| it.left > 0) {
            return Ok(());
        }
        let names: Vec<String> =
            held.iter().map(|(id, _)| parallax_wire::account_name(id)).collect();
        let names = names.join(", ");
        let message = format!("the budget of refused logons of {names} is spent");
        let quiet = held.iter().filter_map(|(_, it)| it.quiet_at).min();
        let wait = quiet.and_then(|it| it.duration_since(self.evidence.now).ok());
        let refusal = Refusal::new(Reason::BudgetSpent, message)
            .unless(
                names.clone(),
                "wait for the quiet gap, add an account, or ask with `anonymous_only`",
            )
            .with("accounts", names);
        Err(match wait {
            Some(wait) => refusal.retry_after(wait),
            None => refusal,
        })
    }
}

/// Zones from which an endpoint of this target would be looked at.
fn wanted_zones(target: &Target) -> Vec<Zone> {
    let zones = [Zone::External, Zone::Dmz, Zone::Internal, Zone::Backend];
    let is_wanted = |zone: &Zone| {
        target.endpoints.iter().any(|it| match it.role {
            Role::External | Role::Control => true,
            Role::Cas => *zone != Zone::External,
            Role::Backend => matches!(zone, Zone::Internal | Zone::Backend),
        })
    };
    zones.into_iter().filter(is_wanted).collect()
}

/// A stored target as the rest of the controller takes it.
pub(super) fn decode_target(message: &parallax_wire::pb::Target) -> Result<Target, Refusal> {
    Target::try_from(message).map_err(|error| {
        tracing::error!(
            error = chain(&error),
            target = message.name,
            "a stored target cannot be read"
        );
        Refusal::new(Reason::Unreadable, "what is stored cannot be used; see the controller's log")
    })
}

/// Oldest first. A record that cannot be read is left out: history only adds.
pub(super) async fn read_history(
    store: &Store,
    target: &Target,
    now: SystemTime,
) -> Result<Vec<Past>, StoreError> {
    let since = now.checked_sub(HISTORY).unwrap_or(SystemTime::UNIX_EPOCH);
    let records = store.past(&target.id, since, HISTORY_MAX).await?;
    let read = |record: PastRecord| {
        let look = Look::try_from(record.look);
        let sight = Sight::try_from(record.sight);
        match (look, sight) {
            (Ok(look), Ok(sight)) => Some(Past { at: record.at, path: record.path, look, sight }),
            (Err(error), _) | (_, Err(error)) => {
                warn!(error = chain(&error), "a record of history cannot be read");
                None
            }
        }
    };
    Ok(records.into_iter().filter_map(read).collect())
}

/// What a finished diagnosis leaves for later ones: every sight, under the request that it is about.
pub(super) fn leave_history(evidence: &Evidence) -> Vec<PastRecord> {
    let mut records = Vec::new();
    for report in evidence.rounds.iter().flat_map(|it| &it.reports) {
        let Some(sight) = report.report.seen() else { continue };
        let exchanges = sight.observations.iter().flat_map(|it| &it.exchanges);
        let logon = exchanges.map(|it| &it.look).find(|it| it.is_logon());
        records.push(PastRecord {
            at: evidence.now,
            path: report.path.clone(),
            look: logon.unwrap_or(&Look::OPTIONS).into(),
            sight: sight.into(),
        });
    }
    records
}

/// The zones of the vantages by name.
pub(super) fn zone_of(vantages: &[Vantage]) -> impl Fn(&VantageName) -> Option<Zone> {
    let zones: BTreeMap<&VantageName, Zone> =
        vantages.iter().map(|it| (&it.name, it.zone)).collect();
    move |name| zones.get(name).copied()
}
