//! `account_locked`
//!
//! ## What it says
//! The account is locked out, mostly by a device that keeps sending an old password.
//!
//! ## How we know
//! The box that checks the password refuses the account with 401. Nothing more shows on the wire: it stands open beside
//! `bad_password`, never more, until a domain controller is asked.
//!
//! ## What it is not
//! - A wrong password: `lockoutTime` of the account, and event 4740, tell.
//! - An account that is accepted anywhere in this diagnosis.
//!
//! ## What to do
//! See the text.

use parallax_model::FaultId;

use super::user::{self, Reason};
use crate::fault::{Basis, Era, Fault, Layer, Owner, Reach, Severity};
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("account_locked"),
    layer: Layer::Account,
    owner: Owner::Directory,
    era: Era::Any,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("account_locked"),
    cases: |seen| {
        user::behind_a_refusal(
            seen,
            Reason::OfTheAccount,
            "Get-ADUser: LockedOut; or 4776 with 0xC0000234",
        )
    },
};
