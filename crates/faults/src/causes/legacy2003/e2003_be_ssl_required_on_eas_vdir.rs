//! `e2003_be_ssl_required_on_eas_vdir`
//!
//! ## What it says
//! The virtual directory of the Exchange 2003 back end requires SSL, and the CAS proxies to it over plain HTTP.
//!
//! ## How we know
//! On port 80 the back end answers 403.4 before any password is looked at; through the CAS a legacy user gets 403 at once,
//! while an account homed on the newer server is let in.
//!
//! ## What it is not
//! - A user who may not use `ActiveSync`: Exchange holds that 403 back for 20 s, and the back end itself answers 401 first.
//!
//! ## What to do
//! See the text.

use parallax_model::{FaultId, Look};

use super::legacy::{self, Legacy, is_403_4};
use crate::claim::Claim;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::logon;
use crate::seen::Spot;
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("e2003_be_ssl_required_on_eas_vdir"),
    layer: Layer::Legacy2003,
    owner: Owner::Exchange,
    era: Era::Mailbox2003,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("e2003_be_ssl_required_on_eas_vdir"),
    cases: |seen| {
        legacy::pairs(seen)
            .iter()
            .filter(|pair| !pair.back_end.endpoint.is_https)
            .map(case)
            .collect()
    },
};

fn case(pair: &Legacy<'_, '_>) -> Case {
    let said =
        pair.back_end.answer(&Look::OPTIONS).map(|(_, it)| words::answer(it)).unwrap_or_default();
    let front_says =
        pair.through_fronts().answered(|answer| answer.status == 403 && !logon::is_slow(answer));
    pair.case_without_proof(pair.back_end_says(demands_ssl), front_says, said, "401 Basic")
}

fn demands_ssl(spot: &Spot<'_>) -> Claim {
    match spot.answer(&Look::OPTIONS) {
        Some((met, answer)) if is_403_4(answer) => Claim::holds(met.reference()),
        Some((met, _)) => Claim::fails(met.reference()),
        None => Claim::undecidable(),
    }
}
