//! `tcp_443_refused`
//!
//! ## What it says
//! The host answers, and nothing listens on TCP 443: service stopped, binding gone, or listener switched off.
//!
//! ## How we know
//! RST at every address outside; somebody further in gets a connection, or is refused by the node itself.
//!
//! ## What it is not
//! - `tcp_443_filtered`: silence, no RST.
//! - A reset after the connection stood.
//!
//! ## What to do
//! See the text.

use parallax_model::{FaultId, TcpFailure};

use super::tcp;
use crate::fault::{Basis, Era, Fault, Layer, Owner, Reach, Severity};
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("tcp_443_refused"),
    layer: Layer::Network,
    owner: Owner::Service,
    era: Era::Any,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("tcp_443_refused"),
    cases: |seen| {
        tcp::cases(seen, |failure| matches!(failure, TcpFailure::Refused), "SYN-ACK", true)
    },
};
