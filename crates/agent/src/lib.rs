//! The agent: one session with the controller, tasks taken from it, and a policy of its own.
//!
//! It calls out and nothing calls in. Facts are made here, opinions in the controller: it does not depend on `faults`.
//!
//! INVARIANT: it probes only what its own policy permits; the controller cannot widen it.
//! INVARIANT: a secret is in memory only between a go and the one request it is for, and is sent at most once.
//! INVARIANT: a result is kept until it is acknowledged, over any number of sessions, in memory and bounded.

mod backlog;
mod backoff;
mod begins;
mod desk;
mod link;
mod policy;
mod session;
mod settings;
mod work;

pub use policy::{Ask, Door, NamedHost, Policy, PolicyError, Rule, policy_template};
pub use session::{AgentError, run};
pub use settings::{
    AgentConfig, AgentSettings, Identity, IdentityError, Timings, WrittenAgentSettings,
};

/// The version of the protocol that is spoken here.
const PROTOCOL: i32 = 1;
/// What this agent can do besides anonymous looks.
const CAPABILITIES: [&str; 2] = ["basic", "ntlm-type1"];
