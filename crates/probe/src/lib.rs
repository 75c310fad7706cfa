//! The stages of a look: DNS, TCP, TLS, HTTP. The only crate that touches a target.
//!
//! A stage asks one question, once, and has no opinion: it turns what the network did into the values of `model`.
//! Absent on purpose: verdicts, retries, redirects, proxies, pools, knowledge of faults, and the agent's policy (it is handed in).
//!
//! INVARIANT: `Err` of [`observe`] and [`prepare`] means that *we* could not or must not look. What the network did is a value.
//! INVARIANT: all stages of an observation concern one address; nothing but [`Dial`] decides which socket that is.
//! INVARIANT: a secret passes through `gate::CredentialGate` or not at all.
//! INVARIANT: every wait has a limit and every answer a bound; a hostile target ends as a value.

mod budget;
mod connect;
mod dial;
mod dns;
mod fit;
mod gate;
mod head;
mod http;
mod instrument;
mod logon;
mod observe;
mod records;
mod request;
mod stream;
mod tcp;
#[cfg(test)]
mod tests;
mod tls;
mod walk;

pub use dial::{Dial, Mapped, Route};
pub use instrument::Instrument;
pub use logon::{Preparation, Prepared, prepare};
pub use observe::observe;
pub use walk::{Allow, Listen, ProbeError, Progress, Rule};
