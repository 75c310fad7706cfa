//! `tls_cert_expired`
//!
//! ## What it says
//! The certificate of this hop is past its end, or not valid yet.
//!
//! ## How we know
//! The leaf's dates as sent, against the controller's clock.
//!
//! ## What it is not
//! - An agent whose clock is wrong: its clock does not decide.
//! - Another hop: each is read by itself, so that the one holding the old leaf has a name.
//!
//! ## What to do
//! See the text.

use std::time::SystemTime;

use parallax_model::{Certificate, FaultId, Observation, TextPlace};

use crate::claim::{Claim, all};
use crate::claims::is_meant_address;
use crate::condition::{self, Stage};
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::{Seen, Spot};
use crate::sign::along;
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("tls_cert_expired"),
    layer: Layer::Tls,
    owner: Owner::Certificate,
    era: Era::Any,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("tls_cert_expired"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let now = seen.evidence.now;
    along(
        seen.fronts().filter(|spot| spot.endpoint.is_https),
        |spot| spot.tls_sign(|it| out_of_date(it, now).is_some()),
        |spot, shown| case(spot, now, shown),
    )
}

/// The leaf, where its dates do not hold.
fn out_of_date(observation: &Observation, now: SystemTime) -> Option<&Certificate> {
    observation.transport.tls()?.chain.first().filter(|it| !it.is_valid_at(now))
}

fn case(spot: &Spot<'_>, now: SystemTime, shown: Claim) -> Case {
    let found = spot
        .observations()
        .iter()
        .find_map(|(round, it)| Some((*round, it.address.ip(), out_of_date(it, now)?)));
    let Some((round, address, leaf)) = found else { return Case::new(spot, shown, &[]) };
    let dates = condition::dates(leaf, now);
    let evidence = Claim::holds(spot.reference(round, Some(address), dates.clone()));
    Case::new(spot, all([shown, evidence, is_meant_address(spot)]), &[Stage::Tls])
        .with(TextPlace::Seen, dates)
}
