//! Reports of paths: durable before they are acknowledged, kept once however often they come.
//!
//! INVARIANT: one row per task; a second copy changes nothing and is told so. Only a silence gives way: to what its agent
//! says after all.

use parallax_model::DiagnosisId;
use parallax_wire::pb;
use prost::Message as _;

use crate::append::{Appended, Work};
use crate::error::During as _;
use crate::write::{Write, decode};
use crate::{Kind, Store, StoreError};

/// A report that came from an agent, or a silence the controller noticed.
#[derive(Clone, Debug, PartialEq)]
pub struct NewReport {
    pub diagnosis: DiagnosisId,
    /// Counts from 1.
    pub round: u32,
    /// Unique per controller.
    pub task: String,
    pub report: pb::PathReport,
    /// Appended in the same commit, unless the report is a second copy or the diagnosis has ended.
    pub event: Option<pb::WatchDiagnosisResponse>,
}

/// What recording came to. Either way the report is on disk and may be acknowledged.
#[derive(Clone, Debug, PartialEq)]
pub enum Recorded {
    /// First copy; its event with its sequence number, if one was appended.
    New(Option<Box<pb::WatchDiagnosisResponse>>),
    Duplicate,
}

/// A report as it was kept.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredReport {
    pub round: u32,
    pub task: String,
    pub report: pb::PathReport,
}

impl Store {
    /// Keeps a report. Reports that come together share a commit. `NotFound` if there is no such diagnosis.
    pub async fn record_report(&self, report: NewReport) -> Result<Recorded, StoreError> {
        const OPERATION: &str = "record report";
        match self.append(Work::Report(Box::new(report)), OPERATION).await? {
            Appended::Report(recorded) => Ok(recorded),
            Appended::Events(_)
            | Appended::Forward
            | Appended::SessionBegun(_)
            | Appended::SessionEnded => Err(StoreError::Busy { operation: OPERATION }),
        }
    }

    /// Every report of a diagnosis, by round and then in the order they came.
    pub async fn reports(&self, diagnosis: &DiagnosisId) -> Result<Vec<StoredReport>, StoreError> {
        const OPERATION: &str = "read reports";
        let rows: Vec<(u32, String, Vec<u8>)> = sqlx::query_as(
            "SELECT round, task, body FROM report WHERE diagnosis = ? ORDER BY round, rowid",
        )
        .bind(diagnosis.as_str())
        .fetch_all(&self.core.reader)
        .await
        .during(OPERATION)?;
        rows.into_iter()
            .map(|(round, task, body)| {
                let report = decode(&body, OPERATION, Kind::Diagnosis, diagnosis.as_str())?;
                Ok(StoredReport { round, task, report })
            })
            .collect()
    }
}

impl Write<'_> {
    pub(crate) async fn record(&mut self, new: &NewReport) -> Result<Recorded, StoreError> {
        let (operation, now_ms) = (self.operation, self.now_ms);
        let ended = match self.check_not_ended(new.diagnosis.as_str()).await {
            Ok(()) => false,
            Err(StoreError::Ended { .. }) => true,
            Err(error) => return Err(error),
        };
        let inserted = sqlx::query(
            "INSERT INTO report (task, diagnosis, round, received_ms, body) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (task) DO NOTHING",
        )
        .bind(&new.task)
        .bind(new.diagnosis.as_str())
        .bind(new.round)
        .bind(now_ms)
        .bind(new.report.encode_to_vec())
        .execute(self.connection())
        .await
        .during(operation)?;
        self.drop_offer(&new.task).await?;
        if inserted.rows_affected() == 0 {
            let is_first_word = self.replace_silence(new).await?;
            return Ok(if is_first_word { Recorded::New(None) } else { Recorded::Duplicate });
        }
        match &new.event {
            Some(event) if !ended => {
                let event = self.append_event(new.diagnosis.as_str(), event.clone()).await?;
                Ok(Recorded::New(Some(Box::new(event))))
            }
            Some(_) | None => Ok(Recorded::New(None)),
        }
    }

    /// Puts an agent's own word in the place of the silence that was noted for its task; returns whether there was one. The
    /// diagnosis was judged without it, so it gets no event.
    async fn replace_silence(&mut self, new: &NewReport) -> Result<bool, StoreError> {
        let (operation, now_ms) = (self.operation, self.now_ms);
        if is_silence(&new.report) {
            return Ok(false);
        }
        let (body,): (Vec<u8>,) = sqlx::query_as("SELECT body FROM report WHERE task = ?")
            .bind(&new.task)
            .fetch_one(self.connection())
            .await
            .during(operation)?;
        let kept: pb::PathReport =
            decode(&body, operation, Kind::Diagnosis, new.diagnosis.as_str())?;
        if !is_silence(&kept) || kept.path != new.report.path {
            return Ok(false);
        }
        sqlx::query("UPDATE report SET body = ?, received_ms = ? WHERE task = ? AND diagnosis = ?")
            .bind(new.report.encode_to_vec())
            .bind(now_ms)
            .bind(&new.task)
            .bind(new.diagnosis.as_str())
            .execute(self.connection())
            .await
            .during(operation)?;
        Ok(true)
    }
}

fn is_silence(report: &pb::PathReport) -> bool {
    matches!(report.report, Some(pb::path_report::Report::Silent(_)))
}
