//! Looking at the ledger: what is left of an account, and what a diagnosis did with it.
//!
//! Absent on purpose: promises. Between a look and a reservation anything may happen; the reservation decides.

use parallax_model::{AccountId, DiagnosisId};
use sqlx::SqliteConnection;

use super::commit::Guard;
use super::settle::has_proof;
use super::{Budget, OpenBreaker, Standing};
use crate::account::missing;
use crate::clock::system_time;
use crate::error::During as _;
use crate::{Store, StoreError};

impl Store {
    /// What is left of an account's budget now. Charges whose quiet gap has passed no longer count.
    pub async fn budget(&self, id: &AccountId) -> Result<Budget, StoreError> {
        const OPERATION: &str = "read a budget";
        let mut connection = self.core.reader.acquire().await.during(OPERATION)?;
        let now_ms = self.core.clock.now_ms(&mut connection).await.during(OPERATION)?;
        let (guard, secret_version) = guard_of(&mut connection, id)
            .await
            .during(OPERATION)?
            .ok_or_else(|| missing(OPERATION, id))?;
        let breaker: Option<(i64, String)> = sqlx::query_as(
            "SELECT b.opened_ms, a.diagnosis FROM breaker b JOIN attempt a USING (attempt_id)
              WHERE b.account_key = ? AND b.secret_version = ? AND b.scope = '' AND b.closed_ms IS NULL
              ORDER BY b.opened_ms LIMIT 1",
        )
        .bind(&guard.account_key)
        .bind(secret_version)
        .fetch_optional(&mut *connection)
        .await
        .during(OPERATION)?;
        let charged = if guard.is_quiet(now_ms) { 0 } else { guard.charged_cost };
        Ok(Budget {
            limit: guard.k,
            charged,
            reserved: guard.open_cost,
            left: guard.k.saturating_sub(guard.open_cost + charged),
            quiet_at: guard.quiet_at_ms().filter(|_| charged > 0).map(system_time),
            breaker: breaker.map(|(opened_ms, diagnosis)| OpenBreaker {
                since: system_time(opened_ms),
                diagnosis,
            }),
            frozen: guard.frozen(now_ms),
            secret_version: u64::try_from(secret_version).unwrap_or(0),
        })
    }

    /// What a diagnosis did with an account so far.
    pub async fn standing(
        &self,
        id: &AccountId,
        diagnosis: &DiagnosisId,
    ) -> Result<Standing, StoreError> {
        const OPERATION: &str = "read a standing";
        let mut connection = self.core.reader.acquire().await.during(OPERATION)?;
        let now_ms = self.core.clock.now_ms(&mut connection).await.during(OPERATION)?;
        let (guard, secret_version) = guard_of(&mut connection, id)
            .await
            .during(OPERATION)?
            .ok_or_else(|| missing(OPERATION, id))?;
        let (used, refused): (u32, u32) = sqlx::query_as(
            "SELECT coalesce(sum(started_ms IS NOT NULL AND outcome IS NOT 'not_sent'), 0),
                    coalesce(sum(state = 'charged'), 0)
               FROM attempt WHERE diagnosis = ? AND account_key = ?",
        )
        .bind(diagnosis.as_str())
        .bind(&guard.account_key)
        .fetch_one(&mut *connection)
        .await
        .during(OPERATION)?;
        let secret = (guard.account_key.as_str(), secret_version, diagnosis.as_str());
        let has_proof = has_proof(&mut connection, now_ms, secret).await.during(OPERATION)?;
        Ok(Standing { used, refused, ended: refused > 0, has_proof })
    }
}

async fn guard_of(
    connection: &mut SqliteConnection,
    id: &AccountId,
) -> Result<Option<(Guard, i64)>, sqlx::Error> {
    let account: Option<(String, i64)> =
        sqlx::query_as("SELECT ledger_key, secret_version FROM account WHERE id = ?")
            .bind(id.as_str())
            .fetch_optional(&mut *connection)
            .await?;
    let Some((key, secret_version)) = account else { return Ok(None) };
    let guard = sqlx::query_as("SELECT * FROM account_guard WHERE account_key = ?")
        .bind(key)
        .fetch_one(connection)
        .await?;
    Ok(Some((guard, secret_version)))
}
