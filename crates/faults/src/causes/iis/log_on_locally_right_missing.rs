//! `log_on_locally_right_missing`
//!
//! ## What it says
//! Ordinary users lack the right to log on at this server, which IIS asks for with Basic (typical on Small Business Server and on
//! domain controllers).
//!
//! ## How we know
//! The server refuses the account with 401. Nothing more shows on the wire: the same 401 stands for a wrong password, a
//! locked account or a restriction, so this is never more than open, beside those, until the security log of the server is
//! read.
//!
//! ## What it is not
//! - A wrong password, or an account in another state: the failure code in the log tells.
//! - A 401 that a front passes on from a back end.
//!
//! ## What to do
//! See the text.

use parallax_model::FaultId;

use crate::causes::account::user;
use crate::fault::{Basis, Era, Fault, Layer, Owner, Reach, Severity};
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("log_on_locally_right_missing"),
    layer: Layer::Iis,
    owner: Owner::Exchange,
    era: Era::Any,
    basis: Basis::Observed,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("log_on_locally_right_missing"),
    cases: |seen| {
        user::behind_a_refusal(
            seen,
            user::Reason::OfTheServer,
            "the security log of the server: 4625 with 0xC000015B, or 534",
        )
    },
};
