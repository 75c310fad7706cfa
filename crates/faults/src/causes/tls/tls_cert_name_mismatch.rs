//! `tls_cert_name_mismatch`
//!
//! ## What it says
//! The certificate shown to clients does not hold the published name.
//!
//! ## How we know
//! The URL's host is not among the leaf's subject alternative names (RFC 9525), seen on a published endpoint.
//!
//! ## What it is not
//! - A node dialled by its own name inside: no phone does that.
//! - A stale record that leads to somebody else's server: then the address is not a declared one.
//!
//! ## What to do
//! See the text.

use parallax_model::{FaultId, Role, Standing, TextPlace};

use crate::causes::{at, places};
use crate::claim::{Claim, all, any};
use crate::claims::is_meant_address;
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Explains, Fault, Layer, Owner, Reach, Severity};
use crate::seen::{Seen, Spot};
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("tls_cert_name_mismatch"),
    layer: Layer::Tls,
    owner: Owner::Certificate,
    era: Era::Any,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("tls_cert_name_mismatch"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    seen.with_role(Role::External)
        .filter(|spot| spot.endpoint.is_https)
        .map(|spot| Case {
            must: all([lacks_the_name(spot), is_meant_address(spot)]),
            firmer: Claim::given(),
            at_most: Standing::Confirmed,
            role: Role::External,
            explains: Explains::path(spot.path, &[Stage::Tls]),
            places: places([
                at(spot),
                vec![
                    (TextPlace::Seen, names(spot)),
                    (TextPlace::Expected, spot.endpoint.host.clone()),
                ],
            ]),
        })
        .collect()
}

fn names(spot: &Spot<'_>) -> String {
    spot.observations()
        .iter()
        .copied()
        .find_map(|(_, it)| it.transport.tls()?.chain.first())
        .map(|leaf| words::shortened(&leaf.names.join(", ")))
        .unwrap_or_default()
}

fn lacks_the_name(spot: &Spot<'_>) -> Claim {
    let claims: Vec<Claim> = spot
        .observations()
        .iter()
        .copied()
        .filter_map(|(round, it)| {
            let tls = it.transport.tls()?;
            let names = words::shortened(&tls.chain.first()?.names.join(", "));
            let reference =
                spot.reference(round, Some(it.address.ip()), format!("certificate for {names}"));
            Some(if tls.name_matches { Claim::fails(reference) } else { Claim::holds(reference) })
        })
        .collect();
    if claims.is_empty() { Claim::undecidable() } else { any(claims) }
}
