//! One logon: reserve, offer, begin, start, go, result, settle; nothing is sent before its start is on disk.
//!
//! What each event comes to is in `steps`; here they are waited for. Absent on purpose: whether it would help (`plan`) and
//! what the answer means (`faults`).
//!
//! INVARIANT: what was reserved is ended, whatever ends the diagnosis; what was started, by its result or its own limit.

use std::time::Duration;

use parallax_faults::LogonOutcome;
use parallax_model::{PathId, Report, Silence, Task};
use parallax_store::{Attempt, ReserveRefused, StoreError};
use parallax_wire::pb::link::session_response::Message;
use tokio::time::Instant;

use super::lanes::{Asked, Heard, LogonEnd};
use super::run::Run;
use super::steps::{Logon, Step, reservation, silence};
use crate::agents::Offered;
use crate::plan::{Proposal, ProposedLogon};

/// Between two tries while another diagnosis uses the account.
const IN_FLIGHT_PAUSE: Duration = Duration::from_secs(1);
/// How long another logon of the account, or the minute of a server, is waited for.
const TURN_MAX: Duration = Duration::from_mins(2);

impl Run {
    /// Makes one logon along a path. `Err`: the store failed.
    pub(super) async fn log_on(&self, round: u32, proposal: Proposal) -> Result<Asked, StoreError> {
        let Some(asked) = proposal.logon.clone() else {
            return Ok(self.look(round, proposal).await);
        };
        let path = proposal.path.clone();
        let attempt = match self.reserve(&proposal, &asked).await? {
            Ok(attempt) => attempt,
            Err(reason) => return Ok(held(path, &asked, reason)),
        };
        let id = attempt.id.clone();
        let mut logon = Logon::new(path.clone(), asked.clone(), attempt);
        let Some(task) = self.task(&proposal, Some(logon.task())) else {
            self.store.void_unstarted(&id).await?;
            let reason = "the endpoint is not in the target".to_owned();
            return Ok(held(path, &asked, reason));
        };
        let mut offered = match self.offer(round, &path, &task).await {
            Ok(offered) => offered,
            Err(report) => {
                self.store.void_unstarted(&id).await?;
                let heard = Heard { report: report.clone(), done: None };
                self.write_down(round, &task.id, &path, heard).await;
                return Ok(not_sent(path, report, &asked));
            }
        };
        let heard = self.attend(&path, &task, &asked, &mut logon, &mut offered).await?;
        if heard.done.is_none() {
            self.fleet.cancel(&task.id).await;
        }
        let outcome = logon.end(&self.store, &self.evidence, &heard).await?;
        self.fleet.forget(&task.id).await;
        let report = heard.report.clone();
        self.write_down(round, &task.id, &path, heard).await;
        self.tell_logon(&path, &asked.account, word(outcome), "").await;
        let end = LogonEnd::Made { account: asked.account, outcome };
        Ok(Asked { path, report: Some(report), logon: Some(end) })
    }

    /// Waits for the logon's last word, each part within its limit. A cancel or the deadline ends the free part alone.
    async fn attend(
        &self,
        path: &PathId,
        task: &Task,
        asked: &ProposedLogon,
        logon: &mut Logon,
        offered: &mut Offered,
    ) -> Result<Heard, StoreError> {
        let mut until = Instant::now() + logon.limit();
        loop {
            let event = tokio::select! {
                event = offered.events.recv() => event,
                why = self.interrupted(), if logon.is_free() => return Ok(silence(why)),
                () = tokio::time::sleep_until(until) => return Ok(silence(Silence::Late)),
            };
            match logon.on(&self.store, event).await {
                Step::Wait => {}
                Step::Stage { stage, text } => self.tell_stage(path, stage, text).await,
                Step::Answer { message, failed } => {
                    if matches!(*message, Message::Go(_)) {
                        self.tell_logon(path, &asked.account, "started", "").await;
                    }
                    self.fleet.answer(&task.id, message).await;
                    if let Some(error) = failed {
                        return Err(error);
                    }
                    until = Instant::now() + logon.limit();
                }
                Step::Over(heard) => return Ok(heard),
            }
        }
    }

    /// Reserves the cost, waiting for its turn within the deadline. The inner `Err` says why it is held.
    async fn reserve(
        &self,
        proposal: &Proposal,
        logon: &ProposedLogon,
    ) -> Result<Result<Attempt, String>, StoreError> {
        let request = reservation(
            logon,
            &proposal.path,
            &self.evidence.target.id,
            self.server(proposal),
            (&self.id, &self.principal),
        );
        let until = (Instant::now() + TURN_MAX).min(self.deadline);
        loop {
            let refused = match self.store.reserve(&request).await? {
                Ok(attempt) => {
                    parallax_failpoint::point("reserve.after");
                    return Ok(Ok(attempt));
                }
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

/// The word of the API.
fn word(outcome: LogonOutcome) -> &'static str {
    match outcome {
        LogonOutcome::Accepted => "accepted",
        LogonOutcome::Refused => "refused",
        LogonOutcome::Unproven => "unproven",
        LogonOutcome::NotSent => "not_sent",
    }
}
