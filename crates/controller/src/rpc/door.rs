//! How many calls are let in: per caller, per source address, and at once.
//!
//! Absent on purpose: who the caller is and what they may; that is the gate's, which asks here.
//!
//! INVARIANT: nothing waits for room. What does not fit is refused at once, with the time after which to come back.
//! INVARIANT: calls without a principal take no room from those with one.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::{ApiLimits, Rates, network_of};
use crate::permissions::{Class, Length};
use crate::reasons::{Reason, Refusal};

/// How long a caller who found the port full waits before it comes back.
const FULL_RETRY: Duration = Duration::from_secs(1);

/// Room for one call; given back when its answer has gone out.
pub(super) type Room = OwnedSemaphorePermit;

#[derive(Debug)]
pub(super) struct Door {
    reads: Rates<String>,
    writes: Rates<String>,
    diagnoses: Rates<String>,
    open: Rates<IpAddr>,
    failures: Rates<IpAddr>,
    short_calls: Arc<Semaphore>,
    long_calls: Arc<Semaphore>,
    open_short_calls: Arc<Semaphore>,
    open_long_calls: Arc<Semaphore>,
}

impl Door {
    pub(super) fn new(limits: &ApiLimits) -> Self {
        let room = |max: usize| Arc::new(Semaphore::new(max));
        Self {
            reads: Rates::new(limits.reads),
            writes: Rates::new(limits.writes),
            diagnoses: Rates::new(limits.diagnoses),
            open: Rates::new(limits.open),
            failures: Rates::new(limits.failures),
            short_calls: room(limits.calls_max),
            long_calls: room(limits.long_calls_max),
            open_short_calls: room(limits.open_calls_max),
            open_long_calls: room(limits.open_calls_max),
        }
    }

    /// Counts a call of a principal.
    pub(super) fn count(&self, name: &str, class: Class) -> Result<(), Refusal> {
        let (rates, limit) = match class {
            Class::Read => (&self.reads, "reads"),
            Class::Write => (&self.writes, "writes"),
            Class::Run => (&self.diagnoses, "diagnoses"),
        };
        let wait = rates.take(&name.to_owned());
        wait.map_err(|wait| too_often(format!("`{name}` calls too often"), limit, wait))
    }

    /// Counts a call that needs no principal.
    pub(super) fn count_open(&self, source: IpAddr) -> Result<(), Refusal> {
        let wait = self.open.take(&network_of(source));
        wait.map_err(|wait| too_often("this address calls too often".to_owned(), "open", wait))
    }

    /// Counts a call whose token was missing or wrong.
    pub(super) fn count_failure(&self, source: IpAddr) -> Result<(), Refusal> {
        let wait = self.failures.take(&network_of(source));
        wait.map_err(|wait| {
            let message = "this address called too often without a good token".to_owned();
            too_often(message, "failures", wait)
        })
    }

    /// Room for one call.
    pub(super) fn room(&self, is_open: bool, length: Length) -> Result<Room, Refusal> {
        let calls = match (is_open, length) {
            (false, Length::Short) => &self.short_calls,
            (false, Length::Long) => &self.long_calls,
            (true, Length::Short) => &self.open_short_calls,
            (true, Length::Long) => &self.open_long_calls,
        };
        Arc::clone(calls).try_acquire_owned().map_err(|_| {
            Refusal::new(Reason::Overloaded, "as many calls as may are under way")
                .retry_after(FULL_RETRY)
        })
    }
}

/// A rate that is spent.
pub(super) fn too_often(message: String, limit: &str, wait: Duration) -> Refusal {
    Refusal::new(Reason::RateExceeded, format!("{message}; slow down")) //
        .with("limit", limit)
        .retry_after(wait)
}
