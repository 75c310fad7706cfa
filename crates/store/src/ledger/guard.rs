//! The row that guards an account of a directory: found by any of its names, made once, kept for ever.

use parallax_model::Account;

use super::commit::{Guard, LedgerWrite};
use super::{Frozen, policy};
use crate::StoreError;
use crate::clock::{millis, system_time};
use crate::error::During as _;

impl Guard {
    pub(super) fn left(&self) -> u32 {
        self.k.saturating_sub(self.open_cost + self.charged_cost)
    }

    pub(super) fn frozen(&self, now_ms: i64) -> Option<Frozen> {
        let until_ms = self.frozen_until_ms.filter(|until_ms| *until_ms > now_ms)?;
        let reason = self.freeze_reason.clone().unwrap_or_default();
        Some(Frozen { until: system_time(until_ms), reason })
    }

    /// When the charges fall away, if nothing is started before; `None`: there is nothing to fall away.
    pub(super) fn quiet_at_ms(&self) -> Option<i64> {
        let has_any = self.charged_cost > 0 || self.not_sent_cost > 0;
        self.last_start_ms.filter(|_| has_any).map(|start_ms| start_ms + self.quiet_ms)
    }

    /// Whether the quiet gap has passed, so that what is charged counts no longer.
    pub(super) fn is_quiet(&self, now_ms: i64) -> bool {
        self.open_cost == 0 && self.quiet_at_ms().is_some_and(|quiet_ms| quiet_ms <= now_ms)
    }
}

impl LedgerWrite<'_> {
    /// The key of the account's guard, made if there is none, with the budget of its lockout policy.
    pub(crate) async fn guard_for(&mut self, account: &Account) -> Result<String, StoreError> {
        let (operation, now_ms) = (self.write.operation, self.write.now_ms);
        let names = ledger_names(account);
        let mut key: Option<String> = None;
        for name in &names {
            let found: Option<(String, Option<String>)> = sqlx::query_as(
                "SELECT n.account_key, a.id FROM guard_name n
                   LEFT JOIN account a ON a.ledger_key = n.account_key WHERE n.name = ?",
            )
            .bind(name)
            .fetch_optional(self.write.connection())
            .await
            .during(operation)?;
            match (found, &key) {
                (Some((_, Some(id))), _) => {
                    return Err(StoreError::SameAccount { operation, by: id });
                }
                (Some((found, None)), Some(key)) if found != *key => {
                    return Err(StoreError::SameAccount { operation, by: found });
                }
                (Some((found, None)), _) => key = Some(found),
                (None, _) => {}
            }
        }
        let key = match key {
            Some(key) => {
                self.renew_guard(&key, account).await?;
                key
            }
            None => self.make_guard(&names, account).await?,
        };
        for name in &names {
            sqlx::query(
                "INSERT INTO guard_name (name, account_key) VALUES (?, ?) ON CONFLICT DO NOTHING",
            )
            .bind(name)
            .bind(&key)
            .execute(self.write.connection())
            .await
            .during(operation)?;
        }
        let guard = self.guard(&key).await?;
        if guard.is_quiet(now_ms) {
            self.begin_quiet_period(&guard).await?;
        }
        Ok(key)
    }

    /// A new account inherits a freeze of all.
    async fn make_guard(
        &mut self,
        names: &[String],
        account: &Account,
    ) -> Result<String, StoreError> {
        let operation = self.write.operation;
        let key = names.first().cloned().unwrap_or_else(|| account.id.as_str().to_owned());
        let meta = self.meta().await?;
        sqlx::query(
            "INSERT INTO account_guard (account_key, k, quiet_ms, frozen_until_ms, freeze_reason)
             VALUES (?, ?, ?, ?, ?)",
        )
        .bind(&key)
        .bind(policy::limit(&account.lockout))
        .bind(millis(policy::quiet(&account.lockout)))
        .bind(meta.frozen_until_ms)
        .bind(meta.freeze_reason)
        .execute(self.write.connection())
        .await
        .during(operation)?;
        Ok(key)
    }

    /// The account was registered before. Its new policy counts, but never to forget what is charged; and the longer quiet
    /// gap counts while something is.
    async fn renew_guard(&mut self, key: &str, account: &Account) -> Result<(), StoreError> {
        let (operation, now_ms) = (self.write.operation, self.write.now_ms);
        let mut guard = self.guard(key).await?;
        if guard.is_quiet(now_ms) {
            self.begin_quiet_period(&guard).await?;
            guard = self.guard(key).await?;
        }
        let limit = policy::limit(&account.lockout);
        let held = (guard.open_cost + guard.charged_cost).max(guard.not_sent_cost);
        if held > limit {
            let id = account.id.as_str().to_owned();
            return Err(StoreError::LedgerHolds { operation, id, charged: held, limit });
        }
        let quiet_ms = millis(policy::quiet(&account.lockout));
        let quiet_ms = if held > 0 { quiet_ms.max(guard.quiet_ms) } else { quiet_ms };
        sqlx::query("UPDATE account_guard SET k = ?, quiet_ms = ? WHERE account_key = ?")
            .bind(limit)
            .bind(quiet_ms)
            .bind(key)
            .execute(self.write.connection())
            .await
            .during(operation)?;
        Ok(())
    }

    /// Lets the charges fall away. The schema checks that the gap has passed.
    pub(super) async fn begin_quiet_period(&mut self, guard: &Guard) -> Result<(), StoreError> {
        let (operation, now_ms) = (self.write.operation, self.write.now_ms);
        sqlx::query(
            "UPDATE account_guard SET quiet_period = quiet_period + 1, charged_cost = 0,
                    not_sent_cost = 0, last_reset_ms = ? WHERE account_key = ?",
        )
        .bind(now_ms)
        .bind(&guard.account_key)
        .execute(self.write.connection())
        .await
        .during(operation)?;
        Ok(())
    }

    /// The version of the account's next secret; the breaker of the one before does not bind it.
    pub(crate) async fn next_secret_version(&mut self, key: &str) -> Result<i64, StoreError> {
        let operation = self.write.operation;
        let (version,): (i64,) = sqlx::query_as(
            "UPDATE account_guard SET secret_version = secret_version + 1 WHERE account_key = ?
             RETURNING secret_version",
        )
        .bind(key)
        .fetch_one(self.write.connection())
        .await
        .during(operation)?;
        Ok(version)
    }
}

/// Every name by which the directory knows the account: `directory\name`, lower case, `name` without domain or UPN suffix.
/// Two names that fall together share one budget, which errs on the safe side.
fn ledger_names(account: &Account) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(account.names.len() + 1);
    let logins = account.names.iter().map(|name| name.login.as_str());
    for login in logins.chain(account.upn.as_deref()) {
        let user = login.rsplit_once('\\').map_or(login, |(_, user)| user);
        let user = user.split_once('@').map_or(user, |(user, _)| user);
        let key = format!("{}\\{}", account.directory.to_lowercase(), user.to_lowercase());
        if !names.contains(&key) {
            names.push(key);
        }
    }
    names
}
