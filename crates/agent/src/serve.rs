//! One session: hears the controller, tells it what tasks came to, keeps both awake, and makes way for the next session.
//!
//! Absent on purpose: what comes after it; `session` decides that from the [`Ending`].
//!
//! INVARIANT: a session in which nothing was heard for 2¼ heartbeats (45 s) is over, whatever TCP believes.
//! INVARIANT: nothing is sent without a limit: a controller that does not read loses the session.
//! INVARIANT: a session that is replaced ends after the new one has begun, and never while a probe waits for its go: none is
//! replaced while a begin is out, and no begin is made while the new one begins.
//! INVARIANT: a result that is not acknowledged goes again within this session, the oldest 64 after at most 2.4 min.

use std::collections::{BTreeSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parallax_wire::pb::link as wire;
use parallax_wire::pb::link::session_request::Message;
use parallax_wire::pb::link::session_response::Message as Told;
use tokio::time::{Instant, sleep_until};
use tonic::{Code, Status};
use tracing::{debug, info, warn};

use crate::certificate::key_digest;
use crate::desk::News;
use crate::identity::Identity;
use crate::link::{Link, OUTGOING_MAX, request};
use crate::renewal::renew;
use crate::session::Agent;
use crate::trouble::Trouble;

/// Heartbeats go out this far around their interval, so that a fleet does not beat as one.
const JITTER: std::ops::Range<f64> = 0.8..1.2;
/// So do the ends of long sessions.
const AGE_JITTER: std::ops::Range<f64> = 0.75..1.25;
/// Two missed heartbeats and a little: 45 s of 20 s.
const DEAD_AFTER_HEARTBEATS: f64 = 2.25;
/// Results of before that are on their way at once.
const RESENT_AT_ONCE: usize = 64;
/// The clock of the machine may be set; so the time of the renewal is looked at again after this.
const RENEWAL_LOOK: Duration = Duration::from_hours(1);
const RENEWAL_LOOK_MIN: Duration = Duration::from_millis(50);

/// How a session ended.
pub(crate) enum Ending {
    Lost(&'static str),
    /// The controller ended it and said why.
    Refused(Trouble),
    GoAway(Duration),
    /// Another one has begun.
    Replaced(Box<Link>),
    /// The agent was asked to stop, and said all it had to say.
    Stopped,
}

/// Why a session comes to its end.
enum Leaving {
    Stop {
        /// Tasks are cancelled then.
        drained_at: Instant,
        /// Set once they were: acknowledgements are waited for until then.
        until: Option<Instant>,
    },
    GoAway {
        asked: Duration,
        /// Tasks that last longer go on without a session.
        until: Instant,
    },
}

type Awaited<T> = Option<Pin<Box<dyn Future<Output = Result<T, Trouble>> + Send>>>;

enum Event {
    Stop,
    Time,
    News(News),
    Told(Result<Option<wire::SessionResponse>, Status>),
    Renewed(Result<Identity, Trouble>),
    Begun(Result<Link, Trouble>),
}

struct Session<'a> {
    agent: &'a mut Agent,
    link: Link,
    dead_at: Instant,
    beat_at: Instant,
    /// Tasks whose results of before are still to be sent again.
    resend: VecDeque<String>,
    /// When the next look is taken at what was not acknowledged.
    resend_at: Instant,
    /// Tasks whose results were not acknowledged at the last look.
    overdue: BTreeSet<String>,
    leaving: Option<Leaving>,
    /// When another session is to take over.
    replace_at: Instant,
    replacing: Awaited<Link>,
    /// The controller ended this one while another was begun.
    over: Option<Ending>,
    renewal_at: Instant,
    renewing: Awaited<Identity>,
}

/// Serves a session to its end.
pub(crate) async fn serve(agent: &mut Agent, link: Link) -> Ending {
    let now = Instant::now();
    let kept = agent.desk.unacknowledged();
    let mut session = Session {
        dead_at: now + dead_after(&link),
        beat_at: now + jittered(link.heartbeat),
        overdue: kept.iter().cloned().collect(),
        resend: kept,
        resend_at: now + jittered(agent.timings.resend_after),
        leaving: None,
        replace_at: now + agent.timings.session_age.mul_f64(rand::random_range(AGE_JITTER)),
        replacing: None,
        over: None,
        renewal_at: now,
        renewing: None,
        agent,
        link,
    };
    if !session.resend(RESENT_AT_ONCE) {
        return Ending::Lost("the controller does not read");
    }
    loop {
        session.begin_another();
        let event = session.wait().await;
        if let Some(ending) = session.on(event).or_else(|| session.ended()) {
            return ending;
        }
    }
}

impl Session<'_> {
    /// Waits for whatever comes first.
    async fn wait(&mut self) -> Event {
        let next_at = self.next_at();
        let is_stopping = matches!(self.leaving, Some(Leaving::Stop { .. }));
        tokio::select! {
            () = self.agent.stop.cancelled(), if !is_stopping => Event::Stop,
            () = sleep_until(next_at) => Event::Time,
            news = self.agent.desk.news() => Event::News(news),
            told = self.link.incoming.message(), if self.over.is_none() => Event::Told(told),
            renewed = awaited(&mut self.renewing) => Event::Renewed(renewed),
            begun = awaited(&mut self.replacing) => Event::Begun(begun),
        }
    }

    fn next_at(&self) -> Instant {
        let mut next = self.beat_at.min(self.renewal_at);
        if self.over.is_none() {
            next = next.min(self.dead_at).min(self.resend_at);
        }
        match &self.leaving {
            None => {}
            Some(Leaving::GoAway { until, .. }) => next = next.min(*until),
            Some(Leaving::Stop { drained_at, until }) => {
                next = next.min(until.unwrap_or(*drained_at));
            }
        }
        // Whatever else is waited for, the time to be replaced is noticed.
        if self.replacing.is_none() && self.replace_at > Instant::now() {
            next = next.min(self.replace_at);
        }
        next
    }

    fn on(&mut self, event: Event) -> Option<Ending> {
        match event {
            Event::Stop => {
                let now = Instant::now();
                self.agent.stopped_at = Some(now);
                let drained_at = now + self.agent.timings.drain;
                self.leaving = Some(Leaving::Stop { drained_at, until: None });
                None
            }
            Event::Time => self.on_time(),
            Event::News(news) => {
                let has_session = self.over.is_none();
                let message = self.agent.desk.note(news, has_session);
                message.and_then(|message| self.say(message))
            }
            Event::Told(told) => self.on_told(told),
            Event::Renewed(renewed) => {
                self.renewing = None;
                self.on_renewed(renewed);
                None
            }
            Event::Begun(begun) => {
                self.replacing = None;
                self.agent.desk.hold_back(false);
                self.on_begun(begun)
            }
        }
    }

    fn on_time(&mut self) -> Option<Ending> {
        let now = Instant::now();
        if self.over.is_none() && now >= self.dead_at {
            return Some(Ending::Lost("the controller fell silent"));
        }
        if let Some(Leaving::Stop { drained_at, until: until @ None }) = &mut self.leaving
            && now >= *drained_at
        {
            self.agent.desk.cancel_all();
            *until = Some(now + self.agent.timings.farewell);
        }
        if now >= self.renewal_at {
            self.look_at_renewal();
        }
        if self.over.is_none() && now >= self.resend_at && !self.resend_overdue() {
            return Some(Ending::Lost("the controller does not read"));
        }
        if now >= self.beat_at {
            self.beat_at = now + jittered(self.link.heartbeat);
            return self.say(Message::Heartbeat(wire::Heartbeat {}));
        }
        None
    }

    fn on_told(&mut self, told: Result<Option<wire::SessionResponse>, Status>) -> Option<Ending> {
        match told {
            Ok(Some(wire::SessionResponse { message })) => {
                self.dead_at = Instant::now() + dead_after(&self.link);
                self.hear(message)
            }
            Ok(None) => self.is_over(Ending::Lost("the controller ended the stream")),
            Err(status) => {
                debug!(code = ?status.code(), message = status.message(), "stream broke");
                let is_said =
                    matches!(status.code(), Code::PermissionDenied | Code::Unauthenticated);
                self.is_over(if is_said {
                    Ending::Refused(self.link.wire.alerts.of_call(&status))
                } else {
                    Ending::Lost("the stream broke")
                })
            }
        }
    }

    /// The stream is over. While another session begins, its beginning is waited for: the controller ends this one for it.
    fn is_over(&mut self, ending: Ending) -> Option<Ending> {
        let ending = match &self.leaving {
            Some(Leaving::GoAway { asked, .. }) => Ending::GoAway(*asked),
            Some(Leaving::Stop { .. }) | None => ending,
        };
        if self.replacing.is_none() {
            return Some(ending);
        }
        self.over = Some(ending);
        None
    }

    /// What the controller says.
    fn hear(&mut self, message: Option<Told>) -> Option<Ending> {
        let Self { agent, link, .. } = self;
        let (desk, footing) = (&mut agent.desk, &link.footing);
        match message {
            Some(Told::Offer(offer)) if self.leaving.is_some() => {
                let reason = "the agent stops".to_owned();
                return self.say(Message::Refuse(wire::Refuse { task: offer.task, reason }));
            }
            Some(Told::Offer(offer)) => {
                let answer = desk.take(offer, footing);
                return self.say(answer);
            }
            Some(Told::Go(go)) => desk.go(go, footing),
            Some(Told::Deny(deny)) => desk.deny(&deny),
            Some(Told::Acknowledge(wire::Acknowledge { task })) => {
                desk.acknowledge(&task);
                return self.resend_more();
            }
            Some(Told::Cancel(wire::Cancel { task })) => {
                desk.cancel(&task, footing);
                return self.resend_more();
            }
            Some(Told::GoAway(go_away)) => self.on_go_away(go_away),
            Some(Told::Heartbeat(wire::Heartbeat {})) => {}
            Some(Told::Welcome(_)) | None => {
                return Some(Ending::Lost("the controller said something out of turn"));
            }
        }
        None
    }

    fn on_go_away(&mut self, go_away: wire::GoAway) {
        let wire::GoAway { reconnect_after, reason } = go_away;
        if self.replacing.is_some() {
            return; // It makes way for the session that we begin.
        }
        info!(reason, "the controller asks to come back later");
        let timings = &self.agent.timings;
        let asked = parallax_wire::decode_duration(reconnect_after, "reconnect_after");
        let asked = asked.unwrap_or(timings.reconnect_base);
        // A stop is further than going away.
        if self.leaving.is_none() {
            let until = Instant::now() + timings.drain + timings.farewell;
            self.leaving = Some(Leaving::GoAway { asked, until });
        }
    }

    /// Whether all that keeps a session which is left is done.
    fn ended(&mut self) -> Option<Ending> {
        let now = Instant::now();
        match &self.leaving {
            Some(Leaving::Stop { until, .. })
                if self.agent.desk.is_idle() || until.is_some_and(|it| now >= it) =>
            {
                Some(Ending::Stopped)
            }
            Some(Leaving::GoAway { asked, until })
                if self.agent.desk.is_idle() || now >= *until =>
            {
                Some(Ending::GoAway(*asked))
            }
            Some(Leaving::Stop { .. } | Leaving::GoAway { .. }) | None => None,
        }
    }

    /// Begins the session that takes over, when it is time and nobody is disturbed by it.
    fn begin_another(&mut self) {
        let now = Instant::now();
        let is_busy =
            !self.agent.desk.has_no_task() && now < self.replace_at + self.agent.timings.quiet_wait;
        if self.replacing.is_some()
            || self.leaving.is_some()
            || now < self.replace_at
            || is_busy
            || self.agent.desk.waits_for_go()
        {
            return;
        }
        let connector = Arc::clone(&self.agent.connector);
        let hello = self.agent.desk.hello();
        self.agent.desk.hold_back(true);
        self.replacing = Some(Box::pin(async move { connector.connect(hello).await }));
    }

    fn on_begun(&mut self, begun: Result<Link, Trouble>) -> Option<Ending> {
        match begun {
            Ok(link) => Some(Ending::Replaced(Box::new(link))),
            Err(trouble) => {
                warn!(why = %trouble, "no session in place of the one that runs");
                self.replace_at = Instant::now() + jittered(self.agent.timings.renew_retry);
                self.over.take()
            }
        }
    }

    /// Asks for a new certificate when it is time.
    fn look_at_renewal(&mut self) {
        let now = Instant::now();
        self.renewal_at = now + RENEWAL_LOOK;
        let Some(due) = self.agent.renew_due else { return };
        let left = due.duration_since(SystemTime::now()).unwrap_or_default();
        if !left.is_zero() {
            self.renewal_at = now + left.clamp(RENEWAL_LOOK_MIN, RENEWAL_LOOK);
        } else if now < self.agent.renew_not_before {
            self.renewal_at = self.agent.renew_not_before;
        } else if self.renewing.is_none() && self.leaving.is_none() {
            let authority = key_digest(&self.agent.connector.identity().authority);
            self.renewing = Some(Box::pin(renew(self.link.wire.clone(), authority)));
        }
    }

    fn on_renewed(&mut self, renewed: Result<Identity, Trouble>) {
        let now = Instant::now();
        // Also after a success: a clock that is far ahead takes a new certificate for an old one.
        self.agent.renew_not_before = now + jittered(self.agent.timings.renew_retry);
        self.renewal_at = now + RENEWAL_LOOK;
        match renewed {
            Ok(identity) => {
                let until = identity.holds_until();
                if self.agent.adopt(identity) {
                    info!(until, "certificate renewed");
                    if self.agent.renew_due.is_some_and(|it| it <= SystemTime::now()) {
                        warn!(
                            until,
                            "the new certificate is past its half life already: this machine's clock is ahead"
                        );
                    }
                    self.replace_at = now;
                    return;
                }
            }
            Err(trouble) => {
                let until = self.agent.connector.identity().holds_until();
                warn!(why = %trouble, until, "the certificate cannot be renewed now; the old one holds");
            }
        }
        self.renewal_at = self.agent.renew_not_before;
    }

    /// Sends so many of the results of before again. False: the controller does not read.
    fn resend(&mut self, count: usize) -> bool {
        let tasks = self.resend.drain(..count.min(self.resend.len()));
        for task in tasks {
            let Some(result) = self.agent.desk.result_of(&task) else { continue };
            if self.link.outgoing.try_send(request(result)).is_err() {
                return false;
            }
        }
        true
    }

    /// Takes up what was not acknowledged at the last look and is not now: the controller's disk was full, or its queue.
    /// What it has already it knows by its task. False: it does not read.
    fn resend_overdue(&mut self) -> bool {
        self.resend_at = Instant::now() + jittered(self.agent.timings.resend_after);
        if self.link.outgoing.capacity() < OUTGOING_MAX / 2 {
            return true; // It reads slowly; more would end the session.
        }
        let kept = self.agent.desk.unacknowledged();
        self.resend = kept.iter().filter(|it| self.overdue.contains(*it)).cloned().collect();
        self.overdue = kept.into_iter().collect();
        if !self.resend.is_empty() {
            info!(count = self.resend.len(), "results were not acknowledged; they are sent again");
        }
        self.resend(RESENT_AT_ONCE)
    }

    fn resend_more(&mut self) -> Option<Ending> {
        (!self.resend(1)).then_some(Ending::Lost("the controller does not read"))
    }

    fn say(&mut self, message: Message) -> Option<Ending> {
        if self.over.is_some() {
            return None; // The next session begins already; results are kept for it.
        }
        // Progress is for eyes and may be left out.
        let may_be_left_out = matches!(message, Message::Progress(_));
        let is_said = self.link.outgoing.try_send(request(message)).is_ok();
        if is_said || may_be_left_out {
            return None;
        }
        self.is_over(Ending::Lost("the controller does not read"))
    }
}

async fn awaited<T>(future: &mut Awaited<T>) -> Result<T, Trouble> {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

fn dead_after(link: &Link) -> Duration {
    link.heartbeat.mul_f64(DEAD_AFTER_HEARTBEATS)
}

fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(rand::random_range(JITTER))
}
