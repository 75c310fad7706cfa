//! Diagnoses: accepted, run, watched, cancelled, finished, and taken up again after a restart.
//!
//! The [`Coordinator`] is what the API calls. Each diagnosis is a task of its own, owned by the coordinator's tracker.
//!
//! INVARIANT: an accepted diagnosis is on disk before its caller learns of it, and ends in one of the final states.
//! INVARIANT: at most [`RUNNING_MAX`] run at once; a caller above that is told to come back.

mod facts;
mod finish;
mod journal;
mod lanes;
mod late;
mod logon;
mod preview;
mod recall;
mod request;
mod restart;
mod run;
#[cfg(feature = "simulation")]
pub(crate) mod simulated;
mod steps;
mod tally;
#[cfg(test)]
mod tests;
mod watching;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::Stream;
use parallax_failpoint::point;
use parallax_faults::Language;
use parallax_model::{AccountId, DiagnosisId, Evidence, PathId, TargetId};
use parallax_store::{Answer, Budget, Page, Store, StoreError};
use parallax_wire::pb;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, warn};

pub(crate) use late::{LATE_MAX, settle_late_results};

use self::facts::Facts;
use self::journal::JournalTask;
use self::request::Ask;
use self::run::Run;
use self::tally::Tally;
use self::watching::Signals;
use crate::agents::Fleet;
use crate::permissions::Principal;
use crate::reasons::{Reason, Refusal, chain};
use crate::registry::{page_request, read_id};
use crate::render;
use crate::rpc::read_language;

/// Diagnoses that run at once.
const RUNNING_MAX: usize = 256;
/// How long a caller above that waits before it comes back.
const BUSY_RETRY: Duration = Duration::from_secs(5);
/// What `Diagnose` keeps of its caller's deadline for the answer's way back.
const ANSWER_MARGIN: Duration = Duration::from_millis(500);
/// `Diagnose` with less than this left does not begin: no diagnosis ends within that.
const DIAGNOSE_MIN: Duration = Duration::from_secs(2);

/// A diagnosis that runs now.
#[derive(Clone, Debug)]
struct Running {
    cancel: CancellationToken,
    signals: Signals,
}

#[derive(Debug)]
struct Shared {
    store: Arc<Store>,
    fleet: Fleet,
    /// Never held across an await.
    running: Mutex<BTreeMap<DiagnosisId, Running>>,
    slots: Arc<Semaphore>,
    tracker: TaskTracker,
    stop: CancellationToken,
    /// Drops what did not end in time after `stop`.
    abort: CancellationToken,
}

/// Runs diagnoses. Clones share one.
#[derive(Clone, Debug)]
pub(crate) struct Coordinator {
    shared: Arc<Shared>,
}

impl Coordinator {
    pub(crate) fn new(
        store: Arc<Store>,
        fleet: Fleet,
        tracker: TaskTracker,
        stop: CancellationToken,
        abort: CancellationToken,
    ) -> Self {
        let slots = Arc::new(Semaphore::new(RUNNING_MAX));
        let running = Mutex::new(BTreeMap::new());
        Self { shared: Arc::new(Shared { store, fleet, running, slots, tracker, stop, abort }) }
    }

    /// Accepts a diagnosis and returns; or its plan alone.
    pub(crate) async fn create(
        &self,
        principal: &Principal,
        request: pb::CreateDiagnosisRequest,
    ) -> Result<pb::Diagnosis, Refusal> {
        let asked = request.diagnosis.as_ref();
        let ask = Ask::read(
            principal,
            "CreateDiagnosis",
            &request,
            asked,
            &request.diagnosis_id,
            &request.request_id,
        )?;
        self.accept(principal, ask, request.validate_only).await
    }

    /// Accepts a diagnosis and waits for its end, or nearly as long as its caller does.
    pub(crate) async fn diagnose(
        &self,
        principal: &Principal,
        request: pb::DiagnoseRequest,
        deadline: Option<Instant>,
    ) -> Result<pb::Diagnosis, Refusal> {
        if deadline.is_some_and(|it| it < Instant::now() + DIAGNOSE_MIN) {
            let message = "less than 2 s of the call's deadline are left; nothing was begun";
            return Err(Refusal::new(Reason::DeadlineTooShort, message));
        }
        let asked = request.diagnosis.as_ref();
        let ask = Ask::read(
            principal,
            "Diagnose",
            &request,
            asked,
            &request.diagnosis_id,
            &request.request_id,
        )?;
        let accepted = self.accept(principal, ask, false).await?;
        let id = read_id(&accepted.name, "name", "diagnoses", DiagnosisId::new)?;
        if let Some(running) = self.running(&id) {
            let ended = running.signals.ended.cancelled();
            match deadline {
                // Whether it ended or not, the resource's state tells.
                Some(deadline) => {
                    let _ = tokio::time::timeout_at(deadline - ANSWER_MARGIN, ended).await;
                }
                None => ended.await,
            }
        }
        Ok(self.shared.store.diagnosis(&id).await?)
    }

    /// Gets one diagnosis, in another language if one is named.
    pub(crate) async fn get(
        &self,
        request: pb::GetDiagnosisRequest,
    ) -> Result<pb::Diagnosis, Refusal> {
        let id = read_id(&request.name, "name", "diagnoses", DiagnosisId::new)?;
        let language = read_language(&request.language, "language")?;
        let mut diagnosis = self.shared.store.diagnosis(&id).await?;
        if !request.language.is_empty() {
            render::render(&mut diagnosis, language);
        }
        Ok(diagnosis)
    }

    pub(crate) async fn list(
        &self,
        request: pb::ListDiagnosesRequest,
    ) -> Result<Page<pb::Diagnosis>, Refusal> {
        let page = page_request(request.page_size, request.page_token)?;
        let target = read_filter(&request.filter)?;
        Ok(self.shared.store.list_diagnoses(target.as_ref(), &page).await?)
    }

    /// Events after a sequence number, until the end.
    pub(crate) async fn watch(
        &self,
        request: pb::WatchDiagnosisRequest,
    ) -> Result<
        impl Stream<Item = Result<pb::WatchDiagnosisResponse, Refusal>> + Send + use<>,
        Refusal,
    > {
        let id = read_id(&request.name, "name", "diagnoses", DiagnosisId::new)?;
        if request.after_sequence < 0 {
            return Err(Refusal::field("after_sequence", "has to be 0 or a sequence number"));
        }
        // Noted before the look at the store: one that ends in between has its last event on disk.
        let signals = self.running(&id).map(|it| it.signals);
        self.shared.store.diagnosis(&id).await?;
        Ok(watching::stream(Arc::clone(&self.shared.store), id, request.after_sequence, signals))
    }

    /// Ends a diagnosis and waits until it has ended; one that has ended already is returned as it is.
    pub(crate) async fn cancel(&self, name: &str) -> Result<pb::Diagnosis, Refusal> {
        let id = read_id(name, "name", "diagnoses", DiagnosisId::new)?;
        if let Some(running) = self.running(&id) {
            running.cancel.cancel();
            // A logon under way is settled first; whoever cannot wait for that sees the state by name.
            let _ = tokio::time::timeout(CANCEL_WAIT, running.signals.ended.cancelled()).await;
        }
        Ok(self.shared.store.diagnosis(&id).await?)
    }

    async fn accept(
        &self,
        principal: &Principal,
        ask: Ask,
        validate_only: bool,
    ) -> Result<pb::Diagnosis, Refusal> {
        let facts = Facts::gather(&self.shared.store, &ask.target).await?;
        facts.check_vantages()?;
        if !ask.anonymous_only {
            facts.check_budgets()?;
        }
        let plan = preview::preview(&facts, &self.shared.fleet.view(), ask.anonymous_only);
        let mut diagnosis = pb::Diagnosis {
            name: parallax_wire::diagnosis_name(&ask.id),
            target: parallax_wire::target_name(&ask.target),
            plan: Some(plan),
            principal: principal.name.clone(),
            time_limit: Some(parallax_wire::encode_duration(ask.time)),
            anonymous_only: ask.anonymous_only,
            ..pb::Diagnosis::default()
        };
        render::render(&mut diagnosis, ask.language);
        if validate_only {
            return Ok(diagnosis);
        }
        let slot = self.slot()?;
        let accepting =
            self.clone().commit_and_start(ask, principal.clone(), facts, diagnosis, slot);
        // A task of the tracker's, not of the call's: a caller that hangs up must not come between commit and start.
        match self.shared.tracker.spawn(accepting).await {
            Ok(accepted) => accepted,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Nobody but the runtime, on its way down, cancels it.
                Err(_cancelled) => Err(stopping()),
            },
        }
    }

    /// Puts a diagnosis on disk and starts it; one that a `request_id` names again is returned as it is.
    async fn commit_and_start(
        self,
        ask: Ask,
        principal: Principal,
        facts: Facts,
        diagnosis: pb::Diagnosis,
        slot: OwnedSemaphorePermit,
    ) -> Result<pb::Diagnosis, Refusal> {
        let store = &self.shared.store;
        let key = ask.key.as_ref();
        match store.accept_diagnosis(&ask.id, diagnosis, Some(&facts.start), key).await? {
            Answer::Done(created) => {
                point("create.committed");
                let begin = Begin {
                    id: ask.id,
                    principal: principal.name,
                    language: ask.language,
                    anonymous_only: ask.anonymous_only,
                    time: ask.time,
                    evidence: facts.evidence,
                    budgets: facts.budgets,
                    taken_up: None,
                    message: created.clone(),
                };
                self.start(begin, slot);
                Ok(created)
            }
            Answer::Replayed(before) => Ok(before),
        }
    }

    fn slot(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        if self.shared.stop.is_cancelled() {
            return Err(stopping());
        }
        Arc::clone(&self.shared.slots).try_acquire_owned().map_err(|_| {
            let message = format!("{RUNNING_MAX} diagnoses run already");
            Refusal::new(Reason::TooManyDiagnoses, message).retry_after(BUSY_RETRY)
        })
    }

    /// Runs a diagnosis that is on disk, as a task of the tracker's.
    fn start(&self, begin: Begin, slot: OwnedSemaphorePermit) {
        let (newest, ends) = self.enter(&begin.id);
        let Shared { store, fleet, stop, .. } = &*self.shared;
        let Entered { cancel, .. } = &ends;
        let (journal, journal_task) =
            JournalTask::new(begin.id.clone(), Arc::clone(store), fleet.clone(), newest.clone());
        let run = Run {
            id: begin.id.clone(),
            principal: begin.principal,
            language: begin.language,
            anonymous_only: begin.anonymous_only,
            deadline: Instant::now() + begin.time,
            tally: Tally::begin(&begin.budgets),
            evidence: begin.evidence,
            taken_up: begin.taken_up,
            judged: None,
            journal,
            store: Arc::clone(store),
            fleet: fleet.clone(),
            cancel: cancel.clone(),
            stop: stop.clone(),
            task_names: BTreeMap::new(),
            message: begin.message,
        };
        self.shared.tracker.spawn(self.clone().see_through(ends, async move {
            let _slot = slot;
            Box::pin(finish::run_to_the_end(run, journal_task, newest)).await
        }));
    }

    /// Puts a diagnosis on the table of those that are worked on.
    fn enter(&self, id: &DiagnosisId) -> (watch::Sender<i32>, Entered) {
        let (newest, signal) = watch::channel(0);
        let (cancel, ended) = (CancellationToken::new(), CancellationToken::new());
        let signals = Signals { newest: signal, ended: ended.clone() };
        let running = Running { cancel: cancel.clone(), signals };
        self.table(|it| it.insert(id.clone(), running));
        let ends = Ends { coordinator: self.clone(), id: id.clone(), ended };
        (newest, Entered { cancel, ends })
    }

    /// Whatever happens inside, the entry goes and waiters wake.
    async fn see_through(
        self,
        entered: Entered,
        work: impl Future<Output = Result<(), StoreError>>,
    ) {
        let Entered { ends, .. } = entered;
        let id = &ends.id;
        match self.shared.abort.run_until_cancelled(Box::pin(work)).await {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                error!(error = chain(&error), diagnosis = %id, "a diagnosis could not be finished");
            }
            None => warn!(diagnosis = %id, "a diagnosis was dropped; the next start ends it"),
        }
    }

    fn running(&self, id: &DiagnosisId) -> Option<Running> {
        self.table(|it| it.get(id).cloned())
    }

    fn table<T>(&self, act: impl FnOnce(&mut BTreeMap<DiagnosisId, Running>) -> T) -> T {
        act(&mut self.shared.running.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How long `CancelDiagnosis` waits for the end; below the general deadline of RPCs.
const CANCEL_WAIT: Duration = Duration::from_secs(20);

/// What a diagnosis begins with, or goes on with after a restart.
struct Begin {
    id: DiagnosisId,
    principal: String,
    language: Language,
    anonymous_only: bool,
    /// What is left of its time.
    time: Duration,
    evidence: Evidence,
    budgets: BTreeMap<AccountId, Budget>,
    /// See [`Run`].
    taken_up: Option<BTreeSet<PathId>>,
    message: pb::Diagnosis,
}

/// A place on the table.
struct Entered {
    cancel: CancellationToken,
    ends: Ends,
}

/// Takes a diagnosis off the table when its task is over, however it ended.
struct Ends {
    coordinator: Coordinator,
    id: DiagnosisId,
    ended: CancellationToken,
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.coordinator.table(|it| it.remove(&self.id));
        self.ended.cancel();
    }
}

fn stopping() -> Refusal {
    Refusal::new(Reason::Stopping, "the controller is stopping").retry_after(BUSY_RETRY)
}

/// The supported subset of AIP-160: `target = "targets/ID"`, alone or empty.
fn read_filter(filter: &str) -> Result<Option<TargetId>, Refusal> {
    let filter = filter.trim();
    if filter.is_empty() {
        return Ok(None);
    }
    let wrong = || {
        Refusal::field(
            "filter",
            format!("`{filter}` is not supported; write target = \"targets/ID\", or nothing"),
        )
    };
    let (field, value) = filter.split_once('=').ok_or_else(wrong)?;
    let value =
        value.trim().strip_prefix('"').and_then(|it| it.strip_suffix('"')).ok_or_else(wrong)?;
    if field.trim() != "target" {
        return Err(wrong());
    }
    read_id(value, "filter", "targets", TargetId::new).map(Some)
}
