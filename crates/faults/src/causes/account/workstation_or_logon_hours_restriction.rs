//! `workstation_or_logon_hours_restriction`
//!
//! ## What it says
//! The account may log on at certain computers or at certain hours only.
//!
//! ## How we know
//! The box that checks the password refuses the account with 401. Nothing more shows on the wire: it stands open beside
//! `bad_password`, never more, until the log of a domain controller is read.
//!
//! ## What it is not
//! - A wrong password or a locked account: the failure code in the log tells.
//! - An old password that one server still accepts: then the password was changed lately.
//!
//! ## What to do
//! See the text.

use parallax_model::FaultId;

use super::user::{self, Reason};
use crate::fault::{Basis, Era, Fault, Layer, Owner, Reach, Severity};
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("workstation_or_logon_hours_restriction"),
    layer: Layer::Account,
    owner: Owner::Directory,
    era: Era::Any,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("workstation_or_logon_hours_restriction"),
    cases: |seen| {
        user::behind_a_refusal(
            seen,
            Reason::OfTheServer,
            "the security log of a domain controller: 4776 with 0xC0000070 or 0xC000006F",
        )
    },
};
