//! One session with one agent: reads what it says, keeps it alive, and notices when it is gone.
//!
//! Absent on purpose: any decision about tasks; what is heard goes to the fleet as it is.
//!
//! INVARIANT: a session that heard nothing for [`DEAD_AFTER`] is over, whatever TCP believes.
//! INVARIANT: the task that runs a session belongs to the agent plane's tracker and ends with its token.

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
use tonic::{Status, Streaming};
use tracing::{debug, info};

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
}

impl Session {
    pub(super) async fn run(mut self) {
        let mut heard_at = Instant::now();
        let mut beat_at = heard_at + jittered();
        loop {
            tokio::select! {
                () = self.closed.cancelled() => break,
                () = tokio::time::sleep_until(heard_at + DEAD_AFTER) => {
                    info!(vantage = %self.vantage, "an agent fell silent");
                    break;
                }
                () = tokio::time::sleep_until(beat_at) => {
                    beat_at = Instant::now() + jittered();
                    let beat = response(Message::Heartbeat(wire::Heartbeat {}));
                    if self.outgoing.try_send(Ok(beat)).is_err() {
                        break;
                    }
                }
                message = self.incoming.message() => match message {
                    Ok(Some(message)) => {
                        heard_at = Instant::now();
                        if let Err(status) = self.hear(message).await {
                            // The agent learns why; a full queue means that it does not listen anyway.
                            let _ = self.outgoing.try_send(Err(status));
                            break;
                        }
                    }
                    Ok(None) => break,
                    Err(status) => {
                        debug!(vantage = %self.vantage, code = ?status.code(), "an agent's stream broke");
                        break;
                    }
                }
            }
        }
        self.fleet.leave(self.vantage, self.epoch).await;
    }

    async fn hear(&self, message: wire::SessionRequest) -> Result<(), Status> {
        let said =
            message.message.ok_or_else(|| Status::invalid_argument("`message`: nothing is set"))?;
        let heard = match said {
            Said::Hello(_) => {
                return Err(Status::failed_precondition("`hello` comes once, at the beginning"));
            }
            Said::Heartbeat(wire::Heartbeat {}) => return Ok(()),
            Said::Accept(wire::Accept { task }) => Heard::Accept { task },
            Said::Refuse(wire::Refuse { task, reason }) => {
                Heard::Refuse { task, reason: cut(&reason) }
            }
            Said::Progress(wire::Progress { task, stage, text }) => {
                Heard::Progress { task, stage: cut(&stage), text: cut(&text) }
            }
            Said::Begin(begin) => {
                let wire::Begin { attempt, nonce, public_key, task } = begin;
                let nonce: Nonce = nonce.try_into().map_err(|_| {
                    Status::invalid_argument("`begin.nonce`: has to be 16 random bytes")
                })?;
                Heard::Begin { task, begin: Begin { attempt, nonce, public_key } }
            }
            Said::Result(result) => {
                let wire::Result { task, session_epoch, report, attempt, nonce } = result;
                let report = match report {
                    Some(report) => report
                        .try_into()
                        .map_err(|error: parallax_wire::DecodeError| error.to_string()),
                    None => Err("`report`: is missing".to_owned()),
                };
                Heard::Result {
                    task,
                    epoch: session_epoch,
                    done: Box::new(Done { report, attempt, nonce }),
                }
            }
        };
        self.fleet.hear(self.vantage.clone(), self.epoch, heard).await;
        Ok(())
    }
}

fn jittered() -> Duration {
    HEARTBEAT.mul_f64(rand::rng().random_range(0.8..1.2))
}

fn cut(text: &str) -> String {
    text.chars().filter(|it| !it.is_control()).take(TEXT_MAX).collect()
}
