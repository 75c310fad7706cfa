//! The steps of one logon: what each event does to the ledger, and what its agent is answered.
//!
//! Absent on purpose: waiting. `logon` waits, in a running controller; here nothing takes longer than the store. So the
//! same steps can be driven through any order of events.
//!
//! INVARIANT: `go` follows only a start that is known to be on disk; any doubt is a deny.
//! INVARIANT: what was started is settled by what is heard at the end: by its result, or as unproven.

use std::time::Duration;

use parallax_auth::{Binding, seal};
use parallax_failpoint::point;
use parallax_faults::LogonOutcome;
use parallax_model::{
    Evidence, Exchange, LogonTask, Look, PathId, PathReport, Report, Round, Silence, TargetId,
};
use parallax_store::{
    Attempt, AttemptId, LogonResult, Nonce, ReserveRequest, Started, Store, StoreError,
};
use parallax_wire::pb::link as wire;
use parallax_wire::pb::link::session_response::Message;
use tracing::{error, info, warn};

use super::lanes::{Heard, report_of};
use crate::agents::{Begin, TaskEvent};
use crate::plan::ProposedLogon;
use crate::reasons::chain;

/// The free part: connect, TLS, anonymous looks (15 s), and the way there and back. Ends before the reservation does.
const FREE_PART: Duration = Duration::from_secs(35);
/// From go to the result: 35 s for the answer, and the way there and back. With the free part at most the step's 75 s.
const CREDENTIALED_PART: Duration = Duration::from_secs(40);

/// A logon that is reserved. Whoever holds it ends it with [`Logon::end`].
#[derive(Debug)]
pub(super) struct Logon {
    path: PathId,
    asked: ProposedLogon,
    attempt: Attempt,
    stage: Stage,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Nothing has been spent.
    Free,
    Denied,
    /// Its start, with this nonce, is on disk and the secret was handed over.
    Granted(Nonce),
}

/// What an event of a logon's task comes to.
#[derive(Debug)]
pub(super) enum Step {
    /// Nothing yet.
    Wait,
    /// For watchers.
    Stage { stage: String, text: String },
    /// Go or deny, to be sent now; the logon's limit begins anew.
    Answer {
        message: Box<Message>,
        /// The store failed: the deny is the last that can be promised.
        failed: Option<StoreError>,
    },
    /// The last word, or none will come.
    Over(Heard),
}

/// What is asked of the ledger for a logon along a path. `server` is the box that will answer: the same box, the same text.
pub(super) fn reservation(
    asked: &ProposedLogon,
    path: &PathId,
    target: &TargetId,
    server: String,
    (diagnosis, principal): (&parallax_model::DiagnosisId, &str),
) -> ReserveRequest {
    ReserveRequest {
        account: asked.account.clone(),
        diagnosis: diagnosis.clone(),
        principal: principal.to_owned(),
        agent: path.vantage.clone(),
        target: target.clone(),
        endpoint: path.endpoint.clone(),
        cas: cas_key(target, asked),
        server,
        scheme: "basic".to_owned(),
        cost: asked.cost,
        scheduled: false,
    }
}

/// Whose two logons a minute it is counted among. Every front of a target leads to the same back ends, whatever name
/// or address was dialled, so the target is the key.
pub(super) fn cas_key(target: &TargetId, asked: &ProposedLogon) -> Option<String> {
    asked.reaches_back_end.then(|| target.to_string())
}

impl Logon {
    pub(super) fn new(path: PathId, asked: ProposedLogon, attempt: Attempt) -> Self {
        Self { path, asked, attempt, stage: Stage::Free }
    }

    /// The credentialed part of its task.
    pub(super) fn task(&self) -> LogonTask {
        LogonTask {
            attempt: self.attempt.id.to_string(),
            account: self.asked.account.clone(),
            name: self.asked.name.clone(),
            place: self.asked.place,
        }
    }

    /// How long the stage it is in may last.
    pub(super) fn limit(&self) -> Duration {
        match self.stage {
            Stage::Free => FREE_PART,
            Stage::Denied | Stage::Granted(_) => CREDENTIALED_PART,
        }
    }

    /// Whether a cancel or the diagnosis' deadline may still end it.
    pub(super) fn is_free(&self) -> bool {
        matches!(self.stage, Stage::Free)
    }

    /// Takes an event of its task; `None`: none can come any more.
    pub(super) async fn on(&mut self, store: &Store, event: Option<TaskEvent>) -> Step {
        let heard = match event {
            Some(TaskEvent::Begun(begin)) if self.is_free() => {
                return self.begin(store, begin).await;
            }
            Some(TaskEvent::Accepted | TaskEvent::Begun(_)) => return Step::Wait,
            Some(TaskEvent::Progress { stage, text }) => return Step::Stage { stage, text },
            Some(TaskEvent::Refused { reason }) => {
                Heard { report: Report::Refused { rule: reason }, done: None }
            }
            Some(TaskEvent::Done(done)) => {
                Heard { report: report_of(&done, &self.path), done: Some(done) }
            }
            Some(TaskEvent::Lost) | None => silence(Silence::Lost),
        };
        Step::Over(heard)
    }

    /// Starts the attempt durably and seals the secret, or denies.
    async fn begin(&mut self, store: &Store, begin: Begin) -> Step {
        self.stage = Stage::Denied;
        let deny = |reason: String| {
            let attempt = begin.attempt.clone();
            Box::new(Message::Deny(wire::Deny { attempt, nonce: begin.nonce.to_vec(), reason }))
        };
        let id = &self.attempt.id;
        if begin.attempt != id.as_str() {
            let message = deny("this is not the attempt that was offered".to_owned());
            return Step::Answer { message, failed: store.void_unstarted(id).await.err() };
        }
        point("start.before");
        let started = match store.start(id, &begin.nonce, &self.path.vantage).await {
            Ok(Ok(started)) => started,
            Ok(Err(refused)) => {
                let message = deny(refused.to_string());
                return Step::Answer { message, failed: store.void_unstarted(id).await.err() };
            }
            Err(error) => {
                // The commit may or may not be on disk. Never go; if it is, the sweep charges it.
                let message = deny("the store does not answer".to_owned());
                return Step::Answer { message, failed: Some(error) };
            }
        };
        match self.seal(store, &begin, &started).await {
            Ok(go) => {
                point("go.before");
                self.stage = Stage::Granted(begin.nonce);
                Step::Answer { message: Box::new(Message::Go(go)), failed: None }
            }
            Err(reason) => {
                // Nothing was handed over, so nothing can have been sent.
                let settled = settle(store, id, &begin.nonce, LogonResult::NotSent).await;
                Step::Answer { message: deny(reason), failed: settled.err() }
            }
        }
    }

    /// The secret, sealed for this begin alone. `Err`: why not, without a word of the secret.
    async fn seal(
        &self,
        store: &Store,
        begin: &Begin,
        started: &Started,
    ) -> Result<wire::Go, String> {
        let secret = store.secret(&started.account, started.secret_version).await;
        let secret = secret.map_err(|error| {
            warn!(error = chain(&error), account = %started.account, "cannot open a secret");
            "the secret cannot be opened".to_owned()
        })?;
        let sequence = u64::try_from(started.ledger_sequence).unwrap_or_default();
        let attempt = self.attempt.id.as_str();
        let binding = Binding { attempt, nonce: &begin.nonce, sequence };
        let aad = parallax_wire::go_aad(&self.path.vantage);
        let sealed =
            seal(&begin.public_key, &binding, aad, &secret).map_err(|error| error.to_string())?;
        Ok(wire::Go {
            attempt: attempt.to_owned(),
            nonce: begin.nonce.to_vec(),
            ledger_sequence: started.ledger_sequence,
            encapsulated_key: sealed.encapsulated_key,
            ciphertext: sealed.ciphertext,
        })
    }

    /// Settles it by what was heard. `evidence` is what the diagnosis knows beside that.
    pub(super) async fn end(
        self,
        store: &Store,
        evidence: &Evidence,
        heard: &Heard,
    ) -> Result<LogonOutcome, StoreError> {
        let Stage::Granted(nonce) = self.stage else {
            store.void_unstarted(&self.attempt.id).await?;
            return Ok(LogonOutcome::NotSent);
        };
        let outcome = self.outcome(evidence, heard, &nonce);
        let result = match outcome {
            LogonOutcome::Accepted => LogonResult::Accepted,
            LogonOutcome::Refused => LogonResult::Refused { proof: self.asked.has_proof },
            LogonOutcome::Unproven => LogonResult::Unproven,
            LogonOutcome::NotSent => LogonResult::NotSent,
        };
        settle(store, &self.attempt.id, &nonce, result).await?;
        Ok(outcome)
    }

    /// What is not an answer to this very go proves nothing.
    fn outcome(&self, evidence: &Evidence, heard: &Heard, nonce: &Nonce) -> LogonOutcome {
        let is_ours = heard
            .done
            .as_ref()
            .is_some_and(|it| it.attempt == self.attempt.id.as_str() && it.nonce == nonce);
        match self.exchange_of(&heard.report) {
            Some(exchange) if is_ours => {
                let evidence = with_report(evidence, &self.path, &heard.report);
                parallax_faults::classify(&evidence, &self.path, exchange)
            }
            Some(_) | None => LogonOutcome::Unproven,
        }
    }

    /// The one exchange that carried the account's credential.
    fn exchange_of<'r>(&self, report: &'r Report) -> Option<&'r Exchange> {
        let asked = &self.asked;
        let look = Look::logon(asked.account.clone(), asked.name.form, asked.place);
        let observations = &report.seen()?.observations;
        observations.iter().flat_map(|it| &it.exchanges).find(|it| it.look == look)
    }
}

/// What is heard of a task that says nothing.
pub(super) fn silence(silence: Silence) -> Heard {
    Heard { report: Report::Silent(silence), done: None }
}

async fn settle(
    store: &Store,
    attempt: &AttemptId,
    nonce: &Nonce,
    result: LogonResult,
) -> Result<(), StoreError> {
    point("settle.before");
    match store.settle(attempt, nonce, result).await? {
        Ok(settled) => {
            point("settle.after");
            info!(%attempt, state = ?settled.state, breaker = ?settled.breaker, "a logon was settled");
        }
        Err(refused) => {
            error!(%attempt, error = %refused, "a logon cannot be settled; it is charged");
        }
    }
    Ok(())
}

/// What is known, with the report at hand, which is not in a round yet.
fn with_report(evidence: &Evidence, path: &PathId, report: &Report) -> Evidence {
    let mut evidence = evidence.clone();
    let number = evidence.rounds.last().map_or(1, |it| it.number + 1);
    let reports = vec![PathReport { path: path.clone(), report: report.clone() }];
    evidence.rounds.push(Round { number, reports });
    evidence
}
