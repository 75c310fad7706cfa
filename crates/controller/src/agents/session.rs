//! One session with one agent: reads what it says, keeps it alive, and notices when it is gone.
//!
//! Absent on purpose: any decision about tasks; what is heard goes to the fleet as it is.
//!
//! INVARIANT: a session that heard nothing for [`DEAD_AFTER`] is over, whatever TCP believes.
//! INVARIANT: a session ends with the certificate that it began with.
//! INVARIANT: what comes faster than the agent's rate is read no faster than that; nothing is dropped and no queue grows.
//! INVARIANT: the task that runs a session belongs to the agent plane's tracker and ends with its token.

use std::sync::Arc;
use std::time::Duration;

use parallax_model::VantageName;
use parallax_store::Nonce;
use parallax_wire::pb::link as wire;
use parallax_wire::pb::link::session_request::Message as Said;
use parallax_wire::pb::link::session_response::Message;
use rand::RngExt as _;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming};
use tracing::{debug, info};

use super::bounds::{
    check_attempt, check_public_key, check_result_nonce, check_task, find_oversize,
};
use super::conduct::{Breach, Pace};
use super::handle::Heard;
use super::{Begin, Done, Fleet, response};

/// Time between heartbeats, ± 20 %, so that many agents do not beat in step.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(20);
/// Two missed heartbeats and 5 s.
const DEAD_AFTER: Duration = Duration::from_secs(45);
/// The longest text kept of a refusal or a stage, in characters.
const TEXT_MAX: usize = 500;

pub(super) struct Session {
    pub vantage: VantageName,
    pub epoch: i64,
    pub fleet: Fleet,
    pub incoming: Streaming<wire::SessionRequest>,
    pub outgoing: mpsc::Sender<Result<wire::SessionResponse, Status>>,
    pub closed: CancellationToken,
    pub pace: Arc<Pace>,
    pub breaches: mpsc::Sender<Breach>,
    /// When the certificate ends with which it began; an agent renews long before.
    pub certificate_ends: Instant,
}

/// Why a session is over that the agent is told.
pub(super) struct Broken {
    status: Status,
    /// Set: it counts against the agent.
    breach: Option<&'static str>,
}

impl From<Status> for Broken {
    fn from(status: Status) -> Self {
        Self { status, breach: Some("a message that breaks a bound of the protocol") }
    }
}

/// A message above the agent's rate, until it may be heard. Nothing more is read meanwhile, so that the agent feels it.
struct HeldBack {
    message: wire::SessionRequest,
    until: Instant,
}

impl Session {
    pub(super) async fn run(mut self) {
        let mut held_back: Option<HeldBack> = None;
        // Since when the agent was above its rate without a pause.
        let mut flooding_since: Option<Instant> = None;
        let mut heard_at = Instant::now();
        let mut beat_at = heard_at + jittered();
        loop {
            tokio::select! {
                () = self.closed.cancelled() => break,
                () = tokio::time::sleep_until(heard_at + DEAD_AFTER) => {
                    info!(vantage = %self.vantage, "an agent fell silent");
                    break;
                }
                () = tokio::time::sleep_until(self.certificate_ends) => {
                    info!(vantage = %self.vantage, "the certificate of an agent's session ended");
                    let text = "the certificate of this session has ended; come back with the newest one";
                    let _ = self.outgoing.try_send(Err(Status::unauthenticated(text)));
                    break;
                }
                () = tokio::time::sleep_until(beat_at) => {
                    beat_at = Instant::now() + jittered();
                    let beat = response(Message::Heartbeat(wire::Heartbeat {}));
                    if self.outgoing.try_send(Ok(beat)).is_err() {
                        break;
                    }
                }
                (read, was_held_back) = next_message(&mut held_back, &mut self.incoming) => {
                    heard_at = Instant::now();
                    let message = match read {
                        Ok(Some(message)) => message,
                        Ok(None) => break,
                        Err(status) => {
                            debug!(vantage = %self.vantage, code = ?status.code(), "an agent's stream broke");
                            self.strike(unreadable(&status));
                            break;
                        }
                    };
                    if let Err(wait) = self.pace.take(&self.vantage, is_result(&message)) {
                        let since = *flooding_since.get_or_insert(heard_at);
                        if since.elapsed() < self.pace.flood {
                            held_back = Some(HeldBack { message, until: heard_at + wait });
                            continue;
                        }
                        self.strike(Some("a flood of messages"));
                        let text = "more messages than an agent may send, and no pause; slow down";
                        let _ = self.outgoing.try_send(Err(Status::resource_exhausted(text)));
                        break;
                    }
                    if !was_held_back {
                        flooding_since = None;
                    }
                    if let Err(Broken { status, breach }) = self.hear(message).await {
                        self.strike(breach);
                        // The agent learns why; a full queue means that it does not listen anyway.
                        let _ = self.outgoing.try_send(Err(status));
                        break;
                    }
                }
            }
        }
        self.fleet.leave(self.vantage, self.epoch).await;
    }

    /// Notes what no honest agent does. A full queue holds enough of it already.
    fn strike(&self, what: Option<&'static str>) {
        if let Some(what) = what {
            let _ = self.breaches.try_send(Breach { vantage: self.vantage.clone(), what });
        }
    }

    async fn hear(&self, message: wire::SessionRequest) -> Result<(), Broken> {
        if let Some(heard) = read(message)? {
            self.fleet.hear(self.vantage.clone(), self.epoch, heard).await;
        }
        Ok(())
    }
}

/// What an agent says; `None`: only that it is there.
pub(super) fn read(message: wire::SessionRequest) -> Result<Option<Heard>, Broken> {
    let Some(said) = message.message else {
        // An agent of a later version, perhaps; there is nothing to hold against it.
        let status = Status::invalid_argument("`message`: nothing is set that is known here");
        return Err(Broken { status, breach: None });
    };
    Ok(Some(match said {
        Said::Hello(_) => {
            let text = "`hello` comes once, at the beginning";
            return Err(Status::failed_precondition(text).into());
        }
        Said::Heartbeat(wire::Heartbeat {}) => return Ok(None),
        Said::Accept(wire::Accept { task }) => {
            check_task(&task, "accept.task")?;
            Heard::Accept { task }
        }
        Said::Refuse(wire::Refuse { task, reason }) => {
            check_task(&task, "refuse.task")?;
            Heard::Refuse { task, reason: cut(&reason) }
        }
        Said::Progress(wire::Progress { task, stage, text }) => {
            check_task(&task, "progress.task")?;
            Heard::Progress { task, stage: cut(&stage), text: cut(&text) }
        }
        Said::Begin(begin) => read_begin(begin)?,
        Said::Result(result) => read_result(result)?,
    }))
}

/// The next message, and whether it was held back before.
async fn next_message(
    held_back: &mut Option<HeldBack>,
    incoming: &mut Streaming<wire::SessionRequest>,
) -> (Result<Option<wire::SessionRequest>, Status>, bool) {
    if let Some(HeldBack { until, .. }) = held_back {
        tokio::time::sleep_until(*until).await;
    }
    match held_back.take() {
        Some(HeldBack { message, .. }) => (Ok(Some(message)), true),
        None => (incoming.message().await, false),
    }
}

fn is_result(message: &wire::SessionRequest) -> bool {
    matches!(message.message, Some(Said::Result(_)))
}

/// What a stream that broke says about the agent; nothing, if it may have been the network.
fn unreadable(status: &Status) -> Option<&'static str> {
    // So tonic says it.
    if status.code() == Code::OutOfRange {
        return Some("a message over 1 MiB");
    }
    let is_garbage = status.code() == Code::Internal
        && status.message().starts_with("failed to decode Protobuf");
    is_garbage.then_some("a message that is no protobuf")
}

fn read_begin(begin: wire::Begin) -> Result<Heard, Status> {
    let wire::Begin { attempt, nonce, public_key, task } = begin;
    check_task(&task, "begin.task")?;
    check_attempt(&attempt, "begin.attempt")?;
    check_public_key(&public_key, "begin.public_key")?;
    let nonce: Nonce = nonce
        .try_into()
        .map_err(|_| Status::invalid_argument("`begin.nonce`: has to be 16 random bytes"))?;
    Ok(Heard::Begin { task, begin: Begin { attempt, nonce, public_key } })
}

fn read_result(result: wire::Result) -> Result<Heard, Status> {
    let wire::Result { task, session_epoch, report, attempt, nonce } = result;
    check_task(&task, "result.task")?;
    check_attempt(&attempt, "result.attempt")?;
    check_result_nonce(&nonce, "result.nonce")?;
    let report = match report {
        None => Err("`report`: is missing".to_owned()),
        Some(report) => match find_oversize(&report) {
            Some(field) => Err(format!("`report.{field}`: is longer than may be")),
            None => {
                report.try_into().map_err(|error: parallax_wire::DecodeError| error.to_string())
            }
        },
    };
    let done = Box::new(Done { report, attempt, nonce });
    Ok(Heard::Result { task, epoch: session_epoch, done })
}

fn jittered() -> Duration {
    HEARTBEAT.mul_f64(rand::rng().random_range(0.8..1.2))
}

fn cut(text: &str) -> String {
    text.chars().filter(|it| !it.is_control()).take(TEXT_MAX).collect()
}
