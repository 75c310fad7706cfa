//! The agent plane: sessions of agents, and the one task that owns the fleet.
//!
//! `session` speaks the protocol with one agent, `fleet` knows which task lies with whom, `enrollment` trades tokens for
//! certificates, `service` is the gRPC server of the agent port. Absent on purpose: what a report means and what a logon may cost; both are `diagnosis`'s.
//!
//! INVARIANT: no answer of an agent reaches anybody but the owner of the task, and only from the agent it was offered to.

mod bounds;
pub(crate) mod conduct;
mod enrollment;
mod fleet;
mod handle;
mod outgoing;
mod queue;
mod request;
mod service;
mod session;
#[cfg(feature = "simulation")]
pub(crate) mod simulated;
mod standing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use parallax_model::{DiagnosisId, EndpointName, PathReport, VantageName};
use parallax_store::Nonce;
use parallax_wire::pb;
use tokio::sync::mpsc;

pub(crate) use enrollment::{Enrollment, Gate};
pub(crate) use fleet::FleetTask;
pub(crate) use handle::Fleet;
pub(crate) use service::{AgentPlane, serve_agents};

/// The version of the protocol that is spoken here, and the lowest understood.
const PROTOCOL: i32 = 1;
/// Tasks an agent may hold at once.
pub(crate) const CREDIT: usize = 32;
/// Tasks that wait for room at one agent in one lane; more are not offered.
pub(crate) const WAITING_MAX: usize = 64;
/// Messages on their way to one agent; an agent that lets more pile up loses its session.
pub(crate) const OUTGOING_MAX: usize = 128;

/// What can be seen of the fleet from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FleetView {
    /// Vantages whose agent has a session now and takes tasks.
    pub connected: BTreeSet<VantageName>,
    /// Vantages whose agent has a session now and is given nothing new.
    pub draining: BTreeSet<VantageName>,
    /// When a session was last replaced within a minute by one with the same certificate, since the start.
    pub flipped: BTreeMap<VantageName, SystemTime>,
    /// When an agent last said that it had seen a logon that the ledger does not know, since the start. All accounts are frozen
    /// then.
    pub ahead: BTreeMap<VantageName, SystemTime>,
    /// Results of unknown or foreign tasks, since the start.
    pub rejected_results: u64,
}

/// What became of a task, in the order in which it happened.
#[derive(Debug)]
pub(crate) enum TaskEvent {
    Accepted,
    /// By the agent's policy, or for want of room.
    Refused {
        reason: String,
    },
    Progress {
        stage: String,
        text: String,
    },
    /// The free part of a logon is done.
    Begun(Begin),
    /// The task's end. Not acknowledged yet.
    Done(Box<Done>),
    /// The session ended first. The task's result may still come, see [`LateResult`].
    Lost,
}

/// The agent asks for the secret.
#[derive(Clone, Debug)]
pub(crate) struct Begin {
    pub attempt: String,
    pub nonce: Nonce,
    pub public_key: Vec<u8>,
}

/// What the agent reports at the end.
#[derive(Debug)]
pub(crate) struct Done {
    /// `Err`: a report that we cannot read, and why.
    pub report: Result<PathReport, String>,
    pub attempt: String,
    pub nonce: Vec<u8>,
}

/// A result whose owner no longer waits for it.
#[derive(Debug)]
pub(crate) struct LateResult {
    pub task: String,
    /// `None`: not a task of this process; the store knows whether one before granted it.
    pub place: Option<TaskPlace>,
    pub vantage: VantageName,
    /// The session in which the agent took the task.
    pub epoch: i64,
    pub done: Box<Done>,
}

/// Where in a diagnosis a task belongs.
#[derive(Clone, Debug)]
pub(crate) struct TaskPlace {
    pub diagnosis: DiagnosisId,
    /// Counts from 1.
    pub round: u32,
    pub endpoint: EndpointName,
}

/// Why a task was not offered at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotOffered {
    NoSession,
    /// Its agent is given nothing new.
    Draining,
    /// [`WAITING_MAX`] tasks wait there already.
    QueueFull,
    /// The fleet has ended; the controller stops.
    Stopped,
}

/// A task that lies with an agent. Whoever holds this ends it with [`Fleet::forget`]; dropped before that, it is
/// cancelled and forgotten.
#[derive(Debug)]
pub(crate) struct Offered {
    pub events: mpsc::Receiver<TaskEvent>,
    _abandon: handle::Abandon,
}

fn response(message: pb::link::session_response::Message) -> pb::link::SessionResponse {
    pb::link::SessionResponse { message: Some(message) }
}
