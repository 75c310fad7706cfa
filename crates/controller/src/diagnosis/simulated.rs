//! A controller whose logons are driven one event at a time: the steps, the ledger and the fleet are the real ones, the
//! waits are its owner's. For simulations.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parallax_faults::LogonOutcome;
use parallax_model::{
    AccountId, DiagnosisId, EndpointName, Evidence, Limits, PathId, PathReport, Place, Report,
    Silence, TargetId, Task, UserName, VantageName,
};
use parallax_store::{AttemptId, Introduction, NewReport, Nonce, OfferedTask, Store, StoreError};
use parallax_wire::pb;
use parallax_wire::pb::link as wire;
use parallax_wire::pb::link::session_response::Message;
use parallax_wire::pb::watch_diagnosis_response::{Event, RoundBegun};
use tokio::sync::mpsc;

use super::facts::Facts;
use super::lanes::Heard;
use super::late::keep;
use super::steps::{Logon, Step, reservation, silence};
use crate::agents::simulated::SimulatedFleet;
use crate::agents::{NotOffered, TaskEvent, TaskPlace};
use crate::plan::ProposedLogon;

/// A logon that somebody wants.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Unique.
    pub task: String,
    pub diagnosis: DiagnosisId,
    /// Counts from 1 within the diagnosis.
    pub round: u32,
    pub path: PathId,
    pub account: AccountId,
    pub name: UserName,
    pub cost: u32,
    pub has_proof: bool,
    pub reaches_back_end: bool,
}

/// Something that a step came to.
#[derive(Clone, Debug)]
pub enum Note {
    /// The ledger says no, or nobody can be asked.
    Held {
        task: String,
        why: String,
    },
    Reserved {
        task: String,
        attempt: AttemptId,
    },
    /// Its start is on disk and go is on its way.
    Granted {
        task: String,
        attempt: AttemptId,
        nonce: Nonce,
    },
    Denied {
        task: String,
    },
    Ended {
        task: String,
        attempt: AttemptId,
        nonce: Option<Nonce>,
        outcome: LogonOutcome,
        is_silent: bool,
    },
    /// A result that nobody waited for was kept, or is none of ours.
    Late {
        task: String,
        is_kept: bool,
    },
}

struct UnderWay {
    logon: Logon,
    attempt: AttemptId,
    nonce: Option<Nonce>,
    asked: Asked,
    until: Duration,
    events: mpsc::Receiver<TaskEvent>,
}

/// One process of a controller. Dropped, it crashes.
pub struct SimulatedController {
    store: Arc<Store>,
    fleet: SimulatedFleet,
    /// By diagnosis.
    evidence: BTreeMap<DiagnosisId, Evidence>,
    /// By task.
    logons: BTreeMap<String, UnderWay>,
    notes: Vec<Note>,
}

impl fmt::Debug for SimulatedController {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("SimulatedController").finish_non_exhaustive()
    }
}

impl SimulatedController {
    pub fn start(store: Arc<Store>) -> Self {
        let (evidence, logons) = (BTreeMap::new(), BTreeMap::new());
        Self { store, fleet: SimulatedFleet::new(), evidence, logons, notes: Vec::new() }
    }

    /// What was noted since the last call, in order.
    pub fn notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// What it has to say since the last call: to whom, in which session.
    pub fn told(&mut self) -> Vec<(VantageName, i64, Message)> {
        self.fleet.told()
    }

    /// An agent says hello. `None`: there is no session.
    pub async fn join(
        &mut self,
        vantage: &VantageName,
        hello: &wire::Hello,
    ) -> Result<Option<i64>, StoreError> {
        self.store.agent_saw_sequence(vantage, hello.ledger_sequence).await?;
        let introduction = Introduction {
            version: hello.version.clone(),
            policy_sha256: hello.policy_sha256.clone(),
        };
        let epoch = self.store.begin_session(vantage, &introduction).await?;
        let joined = self.fleet.join(vantage, epoch);
        self.proceed(Duration::ZERO).await?;
        Ok(joined.then_some(epoch))
    }

    pub async fn leave(
        &mut self,
        now: Duration,
        vantage: &VantageName,
        epoch: i64,
    ) -> Result<(), StoreError> {
        self.fleet.leave(vantage, epoch);
        self.proceed(now).await
    }

    /// Hears one message of an agent's session.
    pub async fn hear(
        &mut self,
        now: Duration,
        vantage: &VantageName,
        epoch: i64,
        said: wire::SessionRequest,
    ) -> Result<(), StoreError> {
        if !self.fleet.hear(vantage, epoch, said) {
            self.fleet.leave(vantage, epoch);
        }
        self.proceed(now).await
    }

    /// Accepts a diagnosis of a target. False: it cannot be made.
    pub async fn accept(
        &mut self,
        id: &DiagnosisId,
        target: &TargetId,
    ) -> Result<bool, StoreError> {
        let Ok(facts) = Facts::gather(&self.store, target).await else { return Ok(false) };
        let message = pb::Diagnosis {
            target: parallax_wire::target_name(target),
            principal: "operator".to_owned(),
            ..pb::Diagnosis::default()
        };
        self.store.accept_diagnosis(id, message, Some(&facts.start), None).await?;
        self.evidence.insert(id.clone(), facts.evidence);
        Ok(true)
    }

    /// Reserves a logon and offers it. What is held is noted.
    pub async fn log_on(&mut self, now: Duration, asked: Asked) -> Result<(), StoreError> {
        let Some(evidence) = self.evidence.get(&asked.diagnosis) else { return Ok(()) };
        let Some(endpoint) = evidence.target.endpoint(&asked.path.endpoint).cloned() else {
            return Ok(());
        };
        let proposed = ProposedLogon {
            account: asked.account.clone(),
            name: asked.name.clone(),
            place: Place::ActiveSync,
            cost: asked.cost,
            has_proof: asked.has_proof,
            reaches_back_end: asked.reaches_back_end,
        };
        let server = format!("{}:{}", endpoint.host, endpoint.port);
        let target = evidence.target.id.clone();
        let who = (&asked.diagnosis, "operator");
        let request = reservation(&proposed, &asked.path, &target, server, who);
        let attempt = match self.store.reserve(&request).await? {
            Ok(attempt) => attempt,
            Err(refused) => {
                self.hold(asked, refused.to_string());
                return Ok(());
            }
        };
        let id = attempt.id.clone();
        self.notes.push(Note::Reserved { task: asked.task.clone(), attempt: id.clone() });
        let logon = Logon::new(asked.path.clone(), proposed, attempt);
        let task = Task {
            id: asked.task.clone(),
            diagnosis: asked.diagnosis.clone(),
            endpoint,
            looks: vec![parallax_model::Look::OPTIONS],
            logon: Some(logon.task()),
            only_address: None,
            without_sni: false,
            limits: Limits::LOGON,
        };
        self.begin_round(&asked).await?;
        let offer = parallax_wire::encode_offer(&task, wire::Lane::OnDemand, "");
        let events = match self.fleet.offer(&asked.path.vantage, offer, place(&asked)) {
            Ok(events) => events,
            Err(why) => {
                self.store.void_unstarted(&id).await?;
                self.write_down(&asked, Report::Silent(Silence::NoSession)).await?;
                self.hold(asked, not_offered(why).to_owned());
                return Ok(());
            }
        };
        let until = now + logon.limit();
        let under_way = UnderWay { logon, attempt: id, nonce: None, until, events, asked };
        self.logons.insert(under_way.asked.task.clone(), under_way);
        self.proceed(now).await
    }

    /// Tasks of logons that are under way.
    pub fn under_way(&self) -> Vec<String> {
        self.logons.keys().cloned().collect()
    }

    /// Whoever wanted a logon gives it up; after its go that comes too late.
    pub async fn give_up(&mut self, now: Duration, task: &str) -> Result<(), StoreError> {
        if self.logons.get(task).is_some_and(|it| it.logon.is_free()) {
            self.end(task, silence(Silence::Cancelled)).await?;
        }
        self.proceed(now).await
    }

    /// The next time at which a limit ends.
    pub fn next_limit(&self) -> Option<Duration> {
        self.logons.values().map(|it| it.until).min()
    }

    /// Ends what has lasted too long.
    pub async fn pass(&mut self, now: Duration) -> Result<(), StoreError> {
        let late = self.logons.iter().filter(|(_, it)| it.until <= now);
        let late: Vec<String> = late.map(|(task, _)| task.clone()).collect();
        for task in late {
            self.end(&task, silence(Silence::Late)).await?;
        }
        self.proceed(now).await
    }

    /// Takes every event that waits, until none is left.
    async fn proceed(&mut self, now: Duration) -> Result<(), StoreError> {
        let tasks: Vec<String> = self.logons.keys().cloned().collect();
        for task in tasks {
            while let Some(event) =
                self.logons.get_mut(&task).and_then(|it| it.events.try_recv().ok())
            {
                self.step(now, &task, event).await?;
            }
        }
        while let Some(late) = self.fleet.late() {
            let (vantage, task) = (late.vantage.clone(), late.task.clone());
            let is_kept = keep(&self.store, late).await?;
            if is_kept {
                self.fleet.acknowledge(&vantage, &task);
            } else {
                self.fleet.disown(&vantage, &task);
            }
            self.notes.push(Note::Late { task, is_kept });
        }
        Ok(())
    }

    async fn step(
        &mut self,
        now: Duration,
        task: &str,
        event: TaskEvent,
    ) -> Result<(), StoreError> {
        let Some(under_way) = self.logons.get_mut(task) else { return Ok(()) };
        match under_way.logon.on(&self.store, Some(event)).await {
            Step::Wait | Step::Stage { .. } => {}
            Step::Answer { message, failed } => {
                let task = task.to_owned();
                if let Message::Go(go) = &*message
                    && let Ok(nonce) = Nonce::try_from(go.nonce.as_slice())
                {
                    under_way.nonce = Some(nonce);
                    let attempt = under_way.attempt.clone();
                    self.notes.push(Note::Granted { task: task.clone(), attempt, nonce });
                } else {
                    self.notes.push(Note::Denied { task: task.clone() });
                }
                self.fleet.answer(&task, message);
                under_way.until = now + under_way.logon.limit();
                if let Some(error) = failed {
                    return Err(error);
                }
            }
            Step::Over(heard) => self.end(task, heard).await?,
        }
        Ok(())
    }

    /// As `log_on` of a running controller ends.
    async fn end(&mut self, task: &str, heard: Heard) -> Result<(), StoreError> {
        let Some(UnderWay { logon, asked, attempt, nonce, .. }) = self.logons.remove(task) else {
            return Ok(());
        };
        let Some(evidence) = self.evidence.get(&asked.diagnosis) else { return Ok(()) };
        let is_silent = heard.done.is_none();
        if is_silent {
            self.fleet.cancel(task);
        }
        let outcome = logon.end(&self.store, evidence, &heard).await?;
        self.fleet.forget(task);
        let task = task.to_owned();
        self.notes.push(Note::Ended { task: task.clone(), attempt, nonce, outcome, is_silent });
        self.write_down(&asked, heard.report).await?;
        if !is_silent {
            self.fleet.acknowledge(&asked.path.vantage, &task);
        }
        Ok(())
    }

    fn hold(&mut self, asked: Asked, why: String) {
        self.notes.push(Note::Held { task: asked.task, why });
    }

    async fn begin_round(&self, asked: &Asked) -> Result<(), StoreError> {
        let begun = RoundBegun {
            number: i32::try_from(asked.round).unwrap_or(i32::MAX),
            paths: vec![(&asked.path).into()],
        };
        let event = pb::WatchDiagnosisResponse {
            event: Some(Event::RoundBegun(begun)),
            ..Default::default()
        };
        let tasks = vec![OfferedTask { task: asked.task.clone(), path: asked.path.clone() }];
        self.store.begin_round(&asked.diagnosis, asked.round, event, tasks).await?;
        Ok(())
    }

    async fn write_down(&self, asked: &Asked, report: Report) -> Result<(), StoreError> {
        let report = pb::PathReport::from(&PathReport { path: asked.path.clone(), report });
        let new = NewReport {
            diagnosis: asked.diagnosis.clone(),
            round: asked.round,
            task: asked.task.clone(),
            event: None,
            report,
        };
        self.store.record_report(new).await?;
        Ok(())
    }
}

fn place(asked: &Asked) -> TaskPlace {
    let endpoint: EndpointName = asked.path.endpoint.clone();
    TaskPlace { diagnosis: asked.diagnosis.clone(), round: asked.round, endpoint }
}

fn not_offered(why: NotOffered) -> &'static str {
    match why {
        NotOffered::NoSession => "no session",
        NotOffered::Draining => "draining",
        NotOffered::QueueFull => "queue full",
        NotOffered::Stopped => "stopped",
    }
}
