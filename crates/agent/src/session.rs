//! The agent's life: connect, serve, stay away for a while, connect again. One owner, one state, one `await` per state.
//!
//! INVARIANT: tasks and results belong to the desk and outlive a session; begins do not.
//! INVARIANT: a session in which nothing was heard for 2¼ heartbeats (45 s) is over, whatever TCP believes.
//! INVARIANT: nothing is sent without a limit: a controller that does not read loses the session.

use std::time::Duration;

use parallax_probe::Instrument;
use parallax_wire::pb::link as wire;
use parallax_wire::pb::link::session_request::Message;
use parallax_wire::pb::link::session_response::Message as Told;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::backoff::{Backoff, away};
use crate::desk::Desk;
use crate::link::{Connector, Link, LinkError, request};
use crate::policy::Policy;
use crate::settings::{AgentSettings, Identity, Timings};

/// Heartbeats go out this far around their interval, so that a fleet does not beat as one.
const JITTER: std::ops::Range<f64> = 0.8..1.2;
/// Two missed heartbeats and a little: 45 s of 20 s.
const DEAD_AFTER_HEARTBEATS: f64 = 2.25;

/// Why an agent cannot run at all. A controller that cannot be reached is not in here: the agent goes on trying.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error("the agent's certificate, key or authority cannot be used for TLS")]
    Tls(#[from] rustls::Error),
}

/// Runs an agent until `stop`: calls the controller, takes the tasks that the policy permits, and reports.
///
/// After `stop` tasks are ended, and results get a moment to be acknowledged. Not cancel-safe: dropping it forgets
/// results that were not acknowledged.
pub async fn run(
    settings: AgentSettings,
    identity: Identity,
    instrument: Instrument,
    policy: Policy,
    stop: CancellationToken,
) -> Result<(), AgentError> {
    if let Some(why) = policy.denies_everything() {
        warn!(why, "every task will be refused");
    }
    let timings = settings.timings;
    let mut agent = Agent {
        connector: Connector::new(&settings, identity)?,
        desk: Desk::new(instrument, policy, timings),
        backoff: Backoff::new(timings.reconnect_base, timings.reconnect_cap),
        timings,
        stop,
    };
    let mut state = State::Connecting;
    while let Some(next) = agent.next(state).await {
        state = next;
    }
    Ok(())
}

/// Where an agent is in its life.
enum State {
    Connecting,
    Serving(Box<Link>),
    BackingOff(Duration),
}

/// How a session ended.
enum Ending {
    Lost(&'static str),
    GoAway(Duration),
    /// The agent was asked to stop, and said all it had to say.
    Stopped,
}

struct Agent {
    connector: Connector,
    desk: Desk,
    backoff: Backoff,
    timings: Timings,
    stop: CancellationToken,
}

impl Agent {
    /// One arm per state. `None`: the end.
    async fn next(&mut self, state: State) -> Option<State> {
        match state {
            State::Connecting => {
                let connecting = Box::pin(self.connector.connect(self.desk.hello()));
                let connected = meanwhile(&mut self.desk, &self.stop, connecting).await?;
                Some(match connected {
                    Ok(link) => State::Serving(Box::new(link)),
                    Err(error) => State::BackingOff(self.after_failure(&error)),
                })
            }
            State::Serving(mut link) => {
                let since = Instant::now();
                info!(vantage = %link.footing.vantage, epoch = link.footing.epoch, "session began");
                let ending = self.serve(&mut link).await;
                self.desk.lose_session();
                if since.elapsed() >= self.timings.healthy_after {
                    self.backoff.reset();
                }
                match ending {
                    Ending::Lost(reason) => {
                        warn!(reason, "session lost");
                        Some(State::BackingOff(self.backoff.next()))
                    }
                    Ending::GoAway(asked) => Some(State::BackingOff(away(asked))),
                    Ending::Stopped => None,
                }
            }
            State::BackingOff(wait) => {
                debug!(?wait, "staying away");
                meanwhile(&mut self.desk, &self.stop, sleep(wait)).await?;
                Some(State::Connecting)
            }
        }
    }

    fn after_failure(&mut self, error: &LinkError) -> Duration {
        if matches!(error, LinkError::TooOld { .. }) {
            // Only a new program helps; ask again as seldom as ever.
            error!(error = %chain(error), "no session");
            return self.timings.reconnect_cap;
        }
        warn!(error = %chain(error), "no session");
        self.backoff.next()
    }

    async fn serve(&mut self, link: &mut Link) -> Ending {
        let dead_after = link.heartbeat.mul_f64(DEAD_AFTER_HEARTBEATS);
        let mut dead_at = Instant::now() + dead_after;
        let mut beat_at = Instant::now() + jittered(link.heartbeat);
        for result in self.desk.unacknowledged() {
            if link.outgoing.try_send(request(result)).is_err() {
                return Ending::Lost("the controller does not read");
            }
        }
        let mut farewell_at: Option<Instant> = None;
        loop {
            if farewell_at.is_some() && self.desk.is_idle() {
                return Ending::Stopped;
            }
            let said = tokio::select! {
                () = self.stop.cancelled(), if farewell_at.is_none() => {
                    farewell_at = Some(Instant::now() + self.timings.farewell);
                    self.desk.cancel_all();
                    None
                }
                () = sleep_until(farewell_at.unwrap_or(beat_at)), if farewell_at.is_some() => {
                    return Ending::Stopped;
                }
                () = sleep_until(dead_at) => return Ending::Lost("the controller fell silent"),
                () = sleep_until(beat_at) => {
                    beat_at = Instant::now() + jittered(link.heartbeat);
                    Some(Message::Heartbeat(wire::Heartbeat {}))
                }
                news = self.desk.news() => self.desk.note(news, true),
                told = link.incoming.message() => match told {
                    Ok(Some(wire::SessionResponse { message })) => {
                        dead_at = Instant::now() + dead_after;
                        match self.hear(message, link, farewell_at.is_some()) {
                            Ok(said) => said,
                            Err(ending) => return ending,
                        }
                    }
                    Ok(None) => return Ending::Lost("the controller ended the stream"),
                    Err(status) => {
                        debug!(code = ?status.code(), message = status.message(), "stream broke");
                        return Ending::Lost("the stream broke");
                    }
                }
            };
            if let Some(message) = said
                && !say(link, message)
            {
                return Ending::Lost("the controller does not read");
            }
        }
    }

    /// What the controller says, and what is said to that.
    fn hear(
        &mut self,
        message: Option<Told>,
        link: &Link,
        is_leaving: bool,
    ) -> Result<Option<Message>, Ending> {
        let footing = &link.footing;
        match message {
            Some(Told::Offer(offer)) if is_leaving => {
                let reason = "the agent stops".to_owned();
                return Ok(Some(Message::Refuse(wire::Refuse { task: offer.task, reason })));
            }
            Some(Told::Offer(offer)) => return Ok(Some(self.desk.take(offer, footing))),
            Some(Told::Go(go)) => self.desk.go(go, footing),
            Some(Told::Deny(deny)) => self.desk.deny(&deny),
            Some(Told::Acknowledge(wire::Acknowledge { task })) => self.desk.acknowledge(&task),
            Some(Told::Cancel(wire::Cancel { task })) => self.desk.cancel(&task, footing),
            Some(Told::GoAway(wire::GoAway { reconnect_after, reason })) => {
                info!(reason, "the controller asks to come back later");
                let asked = parallax_wire::decode_duration(reconnect_after, "reconnect_after");
                return Err(Ending::GoAway(asked.unwrap_or(self.timings.reconnect_base)));
            }
            Some(Told::Heartbeat(wire::Heartbeat {})) => {}
            Some(Told::Welcome(_)) | None => {
                return Err(Ending::Lost("the controller said something out of turn"));
            }
        }
        Ok(None)
    }
}

/// False: the controller does not read. Progress is for eyes and may be left out.
fn say(link: &Link, message: Message) -> bool {
    let may_be_left_out = matches!(message, Message::Progress(_));
    link.outgoing.try_send(request(message)).is_ok() || may_be_left_out
}

/// Waits for something else while there is no session; tasks go on and results are kept. `None`: asked to stop.
async fn meanwhile<F: Future>(
    desk: &mut Desk,
    stop: &CancellationToken,
    until: F,
) -> Option<F::Output> {
    tokio::pin!(until);
    loop {
        tokio::select! {
            () = stop.cancelled() => return None,
            output = &mut until => return Some(output),
            news = desk.news() => {
                let _ = desk.note(news, false); // Nobody to tell; results are kept.
            }
        }
    }
}

fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(rand::random_range(JITTER))
}

/// An error with its causes.
fn chain(error: &LinkError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
