//! Diagnoses: accepted, brought forward, ended once, listed newest first.
//!
//! Absent on purpose: judging, and deciding what an interrupted diagnosis came to.
//!
//! INVARIANT: the final diagnosis and its last event are one commit; after it nothing changes.
//! INVARIANT: an accepted diagnosis is on disk, and found again after a restart until it ended.

use parallax_model::{DiagnosisId, TargetId};
use parallax_wire::pb;
use pb::watch_diagnosis_response::Event;
use prost::Message as _;

use crate::append::{Appended, Work};
use crate::clock::timestamp;
use crate::error::During as _;
use crate::page::page;
use crate::request::{Answer, RequestKey};
use crate::write::{Write, decode};
use crate::{DiagnosisStart, Kind, Page, PageRequest, Store, StoreError};

const LIST: &str = "diagnoses";

/// What ending a diagnosis left.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    pub diagnosis: pb::Diagnosis,
    /// The last event, with its sequence number, for those who watch now.
    pub event: pb::WatchDiagnosisResponse,
}

impl Store {
    /// Accepts a diagnosis as pending, without what it starts from; see [`Store::accept_diagnosis`].
    pub async fn create_diagnosis(
        &self,
        id: &DiagnosisId,
        diagnosis: pb::Diagnosis,
        request: Option<&RequestKey>,
    ) -> Result<Answer<pb::Diagnosis>, StoreError> {
        self.accept_diagnosis(id, diagnosis, None, request).await
    }

    /// Accepts a diagnosis as pending, with what it starts from. `diagnosis.target` is `targets/{id}`,
    /// `diagnosis.principal` is who asks.
    pub async fn accept_diagnosis(
        &self,
        id: &DiagnosisId,
        diagnosis: pb::Diagnosis,
        start: Option<&DiagnosisStart>,
        request: Option<&RequestKey>,
    ) -> Result<Answer<pb::Diagnosis>, StoreError> {
        self.core.space.check("create diagnosis")?;
        let mut write = self.core.write("create diagnosis").await?;
        let (operation, now_ms) = (write.operation, write.now_ms);
        if let Some(before) = write.replay(request, Kind::Diagnosis).await? {
            return Ok(Answer::Replayed(before));
        }
        let diagnosis = pb::Diagnosis {
            name: format!("diagnoses/{id}"),
            state: pb::diagnosis::State::Pending.into(),
            create_time: Some(timestamp(now_ms)),
            end_time: None,
            ..diagnosis
        };
        let created = sqlx::query(
            "INSERT INTO diagnosis (id, target, principal, state, create_ms, summary, body)
             VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
        )
        .bind(id.as_str())
        .bind(diagnosis.target.strip_prefix("targets/").unwrap_or(&diagnosis.target))
        .bind(&diagnosis.principal)
        .bind(diagnosis.state)
        .bind(now_ms)
        .bind(summary(&diagnosis).encode_to_vec())
        .bind(diagnosis.encode_to_vec())
        .execute(write.connection())
        .await
        .during(operation)?;
        if created.rows_affected() == 0 {
            let id = id.as_str().to_owned();
            return Err(StoreError::AlreadyExists { operation, kind: Kind::Diagnosis, id });
        }
        if let Some(start) = start {
            write.add_start(id, start).await?;
        }
        write.remember(request, &diagnosis).await?;
        write.commit().await?;
        Ok(Answer::Done(diagnosis))
    }

    /// Gets one diagnosis, as it was last brought forward.
    pub async fn diagnosis(&self, id: &DiagnosisId) -> Result<pb::Diagnosis, StoreError> {
        const OPERATION: &str = "get diagnosis";
        let found: Option<(Vec<u8>,)> = sqlx::query_as("SELECT body FROM diagnosis WHERE id = ?")
            .bind(id.as_str())
            .fetch_optional(&self.core.reader)
            .await
            .during(OPERATION)?;
        let (body,) = found.ok_or_else(|| missing(OPERATION, id))?;
        decode(&body, OPERATION, Kind::Diagnosis, id.as_str())
    }

    /// Lists diagnoses without rounds and matrix, newest first; of one target, if one is given.
    pub async fn list_diagnoses(
        &self,
        target: Option<&TargetId>,
        request: &PageRequest,
    ) -> Result<Page<pb::Diagnosis>, StoreError> {
        const OPERATION: &str = "list diagnoses";
        let list = target.map_or_else(|| LIST.to_owned(), |target| format!("{LIST} {target}"));
        let (before_ms, before_id) = match request.after::<2>(&list, OPERATION)? {
            Some([ms, id]) => {
                let ms = ms.parse().map_err(|_| StoreError::PageToken { operation: OPERATION })?;
                (ms, id)
            }
            None => (i64::MAX, String::new()),
        };
        let query = if target.is_some() {
            "SELECT create_ms, id, summary FROM diagnosis
              WHERE target = ? AND (create_ms, id) < (?, ?) ORDER BY create_ms DESC, id DESC LIMIT ?"
        } else {
            "SELECT create_ms, id, summary FROM diagnosis
              WHERE ? IS NULL AND (create_ms, id) < (?, ?) ORDER BY create_ms DESC, id DESC LIMIT ?"
        };
        let rows: Vec<(i64, String, Vec<u8>)> = sqlx::query_as(query)
            .bind(target.map(TargetId::as_str))
            .bind(before_ms)
            .bind(before_id)
            .bind(request.rows() + 1)
            .fetch_all(&self.core.reader)
            .await
            .during(OPERATION)?;
        let key = |row: &(i64, String, Vec<u8>)| [row.0.to_string(), row.1.clone()];
        page(rows, request, &list, key, |(_, id, body)| {
            decode(&body, OPERATION, Kind::Diagnosis, &id)
        })
    }

    /// Brings a diagnosis forward: state, plan, provisional verdict. Keyed by its `name`. `Ended` once it has ended. Shares
    /// a commit with the events and reports that come together with it.
    pub async fn update_diagnosis(&self, diagnosis: pb::Diagnosis) -> Result<(), StoreError> {
        const OPERATION: &str = "update diagnosis";
        match self.append(Work::Forward(Box::new(diagnosis)), OPERATION).await? {
            Appended::Forward => Ok(()),
            Appended::Events(_)
            | Appended::Report(_)
            | Appended::SessionBegun(_)
            | Appended::SessionEnded => Err(StoreError::Busy { operation: OPERATION }),
        }
    }

    /// Ends a diagnosis: its final form and its last event in one commit. `end_time` is set if it is not. The state has to
    /// be a final one.
    pub async fn finish_diagnosis(&self, diagnosis: pb::Diagnosis) -> Result<Finished, StoreError> {
        match self.core.watch(self.finish_now(diagnosis.clone()).await) {
            // There is room now: the ballast was given up for this.
            Err(StoreError::Full { .. }) => self.finish_now(diagnosis).await,
            finished => finished,
        }
    }

    async fn finish_now(&self, diagnosis: pb::Diagnosis) -> Result<Finished, StoreError> {
        let mut write = self.core.write("finish diagnosis").await?;
        let now = timestamp(write.now_ms);
        let diagnosis = pb::Diagnosis { end_time: diagnosis.end_time.or(Some(now)), ..diagnosis };
        let id = id_of(&diagnosis).to_owned();
        let event = pb::WatchDiagnosisResponse {
            event: Some(Event::Diagnosis(diagnosis.clone())),
            ..Default::default()
        };
        let event = write.append_event(&id, event).await?;
        write.put_diagnosis(&diagnosis, true).await?;
        write.drop_start(&id).await?;
        write.commit().await?;
        Ok(Finished { diagnosis, event })
    }

    /// For a start: every diagnosis that has not ended, oldest first, as it was last brought forward.
    pub async fn unfinished_diagnoses(&self) -> Result<Vec<pb::Diagnosis>, StoreError> {
        const OPERATION: &str = "find unfinished diagnoses";
        let rows: Vec<(String, Vec<u8>)> =
            sqlx::query_as("SELECT id, body FROM diagnosis WHERE ended = 0 ORDER BY create_ms, id")
                .fetch_all(&self.core.reader)
                .await
                .during(OPERATION)?;
        rows.into_iter().map(|(id, body)| decode(&body, OPERATION, Kind::Diagnosis, &id)).collect()
    }

    /// Their ids alone, so that one that cannot be read hides no other.
    pub async fn unfinished_ids(&self) -> Result<Vec<DiagnosisId>, StoreError> {
        let rows: Vec<(String,)> =
            sqlx::query_as("SELECT id FROM diagnosis WHERE ended = 0 ORDER BY create_ms, id")
                .fetch_all(&self.core.reader)
                .await
                .during("find unfinished diagnoses")?;
        // Every id was one when it was written.
        Ok(rows.into_iter().filter_map(|(id,)| DiagnosisId::new(id).ok()).collect())
    }

    /// Whether the ledger knows a logon of this diagnosis, whatever became of it.
    pub async fn has_logons(&self, id: &DiagnosisId) -> Result<bool, StoreError> {
        let found: Option<(i64,)> =
            sqlx::query_as("SELECT 1 FROM attempt WHERE diagnosis = ? LIMIT 1")
                .bind(id.as_str())
                .fetch_optional(&self.core.reader)
                .await
                .during("look for logons of a diagnosis")?;
        Ok(found.is_some())
    }
}

impl Write<'_> {
    pub(crate) async fn put_diagnosis(
        &mut self,
        diagnosis: &pb::Diagnosis,
        ended: bool,
    ) -> Result<(), StoreError> {
        let (operation, now_ms) = (self.operation, self.now_ms);
        let id = id_of(diagnosis);
        self.check_not_ended(id).await?;
        sqlx::query(
            "UPDATE diagnosis SET state = ?, end_ms = ?, ended = ?, summary = ?, body = ? WHERE id = ?",
        )
        .bind(diagnosis.state)
        .bind(ended.then_some(now_ms))
        .bind(ended)
        .bind(summary(diagnosis).encode_to_vec())
        .bind(diagnosis.encode_to_vec())
        .bind(id)
        .execute(self.connection())
        .await
        .during(operation)?;
        Ok(())
    }

    /// `NotFound`, or `Ended`.
    pub(crate) async fn check_not_ended(&mut self, id: &str) -> Result<(), StoreError> {
        let operation = self.operation;
        let found: Option<(bool,)> = sqlx::query_as("SELECT ended FROM diagnosis WHERE id = ?")
            .bind(id)
            .fetch_optional(self.connection())
            .await
            .during(operation)?;
        match found {
            Some((false,)) => Ok(()),
            Some((true,)) => Err(StoreError::Ended { operation, id: id.to_owned() }),
            None => {
                Err(StoreError::NotFound { operation, kind: Kind::Diagnosis, id: id.to_owned() })
            }
        }
    }
}

fn id_of(diagnosis: &pb::Diagnosis) -> &str {
    diagnosis.name.strip_prefix("diagnoses/").unwrap_or(&diagnosis.name)
}

/// What a list shows: the large parts are left out.
fn summary(diagnosis: &pb::Diagnosis) -> pb::Diagnosis {
    // Field by field: to copy the large parts only to drop them would cost more than all the rest.
    pb::Diagnosis {
        rounds: Vec::new(),
        matrix: Vec::new(),
        name: diagnosis.name.clone(),
        target: diagnosis.target.clone(),
        plan: diagnosis.plan.clone(),
        verdict: diagnosis.verdict.clone(),
        findings: diagnosis.findings.clone(),
        ruled_out: diagnosis.ruled_out.clone(),
        open: diagnosis.open.clone(),
        unexplained: diagnosis.unexplained.clone(),
        first_difference: diagnosis.first_difference.clone(),
        notes: diagnosis.notes.clone(),
        gaps: diagnosis.gaps.clone(),
        excluded: diagnosis.excluded.clone(),
        recognised: Vec::new(),
        not_visible: diagnosis.not_visible.clone(),
        logons: diagnosis.logons.clone(),
        text: diagnosis.text.clone(),
        language: diagnosis.language.clone(),
        principal: diagnosis.principal.clone(),
        state_reason: diagnosis.state_reason.clone(),
        state: diagnosis.state,
        create_time: diagnosis.create_time,
        end_time: diagnosis.end_time,
        time_limit: diagnosis.time_limit,
        anonymous_only: diagnosis.anonymous_only,
    }
}

fn missing(operation: &'static str, id: &DiagnosisId) -> StoreError {
    StoreError::NotFound { operation, kind: Kind::Diagnosis, id: id.as_str().to_owned() }
}
