//! `default_domain_missing`
//!
//! ## What it says
//! A bare user name is refused because the server that checks it has no default domain.
//!
//! ## How we know
//! The same secret is accepted with the UPN or `DOMAIN\user` and refused with the bare name, at the same front.
//!
//! ## What it is not
//! - A wrong password: a qualified form is accepted.
//! - `e2003_be_iwa_missing`: that refuses every form of a legacy user's name.
//!
//! ## What to do
//! See the text.

use parallax_model::{FaultId, NameForm};

use crate::causes::account::upn_mismatch::form_cases;
use crate::fault::{Basis, Era, Fault, Layer, Owner, Reach, Severity};
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("default_domain_missing"),
    layer: Layer::Iis,
    owner: Owner::Exchange,
    era: Era::Any,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("default_domain_missing"),
    cases: |seen| form_cases(seen, NameForm::Bare),
};
