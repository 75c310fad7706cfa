//! Starting: the commit that permits one logon, with its line in the audit. Only after it may the secret leave.
//!
//! INVARIANT: exactly one row moves, once; a second `begin`, another agent, an old reservation, a used nonce get nothing.
//! INVARIANT: nor does an agent whose ban or removal is on disk.

use parallax_model::{AccountId, VantageName};

use super::commit::LedgerWrite;
use super::{AttemptId, Nonce, RESERVED_MAX, StartRefused, Started};
use crate::clock::millis;
use crate::error::During as _;
use crate::row::row;
use crate::{AuditEntry, Store, StoreError};

row! {
    struct Row {
        diagnosis: String,
        account: String,
        account_key: String,
        secret_version: i64,
        principal: String,
        agent: String,
        target: String,
        endpoint: String,
        scheme: String,
        cost: u32,
        state: String,
        reserved_ms: i64,
    }
}

impl Store {
    /// Starts a reserved attempt for the agent that begins it, or says why not. On `Err` no `go` may be given: the commit may
    /// or may not be on disk, and if it is, the sweep charges it.
    pub async fn start(
        &self,
        attempt: &AttemptId,
        nonce: &Nonce,
        agent: &VantageName,
    ) -> Result<Result<Started, StartRefused>, StoreError> {
        const OPERATION: &str = "start logon";
        self.core.space.check(OPERATION)?;
        self.core.watch(self.start_now(attempt, nonce, agent).await)
    }

    async fn start_now(
        &self,
        attempt: &AttemptId,
        nonce: &Nonce,
        agent: &VantageName,
    ) -> Result<Result<Started, StartRefused>, StoreError> {
        const OPERATION: &str = "start logon";
        let mut ledger = self.core.ledger(OPERATION).await?;
        let row: Option<Row> = sqlx::query_as("SELECT * FROM attempt WHERE attempt_id = ?")
            .bind(attempt.as_str())
            .fetch_optional(ledger.write.connection())
            .await
            .during(OPERATION)?;
        let Some(row) = row else { return Ok(Err(StartRefused::UnknownAttempt)) };
        let account = AccountId::new(row.account.clone())
            .map_err(|error| sqlx::Error::Decode(Box::new(error)))
            .during(OPERATION)?;
        let started = match ledger.start_refusal(&row, &account, nonce, agent).await? {
            Some(refused) => Err(refused),
            None => Ok(Started {
                ledger_sequence: ledger.mark_started(attempt, &row, nonce).await?,
                secret_version: u64::try_from(row.secret_version).unwrap_or(0),
                account,
            }),
        };
        ledger.commit(&[&row.account_key]).await?;
        if started.is_ok() {
            self.read_back(attempt, nonce).await?;
        }
        Ok(started)
    }

    /// The second half of the assertion: what was committed is there.
    async fn read_back(&self, attempt: &AttemptId, nonce: &Nonce) -> Result<(), StoreError> {
        const OPERATION: &str = "start logon";
        let found: Option<(i64,)> = sqlx::query_as(
            "SELECT 1 FROM attempt a JOIN audit u ON u.sequence = a.audit_sequence
              WHERE a.attempt_id = ? AND a.begin_nonce = ?",
        )
        .bind(attempt.as_str())
        .bind(nonce.as_slice())
        .fetch_optional(&self.core.reader)
        .await
        .during(OPERATION)?;
        match found {
            Some(_) => Ok(()),
            None => Err(self.core.break_down(OPERATION, "a committed start is read back").await),
        }
    }
}

impl LedgerWrite<'_> {
    async fn start_refusal(
        &mut self,
        row: &Row,
        account: &AccountId,
        nonce: &Nonce,
        agent: &VantageName,
    ) -> Result<Option<StartRefused>, StoreError> {
        let now_ms = self.write.now_ms;
        match row.state.as_str() {
            "reserved" => {}
            "started" => return Ok(Some(StartRefused::AlreadyStarted)),
            _ => return Ok(Some(StartRefused::AlreadySettled)),
        }
        if row.agent != agent.as_str() {
            return Ok(Some(StartRefused::OtherAgent));
        }
        if now_ms - row.reserved_ms > millis(RESERVED_MAX) {
            return Ok(Some(StartRefused::TooOld));
        }
        if !self.is_admitted(agent).await? {
            return Ok(Some(StartRefused::AgentShutOut));
        }
        let guard = self.guard(&row.account_key).await?;
        if let Some(frozen) = guard.frozen(now_ms) {
            return Ok(Some(StartRefused::Frozen(frozen)));
        }
        let present = self.account(account).await?.filter(|it| {
            it.ledger_key == row.account_key && it.secret_version == row.secret_version
        });
        let Some(present) = present else { return Ok(Some(StartRefused::SecretChanged)) };
        if self.open_breaker_ms(&present, "").await?.is_some() {
            return Ok(Some(StartRefused::BreakerOpen));
        }
        let operation = self.write.operation;
        let used: Option<(i64,)> = sqlx::query_as("SELECT 1 FROM attempt WHERE begin_nonce = ?")
            .bind(nonce.as_slice())
            .fetch_optional(self.write.connection())
            .await
            .during(operation)?;
        Ok(used.map(|_| StartRefused::NonceReused))
    }

    /// Whether an agent is registered and not banned, in this very write.
    async fn is_admitted(&mut self, agent: &VantageName) -> Result<bool, StoreError> {
        let operation = self.write.operation;
        let found: Option<(i64,)> =
            sqlx::query_as("SELECT 1 FROM agent WHERE vantage = ? AND banned_ms IS NULL")
                .bind(agent.as_str())
                .fetch_optional(self.write.connection())
                .await
                .during(operation)?;
        Ok(found.is_some())
    }

    async fn mark_started(
        &mut self,
        attempt: &AttemptId,
        row: &Row,
        nonce: &Nonce,
    ) -> Result<i64, StoreError> {
        let (operation, now_ms) = (self.write.operation, self.write.now_ms);
        let (sequence,): (i64,) = sqlx::query_as(
            "UPDATE ledger_meta SET ledger_sequence = ledger_sequence + 1 RETURNING ledger_sequence",
        )
        .fetch_one(self.write.connection())
        .await
        .during(operation)?;
        let audit = self
            .write
            .audit(&AuditEntry {
                principal: row.principal.clone(),
                action: "logon.start".to_owned(),
                subject: format!("accounts/{}", row.account),
                detail: format!(
                    "attempt {attempt} of diagnoses/{}: {} by agent {} at targets/{} endpoint {}, cost {}, secret version {}, ledger sequence {sequence}",
                    row.diagnosis, row.scheme, row.agent, row.target, row.endpoint, row.cost, row.secret_version
                ),
            })
            .await?;
        let moved = sqlx::query(
            "UPDATE attempt SET state = 'started', begin_nonce = ?, started_ms = ?, ledger_sequence = ?,
                    audit_sequence = ? WHERE attempt_id = ? AND state = 'reserved' AND agent = ?",
        )
        .bind(nonce.as_slice())
        .bind(now_ms)
        .bind(sequence)
        .bind(audit)
        .bind(attempt.as_str())
        .bind(&row.agent)
        .execute(self.write.connection())
        .await
        .during(operation)?;
        if moved.rows_affected() != 1 {
            return Err(StoreError::LedgerBroken { operation, assertion: "a start moves one row" });
        }
        Ok(sequence)
    }
}
