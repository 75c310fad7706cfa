//! Counts the logons of one diagnosis, per account, for its summary and for planning the next round.
//!
//! Absent on purpose: the budget itself; the ledger keeps that, durably. This is what the page shows.

use std::collections::{BTreeMap, BTreeSet};

use parallax_faults::LogonOutcome;
use parallax_model::{AccountId, PathId};
use parallax_store::Budget;
use parallax_wire::{account_name, pb};

use crate::plan::AccountBudget;

/// What was done with one account.
#[derive(Clone, Debug, Default)]
struct Used {
    made: u32,
    refused: u32,
    /// Came to nothing that proves the secret right or wrong, or its answer was lost.
    unproven: u32,
    /// An unproven or refused logon ended this account's logons.
    has_ended: bool,
    budget_at_start: u32,
    charged: u32,
    held: BTreeSet<(PathId, String)>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    accounts: BTreeMap<AccountId, Used>,
}

impl Tally {
    /// Begins with what the ledger says before anything is asked.
    pub(super) fn begin(budgets: &BTreeMap<AccountId, Budget>) -> Self {
        let accounts = budgets
            .iter()
            .map(|(account, budget)| {
                let used = Used {
                    budget_at_start: budget.left,
                    charged: budget.charged,
                    ..Used::default()
                };
                (account.clone(), used)
            })
            .collect();
        Self { accounts }
    }

    pub(super) fn made(&mut self, account: &AccountId, outcome: LogonOutcome) {
        let entry = self.accounts.entry(account.clone()).or_default();
        match outcome {
            LogonOutcome::Accepted => entry.made += 1,
            LogonOutcome::Refused => {
                entry.made += 1;
                entry.refused += 1;
                entry.has_ended = true;
            }
            LogonOutcome::Unproven => {
                entry.made += 1;
                entry.unproven += 1;
                entry.has_ended = true;
            }
            LogonOutcome::NotSent => {}
        }
    }

    /// Notes a logon deliberately not made; once per path and reason. False: it was noted before.
    pub(super) fn held(&mut self, account: &AccountId, path: &PathId, reason: &str) -> bool {
        let entry = self.accounts.entry(account.clone()).or_default();
        let is_new_path = !entry.held.iter().any(|(it, _)| it == path);
        if !is_new_path {
            entry.held.retain(|(it, _)| it != path);
        }
        entry.held.insert((path.clone(), reason.to_owned()));
        is_new_path
    }

    /// A logon that was held earlier was made after all.
    pub(super) fn no_longer_held(&mut self, account: &AccountId, path: &PathId) {
        if let Some(entry) = self.accounts.get_mut(account) {
            entry.held.retain(|(it, _)| it != path);
        }
    }

    pub(super) fn charged(&mut self, account: &AccountId, budget: &Budget) {
        self.accounts.entry(account.clone()).or_default().charged = budget.charged;
    }

    /// The account's budget as the plan takes it.
    pub(super) fn account_budget(&self, account: &AccountId, budget: &Budget) -> AccountBudget {
        let used = self.accounts.get(account);
        AccountBudget {
            account: account.clone(),
            left: budget.left,
            breaker_open: budget.breaker.is_some(),
            frozen: budget.frozen.as_ref().map(|it| it.reason.clone()),
            refused_here: used.map_or(0, |it| it.refused),
            ended_here: used.is_some_and(|it| it.has_ended),
        }
    }

    /// Puts the summary into the message, and marks the cells of logons that were deliberately not made.
    pub(super) fn show(&self, message: &mut pb::Diagnosis) {
        message.logons = Some(self.summary());
        for (account, used) in &self.accounts {
            for (path, _) in &used.held {
                let path = pb::Path::from(path);
                for row in message.matrix.iter_mut().filter(|row| row.path.as_ref() == Some(&path))
                {
                    let cell = row.logon.get_or_insert_default();
                    if cell.mark() == pb::cell::Mark::NotAsked {
                        cell.set_mark(pb::cell::Mark::Held);
                        cell.text = account.to_string();
                    }
                }
            }
        }
    }

    /// The summary that a finished diagnosis carries.
    pub(super) fn summary(&self) -> pb::Logons {
        let accounts: Vec<pb::AccountLogons> = self
            .accounts
            .iter()
            .map(|(account, it)| {
                let reasons: BTreeSet<&String> = it.held.iter().map(|(_, reason)| reason).collect();
                pb::AccountLogons {
                    account: account_name(account),
                    used: count(it.made),
                    refused: count(it.refused + it.unproven),
                    held: count(it.held.len()),
                    budget: count(it.budget_at_start),
                    charged: count(it.charged),
                    held_reasons: reasons.into_iter().cloned().collect(),
                }
            })
            .collect();
        pb::Logons {
            used: accounts.iter().map(|it| it.used).sum(),
            refused: accounts.iter().map(|it| it.refused).sum(),
            held: accounts.iter().map(|it| it.held).sum(),
            budget: accounts.iter().map(|it| it.budget).min().unwrap_or(0),
            accounts,
        }
    }
}

/// A counter of the API.
pub(super) fn count(number: impl TryInto<i32>) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use parallax_model::{EndpointName, VantageName};

    use super::*;

    fn path(vantage: &str) -> PathId {
        PathId {
            vantage: VantageName::new(vantage).expect("a name"),
            endpoint: EndpointName::new("published").expect("a name"),
        }
    }

    #[test]
    fn the_summary_counts_logons_and_shows_the_tightest_budget() {
        let budget = |left| Budget {
            limit: 4,
            charged: 4 - left,
            reserved: 0,
            left,
            quiet_at: None,
            breaker: None,
            frozen: None,
            secret_version: 1,
        };
        let (newer, legacy) =
            (AccountId::new("newer").expect("a name"), AccountId::new("legacy").expect("a name"));
        let budgets = BTreeMap::from([(newer.clone(), budget(4)), (legacy.clone(), budget(3))]);
        let mut tally = Tally::begin(&budgets);
        tally.made(&newer, LogonOutcome::Accepted);
        tally.made(&legacy, LogonOutcome::Accepted);
        tally.made(&legacy, LogonOutcome::Refused);
        tally.made(&legacy, LogonOutcome::NotSent);
        assert!(tally.held(&legacy, &path("ext"), "a logon was refused"));
        assert!(!tally.held(&legacy, &path("ext"), "another reason"), "the same logon");
        tally.charged(&legacy, &budget(1));
        let summary = tally.summary();
        assert_eq!((summary.used, summary.refused, summary.held, summary.budget), (3, 1, 1, 3));
        let legacy_row =
            summary.accounts.iter().find(|it| it.account == "accounts/legacy").expect("a row");
        assert_eq!((legacy_row.charged, legacy_row.held_reasons.len()), (3, 1));
        let plan = tally.account_budget(&legacy, &budget(1));
        assert!(plan.ended_here && plan.refused_here == 1 && plan.left == 1);
    }
}
