//! `external_url_loop_451`
//!
//! ## What it says
//! An external URL that belongs to no such site sends devices back to the name they just asked.
//!
//! ## How we know
//! `OPTIONS` is not redirected, only the first command after it, so no look of this product shows it: a green report
//! names it as not visible.
//!
//! ## What it is not
//! - `mailbox_other_site_451`: there another host is named, and it serves the mailbox.
//!
//! ## What to do
//! See the text.

use parallax_model::FaultId;

use crate::fault::{Basis, Era, Fault, Layer, Owner, Reach, Severity};
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("external_url_loop_451"),
    layer: Layer::FrontEndToBackEnd,
    owner: Owner::Exchange,
    era: Era::From2007,
    basis: Basis::Documented,
    reach: Reach::Beyond,
    severity: Severity::Failure,
    pages: pages!("external_url_loop_451"),
    cases: |_| Vec::new(),
};
