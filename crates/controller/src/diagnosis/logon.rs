//! One logon: reserve, offer, begin, start, go, result, settle ; nothing is sent before its start is on disk.
//!
//! Absent on purpose: whether it would help (`plan`) and what the answer means (`faults`).
//!
//! INVARIANT: `go` follows only a start that is known to be on disk; any doubt is a deny.
//! INVARIANT: what was started is settled, whatever ends the diagnosis: by its result, or as unproven.

use std::time::Duration;

use parallax_auth::{Binding, seal};
use parallax_faults::LogonOutcome;
use parallax_model::{
    Evidence, Exchange, PathId, PathReport, Report, Round, Silence, TargetId, Task,
};
use parallax_store::{
    Attempt, AttemptId, LogonResult, Nonce, ReserveRefused, ReserveRequest, Started, StoreError,
};
use parallax_wire::pb::link as wire;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::lanes::{Asked, Heard, LogonEnd, report_of};
use super::run::Run;
use crate::agents::{Begin, Offered, TaskEvent};
use crate::plan::{Proposal, ProposedLogon};
use crate::reasons::chain;

/// The free part: connect, TLS, anonymous looks (15 s), and the way there and back. Ends before the reservation does.
const FREE_PART: Duration = Duration::from_secs(35);
/// From go to the result: 35 s for the answer, and the way there and back. With the free part at most the step's 75 s.
const CREDENTIALED_PART: Duration = Duration::from_secs(40);
/// Between two tries while another diagnosis uses the account.
const IN_FLIGHT_PAUSE: Duration = Duration::from_secs(1);
/// How long another logon of the account, or the minute of a server, is waited for.
const TURN_MAX: Duration = Duration::from_mins(2);

/// How the free part of a logon ended.
enum FreePart {
    Begun(Box<Begin>),
    /// No credential was asked for.
    Over(Box<Heard>),
}

/// A logon whose start is on disk.
struct Granted {
    nonce: Nonce,
    attempt: AttemptId,
}

impl Run {
    /// Makes one logon along a path. `Err`: the store failed.
    pub(super) async fn log_on(&self, round: u32, proposal: Proposal) -> Result<Asked, StoreError> {
        let Some(logon) = proposal.logon.clone() else {
            return Ok(self.look(round, proposal).await);
        };
        let path = proposal.path.clone();
        let attempt = match self.reserve(&proposal, &logon).await? {
            Ok(attempt) => attempt,
            Err(reason) => return Ok(held(path, &logon, reason)),
        };
        let task = self.task(&proposal, Some(logon_task(&logon, &attempt)));
        let Some(task) = task else {
            self.store.void_unstarted(&attempt.id).await?;
            let reason = "the endpoint is not in the target".to_owned();
            return Ok(held(path, &logon, reason));
        };
        let mut offered = match self.offer(round, &path, &task).await {
            Ok(offered) => offered,
            Err(report) => {
                self.store.void_unstarted(&attempt.id).await?;
                self.write_down(
                    round,
                    &task.id,
                    &path,
                    Heard { report: report.clone(), done: None },
                )
                .await;
                return Ok(not_sent(path, report, &logon));
            }
        };
        let (heard, outcome) = match self.free_part(&path, &mut offered).await {
            FreePart::Over(heard) => {
                if heard.done.is_none() {
                    self.fleet.cancel(&task.id).await;
                }
                self.store.void_unstarted(&attempt.id).await?;
                (*heard, LogonOutcome::NotSent)
            }
            FreePart::Begun(begin) => {
                let granted = self.grant(&path, &task, &attempt, &logon, *begin).await?;
                self.credentialed_part(&path, &task, &logon, granted, &attempt, &mut offered)
                    .await?
            }
        };
        self.fleet.forget(&task.id).await;
        let report = heard.report.clone();
        self.write_down(round, &task.id, &path, heard).await;
        self.tell_logon(&path, &logon.account, word(outcome), "").await;
        let end = LogonEnd::Made { account: logon.account, outcome };
        Ok(Asked { path, report: Some(report), logon: Some(end) })
    }

    /// Reserves the cost, waiting for its turn within the deadline. The inner `Err` says why it is held.
    async fn reserve(
        &self,
        proposal: &Proposal,
        logon: &ProposedLogon,
    ) -> Result<Result<Attempt, String>, StoreError> {
        let server = self.server(proposal);
        let request = ReserveRequest {
            account: logon.account.clone(),
            diagnosis: self.id.clone(),
            principal: self.principal.clone(),
            agent: proposal.path.vantage.clone(),
            target: self.evidence.target.id.clone(),
            endpoint: proposal.path.endpoint.clone(),
            cas: cas_key(&self.evidence.target.id, logon),
            server,
            scheme: "basic".to_owned(),
            cost: logon.cost,
            scheduled: false,
        };
        let until = (Instant::now() + TURN_MAX).min(self.deadline);
        loop {
            let refused = match self.store.reserve(&request).await? {
                Ok(attempt) => return Ok(Ok(attempt)),
                Err(refused) => refused,
            };
            let pause = match &refused {
                ReserveRefused::Wait { seconds } => Duration::from_secs((*seconds).into()),
                ReserveRefused::InFlight => IN_FLIGHT_PAUSE,
                ReserveRefused::UnknownAccount
                | ReserveRefused::NoSecret
                | ReserveRefused::ThresholdTooLow
                | ReserveRefused::NoCost
                | ReserveRefused::Frozen(_)
                | ReserveRefused::BreakerOpen { .. }
                | ReserveRefused::EndpointBreakerOpen { .. }
                | ReserveRefused::RefusedInDiagnosis
                | ReserveRefused::UnprovenInDiagnosis
                | ReserveRefused::CostAboveLimit { .. }
                | ReserveRefused::OverBudget { .. } => return Ok(Err(refused.to_string())),
            };
            if Instant::now() + pause > until {
                return Ok(Err(refused.to_string()));
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = self.interrupted() => return Ok(Err("the diagnosis ended first".to_owned())),
            }
        }
    }

    /// The box that will answer: the same box, the same text.
    fn server(&self, proposal: &Proposal) -> String {
        let Some(endpoint) = self.evidence.target.endpoint(&proposal.path.endpoint) else {
            return proposal.path.endpoint.to_string();
        };
        match proposal.only_address.or(endpoint.connect) {
            Some(address) => std::net::SocketAddr::new(address, endpoint.port).to_string(),
            None => format!("{}:{}", endpoint.host, endpoint.port),
        }
    }

    /// Everything before the credential. May end at any time; nothing has been spent.
    async fn free_part(&self, path: &PathId, offered: &mut Offered) -> FreePart {
        let silent =
            |it| FreePart::Over(Box::new(Heard { report: Report::Silent(it), done: None }));
        let over = tokio::time::sleep(FREE_PART);
        tokio::pin!(over);
        loop {
            let event = tokio::select! {
                event = offered.events.recv() => event,
                silence = self.interrupted() => return silent(silence),
                () = &mut over => return silent(Silence::Late),
            };
            match event {
                Some(TaskEvent::Accepted) => {}
                Some(TaskEvent::Progress { stage, text }) => {
                    self.tell_stage(path, stage, text).await;
                }
                Some(TaskEvent::Begun(begin)) => return FreePart::Begun(Box::new(begin)),
                Some(TaskEvent::Refused { reason }) => {
                    return FreePart::Over(Box::new(Heard {
                        report: Report::Refused { rule: reason },
                        done: None,
                    }));
                }
                Some(TaskEvent::Done(done)) => {
                    return FreePart::Over(Box::new(Heard {
                        report: report_of(&done, path),
                        done: Some(done),
                    }));
                }
                Some(TaskEvent::Lost) | None => return silent(Silence::Lost),
            }
        }
    }

    /// Starts the attempt durably and hands the secret over. `None`: denied, and nothing was sent.
    async fn grant(
        &self,
        path: &PathId,
        task: &Task,
        attempt: &Attempt,
        logon: &ProposedLogon,
        begin: Begin,
    ) -> Result<Option<Granted>, StoreError> {
        let denied = |reason: String| wire::Deny {
            attempt: begin.attempt.clone(),
            nonce: begin.nonce.to_vec(),
            reason,
        };
        if begin.attempt != attempt.id.as_str() {
            self.fleet
                .deny(&task.id, denied("this is not the attempt that was offered".to_owned()))
                .await;
            self.store.void_unstarted(&attempt.id).await?;
            return Ok(None);
        }
        let started = match self.store.start(&attempt.id, &begin.nonce, &path.vantage).await {
            Ok(Ok(started)) => started,
            Ok(Err(refused)) => {
                self.fleet.deny(&task.id, denied(refused.to_string())).await;
                self.store.void_unstarted(&attempt.id).await?;
                return Ok(None);
            }
            Err(error) => {
                // The commit may or may not be on disk. Never go; if it is, the sweep charges it.
                self.fleet.deny(&task.id, denied("the store does not answer".to_owned())).await;
                return Err(error);
            }
        };
        match self.seal(path, attempt, &begin, &started).await {
            Ok(go) => {
                self.tell_logon(path, &logon.account, "started", "").await;
                self.fleet.go(&task.id, go).await;
                Ok(Some(Granted { nonce: begin.nonce, attempt: attempt.id.clone() }))
            }
            Err(reason) => {
                self.fleet.deny(&task.id, denied(reason)).await;
                // Nothing was handed over, so nothing can have been sent.
                self.settle(&attempt.id, &begin.nonce, LogonResult::NotSent).await?;
                Ok(None)
            }
        }
    }

    /// The secret, sealed for this begin alone. `Err`: why not, without a word of the secret.
    async fn seal(
        &self,
        path: &PathId,
        attempt: &Attempt,
        begin: &Begin,
        started: &Started,
    ) -> Result<wire::Go, String> {
        let secret = self.store.secret(&started.account, started.secret_version).await;
        let secret = secret.map_err(|error| {
            warn!(error = chain(&error), account = %started.account, "cannot open a secret");
            "the secret cannot be opened".to_owned()
        })?;
        let sequence = u64::try_from(started.ledger_sequence).unwrap_or_default();
        let binding = Binding { attempt: attempt.id.as_str(), nonce: &begin.nonce, sequence };
        let sealed =
            seal(&begin.public_key, &binding, parallax_wire::go_aad(&path.vantage), &secret)
                .map_err(|error| error.to_string())?;
        Ok(wire::Go {
            attempt: attempt.id.to_string(),
            nonce: begin.nonce.to_vec(),
            ledger_sequence: started.ledger_sequence,
            encapsulated_key: sealed.encapsulated_key,
            ciphertext: sealed.ciphertext,
        })
    }

    /// Waits for the result and settles. Neither a cancel nor the deadline cuts this short, only its own limit.
    async fn credentialed_part(
        &self,
        path: &PathId,
        task: &Task,
        logon: &ProposedLogon,
        granted: Option<Granted>,
        attempt: &Attempt,
        offered: &mut Offered,
    ) -> Result<(Heard, LogonOutcome), StoreError> {
        let waited = tokio::time::timeout(CREDENTIALED_PART, self.last_word(path, offered)).await;
        let heard = waited.unwrap_or(Heard { report: Report::Silent(Silence::Late), done: None });
        if heard.done.is_none() {
            self.fleet.cancel(&task.id).await;
        }
        let Some(Granted { nonce, attempt: id }) = granted else {
            return Ok((heard, LogonOutcome::NotSent));
        };
        let is_ours = heard
            .done
            .as_ref()
            .is_some_and(|it| it.attempt == attempt.id.as_str() && it.nonce == nonce);
        let outcome = match exchange_of(&heard.report, logon) {
            Some(exchange) if is_ours => {
                let evidence = self.evidence_with(path, &heard.report);
                parallax_faults::classify(&evidence, path, exchange)
            }
            Some(_) | None => LogonOutcome::Unproven,
        };
        let result = match outcome {
            LogonOutcome::Accepted => LogonResult::Accepted,
            LogonOutcome::Refused => LogonResult::Refused { proof: logon.has_proof },
            LogonOutcome::Unproven => LogonResult::Unproven,
            LogonOutcome::NotSent => LogonResult::NotSent,
        };
        self.settle(&id, &nonce, result).await?;
        Ok((heard, outcome))
    }

    async fn last_word(&self, path: &PathId, offered: &mut Offered) -> Heard {
        loop {
            match offered.events.recv().await {
                Some(TaskEvent::Accepted | TaskEvent::Begun(_)) => {}
                Some(TaskEvent::Progress { stage, text }) => {
                    self.tell_stage(path, stage, text).await;
                }
                Some(TaskEvent::Refused { reason }) => {
                    return Heard { report: Report::Refused { rule: reason }, done: None };
                }
                Some(TaskEvent::Done(done)) => {
                    return Heard { report: report_of(&done, path), done: Some(done) };
                }
                Some(TaskEvent::Lost) | None => {
                    return Heard { report: Report::Silent(Silence::Lost), done: None };
                }
            }
        }
    }

    async fn settle(
        &self,
        attempt: &AttemptId,
        nonce: &Nonce,
        result: LogonResult,
    ) -> Result<(), StoreError> {
        match self.store.settle(attempt, nonce, result).await? {
            Ok(settled) => {
                info!(diagnosis = %self.id, %attempt, state = ?settled.state, breaker = ?settled.breaker, "a logon was settled");
            }
            Err(refused) => {
                error!(diagnosis = %self.id, %attempt, error = %refused, "a logon cannot be settled; it is charged");
            }
        }
        Ok(())
    }

    /// What is known, with the report at hand, which is not in a round yet.
    fn evidence_with(&self, path: &PathId, report: &Report) -> Evidence {
        let mut evidence = self.evidence.clone();
        let number = evidence.rounds.last().map_or(1, |it| it.number + 1);
        let reports = vec![PathReport { path: path.clone(), report: report.clone() }];
        evidence.rounds.push(Round { number, reports });
        evidence
    }
}

/// Whose two logons a minute it is counted among. Every front of a target leads to the same back ends, whatever name
/// or address was dialled, so the target is the key.
pub(super) fn cas_key(target: &TargetId, logon: &ProposedLogon) -> Option<String> {
    logon.reaches_back_end.then(|| target.to_string())
}

fn logon_task(logon: &ProposedLogon, attempt: &Attempt) -> parallax_model::LogonTask {
    parallax_model::LogonTask {
        attempt: attempt.id.to_string(),
        account: logon.account.clone(),
        name: logon.name.clone(),
        place: logon.place,
    }
}

/// Not asked at all: the free looks of a logon only prepare it.
fn held(path: PathId, logon: &ProposedLogon, reason: String) -> Asked {
    let end = LogonEnd::Held { account: logon.account.clone(), reason };
    Asked { path, report: None, logon: Some(end) }
}

fn not_sent(path: PathId, report: Report, logon: &ProposedLogon) -> Asked {
    let end = LogonEnd::Made { account: logon.account.clone(), outcome: LogonOutcome::NotSent };
    Asked { path, report: Some(report), logon: Some(end) }
}

/// The one exchange that carried the account's credential.
fn exchange_of<'r>(report: &'r Report, logon: &ProposedLogon) -> Option<&'r Exchange> {
    let look = parallax_model::Look::logon(logon.account.clone(), logon.name.form, logon.place);
    let observations = &report.seen()?.observations;
    observations.iter().flat_map(|it| &it.exchanges).find(|it| it.look == look)
}

/// The word of the API.
fn word(outcome: LogonOutcome) -> &'static str {
    match outcome {
        LogonOutcome::Accepted => "accepted",
        LogonOutcome::Refused => "refused",
        LogonOutcome::Unproven => "unproven",
        LogonOutcome::NotSent => "not_sent",
    }
}
