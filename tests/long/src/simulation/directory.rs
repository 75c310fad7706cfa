//! The directory with its counters, and the targets before it that take their time.
//!
//! A counter falls back only after a quiet gap since the last wrong password, as Active Directory's does; a right one does
//! not help. Absent on purpose: what anybody believes about it.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::ChaCha8Rng;
use tokio::sync::oneshot;

use super::board::Emission;
use super::reports::Ending;

/// The longest that a target sits on a request before it asks the directory.
const HELD_MAX: Duration = Duration::from_mins(2);

/// One account of the directory.
#[derive(Clone, Debug)]
pub(super) struct Principal {
    pub password: String,
    /// The directory's observation window.
    pub window: Duration,
    wrong: u32,
    wrong_at: Option<Duration>,
    /// The highest that the counter ever was.
    pub peak: u32,
}

impl Principal {
    pub(super) fn new(password: String, window: Duration) -> Self {
        Self { password, window, wrong: 0, wrong_at: None, peak: 0 }
    }

    /// The counter as it stands.
    pub(super) fn counter(&self, now: Duration) -> u32 {
        let is_quiet = self.wrong_at.is_none_or(|at| now.saturating_sub(at) > self.window);
        if is_quiet { 0 } else { self.wrong }
    }

    fn check(&mut self, now: Duration, password: &str, counts: u32) -> bool {
        if password == self.password {
            return true;
        }
        self.wrong = self.counter(now) + counts;
        self.wrong_at = Some(now);
        self.peak = self.peak.max(self.wrong);
        false
    }
}

/// A request that a target has.
struct Held {
    emission: Emission,
    counts: u32,
    asks_at: Duration,
    /// `None`: never. Counted from the time at which it asks.
    answers_after: Option<Duration>,
    lie: bool,
    ending: Option<Ending>,
}

/// Something that the directory or a target did.
pub(super) struct Did {
    pub agent: usize,
    pub attempt: String,
    pub what: &'static str,
}

#[derive(Default)]
pub(super) struct Directory {
    pub principals: BTreeMap<String, Principal>,
    held: Vec<Held>,
}

impl Directory {
    /// A credential arrives at a target. `cost`: the most counts that it may be worth; `lies`: its agent will say that it was
    /// not sent.
    pub(super) fn arrive(
        &mut self,
        now: Duration,
        emission: Emission,
        cost: u32,
        lies: bool,
        rng: &mut ChaCha8Rng,
    ) {
        let ms = |rng: &mut ChaCha8Rng, max: u64| Duration::from_millis(rng.random_range(0..=max));
        let wait = match rng.random_range(0..10) {
            0..=5 => Duration::ZERO,
            6..=7 => ms(rng, 3_000),
            8 => ms(rng, 40_000),
            _ => ms(rng, 119_000),
        };
        let answers_after = match rng.random_range(0..10) {
            0..=5 => Some(Duration::ZERO),
            6..=7 => Some(ms(rng, 5_000)),
            8 => Some(ms(rng, 60_000)),
            _ => None,
        };
        self.held.push(Held {
            emission,
            counts: rng.random_range(1..=cost.max(1)),
            asks_at: now + wait.min(HELD_MAX),
            answers_after,
            lie: lies,
            ending: None,
        });
    }

    /// When something is due next.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.held.iter().map(Held::due).min()
    }

    /// Does what is due.
    pub(super) fn pass(&mut self, now: Duration, rng: &mut ChaCha8Rng) -> Vec<Did> {
        let mut did = Vec::new();
        while let Some(index) = self.held.iter().position(|it| it.due() <= now) {
            let held = &mut self.held[index];
            let (agent, attempt) = (held.emission.agent, held.emission.attempt.clone());
            if held.ending.is_none() {
                let is_right = self
                    .principals
                    .get_mut(&held.emission.account)
                    .is_some_and(|it| it.check(held.asks_at, &held.emission.secret, held.counts));
                let is_busy = rng.random_range(0..20) == 0;
                held.ending = Some(match (is_right, is_busy) {
                    (_, true) => Ending::Busy,
                    (true, false) => Ending::Accepted,
                    (false, false) => Ending::Refused,
                });
                let what = if is_right { "the password is right" } else { "the password is wrong" };
                did.push(Did { agent, attempt, what });
                if held.answers_after.is_some() {
                    continue;
                }
            }
            let held = self.held.swap_remove(index);
            did.extend(held.answer());
        }
        did
    }
}

impl Held {
    fn due(&self) -> Duration {
        match (&self.ending, self.answers_after) {
            (None, _) | (Some(_), None) => self.asks_at,
            (Some(_), Some(after)) => self.asks_at + after,
        }
    }

    fn answer(self) -> Option<Did> {
        let Self { emission: Emission { agent, attempt, heard, .. }, lie, ending, .. } = self;
        self.answers_after?;
        let (ending, what) = if lie {
            (Ending::NotSent("a lie".to_owned()), "answers, and its agent lies")
        } else {
            (ending?, "answers")
        };
        tell(heard, ending).then_some(Did { agent, attempt, what })
    }
}

/// False: nobody waits any more.
fn tell(heard: oneshot::Sender<Ending>, ending: Ending) -> bool {
    heard.send(ending).is_ok()
}
