//! `idle_timeout_too_short`
//!
//! ## What it says
//! A box on the way ends connections that are idle for longer than a few minutes, and with them Direct Push.
//!
//! ## How we know
//! Not from here: `OPTIONS` is answered at once. Only a request that waits for minutes shows it, and this product sends none.
//!
//! ## What it is not
//! - Anything that `OPTIONS` shows: a target with this fault looks healthy.
//!
//! ## What to do
//! See the text.

use parallax_model::FaultId;

use crate::fault::{Basis, Era, Fault, Layer, Owner, Reach, Severity};
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("idle_timeout_too_short"),
    layer: Layer::Network,
    owner: Owner::Firewall,
    era: Era::Any,
    basis: Basis::Documented,
    reach: Reach::Beyond,
    severity: Severity::Failure,
    pages: pages!("idle_timeout_too_short"),
    cases: |_| Vec::new(),
};
