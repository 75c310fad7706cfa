//! One transaction of the ledger: the clock is looked at first, the sums are checked before the commit, the companion file
//! is written after it.
//!
//! INVARIANT: no transaction of the ledger commits with sums that contradict its attempts; then everything is frozen.

use parallax_failpoint::point;

use super::CLOCK_JUMP;
use crate::StoreError;
use crate::clock::millis;
use crate::companion::Mark;
use crate::error::During as _;
use crate::open::Core;
use crate::row::row;
use crate::write::Write;

/// Begun by [`Core::ledger`]; dropped without [`LedgerWrite::commit`] it leaves nothing behind.
pub(crate) struct LedgerWrite<'s> {
    pub(crate) write: Write<'s>,
}

row! {
    /// The one row of `ledger_meta`.
    pub(super) struct Meta {
        pub(super) generation: String,
        pub(super) revision: i64,
        pub(super) ledger_sequence: i64,
        pub(super) boot_id: String,
        pub(super) wall_minus_boot_ms: i64,
        pub(super) last_wall_ms: i64,
        pub(super) frozen_until_ms: Option<i64>,
        pub(super) freeze_reason: Option<String>,
    }
}

row! {
    /// One row of `account_guard`.
    pub(super) struct Guard {
        pub(super) account_key: String,
        pub(super) k: u32,
        pub(super) quiet_ms: i64,
        pub(super) quiet_period: i64,
        pub(super) open_cost: u32,
        pub(super) charged_cost: u32,
        pub(super) not_sent_cost: u32,
        pub(super) last_start_ms: Option<i64>,
        pub(super) frozen_until_ms: Option<i64>,
        pub(super) freeze_reason: Option<String>,
    }
}

impl Core {
    pub(crate) async fn ledger(
        &self,
        operation: &'static str,
    ) -> Result<LedgerWrite<'_>, StoreError> {
        let mut ledger = LedgerWrite { write: self.write(operation).await? };
        let meta = ledger.meta().await?;
        ledger.check_clock(&meta).await?;
        Ok(ledger)
    }
}

impl LedgerWrite<'_> {
    pub(super) async fn meta(&mut self) -> Result<Meta, StoreError> {
        let operation = self.write.operation;
        sqlx::query_as("SELECT * FROM ledger_meta")
            .fetch_one(self.write.connection())
            .await
            .during(operation)
    }

    pub(super) async fn guard(&mut self, key: &str) -> Result<Guard, StoreError> {
        let operation = self.write.operation;
        sqlx::query_as("SELECT * FROM account_guard WHERE account_key = ?")
            .bind(key)
            .fetch_one(self.write.connection())
            .await
            .during(operation)
    }

    /// Wall time less time since boot changes only when somebody moves the wall clock. Small steps add up,
    /// since all are measured from the first look after the boot.
    pub(super) async fn check_clock(&mut self, meta: &Meta) -> Result<(), StoreError> {
        let now_ms = self.write.now_ms;
        let clock = &self.write.core.clock;
        let boot_ms = clock.boot_ms();
        let is_same_boot = clock.boot_id() == meta.boot_id;
        let boot_id = clock.boot_id().to_owned();
        let jump_ms = match boot_ms {
            Some(boot_ms) if is_same_boot => (now_ms - boot_ms - meta.wall_minus_boot_ms).abs(),
            // After a boot only this much is known: time does not run backwards.
            Some(_) => (meta.last_wall_ms - now_ms).max(0),
            None => i64::MAX,
        };
        let jumped = jump_ms > millis(CLOCK_JUMP);
        if jumped {
            self.freeze_all("ledger", "the clock of this machine was moved").await?;
        }
        if jumped || !is_same_boot {
            let operation = self.write.operation;
            sqlx::query("UPDATE ledger_meta SET boot_id = ?, wall_minus_boot_ms = ?")
                .bind(boot_id)
                .bind(now_ms - boot_ms.unwrap_or(0))
                .execute(self.write.connection())
                .await
                .during(operation)?;
        }
        Ok(())
    }

    /// Checks the accounts that were touched, commits, and writes the companion. After an `Err` the caller must take it that
    /// nothing was granted.
    pub(crate) async fn commit(mut self, touched: &[&str]) -> Result<(), StoreError> {
        let (operation, now_ms, core) = (self.write.operation, self.write.now_ms, self.write.core);
        for key in touched {
            if let Some(assertion) = self.contradiction(key).await? {
                self.write.roll_back().await?;
                return Err(core.break_down(operation, assertion).await);
            }
        }
        let (generation, revision): (String, i64) = sqlx::query_as(
            "UPDATE ledger_meta SET revision = revision + 1, last_wall_ms = ? RETURNING generation, revision",
        )
        .bind(now_ms)
        .fetch_one(self.write.connection())
        .await
        .during(operation)?;
        self.write.commit().await?;
        point("store.companion.before");
        let written = core.companion.write(Mark { generation, revision }).await;
        point("store.companion.after");
        written
    }

    /// What does not hold of an account, if anything.
    async fn contradiction(&mut self, key: &str) -> Result<Option<&'static str>, StoreError> {
        let operation = self.write.operation;
        let guard = self.guard(key).await?;
        let (open, open_cost, charged_cost): (i64, i64, i64) = sqlx::query_as(
            "SELECT coalesce(sum(state IN ('reserved', 'started')), 0),
                    coalesce(sum(cost) FILTER (WHERE state IN ('reserved', 'started')), 0),
                    coalesce(sum(cost) FILTER (WHERE state = 'charged'), 0)
               FROM attempt WHERE account_key = ? AND quiet_period = ?",
        )
        .bind(key)
        .bind(guard.quiet_period)
        .fetch_one(self.write.connection())
        .await
        .during(operation)?;
        Ok(if open > 1 {
            Some("one open attempt per account")
        } else if open_cost != i64::from(guard.open_cost) {
            Some("reserved counts are the sum of open attempts")
        } else if charged_cost != i64::from(guard.charged_cost) {
            Some("charged counts are the sum of charged attempts")
        } else if open_cost + charged_cost > i64::from(guard.k) {
            Some("reserved and charged counts stay within the budget")
        } else {
            None
        })
    }
}

impl Core {
    /// Freezes everything, in a transaction of its own that asserts nothing.
    pub(super) async fn break_down(
        &self,
        operation: &'static str,
        assertion: &'static str,
    ) -> StoreError {
        tracing::error!(operation, assertion, "the ledger contradicts itself");
        let frozen = async {
            let mut ledger = LedgerWrite { write: self.write(operation).await? };
            ledger.freeze_all("ledger", "an assertion of the ledger failed").await?;
            ledger.commit(&[]).await
        };
        match Box::pin(frozen).await {
            Ok(()) => StoreError::LedgerBroken { operation, assertion },
            Err(error) => error,
        }
    }
}
