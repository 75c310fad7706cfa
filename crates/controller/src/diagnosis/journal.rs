//! Writes down what happens in one diagnosis, in order, while the diagnosis goes on: events, reports, and the
//! acknowledgement of each report once it is on disk.
//!
//! Absent on purpose: waiting for the disk, but for a round's tasks: no agent hears of one that is not on disk. What is asked
//! next does not depend on the rest; the end of the diagnosis does.
//!
//! INVARIANT: a report is acknowledged after the store said that it is recorded, never before.
//! INVARIANT: after a failed write nothing later than its batch is written, and the diagnosis learns of it at its end.
//! Entries of that batch beside the failed one may be on disk.

use std::sync::Arc;

use futures::future::join_all;
use parallax_failpoint::point;
use parallax_model::{DiagnosisId, VantageName};
use parallax_store::{NewReport, OfferedTask, Recorded, Store, StoreError};
use parallax_wire::pb;
use parallax_wire::pb::watch_diagnosis_response::{Event, RoundBegun};
use tokio::sync::{mpsc, oneshot, watch};

use crate::agents::Fleet;

/// Entries that wait for the disk; then the diagnosis waits too.
const ENTRIES_MAX: usize = 512;
/// Entries that go into one commit, if the store likes.
const BATCH_MAX: usize = 128;

enum Entry {
    Event(Box<Event>),
    /// What an agent reported, or the silence that was noticed.
    Report {
        report: Box<NewReport>,
        acknowledge: Option<(VantageName, String)>,
    },
    /// The diagnosis as it now stands.
    Forward(Box<pb::Diagnosis>),
    /// A round, and the tasks that it will offer; answered when they are on disk.
    Round {
        begun: RoundBegun,
        tasks: Vec<OfferedTask>,
        written: oneshot::Sender<()>,
    },
}

/// Where a diagnosis puts what happens.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    entries: mpsc::Sender<Entry>,
}

impl Journal {
    pub(super) async fn event(&self, event: Event) {
        // A journal that is gone has failed, and says so at the end.
        let _ = self.entries.send(Entry::Event(Box::new(event))).await;
    }

    /// Records a report; with `acknowledge`, tells the agent afterwards.
    pub(super) async fn report(
        &self,
        report: NewReport,
        acknowledge: Option<(VantageName, String)>,
    ) {
        let _ = self.entries.send(Entry::Report { report: Box::new(report), acknowledge }).await;
    }

    /// Begins a round, and waits until it and its tasks are on disk. False: the journal failed, and nothing may be offered.
    pub(super) async fn round(&self, begun: RoundBegun, tasks: Vec<OfferedTask>) -> bool {
        let (written, on_disk) = oneshot::channel();
        let _ = self.entries.send(Entry::Round { begun, tasks, written }).await;
        on_disk.await.is_ok()
    }

    /// Brings the stored diagnosis forward.
    pub(super) async fn forward(&self, diagnosis: pb::Diagnosis) {
        let _ = self.entries.send(Entry::Forward(Box::new(diagnosis))).await;
    }
}

/// Does the writing, in a task of its own so that disk and judgement go on at once, until every [`Journal`] is dropped.
pub(super) struct JournalTask {
    entries: mpsc::Receiver<Entry>,
    diagnosis: DiagnosisId,
    store: Arc<Store>,
    fleet: Fleet,
    /// The sequence number of the newest event on disk, for watchers.
    newest: watch::Sender<i32>,
}

impl JournalTask {
    pub(super) fn new(
        diagnosis: DiagnosisId,
        store: Arc<Store>,
        fleet: Fleet,
        newest: watch::Sender<i32>,
    ) -> (Journal, Self) {
        let (sender, entries) = mpsc::channel(ENTRIES_MAX);
        (Journal { entries: sender }, Self { entries, diagnosis, store, fleet, newest })
    }

    pub(super) async fn run(mut self) -> Result<(), StoreError> {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while self.entries.recv_many(&mut batch, BATCH_MAX).await > 0 {
            // Polled in order, so that the store queues them in order; together, so that they share a commit.
            let written = join_all(batch.drain(..).map(|entry| self.write(entry))).await;
            let mut newest = 0;
            for sequence in written {
                newest = newest.max(sequence?);
            }
            self.newest.send_if_modified(|it| {
                let is_newer = newest > *it;
                *it = newest.max(*it);
                is_newer
            });
        }
        Ok(())
    }

    /// The sequence number of the entry's event, 0 if it has none.
    async fn write(&self, entry: Entry) -> Result<i32, StoreError> {
        match entry {
            Entry::Event(event) => {
                let event =
                    pb::WatchDiagnosisResponse { event: Some(*event), ..Default::default() };
                let appended = self.store.append_events(&self.diagnosis, vec![event]).await?;
                Ok(appended.last().map_or(0, |it| it.sequence))
            }
            Entry::Round { begun, tasks, written } => {
                let number = u32::try_from(begun.number).unwrap_or(u32::MAX);
                let event = pb::WatchDiagnosisResponse {
                    event: Some(Event::RoundBegun(begun)),
                    ..Default::default()
                };
                let sequence =
                    self.store.begin_round(&self.diagnosis, number, event, tasks).await?;
                point("round.begun");
                let _ = written.send(()); // Nobody waits: the diagnosis was dropped.
                Ok(sequence)
            }
            Entry::Forward(diagnosis) => {
                self.store.update_diagnosis(*diagnosis).await?;
                Ok(0)
            }
            Entry::Report { report, acknowledge } => {
                let recorded = self.store.record_report(*report).await?;
                point("result.acknowledge.before");
                if let Some((vantage, task)) = acknowledge {
                    self.fleet.acknowledge(&vantage, &task).await;
                }
                match recorded {
                    Recorded::New(event) => Ok(event.map_or(0, |it| it.sequence)),
                    Recorded::Duplicate => Ok(0),
                }
            }
        }
    }
}
