//! A rate per key: a bucket that fills by one after each interval, in a map that cannot grow without bound.
//!
//! The generic cell rate algorithm (ITU-T I.371 annex A): one instant per key says it all. It goes by tokio's clock, so that
//! simulated time counts. Absent on purpose: waiting; whoever is refused decides what to do with the time until then.
//!
//! INVARIANT: a greatest number of keys; those that did not fit share one bucket, so that inventing keys wins nothing.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Rate;

/// Keys that are remembered at once, unless said otherwise.
const KEYS_MAX: usize = 4096;

/// What is left of one rate.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// When it is full again; in the past: it is full.
    full_at: Instant,
}

impl Bucket {
    fn full(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// Takes one. `Err`: there is none; how long until there is.
    fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        let full_at = self.full_at.max(now);
        let room = rate.every * rate.burst.saturating_sub(1);
        match (full_at - now).checked_sub(room) {
            None | Some(Duration::ZERO) => {
                self.full_at = full_at + rate.every;
                Ok(())
            }
            Some(wait) => Err(wait),
        }
    }

    fn is_full(&self, now: Instant) -> bool {
        self.full_at <= now
    }
}

#[derive(Debug)]
struct Keys<K> {
    buckets: BTreeMap<K, Bucket>,
    /// For keys that found no place.
    others: Bucket,
}

/// One rate for each key.
#[derive(Debug)]
pub(crate) struct Rates<K> {
    rate: Rate,
    keys_max: usize,
    /// Never held across an await.
    keys: Mutex<Keys<K>>,
}

impl<K: Ord + Clone> Rates<K> {
    pub(crate) fn new(rate: Rate) -> Self {
        Self::with_room(rate, KEYS_MAX)
    }

    /// Remembers another number of keys than [`KEYS_MAX`].
    pub(crate) fn with_room(rate: Rate, keys_max: usize) -> Self {
        let keys = Keys { buckets: BTreeMap::new(), others: Bucket::full(Instant::now()) };
        Self { rate, keys_max, keys: Mutex::new(keys) }
    }

    /// Takes one for this key. `Err`: how long until there is one again.
    pub(crate) fn take(&self, key: &K) -> Result<(), Duration> {
        let now = Instant::now();
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = keys.buckets.get_mut(key) {
            return bucket.take(self.rate, now);
        }
        if keys.buckets.len() >= self.keys_max {
            // A full bucket is as good as none.
            keys.buckets.retain(|_, it| !it.is_full(now));
        }
        if keys.buckets.len() >= self.keys_max {
            return keys.others.take(self.rate, now);
        }
        keys.buckets.entry(key.clone()).or_insert(Bucket::full(now)).take(self.rate, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate::per_second(10, 3);

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_at_once_and_then_one_after_each_interval() {
        let rates = Rates::new(RATE);
        for _ in 0..3 {
            assert_eq!(rates.take(&"a"), Ok(()));
        }
        let wait = rates.take(&"a").expect_err("the burst is spent");
        assert_eq!(wait, Duration::from_millis(100));
        assert_eq!(rates.take(&"b"), Ok(()), "another key has its own");
        tokio::time::advance(wait.saturating_sub(Duration::from_millis(1))).await;
        assert_eq!(rates.take(&"a"), Err(Duration::from_millis(1)));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(rates.take(&"a"), Ok(()));
        assert!(rates.take(&"a").is_err());
        tokio::time::advance(Duration::from_mins(1)).await;
        let taken = (0..10).filter(|_| rates.take(&"a").is_ok()).count();
        assert_eq!(taken, 3, "never more than the burst, however long it waited");
    }

    #[tokio::test(start_paused = true)]
    async fn over_time_no_more_goes_than_the_rate() {
        let rates = Rates::new(RATE);
        let mut taken = 0;
        for _ in 0..1000 {
            taken += usize::from(rates.take(&"a").is_ok());
            tokio::time::advance(Duration::from_millis(7)).await;
        }
        assert!((70..=73).contains(&taken), "{taken} in 7 s");
    }

    #[tokio::test(start_paused = true)]
    async fn invented_keys_share_one_bucket_once_the_map_is_full() {
        let rates = Rates::new(RATE);
        for key in 0..KEYS_MAX {
            assert_eq!(rates.take(&key), Ok(()));
        }
        let taken = (KEYS_MAX..KEYS_MAX + 1000).filter(|key| rates.take(key).is_ok()).count();
        assert_eq!(taken, 3);
        assert_eq!(rates.keys.lock().expect("no panic").buckets.len(), KEYS_MAX);
        assert_eq!(rates.take(&0), Ok(()), "who was there before is not touched");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(rates.take(&(KEYS_MAX + 1)), Ok(()), "what is full again makes room");
        assert_eq!(rates.keys.lock().expect("no panic").buckets.len(), 1);
    }
}
