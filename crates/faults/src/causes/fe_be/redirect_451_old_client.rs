//! `redirect_451_old_client`
//!
//! ## What it says
//! The device speaks a protocol version older than 14.0 and does not follow the 451 that names its server.
//!
//! ## How we know
//! `OPTIONS` is answered with 200; the first command gets 451, and the device never goes there. No look of this
//! product shows it: a green report names it as not visible.
//!
//! ## What it is not
//! - `mailbox_other_site_451`: there `OPTIONS` itself is answered with 451.
//!
//! ## What to do
//! See the text.

use parallax_model::FaultId;

use crate::fault::{Basis, Era, Fault, Layer, Owner, Reach, Severity};
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("redirect_451_old_client"),
    layer: Layer::FrontEndToBackEnd,
    owner: Owner::Client,
    era: Era::From2007,
    basis: Basis::Documented,
    reach: Reach::Beyond,
    severity: Severity::Failure,
    pages: pages!("redirect_451_old_client"),
    cases: |_| Vec::new(),
};
