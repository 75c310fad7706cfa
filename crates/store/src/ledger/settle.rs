//! Settling: what a logon came to, once, however often and however late the result comes.
//!
//! INVARIANT: the first definite outcome stays. Only what was charged as unproven may still turn out accepted, not sent, or
//! refused.
//! INVARIANT: a refund needs the nonce of the start, and "not sent" is believed for at most K counts in a quiet period:
//! counted in attempts, two dear ones would already pass 2K.

use std::time::Duration;

use super::commit::LedgerWrite;
use super::reserve::endpoint_scope;
use super::{AttemptId, AttemptState, BreakerOpened, LogonResult, Nonce, SettleRefused, Settled};
use crate::clock::millis;
use crate::error::During as _;
use crate::row::row;
use crate::{Store, StoreError};

/// How old an accepted logon may be to prove a secret.
const PROOF_AGE_MAX: Duration = Duration::from_mins(10);
/// A success at the same server this long before makes an accepted logon no proof: it may come from a cached token.
const TOKEN_CACHE: Duration = Duration::from_mins(15);

row! {
    struct Row {
        attempt_id: String,
        diagnosis: String,
        account_key: String,
        secret_version: i64,
        quiet_period: i64,
        cost: u32,
        target: String,
        endpoint: String,
        state: String,
        outcome: Option<String>,
        begin_nonce: Option<Vec<u8>>,
    }
}

/// What to write.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Accepted,
    Refused,
    Unproven,
    NotSent,
    NeverStarted,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Unproven => "unproven",
            Self::NotSent => "not_sent",
            Self::NeverStarted => "never_started",
        }
    }

    fn state(self) -> AttemptState {
        match self {
            Self::Accepted => AttemptState::Succeeded,
            Self::Refused | Self::Unproven => AttemptState::Charged,
            Self::NotSent | Self::NeverStarted => AttemptState::Void,
        }
    }
}

fn state_word(state: AttemptState) -> &'static str {
    match state {
        AttemptState::Reserved => "reserved",
        AttemptState::Started => "started",
        AttemptState::Succeeded => "succeeded",
        AttemptState::Charged => "charged",
        AttemptState::Void => "void",
    }
}

fn state_from(word: &str) -> AttemptState {
    match word {
        "reserved" => AttemptState::Reserved,
        "started" => AttemptState::Started,
        "succeeded" => AttemptState::Succeeded,
        "void" => AttemptState::Void,
        // The schema knows five words; the dearest reading is the safe one.
        _ => AttemptState::Charged,
    }
}

impl Store {
    /// Settles an attempt by what its agent says, or by what the controller knows without it (`Unproven`).
    pub async fn settle(
        &self,
        attempt: &AttemptId,
        nonce: &Nonce,
        result: LogonResult,
    ) -> Result<Result<Settled, SettleRefused>, StoreError> {
        match self.core.watch(self.settle_now(attempt, nonce, result).await) {
            // There is room now: the ballast was given up for this.
            Err(StoreError::Full { .. }) => self.settle_now(attempt, nonce, result).await,
            settled => settled,
        }
    }

    async fn settle_now(
        &self,
        attempt: &AttemptId,
        nonce: &Nonce,
        result: LogonResult,
    ) -> Result<Result<Settled, SettleRefused>, StoreError> {
        let mut ledger = self.core.ledger("settle logon").await?;
        let Some(row) = ledger.attempt(attempt).await? else {
            return Ok(Err(SettleRefused::UnknownAttempt));
        };
        let settled = match ledger.outcome_of(&row, nonce, result).await? {
            Err(refused) => return Ok(Err(refused)),
            Ok(None) => Settled {
                state: state_from(&row.state),
                changed: false,
                breaker: BreakerOpened::None,
            },
            Ok(Some(outcome)) => {
                ledger.set_outcome(&row, outcome).await?;
                let breaker = ledger.move_breakers(&row, outcome, result).await?;
                Settled { state: outcome.state(), changed: true, breaker }
            }
        };
        ledger.commit(&[&row.account_key]).await?;
        Ok(Ok(settled))
    }

    /// Takes back a reservation that will not be started: the agent refused it, or nobody wants it any more. Returns whether
    /// it was still reserved.
    pub async fn void_unstarted(&self, attempt: &AttemptId) -> Result<bool, StoreError> {
        let mut ledger = self.core.ledger("take back a reservation").await?;
        let Some(row) = ledger.attempt(attempt).await? else { return Ok(false) };
        if row.state != "reserved" {
            return Ok(false);
        }
        ledger.set_outcome(&row, Outcome::NeverStarted).await?;
        ledger.commit(&[&row.account_key]).await?;
        Ok(true)
    }
}

impl LedgerWrite<'_> {
    async fn attempt(&mut self, attempt: &AttemptId) -> Result<Option<Row>, StoreError> {
        let operation = self.write.operation;
        sqlx::query_as("SELECT * FROM attempt WHERE attempt_id = ?")
            .bind(attempt.as_str())
            .fetch_optional(self.write.connection())
            .await
            .during(operation)
    }

    /// What this result makes of the attempt; `None`: nothing new.
    async fn outcome_of(
        &mut self,
        row: &Row,
        nonce: &Nonce,
        result: LogonResult,
    ) -> Result<Result<Option<Outcome>, SettleRefused>, StoreError> {
        let state = state_from(&row.state);
        if state == AttemptState::Reserved {
            // Nothing was permitted, so nothing can have been sent.
            return Ok(match result {
                LogonResult::NotSent => Ok(Some(Outcome::NeverStarted)),
                LogonResult::Accepted | LogonResult::Refused { .. } | LogonResult::Unproven => {
                    Err(SettleRefused::NotStarted)
                }
            });
        }
        if row.outcome.as_deref() == Some(Outcome::NeverStarted.word()) {
            return Ok(Ok(None));
        }
        if row.begin_nonce.as_deref() != Some(nonce.as_slice()) {
            return Ok(Err(SettleRefused::OtherNonce));
        }
        let is_unproven = row.outcome.as_deref() == Some(Outcome::Unproven.word());
        if state != AttemptState::Started && !is_unproven {
            return Ok(Ok(None));
        }
        let outcome = match result {
            LogonResult::Accepted => Outcome::Accepted,
            LogonResult::Refused { .. } => Outcome::Refused,
            LogonResult::NotSent if self.may_believe_not_sent(row).await? => Outcome::NotSent,
            LogonResult::NotSent | LogonResult::Unproven => Outcome::Unproven,
        };
        Ok(Ok((!(is_unproven && outcome == Outcome::Unproven)).then_some(outcome)))
    }

    /// A lying or broken agent must not get logons for nothing.
    async fn may_believe_not_sent(&mut self, row: &Row) -> Result<bool, StoreError> {
        let guard = self.guard(&row.account_key).await?;
        Ok(row.quiet_period != guard.quiet_period || guard.not_sent_cost + row.cost <= guard.k)
    }

    async fn set_outcome(&mut self, row: &Row, outcome: Outcome) -> Result<(), StoreError> {
        let (operation, now_ms) = (self.write.operation, self.write.now_ms);
        let moved = sqlx::query(
            "UPDATE attempt SET state = ?, outcome = ?, settled_ms = ? WHERE attempt_id = ? AND state = ?",
        )
        .bind(state_word(outcome.state()))
        .bind(outcome.word())
        .bind(now_ms)
        .bind(&row.attempt_id)
        .bind(&row.state)
        .execute(self.write.connection())
        .await
        .during(operation)?;
        if moved.rows_affected() == 1 {
            Ok(())
        } else {
            Err(StoreError::LedgerBroken { operation, assertion: "a settlement moves one row" })
        }
    }

    async fn move_breakers(
        &mut self,
        row: &Row,
        outcome: Outcome,
        result: LogonResult,
    ) -> Result<BreakerOpened, StoreError> {
        match outcome {
            Outcome::Accepted => {
                self.close_endpoint_breaker(row).await?;
                Ok(BreakerOpened::None)
            }
            Outcome::Refused => {
                let claimed = matches!(result, LogonResult::Refused { proof: true });
                let proven = claimed
                    && self.has_proof(&row.account_key, row.secret_version, &row.diagnosis).await?;
                let scope =
                    if proven { endpoint_scope(&row.target, &row.endpoint) } else { String::new() };
                self.open_breaker(row, &scope).await?;
                Ok(if proven { BreakerOpened::Endpoint } else { BreakerOpened::Secret })
            }
            Outcome::Unproven | Outcome::NotSent | Outcome::NeverStarted => Ok(BreakerOpened::None),
        }
    }

    /// An accepted logon of this secret in this diagnosis, not too old, and fresh at the server that accepted it (design
    /// section 7, *proof*).
    pub(super) async fn has_proof(
        &mut self,
        account_key: &str,
        secret_version: i64,
        diagnosis: &str,
    ) -> Result<bool, StoreError> {
        let (operation, now_ms) = (self.write.operation, self.write.now_ms);
        has_proof(self.write.connection(), now_ms, (account_key, secret_version, diagnosis))
            .await
            .during(operation)
    }

    async fn open_breaker(&mut self, row: &Row, scope: &str) -> Result<(), StoreError> {
        let (operation, now_ms) = (self.write.operation, self.write.now_ms);
        sqlx::query(
            "INSERT INTO breaker (account_key, secret_version, scope, attempt_id, opened_ms) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(&row.account_key)
        .bind(row.secret_version)
        .bind(scope)
        .bind(&row.attempt_id)
        .bind(now_ms)
        .execute(self.write.connection())
        .await
        .during(operation)?;
        Ok(())
    }

    async fn close_endpoint_breaker(&mut self, row: &Row) -> Result<(), StoreError> {
        let (operation, now_ms) = (self.write.operation, self.write.now_ms);
        sqlx::query(
            "UPDATE breaker SET closed_ms = ?, closed_by = ?
              WHERE account_key = ? AND scope = ? AND closed_ms IS NULL",
        )
        .bind(now_ms)
        .bind(format!("accepted attempt {}", row.attempt_id))
        .bind(&row.account_key)
        .bind(endpoint_scope(&row.target, &row.endpoint))
        .execute(self.write.connection())
        .await
        .during(operation)?;
        Ok(())
    }
}

/// See [`LedgerWrite::has_proof`]; `secret` is account key, version and diagnosis.
pub(super) async fn has_proof(
    connection: &mut sqlx::SqliteConnection,
    now_ms: i64,
    secret: (&str, i64, &str),
) -> Result<bool, sqlx::Error> {
    let (account_key, secret_version, diagnosis) = secret;
    let found: Option<(i64,)> = sqlx::query_as(
        "SELECT 1 FROM attempt a
          WHERE a.account_key = ?1 AND a.secret_version = ?2 AND a.diagnosis = ?3
            AND a.state = 'succeeded' AND a.settled_ms >= ?4
            AND NOT EXISTS (SELECT 1 FROM attempt b
                 WHERE b.account_key = ?1 AND b.secret_version = ?2 AND b.server = a.server
                   AND b.state = 'succeeded' AND b.attempt_id <> a.attempt_id
                   AND b.started_ms <= a.started_ms AND b.settled_ms >= a.started_ms - ?5)
          LIMIT 1",
    )
    .bind(account_key)
    .bind(secret_version)
    .bind(diagnosis)
    .bind(now_ms - millis(PROOF_AGE_MAX))
    .bind(millis(TOKEN_CACHE))
    .fetch_optional(connection)
    .await?;
    Ok(found.is_some())
}
