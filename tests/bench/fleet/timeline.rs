//! When messages of one fan-out passed the agents, all by the clock of their process.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::{Instant, interval};

use super::light::Watch;

const LOOK_EVERY: Duration = Duration::from_millis(2);

/// What happened since [`Timeline::begin`]; times are nanoseconds since the making of it.
pub(crate) struct Timeline {
    zero: Instant,
    present: AtomicUsize,
    /// The probe of the last agent takes so long.
    slow_ns: AtomicU64,
    /// Its number.
    slow: usize,
    offers: Passed,
    reports: Passed,
    acknowledged: Passed,
    slow_offer_ns: AtomicU64,
    slow_report_ns: AtomicU64,
}

#[derive(Default)]
struct Passed {
    count: AtomicUsize,
    first_ns: AtomicU64,
    last_ns: AtomicU64,
}

impl Passed {
    fn note(&self, now_ns: u64) {
        self.first_ns.fetch_min(now_ns, Ordering::Relaxed);
        self.last_ns.fetch_max(now_ns, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    fn clear(&self) {
        self.count.store(0, Ordering::Relaxed);
        self.first_ns.store(u64::MAX, Ordering::Relaxed);
        self.last_ns.store(0, Ordering::Relaxed);
    }
}

/// Where the time of one fan-out went, from the asker's call to the answer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Parts {
    /// Until the first agent had its offer.
    pub before: Duration,
    /// From there until the last result was on its way.
    pub messages: Duration,
    /// From there until the last one was acknowledged; the answer may come first.
    pub acknowledged: Duration,
    /// From the last result to the answer.
    pub after: Duration,
    pub whole: Duration,
    /// What the slow probe took.
    pub slow_probe: Duration,
    /// From the call until its agent had its offer.
    pub before_slow: Duration,
}

impl Timeline {
    pub(crate) fn of(agents: usize) -> Self {
        Self {
            zero: Instant::now(),
            present: AtomicUsize::new(0),
            slow_ns: AtomicU64::new(0),
            slow: agents - 1,
            offers: Passed::default(),
            reports: Passed::default(),
            acknowledged: Passed::default(),
            slow_offer_ns: AtomicU64::new(0),
            slow_report_ns: AtomicU64::new(0),
        }
    }

    /// Begins anew; the last agent's probe takes so long, all others no time.
    pub(crate) fn begin(&self, slow: Duration) {
        self.slow_ns.store(u64::try_from(slow.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        for passed in [&self.offers, &self.reports, &self.acknowledged] {
            passed.clear();
        }
    }

    /// Waits until so many agents have a session.
    pub(crate) async fn present(&self, agents: usize, limit: Duration) -> Result<()> {
        wait(limit, || self.present.load(Ordering::Relaxed) >= agents).await
    }

    /// The parts of a fan-out to so many agents that was asked for and answered at these times.
    pub(crate) async fn parts(
        &self,
        agents: usize,
        asked: Instant,
        answered: Instant,
        limit: Duration,
    ) -> Result<Parts> {
        wait(limit, || self.acknowledged.count.load(Ordering::Relaxed) >= agents).await?;
        let at = |ns: &AtomicU64| self.zero + Duration::from_nanos(ns.load(Ordering::Relaxed));
        let reported = at(&self.reports.last_ns);
        Ok(Parts {
            before: at(&self.offers.first_ns).duration_since(asked),
            messages: reported.duration_since(at(&self.offers.first_ns)),
            acknowledged: at(&self.acknowledged.last_ns).duration_since(reported),
            after: answered.duration_since(reported),
            whole: answered.duration_since(asked),
            slow_probe: at(&self.slow_report_ns).duration_since(at(&self.slow_offer_ns)),
            before_slow: at(&self.slow_offer_ns).duration_since(asked),
        })
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.zero.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

async fn wait(limit: Duration, is_so: impl Fn() -> bool) -> Result<()> {
    let mut look = interval(LOOK_EVERY);
    let begun = Instant::now();
    while !is_so() {
        ensure!(begun.elapsed() < limit, "not within {limit:?}");
        look.tick().await;
    }
    Ok(())
}

impl Watch for Timeline {
    fn welcomed(&self, _: usize) {
        self.present.fetch_add(1, Ordering::Relaxed);
    }

    fn lost(&self, _: usize) {
        self.present.fetch_sub(1, Ordering::Relaxed);
    }

    fn failed(&self, _: usize, _: &str) {}

    fn offered(&self, agent: usize) -> Duration {
        let now_ns = self.now_ns();
        self.offers.note(now_ns);
        if agent != self.slow {
            return Duration::ZERO;
        }
        self.slow_offer_ns.store(now_ns, Ordering::Relaxed);
        Duration::from_nanos(self.slow_ns.load(Ordering::Relaxed))
    }

    fn reported(&self, agent: usize) {
        let now_ns = self.now_ns();
        self.reports.note(now_ns);
        if agent == self.slow {
            self.slow_report_ns.store(now_ns, Ordering::Relaxed);
        }
    }

    fn acknowledged(&self, _: usize) {
        self.acknowledged.note(self.now_ns());
    }
}
