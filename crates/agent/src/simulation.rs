//! Seams for simulations, behind the feature `simulation`: the desk and its begins without a network and without a probe.
//!
//! Whoever simulates carries the messages and lets tasks go on through [`Hands`]; durations are those of a paused runtime.
//! Absent on purpose: any rule of an agent. What is decided here is decided by the desk, as in a running agent.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use parallax_auth::Secret;
use parallax_model::{Endpoint, LogonTask, Report, Silence, Task, Zone};
use parallax_probe::Instrument;
use parallax_wire::pb::link as wire;
use parallax_wire::pb::link::session_request::Message as Say;
use parallax_wire::pb::link::session_response::Message as Told;

use crate::desk::{Desk, Footing, News};
use crate::link::read_welcome;
use crate::policy::{NamedHost, Policy};
use crate::settings::Timings;
use crate::spool::Spool;
use crate::work::{Event, Work};

/// How often in a row nothing has to have happened before the agent is at rest.
const AT_REST: u32 = 4;

/// Something that is finished later.
pub type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Stands in for the probe.
pub trait Hands: Send + Sync {
    /// The free part. `Err`: how the task ended instead.
    fn prepare(&self, task: &Task) -> Later<Result<(), Report>>;
    /// Sends the credential when it is first polled.
    fn send(&self, task: &Task, secret: &Secret) -> Later<Report>;
    /// There was no go.
    fn abandon(&self, task: &Task, reason: &str) -> Report;
}

impl Work {
    /// With a stand-in for the probe, if there is one.
    pub(crate) async fn run_with(self, hands: Option<Arc<dyn Hands>>) -> Report {
        match (hands, &self.task.logon) {
            (Some(hands), Some(logon)) => self.log_on_with(hands.as_ref(), logon).await,
            (None, _) | (_, None) => self.run().await,
        }
    }

    async fn log_on_with(&self, hands: &dyn Hands, logon: &LogonTask) -> Report {
        let preparing = hands.prepare(&self.task);
        match self.cancel.run_until_cancelled(preparing).await {
            None => Report::Silent(Silence::Cancelled),
            Some(Err(report)) => report,
            Some(Ok(())) => match self.permission(logon).await {
                Ok(secret) => hands.send(&self.task, &secret).await,
                Err(reason) => hands.abandon(&self.task, &reason),
            },
        }
    }
}

/// An agent whose session is whatever its owner says. To be used inside a runtime; dropped there, it crashes.
pub struct SimulatedAgent {
    desk: Desk,
    footing: Option<Footing>,
    resend: VecDeque<String>,
}

impl fmt::Debug for SimulatedAgent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("SimulatedAgent").field("footing", &self.footing).finish_non_exhaustive()
    }
}

impl SimulatedAgent {
    /// An agent that may probe these endpoints, and keeps its results in this folder.
    pub fn start(
        instrument: Instrument,
        hands: Arc<dyn Hands>,
        endpoints: &[Endpoint],
        spool: &Path,
    ) -> Self {
        let policy =
            Policy::embedded(Zone::Internal, endpoints.iter().map(NamedHost::of).collect());
        let mut desk = Desk::new(instrument, policy, Timings::default(), Spool::open(spool));
        desk.hands = Some(hands);
        Self { desk, footing: None, resend: VecDeque::new() }
    }

    pub fn has_session(&self) -> bool {
        self.footing.is_some()
    }

    pub fn hello(&self) -> wire::Hello {
        self.desk.hello()
    }

    /// Whether nothing is in hand and every result was acknowledged.
    pub fn is_idle(&self) -> bool {
        self.desk.is_idle()
    }

    /// A session begins. Returns what there is to say at once; nothing, if the welcome cannot be read.
    pub fn welcome(&mut self, welcome: wire::Welcome) -> Vec<Say> {
        self.lose_session();
        let Ok((footing, _)) = read_welcome(welcome) else { return Vec::new() };
        self.footing = Some(footing);
        self.resend = self.desk.unacknowledged();
        let kept = std::mem::take(&mut self.resend);
        kept.iter().filter_map(|task| self.desk.result_of(task)).collect()
    }

    /// Hears one message, whichever session it was sent in. Without a session it is deaf.
    pub fn hear(&mut self, told: Told) -> Option<Say> {
        let footing = self.footing.as_ref()?;
        match told {
            Told::Offer(offer) => return Some(self.desk.take(offer, footing)),
            Told::Go(go) => self.desk.go(go, footing),
            Told::Deny(deny) => self.desk.deny(&deny),
            Told::Acknowledge(wire::Acknowledge { task }) => self.desk.acknowledge(&task),
            Told::Cancel(wire::Cancel { task }) => self.desk.cancel(&task, footing),
            Told::GoAway(_) => self.lose_session(),
            Told::Welcome(_) | Told::Heartbeat(_) => {}
        }
        None
    }

    pub fn lose_session(&mut self) {
        if self.footing.take().is_some() {
            self.desk.lose_session();
        }
    }

    /// Lets its tasks go on until nothing more happens by itself. Returns what there is to say, in the order of the tasks'
    /// names, for how the runtime orders them is no part of the protocol.
    pub async fn come_to_rest(&mut self) -> Vec<Say> {
        let mut said = Vec::new();
        let mut quiet = 0;
        while quiet < AT_REST {
            let mut news: BTreeMap<String, Vec<News>> = BTreeMap::new();
            tokio::task::yield_now().await;
            while let Some(next) = tokio::select! {
                biased;
                news = self.desk.news() => Some(news),
                () = std::future::ready(()) => None,
            } {
                news.entry(self.task_of(&next)).or_default().push(next);
            }
            quiet = if news.is_empty() { quiet + 1 } else { 0 };
            for next in news.into_values().flatten() {
                said.extend(self.desk.note(next, self.footing.is_some()));
            }
        }
        said
    }

    fn task_of(&self, news: &News) -> String {
        match news {
            News::Told(Event::Progress { task, .. } | Event::Ready { task, .. }) => task.clone(),
            News::Ended(Ok((id, _))) => self.desk.task_of(*id),
            News::Ended(Err(error)) => self.desk.task_of(error.id()),
        }
    }
}
