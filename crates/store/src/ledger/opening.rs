//! The ledger at a start: is this the database that was last written, and what did the process before leave open?
//!
//! INVARIANT: a ledger that may have lost changes (a restored backup, a lost file, sums that do not fit) is frozen before anything
//! can be reserved in it.

use super::commit::LedgerWrite;
use crate::StoreError;
use crate::companion::Mark;
use crate::error::During as _;
use crate::open::Core;

const OPEN: &str = "open the ledger";
/// Makes the ledger ready; called once, before anything else uses it.
pub(crate) async fn open(core: &Core) -> Result<(), StoreError> {
    let mark = core.companion.read()?;
    let mut ledger = LedgerWrite { write: core.write(OPEN).await? };
    let is_new = ledger.make_meta().await?;
    let meta = ledger.meta().await?;
    let ours = Mark { generation: meta.generation.clone(), revision: meta.revision };
    let suspicion = match ledger.contradictory_account().await? {
        Some(_) => Some("the sums of an account contradict its logons"),
        None if is_new && mark.is_some() => Some("the database was lost and made anew"),
        None if !is_new && mark.is_none() && ledger.was_used().await? => {
            Some("the file beside the database is missing: a restored backup?")
        }
        None => mark.as_ref().and_then(|mark| lost_changes(mark, &ours)).filter(|_| !is_new),
    };
    if let Some(reason) = suspicion {
        ledger.freeze_all("ledger", reason).await?;
        ledger.begin_generation(mark.map_or(0, |mark| mark.revision)).await?;
    }
    ledger.check_clock(&meta).await?;
    // Whoever could have started these is gone.
    let (swept, touched) = ledger.sweep(i64::MAX).await?;
    if swept.voided > 0 || swept.charged > 0 {
        tracing::info!(
            voided = swept.voided,
            charged = swept.charged,
            "settled what was left open"
        );
    }
    let touched: Vec<&str> = touched.iter().map(String::as_str).collect();
    ledger.commit(&touched).await
}

fn lost_changes(mark: &Mark, ours: &Mark) -> Option<&'static str> {
    if mark.generation != ours.generation {
        Some("the database is another one than was last used here: a restored backup?")
    } else if mark.revision > ours.revision {
        Some("the database is older than it was: a restored backup?")
    } else {
        None
    }
}

impl LedgerWrite<'_> {
    /// Makes the one row of `ledger_meta`; returns whether there was none.
    async fn make_meta(&mut self) -> Result<bool, StoreError> {
        let (operation, now_ms) = (self.write.operation, self.write.now_ms);
        let clock = &self.write.core.clock;
        let (boot_id, boot_ms) = (clock.boot_id().to_owned(), clock.boot_ms().unwrap_or(0));
        let made = sqlx::query(
            "INSERT INTO ledger_meta (one, generation, revision, ledger_sequence, boot_id, wall_minus_boot_ms, last_wall_ms)
             VALUES (1, ?, 0, 0, ?, ?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(uuid::Uuid::new_v4().simple().to_string())
        .bind(boot_id)
        .bind(now_ms - boot_ms)
        .bind(now_ms)
        .execute(self.write.connection())
        .await
        .during(operation)?;
        Ok(made.rows_affected() == 1)
    }

    /// An account whose sums are not those of its attempts: no transaction of ours leaves one.
    async fn contradictory_account(&mut self) -> Result<Option<String>, StoreError> {
        let operation = self.write.operation;
        let found: Option<(String,)> = sqlx::query_as(
            "SELECT g.account_key FROM account_guard g LEFT JOIN attempt a USING (account_key, quiet_period)
              GROUP BY g.account_key
             HAVING coalesce(sum(a.cost) FILTER (WHERE a.state IN ('reserved', 'started')), 0) <> g.open_cost
                 OR coalesce(sum(a.cost) FILTER (WHERE a.state = 'charged'), 0) <> g.charged_cost LIMIT 1",
        )
        .fetch_optional(self.write.connection())
        .await
        .during(operation)?;
        if let Some((account,)) = &found {
            tracing::error!(account, "the sums of an account contradict its logons");
        }
        Ok(found.map(|(account,)| account))
    }

    /// Whether there is an account whose past could have been lost. Without one, a missing companion only says that the very
    /// first start was cut short.
    async fn was_used(&mut self) -> Result<bool, StoreError> {
        let operation = self.write.operation;
        let found: Option<(i64,)> = sqlx::query_as("SELECT 1 FROM account_guard LIMIT 1")
            .fetch_optional(self.write.connection())
            .await
            .during(operation)?;
        Ok(found.is_some())
    }

    /// From here on this is the ledger; what was restored once is not suspected again.
    async fn begin_generation(&mut self, revision_seen: i64) -> Result<(), StoreError> {
        let operation = self.write.operation;
        sqlx::query("UPDATE ledger_meta SET generation = ?, revision = max(revision, ?)")
            .bind(uuid::Uuid::new_v4().simple().to_string())
            .bind(revision_seen)
            .execute(self.write.connection())
            .await
            .during(operation)?;
        Ok(())
    }
}
