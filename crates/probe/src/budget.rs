//! How much time a look still has. Limits of stages add up under one end, and no stage runs on a leftover.
//!
//! INVARIANT: a stage that could not get a fair share of its limit does not run: it is *not reached*, not *timed out*.

use std::time::Duration;

use tokio::time::Instant;

/// The least time in which a stage can say something about the network.
const FAIR_SHARE: Duration = Duration::from_secs(1);

/// The end of one look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    ends: Instant,
}

impl Budget {
    pub(crate) fn of(limit: Duration) -> Self {
        Self { ends: Instant::now() + limit }
    }

    /// The limit for a stage that begins now: its own, or what is left; `None` when that would be unfair to the network.
    pub(crate) fn share(self, limit: Duration) -> Option<Duration> {
        let left = self.ends.saturating_duration_since(Instant::now());
        (!left.is_zero() && left >= limit.min(FAIR_SHARE)).then(|| left.min(limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stage_gets_its_limit_or_a_fair_rest_or_nothing() {
        let budget = Budget::of(Duration::from_secs(20));
        let ten = Duration::from_secs(10);
        assert_eq!(budget.share(ten), Some(ten));
        tokio::time::advance(Duration::from_secs(15)).await;
        assert_eq!(budget.share(ten), Some(Duration::from_secs(5)));
        tokio::time::advance(Duration::from_millis(4500)).await;
        assert_eq!(budget.share(ten), None);
        assert_eq!(budget.share(Duration::from_millis(100)), Some(Duration::from_millis(100)));
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(budget.share(Duration::from_millis(100)), None);
    }
}
