//! Stopping credentialed probing, and letting it go on: by an operator, or by the ledger itself when it cannot trust what it
//! remembers.

use std::time::SystemTime;

use parallax_model::{AccountId, VantageName};

use super::commit::LedgerWrite;
use super::{FreezeScope, policy};
use crate::account::{entry, missing};
use crate::clock::{millis, stored_ms};
use crate::error::During as _;
use crate::{AuditEntry, Store, StoreError};

/// How far ahead of ours an agent's ledger sequence may be for ours to catch up with it. Beyond, it is no number of ours.
const SEQUENCE_CATCH_UP_MAX: i64 = 1_000_000_000;

impl Store {
    /// Stops credentialed probing until then, or for the account's quiet gap; a freeze that lasts longer stays. Anonymous
    /// probing goes on.
    pub async fn freeze(
        &self,
        scope: &FreezeScope,
        until: Option<SystemTime>,
        who: &str,
        reason: &str,
    ) -> Result<(), StoreError> {
        let mut ledger = self.core.ledger("freeze").await?;
        let operation = ledger.write.operation;
        let until_ms = until.map(stored_ms);
        match scope {
            FreezeScope::Account(id) => {
                let row = ledger.account(id).await?.ok_or_else(|| missing(operation, id))?;
                ledger.freeze_guards(Some(&row.ledger_key), until_ms, reason).await?;
                let detail = reason.to_owned();
                ledger.write.audit(&entry(who, "account.freeze", id, detail)).await?;
            }
            FreezeScope::All => ledger.freeze_all_until(until_ms, who, reason).await?,
        }
        ledger.commit(&[]).await
    }

    /// Somebody looked: closes the breaker of the present secret and lifts a freeze of this account. What is charged stays.
    pub async fn release(&self, id: &AccountId, who: &str, reason: &str) -> Result<(), StoreError> {
        // Only what could be seen is lifted: the look at the clock in this transaction may freeze anew.
        let seen: Option<(Option<i64>, Option<String>)> = sqlx::query_as(
            "SELECT g.frozen_until_ms, g.freeze_reason FROM account_guard g
               JOIN account a ON a.ledger_key = g.account_key WHERE a.id = ?",
        )
        .bind(id.as_str())
        .fetch_optional(&self.core.reader)
        .await
        .during("release account")?;
        let (frozen_until_ms, freeze_reason) = seen.unwrap_or_default();
        let mut ledger = self.core.ledger("release account").await?;
        let (operation, now_ms) = (ledger.write.operation, ledger.write.now_ms);
        let row = ledger.account(id).await?.ok_or_else(|| missing(operation, id))?;
        sqlx::query(
            "UPDATE breaker SET closed_ms = ?, closed_by = ?
              WHERE account_key = ? AND secret_version = ? AND scope = '' AND closed_ms IS NULL",
        )
        .bind(now_ms)
        .bind(who)
        .bind(&row.ledger_key)
        .bind(row.secret_version)
        .execute(ledger.write.connection())
        .await
        .during(operation)?;
        sqlx::query(
            "UPDATE account_guard SET frozen_until_ms = NULL, freeze_reason = NULL
              WHERE account_key = ? AND frozen_until_ms IS ? AND freeze_reason IS ?",
        )
        .bind(&row.ledger_key)
        .bind(frozen_until_ms)
        .bind(freeze_reason)
        .execute(ledger.write.connection())
        .await
        .during(operation)?;
        ledger.write.audit(&entry(who, "account.release", id, reason.to_owned())).await?;
        ledger.commit(&[&row.ledger_key]).await
    }

    /// An agent says which start it saw last. If the ledger does not know it, this database was restored: everything is
    /// frozen, and numbers go on from the agent's. Returns whether that happened.
    pub async fn agent_saw_sequence(
        &self,
        agent: &VantageName,
        sequence: i64,
    ) -> Result<bool, StoreError> {
        const OPERATION: &str = "compare ledger sequences";
        let (ours,): (i64,) = sqlx::query_as("SELECT ledger_sequence FROM ledger_meta")
            .fetch_one(&self.core.reader)
            .await
            .during(OPERATION)?;
        if sequence <= ours {
            return Ok(false);
        }
        let mut ledger = self.core.ledger(OPERATION).await?;
        let ours = ledger.meta().await?.ledger_sequence;
        if sequence <= ours {
            return Ok(false);
        }
        tracing::error!(%agent, sequence, ours, "an agent has seen a start that this ledger does not know");
        let reason = format!("agent {agent} has seen a start that this ledger does not know");
        ledger.freeze_all("ledger", &reason).await?;
        if sequence - ours <= SEQUENCE_CATCH_UP_MAX {
            sqlx::query("UPDATE ledger_meta SET ledger_sequence = ?")
                .bind(sequence)
                .execute(ledger.write.connection())
                .await
                .during(OPERATION)?;
        }
        ledger.commit(&[]).await?;
        Ok(true)
    }
}

impl LedgerWrite<'_> {
    /// Every account for its own quiet gap; those registered later until the longest of them is over.
    pub(super) async fn freeze_all(&mut self, who: &str, reason: &str) -> Result<(), StoreError> {
        self.freeze_all_until(None, who, reason).await
    }

    async fn freeze_all_until(
        &mut self,
        until_ms: Option<i64>,
        who: &str,
        reason: &str,
    ) -> Result<(), StoreError> {
        let (operation, now_ms) = (self.write.operation, self.write.now_ms);
        tracing::warn!(who, reason, "credentialed probing is frozen");
        self.freeze_guards(None, until_ms, reason).await?;
        sqlx::query(
            "UPDATE ledger_meta SET freeze_reason = ?, frozen_until_ms = max(coalesce(frozen_until_ms, 0),
                coalesce(?, ? + max(?, (SELECT coalesce(max(quiet_ms), 0) FROM account_guard))))",
        )
        .bind(reason)
        .bind(until_ms)
        .bind(now_ms)
        .bind(millis(policy::QUIET_UNKNOWN))
        .execute(self.write.connection())
        .await
        .during(operation)?;
        self.write
            .audit(&AuditEntry {
                principal: who.to_owned(),
                action: "account.freeze".to_owned(),
                subject: "accounts/-".to_owned(),
                detail: reason.to_owned(),
            })
            .await?;
        Ok(())
    }

    async fn freeze_guards(
        &mut self,
        key: Option<&str>,
        until_ms: Option<i64>,
        reason: &str,
    ) -> Result<(), StoreError> {
        let (operation, now_ms) = (self.write.operation, self.write.now_ms);
        sqlx::query(
            "UPDATE account_guard SET freeze_reason = ?,
                    frozen_until_ms = max(coalesce(frozen_until_ms, 0), coalesce(?, ? + quiet_ms))
              WHERE ? IS NULL OR account_key = ?",
        )
        .bind(reason)
        .bind(until_ms)
        .bind(now_ms)
        .bind(key)
        .bind(key)
        .execute(self.write.connection())
        .await
        .during(operation)?;
        Ok(())
    }
}
