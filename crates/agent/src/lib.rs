//! The agent: one session with the controller, tasks taken from it, and a policy of its own.
//!
//! It calls out and nothing calls in. Facts are made here, opinions in the controller: it does not depend on `faults`.
//!
//! INVARIANT: it probes only what its own policy permits; the controller cannot widen it.
//! INVARIANT: a secret is in memory only between a go and the one request it is for, and is sent at most once.
//! INVARIANT: a result is kept until it is acknowledged, over any number of sessions and starts, and bounded.

mod alerts;
mod backoff;
mod begins;
mod certificate;
mod desk;
mod files;
mod identity;
mod join;
mod link;
mod lock;
mod policy;
mod proxy;
mod reach;
mod renewal;
mod self_test;

mod serve;
mod session;
mod settings;
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub mod simulation;
mod spool;
mod trouble;
mod trust;
mod work;

/// The rule by which agents come back, for those who play many of them.
#[doc(hidden)]
pub use backoff::{Backoff, away};
pub use identity::{Identity, IdentityError};
pub use join::{JoinError, JoinRequest, Joined, join};
pub use policy::{
    Ask, Destination, Door, NamedHost, Origin, Policy, PolicyError, Rule, policy_template,
};
pub use proxy::{Proxy, ProxyChoice};

pub use self_test::{Finding, SelfTest, Verdict, self_test};
pub use session::{AgentError, run};
pub use settings::{AgentConfig, AgentSettings, Home, Timings, WrittenAgentSettings};
pub use trouble::Trouble;

/// Whether this build dies where a test asks it to. Never in a release: the program refuses to be built so.
pub const HAS_FAIL_POINTS: bool = parallax_failpoint::ENABLED;

/// The version of the protocol that is spoken here.
const PROTOCOL: i32 = 1;
/// What this agent can do besides anonymous looks.
const CAPABILITIES: [&str; 2] = ["basic", "ntlm-type1"];
