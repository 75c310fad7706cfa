//! Which agent has a session, and which task lies with whom. One task owns it all; others send it commands.
//!
//! Absent on purpose: waiting. Nothing here awaits a peer, so that one slow agent holds up nobody.
//!
//! INVARIANT: at most one session per vantage, the newest; what arrives from an older one is ignored.
//! INVARIANT: `go` leaves at most once per task, and only into the session that asked.
//! INVARIANT: an agent that was cut has no session, and what it said before counts for nothing.
//! INVARIANT: a result is acknowledged when its owner says so, never here.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use parallax_model::{EndpointName, VantageName};
use parallax_wire::pb::link as wire;
use parallax_wire::pb::link::session_response::Message;
use rand::RngExt as _;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::conduct::Breach;
use super::handle::{Command, Fleet, Heard, Joining};
use super::outgoing::Cut;
use super::queue::{Lane, Queue};
use super::session::HEARTBEAT;
use super::standing::Made;
use super::{
    Begin, CREDIT, Done, FleetView, LateResult, NotOffered, PROTOCOL, TaskEvent, TaskPlace,
    response,
};

/// Commands on their way to the fleet.
const COMMANDS_MAX: usize = 1024;
/// Events on their way to a task's owner.
const EVENTS_MAX: usize = 32;
/// Places among those kept free for what must not be lost: accepted, begun, done, lost.
const EVENTS_KEPT: usize = 8;
/// Ended tasks that are remembered, so that a late result is known for ours.
const PAST_MAX: usize = 4096;
/// A session replaced sooner than this is a sign of two agents with one certificate.
const FLIP: Duration = Duration::from_mins(1);
/// How long a replaced agent is asked to stay away.
const REPLACED_AWAY: Duration = Duration::from_mins(1);
/// At a stop every agent is asked to stay away for another time up to this, so that they do not come back in step.
const STOPPED_AWAY_MAX: Duration = Duration::from_secs(5);

pub(super) struct Session {
    pub(super) epoch: i64,
    pub(super) certificate_sha256: [u8; 32],
    since: Instant,
    pub(super) cut: Cut,
    outgoing: mpsc::Sender<Result<wire::SessionResponse, tonic::Status>>,
    closed: CancellationToken,
    /// Tasks that lie with the agent or wait for room there.
    pub(super) queue: Queue,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waiting,
    Held,
    /// The agent asked for its secret.
    Begun,
    /// Answered with go or deny.
    Answered,
    /// Its result or refusal came, or it was cancelled: no room is taken any more.
    Ended,
}

struct Assigned {
    vantage: VantageName,
    epoch: i64,
    place: TaskPlace,
    lane: Lane,
    stage: Stage,
    events: mpsc::Sender<TaskEvent>,
}

/// A task that nobody waits for.
struct Past {
    vantage: VantageName,
    epoch: i64,
    place: TaskPlace,
}

/// The fleet's owner. [`FleetTask::run`] is the only thing that changes it.
pub(crate) struct FleetTask {
    commands: mpsc::Receiver<Command>,
    pub(super) view: watch::Sender<FleetView>,
    late: mpsc::Sender<LateResult>,
    breaches: mpsc::Sender<Breach>,
    pub(super) sessions: BTreeMap<VantageName, Session>,
    /// Agents that are given nothing new.
    pub(super) drained: BTreeSet<VantageName>,
    /// The newest [`super::standing::CUT_MAX`].
    pub(super) cuts_made: VecDeque<Made>,
    /// How many cuts there were.
    pub(super) cuts: Arc<AtomicU64>,
    tasks: BTreeMap<String, Assigned>,
    past: BTreeMap<String, Past>,
    past_order: VecDeque<String>,
    /// The first epoch that this process gave to a vantage.
    first_epochs: BTreeMap<VantageName, i64>,
}

impl FleetTask {
    pub(crate) fn new(
        view: watch::Sender<FleetView>,
        late: mpsc::Sender<LateResult>,
    ) -> (Fleet, Self) {
        let (sender, commands) = mpsc::channel(COMMANDS_MAX);
        let cuts = Arc::<AtomicU64>::default();
        let fleet = Fleet { commands: sender, view: view.subscribe(), cuts: Arc::clone(&cuts) };
        let task = Self {
            commands,
            view,
            late,
            breaches: mpsc::channel(1).0,
            sessions: BTreeMap::new(),
            drained: BTreeSet::new(),
            cuts_made: VecDeque::new(),
            cuts,
            tasks: BTreeMap::new(),
            past: BTreeMap::new(),
            past_order: VecDeque::new(),
            first_epochs: BTreeMap::new(),
        };
        (fleet, task)
    }

    /// Tells this one what no honest agent does; without it, nobody listens.
    pub(crate) fn telling(mut self, breaches: mpsc::Sender<Breach>) -> Self {
        self.breaches = breaches;
        self
    }

    /// Begins with these agents given nothing new.
    pub(crate) fn with_drained(mut self, drained: BTreeSet<VantageName>) -> Self {
        self.drained = drained;
        self
    }

    /// Serves commands until `stop`, then tells every agent to go away.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        while let Some(Some(command)) = stop.run_until_cancelled(self.commands.recv()).await {
            self.handle(command);
        }
        let vantages: Vec<VantageName> = self.sessions.keys().cloned().collect();
        for vantage in vantages {
            let away = STOPPED_AWAY_MAX.mul_f64(rand::rng().random_range(0.0..1.0));
            self.end(&vantage, Some("the controller stops"), away);
        }
    }

    pub(super) fn handle(&mut self, command: Command) {
        match command {
            Command::Join { joining, reply } => {
                let began = self.join(joining);
                let _ = reply.send(began);
            }
            Command::Leave { vantage, epoch } => {
                if self.sessions.get(&vantage).is_some_and(|it| it.epoch == epoch) {
                    info!(%vantage, "an agent's session ended");
                    self.end(&vantage, None, Duration::ZERO);
                }
            }
            Command::Heard { vantage, epoch, heard } => {
                // A message from a session that was replaced meanwhile counts for nothing.
                if self.sessions.get(&vantage).is_some_and(|it| it.epoch == epoch) {
                    self.hear(&vantage, heard);
                }
            }
            Command::Offer { vantage, offer, place, reply } => {
                let offered = self.offer(&vantage, offer, place);
                let _ = reply.send(offered);
            }
            Command::Answer { task, message } => self.answer(&task, *message),
            Command::Acknowledge { vantage, task } => {
                self.tell(&vantage, Message::Acknowledge(wire::Acknowledge { task }));
            }
            Command::Disown { vantage, task } => self.disown(&vantage, task),
            Command::Cancel { task } => self.cancel(&task),
            Command::Forget { task } => self.forget(&task),
            Command::Abandon { task } => self.abandon(&task),
            Command::Cut { vantage, spared, reason, reply } => {
                self.cut(&vantage, spared, &reason);
                let _ = reply.send(());
            }
            Command::Ahead { vantage } => self.view.send_modify(|it| {
                it.ahead.insert(vantage, SystemTime::now());
            }),
            Command::Drain { vantage, drained, reply } => {
                self.drain(&vantage, drained);
                let _ = reply.send(());
            }
        }
    }

    pub(super) fn join(&mut self, joining: Joining) -> bool {
        let Joining { vantage, ticket, epoch, certificate_sha256, outgoing, closed, cut } = joining;
        if self.was_cut(&vantage, ticket, &certificate_sha256) {
            return false;
        }
        if let Some(old) = self.sessions.get(&vantage) {
            if old.epoch > epoch {
                return false;
            }
            // Who renewed its certificate comes back with another one.
            let is_same_identity = old.certificate_sha256 == certificate_sha256;
            if is_same_identity && old.since.elapsed() < FLIP {
                warn!(%vantage, "an agent's session was replaced within a minute; two machines may share one certificate");
                self.view.send_modify(|it| {
                    it.flipped.insert(vantage.clone(), SystemTime::now());
                });
            }
            self.end(&vantage, Some("a newer session of this agent began"), REPLACED_AWAY);
        }
        let since = Instant::now();
        let queue = Queue::default();
        let session = Session { epoch, certificate_sha256, since, cut, outgoing, closed, queue };
        info!(%vantage, "an agent's session began");
        self.first_epochs.entry(vantage.clone()).or_insert(epoch);
        self.sessions.insert(vantage.clone(), session);
        self.tell(&vantage, Message::Welcome(welcome(&vantage, epoch)));
        self.show(&vantage);
        true
    }

    /// Ends a session: its tasks are lost, its queue is gone.
    pub(super) fn end(&mut self, vantage: &VantageName, told: Option<&str>, away: Duration) {
        if let Some(reason) = told {
            let go_away = wire::GoAway {
                reconnect_after: Some(parallax_wire::encode_duration(away)),
                reason: reason.to_owned(),
            };
            self.tell(vantage, Message::GoAway(go_away));
        }
        let Some(session) = self.sessions.remove(vantage) else { return };
        session.closed.cancel();
        let lost: Vec<String> = self
            .tasks
            .iter()
            .filter(|(_, it)| it.vantage == *vantage && it.epoch == session.epoch)
            // After go the result decides about the budget; the agent brings it with its next session.
            .filter(|(_, it)| it.stage != Stage::Answered)
            .map(|(id, _)| id.clone())
            .collect();
        for task in lost {
            self.notify(&task, TaskEvent::Lost);
            self.forget(&task);
        }
        self.show(vantage);
    }

    pub(super) fn offer(
        &mut self,
        vantage: &VantageName,
        offer: Box<wire::Offer>,
        place: TaskPlace,
    ) -> Result<mpsc::Receiver<TaskEvent>, NotOffered> {
        let session = self.sessions.get_mut(vantage).ok_or(NotOffered::NoSession)?;
        if self.drained.contains(vantage) {
            return Err(NotOffered::Draining);
        }
        let lane = Lane::of(&offer);
        if session.queue.is_full(lane) {
            return Err(NotOffered::QueueFull);
        }
        let (events, receiver) = mpsc::channel(EVENTS_MAX);
        let assigned = Assigned {
            vantage: vantage.clone(),
            epoch: session.epoch,
            place,
            lane,
            stage: Stage::Waiting,
            events,
        };
        self.tasks.insert(offer.task.clone(), assigned);
        session.queue.push(offer);
        self.fill(vantage);
        Ok(receiver)
    }

    /// Offers what waits, as far as there is room.
    fn fill(&mut self, vantage: &VantageName) {
        while let Some(session) = self.sessions.get_mut(vantage)
            && let Some(offer) = session.queue.next()
        {
            let Some(assigned) = self.tasks.get_mut(&offer.task) else {
                session.queue.release(Lane::of(&offer));
                continue;
            };
            assigned.stage = Stage::Held;
            self.tell(vantage, Message::Offer(*offer));
        }
    }

    pub(super) fn hear(&mut self, vantage: &VantageName, heard: Heard) {
        match heard {
            Heard::Accept { task } => {
                if self.is_held(vantage, &task) {
                    self.notify(&task, TaskEvent::Accepted);
                }
            }
            Heard::Refuse { task, reason } => {
                if self.is_held(vantage, &task) {
                    self.free(&task);
                    self.notify(&task, TaskEvent::Refused { reason });
                }
            }
            Heard::Progress { task, stage, text } => {
                if self.is_held(vantage, &task) {
                    self.notify(&task, TaskEvent::Progress { stage, text });
                }
            }
            Heard::Begin { task, begin } => self.begin(vantage, &task, begin),
            Heard::Result { task, epoch, done } => self.result(vantage, task, epoch, done),
        }
    }

    fn begin(&mut self, vantage: &VantageName, task: &str, begin: Begin) {
        let ours = self.tasks.get_mut(task).filter(|it| it.vantage == *vantage);
        if let Some(assigned) = ours
            && assigned.stage == Stage::Held
        {
            assigned.stage = Stage::Begun;
            self.notify(task, TaskEvent::Begun(begin));
            return;
        }
        if self.tasks.get(task).is_some_and(|it| it.vantage != *vantage) {
            self.breach(vantage, "a begin for another agent's task");
        }
        // A second begin, or one for a task that is over: never a second go.
        let deny = wire::Deny {
            attempt: begin.attempt,
            nonce: begin.nonce.to_vec(),
            reason: "this attempt cannot begin any more".to_owned(),
        };
        self.tell(vantage, Message::Deny(deny));
    }

    fn result(&mut self, vantage: &VantageName, task: String, epoch: i64, mut done: Box<Done>) {
        if self.tasks.get(&task).is_some_and(|it| it.events.is_closed()) {
            // Its owner is gone without a word; nobody would ever acknowledge this.
            self.forget(&task);
        }
        if let Some(assigned) = self.tasks.get(&task) {
            if assigned.vantage != *vantage {
                self.breach_by_result(vantage, epoch, "a result of another agent's task");
                self.disown(vantage, task);
            } else if assigned.epoch != epoch {
                self.disown(vantage, task);
            } else if assigned.stage != Stage::Waiting {
                let endpoint = assigned.place.endpoint.clone();
                self.check_path(vantage, epoch, Some(&endpoint), &mut done);
                self.free(&task);
                self.notify(&task, TaskEvent::Done(done));
            }
            return;
        }
        let place = match self.past.get(&task) {
            Some(past) if past.vantage == *vantage && past.epoch == epoch => {
                Some(past.place.clone())
            }
            Some(past) => {
                if past.vantage != *vantage {
                    self.breach_by_result(vantage, epoch, "a result of another agent's task");
                }
                return self.disown(vantage, task);
            }
            // Perhaps a process before this one granted it.
            None => None,
        };
        self.check_path(vantage, epoch, place.as_ref().map(|it| &it.endpoint), &mut done);
        let vantage = vantage.clone();
        // A full queue is no loss: the agent keeps what is not acknowledged and sends it again within minutes.
        let _ = self.late.try_send(LateResult { task, place, vantage, epoch, done });
    }

    /// A report speaks of its own vantage, and of the endpoint that was asked for where that is known; otherwise it is none.
    fn check_path(
        &self,
        vantage: &VantageName,
        epoch: i64,
        endpoint: Option<&EndpointName>,
        done: &mut Done,
    ) {
        let Ok(report) = &done.report else { return };
        let is_of_it = endpoint.is_none_or(|it| *it == report.path.endpoint);
        if report.path.vantage != *vantage || !is_of_it {
            self.breach_by_result(vantage, epoch, "a report about another path than was asked");
            done.report = Err("it is about another path than was asked".to_owned());
        }
    }

    /// A result that no honest agent sends, if it is of a session that this process gave to that agent. Of any other it may
    /// have been left behind in a folder that another agent joined with, or on a machine that was cloned: nothing is
    /// believed of it, and nobody is punished.
    fn breach_by_result(&self, vantage: &VantageName, epoch: i64, what: &'static str) {
        let first = self.first_epochs.get(vantage);
        let newest = self.sessions.get(vantage).map(|it| it.epoch);
        if first.zip(newest).is_some_and(|(first, newest)| (*first..=newest).contains(&epoch)) {
            self.breach(vantage, what);
        }
    }

    /// What no honest agent does. A full queue holds enough of it already.
    fn breach(&self, vantage: &VantageName, what: &'static str) {
        let _ = self.breaches.try_send(Breach { vantage: vantage.clone(), what });
    }

    /// A result of a task that was not granted to this agent. To the agent, a cancel for a task of an earlier session says
    /// just that, so nothing else may cancel one.
    fn disown(&mut self, vantage: &VantageName, task: String) {
        warn!(%vantage, "an agent sent the result of a task that is not its own");
        self.view.send_modify(|it| it.rejected_results += 1);
        // There is nothing to put on disk; the agent may drop it.
        self.tell(vantage, Message::Cancel(wire::Cancel { task }));
    }

    fn answer(&mut self, task: &str, message: Message) {
        let Some(assigned) = self.tasks.get_mut(task) else { return };
        if assigned.stage == Stage::Begun {
            assigned.stage = Stage::Answered;
            let vantage = assigned.vantage.clone();
            self.tell(&vantage, message);
        }
    }

    fn cancel(&mut self, task: &str) {
        let Some(assigned) = self.tasks.get(task) else { return };
        let (vantage, lane, stage) = (assigned.vantage.clone(), assigned.lane, assigned.stage);
        match stage {
            Stage::Waiting => {
                if let Some(session) = self.sessions.get_mut(&vantage) {
                    session.queue.remove(lane, task);
                }
            }
            Stage::Held | Stage::Begun | Stage::Answered => {
                // In a newer session the agent would take it for a disowned result, and drop the only copy. What is
                // held over a session's end was answered, and nothing stops it.
                let epoch = assigned.epoch;
                if self.sessions.get(&vantage).is_some_and(|it| it.epoch == epoch) {
                    self.tell(&vantage, Message::Cancel(wire::Cancel { task: task.to_owned() }));
                }
            }
            Stage::Ended => {}
        }
    }

    /// The owner is gone: unless it forgot the task before, its agent is stopped.
    fn abandon(&mut self, task: &str) {
        self.cancel(task);
        self.forget(task);
    }

    pub(super) fn forget(&mut self, task: &str) {
        self.free(task);
        let Some(assigned) = self.tasks.remove(task) else { return };
        if self.past_order.len() >= PAST_MAX
            && let Some(oldest) = self.past_order.pop_front()
        {
            self.past.remove(&oldest);
        }
        let Assigned { vantage, epoch, place, .. } = assigned;
        self.past.insert(task.to_owned(), Past { vantage, epoch, place });
        self.past_order.push_back(task.to_owned());
    }

    /// Gives back the room that a task takes at its agent.
    fn free(&mut self, task: &str) {
        let Some(assigned) = self.tasks.get_mut(task) else { return };
        let before = std::mem::replace(&mut assigned.stage, Stage::Ended);
        let (vantage, epoch, lane) = (assigned.vantage.clone(), assigned.epoch, assigned.lane);
        let Some(session) = self.sessions.get_mut(&vantage).filter(|it| it.epoch == epoch) else {
            return;
        };
        match before {
            Stage::Waiting => session.queue.remove(lane, task),
            Stage::Held | Stage::Begun | Stage::Answered => session.queue.release(lane),
            Stage::Ended => return,
        }
        self.fill(&vantage);
    }

    fn is_held(&self, vantage: &VantageName, task: &str) -> bool {
        self.tasks.get(task).is_some_and(|it| {
            it.vantage == *vantage && !matches!(it.stage, Stage::Waiting | Stage::Ended)
        })
    }

    /// Tells the owner of a task. Progress gives way when the owner is slow; the rest has places kept free.
    pub(super) fn notify(&self, task: &str, event: TaskEvent) {
        let Some(assigned) = self.tasks.get(task) else { return };
        let is_progress = matches!(event, TaskEvent::Progress { .. } | TaskEvent::Accepted);
        if is_progress && assigned.events.capacity() <= EVENTS_KEPT {
            return;
        }
        // An owner that is gone has lost interest; `result` does not come here for it.
        let _ = assigned.events.try_send(event);
    }

    /// Sends to an agent. One that lets its queue fill up is too slow to be of use.
    fn tell(&mut self, vantage: &VantageName, message: Message) {
        let Some(session) = self.sessions.get(vantage) else { return };
        if session.outgoing.try_send(Ok(response(message))).is_err() {
            session.closed.cancel();
        }
    }
}

/// What an agent is told at the beginning.
fn welcome(vantage: &VantageName, epoch: i64) -> wire::Welcome {
    wire::Welcome {
        session_epoch: epoch,
        protocol_min: PROTOCOL,
        credit: i32::try_from(CREDIT).unwrap_or(i32::MAX),
        heartbeat_interval: Some(parallax_wire::encode_duration(HEARTBEAT)),
        vantage: vantage.to_string(),
    }
}
