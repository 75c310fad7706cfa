//! How an agent behaves: its rates over all its sessions, its strikes, and the ban after too many.
//!
//! A strike is only what no honest agent of any version does: a result of somebody else's task, a report about another path than
//! the one that was granted, a message that breaks a bound of the protocol, a flood that slowing down does not end. What may happen
//! to an honest one is rejected and counted, no more: the result of a task that a restarted controller has forgotten, a report that
//! cannot be read. Strikes are forgiven by a restart; a ban is not.
//!
//! INVARIANT: nothing here waits for an agent, and a lying one can fill no map: its name is that of its certificate.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::time::Duration;

use parallax_model::VantageName;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::limits::{AgentLimits, Rates};

/// Breaches on their way to be judged; more at once than that are the same agent's.
pub(crate) const BREACHES_MAX: usize = 64;
/// Agents whose rates are remembered.
const AGENTS_MAX: usize = 65_536;

/// What an agent did that no honest one does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    pub vantage: VantageName,
    /// Of our own making, without anything that the agent said.
    pub what: &'static str,
}

/// Rates of all agents.
#[derive(Debug)]
pub(crate) struct Pace {
    results: Rates<VantageName>,
    messages: Rates<VantageName>,
    sessions: Rates<VantageName>,
    renewals: Rates<VantageName>,
    /// Calls with one certificate, good or not.
    calls: Rates<[u8; 32]>,
    /// How long an agent may be above them without a pause.
    pub flood: Duration,
}

impl Pace {
    pub(crate) fn new(limits: &AgentLimits) -> Self {
        Self {
            results: Rates::with_room(limits.results, AGENTS_MAX),
            messages: Rates::with_room(limits.messages, AGENTS_MAX),
            sessions: Rates::with_room(limits.sessions, AGENTS_MAX),
            renewals: Rates::with_room(limits.renewals, AGENTS_MAX),
            calls: Rates::with_room(limits.sessions, AGENTS_MAX),
            flood: limits.flood,
        }
    }

    /// Counts a call before the store is asked whose certificate that is. By certificate, so that a copy of an old one takes
    /// nothing from the agent that is in the right.
    pub(super) fn take_call(&self, certificate_sha256: &[u8; 32]) -> Result<(), Duration> {
        self.calls.take(certificate_sha256)
    }

    /// Counts a session that an agent asks for.
    pub(super) fn take_session(&self, vantage: &VantageName) -> Result<(), Duration> {
        self.sessions.take(vantage)
    }

    /// Counts a certificate that an agent asks for.
    pub(super) fn take_renewal(&self, vantage: &VantageName) -> Result<(), Duration> {
        self.renewals.take(vantage)
    }

    /// Counts one message. `Err`: how long until it may be heard.
    pub(super) fn take(&self, vantage: &VantageName, is_result: bool) -> Result<(), Duration> {
        let rates = if is_result { &self.results } else { &self.messages };
        rates.take(vantage)
    }
}

/// Counts breaches until `stop`, and has an agent banned after too many.
pub(crate) async fn judge_conduct<Ban: Future<Output = ()>>(
    limits: AgentLimits,
    mut breaches: mpsc::Receiver<Breach>,
    ban: impl Fn(VantageName, String) -> Ban,
    stop: CancellationToken,
) {
    let mut strikes = Strikes { limits, of: BTreeMap::new() };
    while let Some(Some(breach)) = stop.run_until_cancelled(breaches.recv()).await {
        let Breach { vantage, what } = breach;
        let count = strikes.add(&vantage, Instant::now());
        warn!(%vantage, what, strikes = count, "an agent breaks the rules");
        if count >= limits.strikes_max {
            error!(%vantage, what, "an agent broke the rules too often; it is banned until it is removed and joins anew");
            let reason = format!("broke the rules {count} times within an hour, last: {what}");
            strikes.of.remove(&vantage);
            ban(vantage, reason).await;
        }
    }
}

struct Strikes {
    limits: AgentLimits,
    of: BTreeMap<VantageName, VecDeque<Instant>>,
}

impl Strikes {
    /// How many are counted against an agent, with this one.
    fn add(&mut self, vantage: &VantageName, now: Instant) -> usize {
        let window = self.limits.strike_window;
        for times in self.of.values_mut() {
            while times.front().is_some_and(|it| now.duration_since(*it) > window) {
                times.pop_front();
            }
        }
        self.of.retain(|_, times| !times.is_empty());
        let times = self.of.entry(vantage.clone()).or_default();
        times.push_back(now);
        times.len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::limits::Limits;

    fn name(text: &str) -> VantageName {
        VantageName::new(text).expect("a name")
    }

    #[tokio::test(start_paused = true)]
    async fn three_breaches_within_an_hour_ban_and_old_ones_are_forgotten() {
        let (sender, receiver) = mpsc::channel(BREACHES_MAX);
        let banned = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&banned);
        let ban = |vantage: VantageName, reason: String| {
            told.lock().expect("no panic").push((vantage.to_string(), reason));
            std::future::ready(())
        };
        let sends = async {
            let breach =
                |it: &str| sender.send(Breach { vantage: name(it), what: "a forged path" });
            for _ in 0..2 {
                breach("old").await.expect("open");
                breach("new").await.expect("open");
            }
            tokio::time::sleep(Duration::from_mins(61)).await;
            breach("old").await.expect("open");
            breach("other").await.expect("open");
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(banned.lock().expect("no panic").is_empty());
            for _ in 0..2 {
                breach("old").await.expect("open");
            }
            drop(sender);
        };
        let stop = CancellationToken::new();
        tokio::join!(judge_conduct(Limits::default().agents, receiver, ban, stop), sends);
        let banned = banned.lock().expect("no panic");
        assert_eq!(banned.len(), 1, "{banned:?}");
        assert_eq!(banned[0].0, "old");
        assert!(banned[0].1.contains("3 times"), "{banned:?}");
    }
}
