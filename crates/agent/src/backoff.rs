//! How long to stay away from a controller that cannot be reached: full jitter under a doubling bound.
//!
//! INVARIANT: the bound starts anew only after a session that was healthy for a while; one that is cut at once does not
//! make an agent come back at once.

use std::time::Duration;

/// How far beyond the asked time an agent may return after a go-away, so that a fleet does not return as one.
const SPREAD: f64 = 0.25;
/// No controller keeps an agent away for longer.
const AWAY_MAX: Duration = Duration::from_mins(10);

/// The waits between sessions.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    failures: u32,
}

impl Backoff {
    /// The first wait is at most `base` long, and none longer than `cap`.
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap, failures: 0 }
    }

    /// Starts anew, after a session that was healthy for a while.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// The next wait: anything up to the bound, which doubles each time.
    #[expect(clippy::should_implement_trait, reason = "it never ends, and is no iterator")]
    pub fn next(&mut self) -> Duration {
        let bound = self.bound();
        self.failures = self.failures.saturating_add(1);
        bound.mul_f64(rand::random_range(0.0..=1.0))
    }

    fn bound(&self) -> Duration {
        let factor = 2_u32.saturating_pow(self.failures);
        self.base.saturating_mul(factor).min(self.cap)
    }
}

/// The wait that a go-away asks for, or a little more.
pub fn away(asked: Duration) -> Duration {
    asked.min(AWAY_MAX).mul_f64(1.0 + rand::random_range(0.0..=SPREAD))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_doubles_up_to_the_cap_and_starts_anew() {
        let second = Duration::from_secs(1);
        let mut backoff = Backoff::new(second, 120 * second);
        let mut bounds = Vec::new();
        for _ in 0..9 {
            let bound = backoff.bound();
            assert!(backoff.next() <= bound);
            bounds.push(bound.as_secs());
        }
        assert_eq!(bounds, [1, 2, 4, 8, 16, 32, 64, 120, 120]);
        backoff.failures = u32::MAX;
        assert!(backoff.next() <= 120 * second);
        backoff.reset();
        assert_eq!(backoff.bound(), second);
    }

    #[test]
    fn waits_differ() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(1));
        let waits: std::collections::BTreeSet<Duration> = (0..20).map(|_| backoff.next()).collect();
        assert!(waits.len() > 10, "{waits:?}");
    }

    #[test]
    fn a_go_away_is_honoured_but_not_for_ever() {
        let asked = Duration::from_mins(1);
        assert!((asked..=75 * asked / 60).contains(&away(asked)));
        assert!(away(Duration::from_secs(1_000_000)) <= Duration::from_secs(750));
    }
}
