//! The tasks in hand: taking them, answering for them, handing their results to the spool. It outlives every session.
//!
//! Absent on purpose: the stream. What there is to say is returned; whoever has a session sends it.
//!
//! INVARIANT: a task id is worked on at most once: one that is in hand or whose result is kept is refused.
//! INVARIANT: a task goes on when its session ends, and its result waits for the next one; only a begin ends with the
//! session it was sent in.
//! INVARIANT: every task runs in one set, which ends with the desk.
//! INVARIANT: tasks of schedules leave a quarter of the room to those that somebody waits for.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use parallax_failpoint::point;
use parallax_model::{EndpointName, PathId, PathReport, Report, VantageName};
use parallax_probe::Instrument;
use parallax_wire::pb::link as wire;
use parallax_wire::pb::link::session_request::Message;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::begins::Begins;
use crate::policy::{Policy, Resolved};
use crate::settings::Timings;
use crate::spool::{BYTES_MAX, RESULTS_MAX, Spool};
use crate::work::{CANCELLED, Event, Work};

/// Tasks in hand at once, whatever credit the controller gives.
const TASKS_MAX: usize = 32;
/// Part of the room that schedules never take: 8 of 32.
const KEPT_ONE_OF: usize = 4;
/// What tasks have to tell and the desk has not heard yet.
const EVENTS_MAX: usize = 256;
/// The largest result sent; the controller reads at most 1 MiB.
const RESULT_BYTES_MAX: usize = 1000 * 1024;

/// The session in which tasks are taken.
#[derive(Clone, Debug)]
pub(crate) struct Footing {
    pub(crate) epoch: i64,
    pub(crate) vantage: VantageName,
    /// Tasks that the controller lets this agent hold.
    pub(crate) credit: usize,
}

/// A task in hand.
struct InHand {
    epoch: i64,
    path: PathId,
    attempt: String,
    /// Of its begin; empty before.
    nonce: Vec<u8>,
    cancel: CancellationToken,
}

/// Something that happened here.
pub(crate) enum News {
    Told(Event),
    Ended(Result<(Id, Report), JoinError>),
}

/// Every task of this agent.
pub(crate) struct Desk {
    instrument: Arc<Instrument>,
    policy: Arc<Policy>,
    resolved: Arc<Resolved>,
    timings: Timings,
    in_hand: BTreeMap<String, InHand>,
    running: JoinSet<Report>,
    tasks_by_id: HashMap<Id, String>,
    events: mpsc::Receiver<Event>,
    tell: mpsc::Sender<Event>,
    begins: Begins,
    /// Another session is to take over: what is ready to begin waits for it.
    holds_back: bool,
    /// What waits so; at most one for each task in hand.
    held_back: VecDeque<News>,
    spool: Spool,
    #[cfg(feature = "simulation")]
    pub(crate) hands: Option<Arc<dyn crate::simulation::Hands>>,
}

impl Desk {
    pub(crate) fn new(
        instrument: Instrument,
        policy: Policy,
        timings: Timings,
        spool: Spool,
    ) -> Self {
        let (tell, events) = mpsc::channel(EVENTS_MAX);
        Self {
            instrument: Arc::new(instrument),
            policy: Arc::new(policy),
            resolved: Arc::default(),
            timings,
            in_hand: BTreeMap::new(),
            running: JoinSet::new(),
            tasks_by_id: HashMap::new(),
            events,
            tell,
            begins: Begins::new(),
            holds_back: false,
            held_back: VecDeque::new(),
            spool,
            #[cfg(feature = "simulation")]
            hands: None,
        }
    }

    /// What to say of oneself.
    pub(crate) fn hello(&self) -> wire::Hello {
        wire::Hello {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: crate::PROTOCOL,
            capabilities: crate::CAPABILITIES.iter().map(|it| (*it).to_owned()).collect(),
            policy_sha256: self.policy.sha256().to_owned(),
            unacknowledged_tasks: self.spool.results().map(|it| it.task.clone()).collect(),
            ledger_sequence: self.begins.highest_sequence(),
        }
    }

    /// Tasks whose results are not acknowledged, oldest first.
    pub(crate) fn unacknowledged(&self) -> VecDeque<String> {
        self.spool.results().map(|it| it.task.clone()).collect()
    }

    /// The result of a task, if it is still kept.
    pub(crate) fn result_of(&self, task: &str) -> Option<Message> {
        self.spool.get(task).cloned().map(Message::Result)
    }

    /// Results that are not acknowledged; the second part are those that the next start would not find.
    pub(crate) fn left(&self) -> (usize, usize) {
        (self.spool.len(), self.spool.only_in_memory())
    }

    /// The name of a task that runs.
    #[cfg(feature = "simulation")]
    pub(crate) fn task_of(&self, id: Id) -> String {
        self.tasks_by_id.get(&id).cloned().unwrap_or_default()
    }

    /// Whether no task is in hand.
    pub(crate) fn has_no_task(&self) -> bool {
        self.in_hand.is_empty()
    }

    /// Whether a probe waits for its go: what ends the session now costs it its logon.
    pub(crate) fn waits_for_go(&self) -> bool {
        self.begins.any_waits()
    }

    /// Whether nothing is left to do or to be acknowledged.
    pub(crate) fn is_idle(&self) -> bool {
        self.in_hand.is_empty() && self.spool.len() == 0
    }

    /// Takes a task or refuses it.
    pub(crate) fn take(&mut self, offer: wire::Offer, footing: &Footing) -> Message {
        let task = offer.task.clone();
        match self.start(offer, footing) {
            Ok(()) => {
                point("task.accepted");
                Message::Accept(wire::Accept { task })
            }
            Err(reason) => {
                info!(task, reason, "task refused");
                Message::Refuse(wire::Refuse { task, reason })
            }
        }
    }

    fn start(&mut self, offer: wire::Offer, footing: &Footing) -> Result<(), String> {
        if self.in_hand.contains_key(&offer.task) || self.spool.get(&offer.task).is_some() {
            return Err("this task was taken before".to_owned());
        }
        let is_scheduled = offer.lane() == wire::Lane::Scheduled;
        self.has_room(footing.credit.min(TASKS_MAX), is_scheduled)?;
        let task = parallax_wire::decode_offer(offer)
            .map_err(|error| format!("the offer cannot be read: {error}"))?;
        self.policy.permits_task(&task, &self.resolved).map_err(|rule| rule.0)?;
        let cancel = CancellationToken::new();
        let endpoint: EndpointName = task.endpoint.name.clone();
        let in_hand = InHand {
            epoch: footing.epoch,
            path: PathId { vantage: footing.vantage.clone(), endpoint },
            attempt: task.logon.as_ref().map(|it| it.attempt.clone()).unwrap_or_default(),
            nonce: Vec::new(),
            cancel: cancel.clone(),
        };
        let id = task.id.clone();
        let work = Work {
            task,
            instrument: Arc::clone(&self.instrument),
            policy: Arc::clone(&self.policy),
            resolved: Arc::clone(&self.resolved),
            events: self.tell.clone(),
            cancel,
            go_wait: self.timings.go_wait,
        };
        #[cfg(not(feature = "simulation"))]
        let running = work.run();
        #[cfg(feature = "simulation")]
        let running = work.run_with(self.hands.clone());
        let handle = self.running.spawn(running);
        self.tasks_by_id.insert(handle.id(), id.clone());
        self.in_hand.insert(id, in_hand);
        Ok(())
    }

    fn has_room(&self, room: usize, is_scheduled: bool) -> Result<(), String> {
        if self.in_hand.len() >= room {
            return Err(format!("no room: {room} tasks are in hand"));
        }
        let kept = room.div_ceil(KEPT_ONE_OF);
        if is_scheduled && self.in_hand.len() >= room - kept {
            return Err(format!("no room for schedules: the last {kept} places are not theirs"));
        }
        if self.in_hand.len() + self.spool.len() >= RESULTS_MAX || self.spool.bytes() >= BYTES_MAX {
            return Err("no room: too many results are not acknowledged".to_owned());
        }
        Ok(())
    }

    /// Waits for something to happen. Cancel-safe.
    pub(crate) async fn news(&mut self) -> News {
        if !self.holds_back
            && let Some(news) = self.held_back.pop_front()
        {
            return news;
        }
        tokio::select! {
            // What a task told comes before its end.
            biased;
            Some(event) = self.events.recv() => News::Told(event),
            Some(ended) = self.running.join_next_with_id() => News::Ended(ended),
            else => std::future::pending().await,
        }
    }

    /// Takes note of it. Returns what there is to say; without a session nothing is said, and a begin is not made.
    pub(crate) fn note(&mut self, news: News, has_session: bool) -> Option<Message> {
        match news {
            News::Told(Event::Progress { task, stage, text }) => {
                let stage = stage.to_owned();
                has_session.then_some(Message::Progress(wire::Progress { task, stage, text }))
            }
            // It was cancelled, or waited too long, while it was held back: it has sent nothing, and does not ask any more.
            News::Told(Event::Ready { reply, .. }) if reply.is_closed() => None,
            ready @ News::Told(Event::Ready { .. }) if self.holds_back => {
                self.held_back.push_back(ready);
                None
            }
            News::Told(Event::Ready { reply, .. }) if !has_session => {
                // A probe that no longer waits has sent nothing either.
                let _ = reply.send(Err("there is no session with the controller".to_owned()));
                None
            }
            News::Told(Event::Ready { task, attempt, reply }) => {
                let begin = self.begins.begin(&task, &attempt, self.timings.go_wait, reply);
                let begin = begin.inspect_err(|error| error!(%error, task, "cannot begin")).ok()?;
                if let Some(in_hand) = self.in_hand.get_mut(&task) {
                    in_hand.nonce.clone_from(&begin.nonce);
                }
                point("begin.before");
                Some(Message::Begin(begin))
            }
            News::Ended(Ok((id, report))) => self.end(id, report, has_session),
            News::Ended(Err(ended)) => {
                // The panic itself was logged by the hook.
                let detail = "the probe failed inside the agent".to_owned();
                self.end(ended.id(), Report::Unable { detail }, has_session)
            }
        }
    }

    fn end(&mut self, id: Id, report: Report, has_session: bool) -> Option<Message> {
        let task = self.tasks_by_id.remove(&id)?;
        let InHand { epoch, path, attempt, nonce, .. } = self.in_hand.remove(&task)?;
        self.begins.forget(&attempt, "the task ended");
        let endpoint = path.clone();
        let encode = |report| Some((&PathReport { path: path.clone(), report }).into());
        let mut result =
            wire::Result { task, session_epoch: epoch, report: encode(report), attempt, nonce };
        if result.encoded_len() > RESULT_BYTES_MAX {
            warn!(path = %endpoint, "report left out because it is too large");
            let detail = format!("the report is larger than {RESULT_BYTES_MAX} bytes");
            result.report = encode(Report::Unable { detail });
        }
        point("spool.before");
        self.spool.keep(result.clone());
        point("spool.after");
        has_session.then_some(Message::Result(result))
    }

    pub(crate) fn go(&mut self, go: wire::Go, footing: &Footing) {
        let attempt = go.attempt.clone();
        if let Err(refusal) = self.begins.go(go, &footing.vantage) {
            warn!(attempt, %refusal, "go without effect");
        }
    }

    pub(crate) fn deny(&mut self, deny: &wire::Deny) {
        self.begins.deny(deny);
    }

    pub(crate) fn acknowledge(&mut self, task: &str) {
        point("acknowledge.before");
        tracing::debug!(task, "acknowledged");
        self.spool.acknowledge(task);
    }

    pub(crate) fn cancel(&mut self, task: &str, footing: &Footing) {
        match self.in_hand.get(task) {
            Some(in_hand) => {
                self.begins.forget(&in_hand.attempt, CANCELLED);
                in_hand.cancel.cancel();
            }
            None => self.spool.disown(task, footing.epoch),
        }
    }

    /// Writes to the disk what is not there yet.
    pub(crate) fn save(&mut self) {
        self.spool.save();
    }

    pub(crate) fn cancel_all(&mut self) {
        self.begins.forget_all(CANCELLED);
        for in_hand in self.in_hand.values() {
            in_hand.cancel.cancel();
        }
    }

    /// Begins are not made while another session begins: the end of the one they are sent in would cost them their go.
    pub(crate) fn hold_back(&mut self, holds_back: bool) {
        self.holds_back = holds_back;
    }

    /// The session is over: no go of it may be believed any more.
    pub(crate) fn lose_session(&mut self) {
        self.holds_back = false;
        self.begins.forget_all("the session with the controller ended");
    }
}
