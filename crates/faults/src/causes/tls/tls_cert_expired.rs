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

use parallax_model::{FaultId, Standing, TextPlace};

use crate::causes::{at, places};
use crate::claim::{Claim, all, any};
use crate::claims::is_meant_address;
use crate::condition::{self, Stage};
use crate::fault::{Basis, Case, Era, Explains, Fault, Layer, Owner, Reach, Severity};
use crate::seen::{Seen, Spot};
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
    seen.fronts()
        .filter(|spot| spot.endpoint.is_https)
        .map(|spot| Case {
            must: all([is_out_of_date(seen, spot), is_meant_address(spot)]),
            firmer: Claim::given(),
            at_most: Standing::Confirmed,
            role: spot.endpoint.role,
            explains: Explains::path(spot.path, &[Stage::Tls]),
            places: places([at(spot), vec![(TextPlace::Seen, seen_words(seen, spot))]]),
        })
        .collect()
}

fn seen_words(seen: &Seen<'_>, spot: &Spot<'_>) -> String {
    let leaf =
        spot.observations().iter().copied().find_map(|(_, it)| it.transport.tls()?.chain.first());
    leaf.map(|it| condition::dates(it, seen.evidence.now)).unwrap_or_default()
}

fn is_out_of_date(seen: &Seen<'_>, spot: &Spot<'_>) -> Claim {
    let claims: Vec<Claim> = spot
        .observations()
        .iter()
        .copied()
        .filter_map(|(round, it)| {
            let leaf = it.transport.tls()?.chain.first()?;
            let address = Some(it.address.ip());
            Some(if leaf.is_valid_at(seen.evidence.now) {
                Claim::fails(spot.reference(
                    round,
                    address,
                    format!("valid until {}", crate::calendar::date(leaf.not_after)),
                ))
            } else {
                Claim::holds(spot.reference(
                    round,
                    address,
                    condition::dates(leaf, seen.evidence.now),
                ))
            })
        })
        .collect();
    if claims.is_empty() { Claim::undecidable() } else { any(claims) }
}
