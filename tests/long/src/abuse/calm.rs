//! What those who do nothing wrong notice meanwhile: the calls of an operator, and the sessions and tasks of honest agents.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, sleep};

use crate::herd::bed::Api;
use crate::herd::light::Watch;

/// Between two diagnoses; well below any rate.
const PAUSE: Duration = Duration::from_millis(250);
const LIMIT: Duration = Duration::from_secs(20);

/// The honest agents.
#[derive(Debug, Default)]
pub(super) struct Roll {
    pub welcomed: AtomicU64,
    pub lost: AtomicU64,
    pub acknowledged: AtomicU64,
}

impl Watch for Roll {
    fn welcomed(&self, _agent: usize) {
        self.welcomed.fetch_add(1, Ordering::Relaxed);
    }

    fn lost(&self, _agent: usize) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    fn failed(&self, _agent: usize, _why: &str) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    fn offered(&self, _agent: usize) -> Duration {
        Duration::ZERO
    }

    fn reported(&self, _agent: usize) {}

    fn acknowledged(&self, _agent: usize) {
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
    }
}

/// How long honest work took.
#[derive(Debug, Default)]
pub(super) struct Times {
    all: Vec<Duration>,
    pub failed: u64,
}

impl Times {
    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    /// Of a hundred, ninety-nine are not slower.
    pub(super) fn p99(&mut self) -> Duration {
        self.all.sort_unstable();
        let at = (self.all.len() * 99).div_ceil(100).saturating_sub(1);
        self.all.get(at).copied().unwrap_or_default()
    }
}

/// Diagnoses a target again and again: through the API, by every honest agent, and back.
pub(super) async fn diagnose_until(api: &Api, target: &str, until: Instant) -> Result<Times> {
    let mut times = Times::default();
    while Instant::now() < until {
        let begun = Instant::now();
        match api.diagnose(target, LIMIT).await {
            Ok(_) => times.all.push(begun.elapsed()),
            Err(_) => times.failed += 1,
        }
        sleep(PAUSE).await;
    }
    Ok(times)
}

/// Waits until so many have a session.
pub(super) async fn all_welcomed(roll: &Arc<Roll>, agents: u64, limit: Duration) -> bool {
    let until = Instant::now() + limit;
    while roll.welcomed.load(Ordering::Relaxed) < agents {
        if Instant::now() > until {
            return false;
        }
        sleep(Duration::from_millis(50)).await;
    }
    true
}
