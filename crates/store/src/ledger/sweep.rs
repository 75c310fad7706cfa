//! Sweeping: every attempt comes to an end, also when nobody says which.
//!
//! INVARIANT: what was started and not heard of is charged; what was not started is void.

use super::commit::LedgerWrite;
use super::{CLOCK_JUMP, GRANT_VALID, RESERVED_MAX, Swept, TARGET_HOLDS};
use crate::clock::millis;
use crate::error::During as _;
use crate::{Store, StoreError};

impl Store {
    /// Voids reservations older than 60 s and charges starts older than D + H (130 s). To be called every few seconds; costs
    /// one indexed read when there is nothing to do.
    pub async fn sweep(&self) -> Result<Swept, StoreError> {
        const OPERATION: &str = "sweep the ledger";
        let open: Option<(i64,)> =
            sqlx::query_as("SELECT 1 FROM attempt WHERE state IN ('reserved', 'started') LIMIT 1")
                .fetch_optional(&self.core.reader)
                .await
                .during(OPERATION)?;
        if open.is_none() {
            return Ok(Swept::default());
        }
        let mut ledger = self.core.ledger(OPERATION).await?;
        let reserved_before_ms = ledger.write.now_ms - millis(RESERVED_MAX);
        let (swept, touched) = ledger.sweep(reserved_before_ms).await?;
        let touched: Vec<&str> = touched.iter().map(String::as_str).collect();
        ledger.commit(&touched).await?;
        Ok(swept)
    }
}

impl LedgerWrite<'_> {
    /// Returns what was settled and whose it was.
    pub(super) async fn sweep(
        &mut self,
        reserved_before_ms: i64,
    ) -> Result<(Swept, Vec<String>), StoreError> {
        let (operation, now_ms) = (self.write.operation, self.write.now_ms);
        let voided: Vec<(String,)> = sqlx::query_as(
            "UPDATE attempt SET state = 'void', outcome = 'never_started', settled_ms = ?
              WHERE state = 'reserved' AND reserved_ms < ? RETURNING account_key",
        )
        .bind(now_ms)
        .bind(reserved_before_ms)
        .fetch_all(self.write.connection())
        .await
        .during(operation)?;
        let charged: Vec<(String,)> = sqlx::query_as(
            "UPDATE attempt SET state = 'charged', outcome = 'unproven', settled_ms = ?
              WHERE state = 'started' AND (started_ms < ? OR started_ms > ?) RETURNING account_key",
        )
        .bind(now_ms)
        .bind(now_ms - millis(GRANT_VALID + TARGET_HOLDS))
        // Later than now: the clock was moved back, and nobody can tell how old it is.
        .bind(now_ms + millis(CLOCK_JUMP))
        .fetch_all(self.write.connection())
        .await
        .during(operation)?;
        let count = |rows: &Vec<(String,)>| u32::try_from(rows.len()).unwrap_or(u32::MAX);
        let swept = Swept { voided: count(&voided), charged: count(&charged) };
        Ok((swept, voided.into_iter().chain(charged).map(|(key,)| key).collect()))
    }
}
