//! `tcp_443_filtered`
//!
//! ## What it says
//! A firewall drops TCP 443 on the way to the published name.
//!
//! ## How we know
//! No answer to SYN at every address outside, while somebody further in gets a connection to the service.
//!
//! ## What it is not
//! - `tcp_443_refused`: an RST says that the host was reached.
//! - A stale record: the address is not the one that the operator declared.
//! - A machine that is switched off: then nobody gets through, and this stays open.
//!
//! ## What to do
//! See the text.

use parallax_model::{FaultId, TcpFailure};

use super::tcp;
use crate::fault::{Basis, Era, Fault, Layer, Owner, Reach, Severity};
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("tcp_443_filtered"),
    layer: Layer::Network,
    owner: Owner::Firewall,
    era: Era::Any,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("tcp_443_filtered"),
    cases: |seen| {
        tcp::cases(seen, |failure| matches!(failure, TcpFailure::TimedOut { .. }), "SYN-ACK", false)
    },
};
