//! Which tasks were granted to which agent, so that a result is known for ours after any restart.
//!
//! Absent on purpose: what becomes of a task while this process runs; the fleet knows that, and asks here only about others.
//!
//! INVARIANT: a task is on disk before its agent hears of it; its line goes in the commit that keeps its report.
//! INVARIANT: a result counts for a task exactly if it comes from the agent that the task was granted to.

use std::time::Duration;

use parallax_model::{DiagnosisId, EndpointName, PathId, VantageName};
use parallax_wire::pb;
use sqlx::{QueryBuilder, Sqlite};

use crate::append::{Appended, Work};
use crate::clock::millis;
use crate::error::During as _;
use crate::row::row;
use crate::write::{Write, decode};
use crate::{Kind, Store, StoreError};

/// A result that comes later than this is nobody's any more.
const RESULT_MAX_AGE: Duration = Duration::from_hours(7 * 24);
/// Lines swept in one commit at the most.
const SWEPT_AT_ONCE: i64 = 10_000;
/// Lines written with one statement; three values each stay far below SQLite's limit of 32 766.
const ROWS_AT_ONCE: usize = 500;

/// A task that is about to be offered along a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedTask {
    /// Unique per controller.
    pub task: String,
    pub path: PathId,
}

/// Where in a diagnosis a granted task belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantedTask {
    pub diagnosis: DiagnosisId,
    /// Counts from 1.
    pub round: u32,
    pub endpoint: EndpointName,
    /// Something was reported for it already: by its agent, or the silence that the controller noticed.
    pub is_reported: bool,
}

row! {
    struct Row {
        diagnosis: String,
        round: u32,
        endpoint: String,
    }
}

impl Store {
    /// Begins a round: its event and every task it will offer, in one commit. Tasks for vantages without a registered agent
    /// are left out, since nobody could be asked. Returns the event's sequence number.
    pub async fn begin_round(
        &self,
        diagnosis: &DiagnosisId,
        round: u32,
        event: pb::WatchDiagnosisResponse,
        tasks: Vec<OfferedTask>,
    ) -> Result<i32, StoreError> {
        const OPERATION: &str = "begin round";
        let work =
            Work::Round { diagnosis: diagnosis.clone(), round, event: Box::new(event), tasks };
        match self.append(work, OPERATION).await? {
            Appended::Events(events) => Ok(events.last().map_or(0, |it| it.sequence)),
            Appended::Report(_)
            | Appended::Forward
            | Appended::SessionBegun(_)
            | Appended::SessionEnded => Err(StoreError::Busy { operation: OPERATION }),
        }
    }

    /// What was granted to this agent under the name of this task, if anything. `epoch` is the session in which the agent
    /// took it.
    pub async fn granted_task(
        &self,
        task: &str,
        agent: &VantageName,
        epoch: i64,
    ) -> Result<Option<GrantedTask>, StoreError> {
        const OPERATION: &str = "look up a task";
        let open: Option<Row> = sqlx::query_as(
            "SELECT o.diagnosis, o.round, o.endpoint FROM offered_task o JOIN agent a USING (vantage)
              WHERE o.task = ? AND o.vantage = ? AND ? BETWEEN o.session_epoch AND a.session_epoch",
        )
        .bind(task)
        .bind(agent.as_str())
        .bind(epoch)
        .fetch_optional(&self.core.reader)
        .await
        .during(OPERATION)?;
        let name = |error| sqlx::Error::Decode(Box::new(error));
        if let Some(Row { diagnosis, round, endpoint }) = open {
            return Ok(Some(GrantedTask {
                diagnosis: DiagnosisId::new(diagnosis).map_err(name).during(OPERATION)?,
                round,
                endpoint: EndpointName::new(endpoint).map_err(name).during(OPERATION)?,
                is_reported: false,
            }));
        }
        let reported: Option<(String, u32, Vec<u8>)> =
            sqlx::query_as("SELECT diagnosis, round, body FROM report WHERE task = ?")
                .bind(task)
                .fetch_optional(&self.core.reader)
                .await
                .during(OPERATION)?;
        let Some((diagnosis, round, body)) = reported else { return Ok(None) };
        let report: pb::PathReport = decode(&body, OPERATION, Kind::Diagnosis, &diagnosis)?;
        let path = report.path.unwrap_or_default();
        if path.vantage != agent.as_str() {
            return Ok(None);
        }
        Ok(Some(GrantedTask {
            diagnosis: DiagnosisId::new(diagnosis).map_err(name).during(OPERATION)?,
            round,
            endpoint: EndpointName::new(path.endpoint).map_err(name).during(OPERATION)?,
            is_reported: true,
        }))
    }

    /// Forgets tasks whose result never came, and what ended diagnoses started from, both after seven days. Returns how many
    /// lines went. To be called every few minutes.
    pub async fn sweep_offers(&self) -> Result<u64, StoreError> {
        let mut write = self.core.write("sweep offers").await?;
        let (operation, before_ms) = (write.operation, write.now_ms - millis(RESULT_MAX_AGE));
        let mut gone = 0;
        for statement in [
            "DELETE FROM offered_task WHERE task IN
               (SELECT task FROM offered_task WHERE offered_ms < ? ORDER BY offered_ms LIMIT ?)",
            "DELETE FROM diagnosis_start WHERE diagnosis IN
               (SELECT s.diagnosis FROM diagnosis_start s JOIN diagnosis d ON d.id = s.diagnosis
                 WHERE s.start_ms < ? AND d.ended = 1 ORDER BY s.start_ms LIMIT ?)",
        ] {
            let swept = sqlx::query(statement)
                .bind(before_ms)
                .bind(SWEPT_AT_ONCE)
                .execute(write.connection())
                .await
                .during(operation)?;
            gone += swept.rows_affected();
        }
        write.commit().await?;
        Ok(gone)
    }
}

impl Write<'_> {
    pub(crate) async fn add_offers(
        &mut self,
        diagnosis: &DiagnosisId,
        round: u32,
        tasks: &[OfferedTask],
    ) -> Result<(), StoreError> {
        let (operation, now_ms) = (self.operation, self.now_ms);
        for tasks in tasks.chunks(ROWS_AT_ONCE) {
            let mut insert = QueryBuilder::<Sqlite>::new(
                "INSERT INTO offered_task (task, vantage, session_epoch, diagnosis, round, endpoint, offered_ms) SELECT v.column1, a.vantage, a.session_epoch, ",
            );
            insert.push_bind(diagnosis.as_str()).push(", ").push_bind(round);
            insert.push(", v.column3, ").push_bind(now_ms).push(" FROM (");
            insert.push_values(tasks, |mut row, OfferedTask { task, path }| {
                row.push_bind(task).push_bind(path.vantage.as_str());
                row.push_bind(path.endpoint.as_str());
            });
            insert.push(") v JOIN agent a ON a.vantage = v.column2");
            insert.build().execute(self.connection()).await.during(operation)?;
        }
        Ok(())
    }

    /// Its report is kept from now on.
    pub(crate) async fn drop_offer(&mut self, task: &str) -> Result<(), StoreError> {
        let operation = self.operation;
        sqlx::query("DELETE FROM offered_task WHERE task = ?")
            .bind(task)
            .execute(self.connection())
            .await
            .during(operation)?;
        Ok(())
    }
}
