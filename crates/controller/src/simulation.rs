//! Seams for simulations, behind the feature `simulation`: the fleet and the steps of logons, one event at a time.
//!
//! Absent on purpose: waits, sockets, tasks. Whoever simulates says what time it is and carries the messages.

pub use crate::diagnosis::simulated::{Asked, Note, SimulatedController};
