//! The agent's life: connect, serve, stay away for a while, connect again. One owner, one state, one `await` per state.
//!
//! INVARIANT: tasks and results belong to the desk and outlive a session; begins do not.
//! INVARIANT: a new identity is used only once it is on the disk.
//! INVARIANT: after a stop nothing new is taken; what is in hand ends or is cancelled, and what was not acknowledged is kept.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parallax_probe::Instrument;
use parallax_wire::pb::link as wire;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::backoff::{Backoff, away};
use crate::desk::Desk;
use crate::files::folder_of;
use crate::identity::Identity;
use crate::link::{Connector, Link};
use crate::lock::Lock;
use crate::policy::Policy;
use crate::renewal::{due, recover};
use crate::serve::{Ending, serve};
use crate::settings::{AgentSettings, Timings};
use crate::spool::Spool;
use crate::trouble::Trouble;

/// Why an agent cannot run at all. A controller that cannot be reached is not in here: the agent goes on trying.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error("the agent's certificate, key or authority cannot be used for TLS")]
    Tls(#[from] rustls::Error),
    #[error(
        "another agent runs with the folder {}: stop it, or give this one a folder of its own by joining once more",
        .folder.display()
    )]
    Running { folder: PathBuf },
}

/// Runs an agent until `stop`: calls the controller, takes the tasks that the policy permits, and reports.
///
/// With a home in the settings, results wait there and renewed identities are written there; else both stay in memory.
/// After `stop` nothing new is taken; tasks in hand get [`Timings::drain`] to end, and results [`Timings::farewell`] to
/// be acknowledged. Not cancel-safe: dropping it forgets tasks in hand.
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
    // Held to the end: two agents in one folder would overwrite each other's results.
    let _lock = match &settings.home {
        Some(home) => {
            let folder = folder_of(&home.identity);
            Lock::take(folder).map_err(|_| AgentError::Running { folder: folder.to_owned() })?
        }
        None => None,
    };
    let timings = settings.timings;
    let spool =
        settings.home.as_ref().map_or_else(Spool::in_memory, |home| Spool::open(&home.spool));
    let renew_due = due(&identity);
    let mut agent = Agent {
        connector: Arc::new(Connector::new(&settings, identity)?),
        settings,
        desk: Desk::new(instrument, policy, timings, spool),
        backoff: Backoff::new(timings.reconnect_base, timings.reconnect_cap),
        timings,
        stop,
        stopped_at: None,
        renew_due,
        renew_not_before: Instant::now(),
    };
    let mut state = State::Connecting;
    while let Some(next) = agent.next(state).await {
        state = next;
    }
    agent.finish().await;
    Ok(())
}

/// Where an agent is in its life.
enum State {
    Connecting,
    Serving(Box<Link>),
    BackingOff(Duration),
}

/// What an attempt to get a session came to.
enum Reached {
    Session(Box<Link>),
    /// The certificate had ended; here is a new one.
    Recovered(Identity),
}

pub(crate) struct Agent {
    pub(crate) settings: AgentSettings,
    pub(crate) connector: Arc<Connector>,
    pub(crate) desk: Desk,
    pub(crate) timings: Timings,
    pub(crate) stop: CancellationToken,
    /// When the stop was noticed.
    pub(crate) stopped_at: Option<Instant>,
    /// When the certificate is to be renewed.
    pub(crate) renew_due: Option<SystemTime>,
    pub(crate) renew_not_before: Instant,
    backoff: Backoff,
}

impl Agent {
    /// One arm per state. `None`: the end.
    async fn next(&mut self, state: State) -> Option<State> {
        match state {
            State::Connecting => {
                let reaching =
                    reach(Arc::clone(&self.connector), &self.settings, self.desk.hello());
                let reached = meanwhile(&mut self.desk, &self.stop, Box::pin(reaching)).await?;
                Some(match reached {
                    Ok(Reached::Session(link)) => State::Serving(link),
                    Ok(Reached::Recovered(identity)) => {
                        info!(
                            until = identity.holds_until(),
                            "a new certificate came for the one that had ended"
                        );
                        if self.adopt(identity) {
                            State::Connecting
                        } else {
                            State::BackingOff(self.timings.reconnect_cap)
                        }
                    }
                    Err(trouble) => State::BackingOff(self.after_failure(&trouble)),
                })
            }
            State::Serving(link) => {
                let since = Instant::now();
                info!(vantage = %link.footing.vantage, epoch = link.footing.epoch, "session began");
                let ending = serve(self, *link).await;
                self.desk.lose_session();
                if since.elapsed() >= self.timings.healthy_after {
                    self.backoff.reset();
                }
                match ending {
                    Ending::Lost(reason) => {
                        warn!(reason, "session lost");
                        Some(State::BackingOff(self.backoff.next()))
                    }
                    Ending::Refused(trouble) => {
                        Some(State::BackingOff(self.after_failure(&trouble)))
                    }
                    Ending::GoAway(asked) => Some(State::BackingOff(away(asked))),
                    Ending::Replaced(link) => Some(State::Serving(link)),
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

    /// How long to stay away. The line says why, and what to do.
    fn after_failure(&mut self, trouble: &Trouble) -> Duration {
        let controller = &self.settings.controller;
        if trouble.is_lasting() {
            // Only a person helps; ask again as seldom as ever.
            error!(controller, why = %trouble, "no session");
            return self.timings.reconnect_cap;
        }
        warn!(controller, why = %trouble, "no session");
        self.backoff.next()
    }

    /// Takes a new identity: on the disk first, then for every connection from now on. False: it is not taken.
    pub(crate) fn adopt(&mut self, identity: Identity) -> bool {
        if let Some(home) = &self.settings.home
            && let Err(error) = identity.write(&home.identity)
        {
            // Used without being kept, it would end the one on the disk at the controller.
            error!(%error, file = %home.identity.display(), "the new certificate cannot be written; the old one stays");
            return false;
        }
        let renew_due = due(&identity);
        match Connector::new(&self.settings, identity) {
            Ok(connector) => {
                self.connector = Arc::new(connector);
                self.renew_due = renew_due;
                true
            }
            Err(error) => {
                error!(%error, "the new certificate cannot be used");
                false
            }
        }
    }

    /// After a stop: tasks that still run end or are cancelled; their results are kept.
    async fn finish(&mut self) {
        let stopped_at = self.stopped_at.unwrap_or_else(Instant::now);
        let drained = stopped_at + self.timings.drain;
        for (until, is_last) in [(drained, false), (drained + self.timings.farewell, true)] {
            while !self.desk.has_no_task() {
                tokio::select! {
                    () = sleep_until(until) => break,
                    news = self.desk.news() => {
                        let _ = self.desk.note(news, false); // Nobody to tell; results are kept.
                    }
                }
            }
            if !is_last {
                self.desk.cancel_all();
            }
        }
        self.desk.save();
        let (left, only_in_memory) = self.desk.left();
        if only_in_memory > 0 {
            error!(
                count = only_in_memory,
                "results that were not acknowledged are lost with this process"
            );
        }
        if left > only_in_memory {
            info!(count = left - only_in_memory, "results wait in the spool for the next start");
        }
    }
}

/// A session; or, if the certificate has ended, a new one with the old key.
async fn reach(
    connector: Arc<Connector>,
    settings: &AgentSettings,
    hello: wire::Hello,
) -> Result<Reached, Trouble> {
    let identity = connector.identity();
    if !identity.is_over(SystemTime::now()) {
        return match connector.connect(hello).await {
            // This machine's clock is behind the controller's.
            Err(Trouble::IdentityExpired { .. }) => {
                recover(settings, identity).await.map(Reached::Recovered)
            }
            Err(trouble) => Err(trouble),
            Ok(link) => Ok(Reached::Session(Box::new(link))),
        };
    }
    match recover(settings, identity).await {
        Ok(identity) => Ok(Reached::Recovered(identity)),
        // This machine's clock may be ahead: for the controller it has perhaps not ended.
        Err(refused @ Trouble::TokenNeeded { .. }) => match connector.connect(hello).await {
            Ok(link) => Ok(Reached::Session(Box::new(link))),
            Err(_) => Err(refused),
        },
        Err(trouble) => Err(trouble),
    }
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
