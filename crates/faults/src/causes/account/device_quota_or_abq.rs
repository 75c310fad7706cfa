//! `device_quota_or_abq`
//!
//! ## What it says
//! The device itself is refused: the user has too many partnerships, or a rule blocks or quarantines this kind of device.
//!
//! ## How we know
//! Not from here. `OPTIONS` names no device, so it passes; `FolderSync` and `Provision` fail later.
//!
//! ## What it is not
//! - `eas_disabled_for_user`: that refuses `OPTIONS` as well.
//!
//! ## What to do
//! See the text.

use parallax_model::FaultId;

use crate::fault::{Basis, Era, Fault, Layer, Owner, Reach, Severity};
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("device_quota_or_abq"),
    layer: Layer::Account,
    owner: Owner::Exchange,
    era: Era::From2007,
    basis: Basis::Documented,
    reach: Reach::Beyond,
    severity: Severity::Failure,
    pages: pages!("device_quota_or_abq"),
    cases: |_| Vec::new(),
};
