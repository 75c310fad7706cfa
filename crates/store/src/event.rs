//! Events of a diagnosis: numbered from 1 without a gap, so that who watches may leave and resume.
//!
//! INVARIANT: the number is given in the commit that stores the event; the last event is the diagnosis itself.

use parallax_model::DiagnosisId;
use parallax_wire::pb;
use prost::Message as _;

use crate::append::{Appended, Work};
use crate::clock::timestamp;
use crate::error::During as _;
use crate::write::{Write, decode};
use crate::{Kind, Store, StoreError};

/// Events of one diagnosis at the most; a diagnosis of 64 endpoints from 100 vantages in 4 rounds stays far below.
const EVENTS_MAX: i32 = 500_000;
/// Events read at once at the most.
const EVENTS_AT_ONCE_MAX: u32 = 1000;

impl Store {
    /// Appends events to a diagnosis, all or none, and returns them with their sequence numbers and times. Calls that come
    /// together share a commit.
    pub async fn append_events(
        &self,
        diagnosis: &DiagnosisId,
        events: Vec<pb::WatchDiagnosisResponse>,
    ) -> Result<Vec<pb::WatchDiagnosisResponse>, StoreError> {
        const OPERATION: &str = "append events";
        let work = Work::Events { diagnosis: diagnosis.clone(), events };
        match self.append(work, OPERATION).await? {
            Appended::Events(events) => Ok(events),
            Appended::Report(_)
            | Appended::Forward
            | Appended::SessionBegun(_)
            | Appended::SessionEnded => Err(StoreError::Busy { operation: OPERATION }),
        }
    }

    /// Up to 1000 events after this sequence number. Fewer than 1000: that is all there is now.
    pub async fn events_after(
        &self,
        diagnosis: &DiagnosisId,
        sequence: i32,
    ) -> Result<Vec<pb::WatchDiagnosisResponse>, StoreError> {
        const OPERATION: &str = "read events";
        let rows: Vec<(Vec<u8>,)> = sqlx::query_as(
            "SELECT body FROM diagnosis_event WHERE diagnosis = ? AND sequence > ? ORDER BY sequence LIMIT ?",
        )
        .bind(diagnosis.as_str())
        .bind(sequence)
        .bind(EVENTS_AT_ONCE_MAX)
        .fetch_all(&self.core.reader)
        .await
        .during(OPERATION)?;
        rows.into_iter()
            .map(|(body,)| decode(&body, OPERATION, Kind::Diagnosis, diagnosis.as_str()))
            .collect()
    }
}

impl Write<'_> {
    /// Appends one event to a diagnosis that has not ended.
    pub(crate) async fn append_event(
        &mut self,
        diagnosis: &str,
        event: pb::WatchDiagnosisResponse,
    ) -> Result<pb::WatchDiagnosisResponse, StoreError> {
        let (operation, now_ms) = (self.operation, self.now_ms);
        self.check_not_ended(diagnosis).await?;
        // Not counted in the diagnosis itself: to change that row means to go through all of its body, for every event.
        let (sequence,): (i32,) = sqlx::query_as(
            "SELECT coalesce(max(sequence), 0) + 1 FROM diagnosis_event WHERE diagnosis = ?",
        )
        .bind(diagnosis)
        .fetch_one(self.connection())
        .await
        .during(operation)?;
        if sequence > EVENTS_MAX {
            let limit = usize::try_from(EVENTS_MAX).unwrap_or(usize::MAX);
            return Err(StoreError::TooMany { operation, limit });
        }
        let event =
            pb::WatchDiagnosisResponse { sequence, event_time: Some(timestamp(now_ms)), ..event };
        sqlx::query("INSERT INTO diagnosis_event (diagnosis, sequence, body) VALUES (?, ?, ?)")
            .bind(diagnosis)
            .bind(sequence)
            .bind(event.encode_to_vec())
            .execute(self.connection())
            .await
            .during(operation)?;
        Ok(event)
    }
}
