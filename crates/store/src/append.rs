//! Group commit: reports, events, diagnoses brought forward and sessions of agents that arrive together are written
//! together, in the order in which they came, since a commit costs a disk flush.
//!
//! One task writes; it is the store's, and ends with it. Callers wait for its answer, and may go away: what they queued is
//! written all the same, once.
//!
//! INVARIANT: a caller is answered after the commit that holds its work, never before.
//! INVARIANT: one caller's mistake (an unknown diagnosis) fails that caller alone.

use std::sync::Arc;
use std::time::Duration;

use parallax_failpoint::point;
use parallax_model::{DiagnosisId, VantageName};
use parallax_wire::pb;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::error::During as _;
use crate::open::Core;
use crate::write::Write;
use crate::{Introduction, NewReport, OfferedTask, Recorded, Store, StoreError};

/// Work that waits at the most.
const QUEUE_MAX: usize = 4096;
/// Work in one commit at the most.
const BATCH_MAX: usize = 256;
/// How long a caller waits for room in the queue.
const ROOM_TIMEOUT: Duration = Duration::from_secs(5);

/// What is to be appended.
#[derive(Debug)]
pub(crate) enum Work {
    Report(Box<NewReport>),
    Events {
        diagnosis: DiagnosisId,
        events: Vec<pb::WatchDiagnosisResponse>,
    },
    /// The event with which a round begins, and every task that it will offer.
    Round {
        diagnosis: DiagnosisId,
        round: u32,
        event: Box<pb::WatchDiagnosisResponse>,
        tasks: Vec<OfferedTask>,
    },
    Forward(Box<pb::Diagnosis>),
    /// A session of an agent begins. A whole fleet does that at once after a restart.
    SessionBegun {
        vantage: VantageName,
        introduction: Introduction,
    },
    /// It ends; a whole fleet does that at once when a network fails.
    SessionEnded {
        vantage: VantageName,
        epoch: i64,
    },
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Appended {
    Report(Recorded),
    Events(Vec<pb::WatchDiagnosisResponse>),
    Forward,
    /// The epoch.
    SessionBegun(i64),
    SessionEnded,
}

#[derive(Debug)]
struct Job {
    work: Work,
    operation: &'static str,
    answer: oneshot::Sender<Result<Appended, StoreError>>,
}

/// The queue and the task that empties it.
#[derive(Debug)]
pub(crate) struct Appender {
    queue: mpsc::Sender<Job>,
    task: JoinHandle<()>,
}

impl Appender {
    pub(crate) fn start(core: Arc<Core>) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        Self { queue, task: tokio::spawn(run(core, jobs)) }
    }

    /// Waits until everything queued is written.
    pub(crate) async fn close(self) {
        drop(self.queue);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the task that appends ended badly");
        }
    }
}

impl Store {
    pub(crate) async fn append(
        &self,
        work: Work,
        operation: &'static str,
    ) -> Result<Appended, StoreError> {
        let busy = || StoreError::Busy { operation };
        let (answer, answered) = oneshot::channel();
        let queued = self.appender.queue.send(Job { work, operation, answer });
        timeout(ROOM_TIMEOUT, queued).await.map_err(|_| busy())?.map_err(|_| busy())?;
        // The task's own waits have limits, and it answers every job it took.
        answered.await.map_err(|_| busy())?
    }
}

async fn run(core: Arc<Core>, mut jobs: mpsc::Receiver<Job>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while jobs.recv_many(&mut batch, BATCH_MAX).await > 0 {
        match core.watch(write_all(&core, &batch).await) {
            Ok(outcomes) => {
                for (job, outcome) in batch.drain(..).zip(outcomes) {
                    answer(job, outcome);
                }
            }
            // Nothing of it is on disk. One by one, so that each caller learns what stops its own.
            Err(_) => {
                for job in batch.drain(..) {
                    let outcome = core.watch(write_one(&core, &job).await);
                    answer(job, outcome);
                }
            }
        }
    }
}

/// Who no longer waits needs no answer.
fn answer(job: Job, outcome: Result<Appended, StoreError>) {
    let _ = job.answer.send(outcome);
}

async fn write_all(
    core: &Core,
    batch: &[Job],
) -> Result<Vec<Result<Appended, StoreError>>, StoreError> {
    let mut write = core.write("append").await?;
    let mut outcomes = Vec::with_capacity(batch.len());
    for job in batch {
        write.operation = job.operation;
        outcomes.push(write.append_apart(&job.work).await?);
    }
    point("store.append.before");
    write.commit().await?;
    point("store.append.after");
    Ok(outcomes)
}

async fn write_one(core: &Core, job: &Job) -> Result<Appended, StoreError> {
    let mut write = core.write(job.operation).await?;
    let appended = write.append(&job.work).await?;
    write.commit().await?;
    Ok(appended)
}

impl Write<'_> {
    /// In a savepoint, so that what fails half-way leaves nothing in the common commit.
    async fn append_apart(
        &mut self,
        work: &Work,
    ) -> Result<Result<Appended, StoreError>, StoreError> {
        self.run("SAVEPOINT apart").await?;
        let outcome = self.append(work).await;
        if let Err(full @ StoreError::Full { .. }) = outcome {
            // SQLite has rolled back everything (https://www.sqlite.org/lang_transaction.html, 3.1); one by one there may be
            // room.
            return Err(full);
        }
        if outcome.is_err() {
            self.run("ROLLBACK TO apart").await?;
        }
        self.run("RELEASE apart").await?;
        Ok(outcome)
    }

    async fn run(&mut self, statement: &'static str) -> Result<(), StoreError> {
        let operation = self.operation;
        sqlx::query(statement).execute(self.connection()).await.during(operation)?;
        Ok(())
    }

    async fn append(&mut self, work: &Work) -> Result<Appended, StoreError> {
        match work {
            Work::Report(report) => self.record(report).await.map(Appended::Report),
            Work::Events { diagnosis, events } => {
                let mut appended = Vec::with_capacity(events.len());
                for event in events {
                    let event = self.append_event(diagnosis.as_str(), event.clone()).await?;
                    appended.push(event);
                }
                Ok(Appended::Events(appended))
            }
            Work::Round { diagnosis, round, event, tasks } => {
                let event = self.append_event(diagnosis.as_str(), (**event).clone()).await?;
                self.add_offers(diagnosis, *round, tasks).await?;
                Ok(Appended::Events(vec![event]))
            }
            Work::Forward(diagnosis) => {
                self.put_diagnosis(diagnosis, false).await?;
                Ok(Appended::Forward)
            }
            Work::SessionBegun { vantage, introduction } => {
                self.begin_session(vantage, introduction).await.map(Appended::SessionBegun)
            }
            Work::SessionEnded { vantage, epoch } => {
                self.end_session(vantage, *epoch).await?;
                Ok(Appended::SessionEnded)
            }
        }
    }
}
