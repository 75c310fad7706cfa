//! What time is it in a world?
//!
//! A world's time runs in seconds since the first probe, so the clock starts when it is first
//! asked. In [`Pace::Real`] it is the machine's own; in [`Pace::Stepped`] somebody sets it, and
//! answers come at once with their delay reported. Absent on purpose: any other way to wait.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

/// How time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As outside; delays are waited for.
    Real,
    /// Stands still until it is set; delays are reported and not waited for.
    Stepped,
}

/// One moment, in both reckonings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Now {
    /// Seconds since the start of the world's time.
    pub seconds: f64,
    /// True time, before a host's own offset.
    pub wall: OffsetDateTime,
}

/// The clock of one running world.
#[derive(Debug)]
pub struct Clock {
    pace: Pace,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    started: Option<(Instant, OffsetDateTime)>,
    seconds: f64,
}

impl Clock {
    /// A clock that has not started.
    pub fn new(pace: Pace) -> Self {
        Self { pace, state: Mutex::new(State::default()) }
    }

    /// How time passes here.
    pub const fn pace(&self) -> Pace {
        self.pace
    }

    /// The time; the first call starts the clock.
    pub fn now(&self) -> Now {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (started, wall) =
            *state.started.get_or_insert_with(|| (Instant::now(), OffsetDateTime::now_utc()));
        let seconds = match self.pace {
            Pace::Real => started.elapsed().as_secs_f64(),
            Pace::Stepped => state.seconds,
        };
        Now { seconds, wall: wall + Duration::from_secs_f64(seconds) }
    }

    /// Sets a stepped clock; a real one keeps its own time. Negative times count as the start.
    pub fn set(&self, seconds: f64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if seconds.is_finite() {
            state.seconds = seconds.max(0.0);
        }
    }

    /// Waits as long as an answer is late, or not at all where time is stepped.
    ///
    /// Cancel-safe: dropping the future loses nothing.
    pub async fn wait(&self, delay: Duration) {
        if self.pace == Pace::Real && !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn real_time_waits_and_stepped_time_does_not() {
        let delay = Duration::from_secs(20);
        let started = tokio::time::Instant::now();
        Clock::new(Pace::Stepped).wait(delay).await;
        assert_eq!(started.elapsed(), Duration::ZERO);
        Clock::new(Pace::Real).wait(delay).await;
        assert_eq!(started.elapsed(), delay);
    }

    #[test]
    fn stepped_time_stands_where_it_was_set() {
        let clock = Clock::new(Pace::Stepped);
        let first = clock.now();
        clock.set(60.0);
        let second = clock.now();
        assert!((second.seconds - 60.0).abs() < f64::EPSILON);
        assert_eq!(second.wall - first.wall, Duration::from_mins(1));
    }
}
