//! The controller: the fleet of agents, diagnoses round by round, the logon ledger's use, and the API.
//!
//! [`serve`] runs it all on two ports; [`init`] makes what it needs once. Absent on purpose: touching
//! a target (agents do), what a report means (`faults`), how anything is stored (`store`), how a process starts.
//!
//! INVARIANT: the agent port and the API port share no listener, no limit and no permission.
//! INVARIANT: every task started here is joined before [`serve`] returns, or dropped by it.

mod agents;
pub mod authority;
pub mod check;
mod connections;
mod diagnosis;
pub mod init;
pub mod limits;
mod listener;
mod permissions;
pub mod plan;
pub mod reasons;
mod registry;
mod render;
mod rpc;
mod serve;
pub mod settings;
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub mod simulation;
pub mod token;

pub use agents::FleetView;
pub use permissions::{Permission, Principal, Role};
pub use serve::{ApiIdentity, ControllerError, ControllerParts, Terms, serve, serve_with};
