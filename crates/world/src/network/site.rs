//! What do all sockets of one running world share?
//!
//! The world, its clock, its state and its certificates, and one bounded line on which the sockets
//! say what happened. Absent on purpose: sockets.
//!
//! INVARIANT: the lock around the state is never held across an await.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast;

use super::Addresses;
use crate::certificates::Certificates;
use crate::format::World;
use crate::simulation::{Clock, Simulation};

/// How many happenings a slow listener may lag behind.
pub const HAPPENINGS_MAX: usize = 1024;

/// Something that a world did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A connection from a vantage ended at this machine.
    Landed { vantage: String, host: String },
    /// A request was answered, `delay` after it came.
    Answered { vantage: String, by: String, delay: Duration },
    /// A request or a handshake gets no answer, and the connection stays open.
    Stalled { vantage: String },
    /// A question to the name server gets no answer.
    NameUnanswered { vantage: String },
}

#[derive(Debug)]
pub(super) struct Site {
    pub(super) world: Arc<World>,
    pub(super) clock: Clock,
    pub(super) addresses: Addresses,
    pub(super) certificates: Certificates,
    state: Mutex<Simulation>,
    happenings: broadcast::Sender<Happening>,
}

impl Site {
    pub(super) fn new(
        world: Arc<World>,
        clock: Clock,
        addresses: Addresses,
        certificates: Certificates,
        state: Simulation,
    ) -> Self {
        let (happenings, _) = broadcast::channel(HAPPENINGS_MAX);
        Self { world, clock, addresses, certificates, state: Mutex::new(state), happenings }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, Simulation> {
        // A panic of another task leaves counters that are still true.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn say(&self, happening: Happening) {
        // An error means that nobody listens.
        let _ = self.happenings.send(happening);
    }

    pub(super) fn listen(&self) -> broadcast::Receiver<Happening> {
        self.happenings.subscribe()
    }
}
