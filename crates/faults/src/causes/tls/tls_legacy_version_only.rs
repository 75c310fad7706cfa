//! `tls_legacy_version_only`
//!
//! ## What it says
//! The published name speaks TLS 1.0 or 1.1 at the most; today's phones and mail apps refuse that.
//!
//! ## How we know
//! Offered everything up to TLS 1.3, the server chose 1.0 or 1.1, seen from where clients are.
//!
//! ## What it is not
//! - An inner hop behind a modern publishing device: the server of that age is expected to be old, and no phone meets it.
//! - The cause of a 401 or of any other answer: whoever gets an answer has got through TLS. So it accounts for no failing path.
//! - A server with TLS 1.2 and old cipher suites: phones speak those.
//!
//! ## What to do
//! See the text.

use std::collections::BTreeMap;

use parallax_model::{
    EndpointName, FaultId, Need, Observation, Role, Standing, TextPlace, TlsVersion, Zone,
};

use super::handshakes::sessions;
use crate::claim::{Claim, all};
use crate::claims::is_meant_address;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::{Seen, Spot};
use crate::sign::along;
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("tls_legacy_version_only"),
    layer: Layer::Tls,
    owner: Owner::Publishing,
    era: Era::Any,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("tls_legacy_version_only"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let mut outermost: BTreeMap<&EndpointName, Zone> = BTreeMap::new();
    for spot in seen.with_role(Role::External).filter(|it| sessions(it).next().is_some()) {
        let zone = outermost.entry(&spot.endpoint.name).or_insert(spot.vantage.zone);
        *zone = spot.vantage.zone.min(*zone);
    }
    along(
        seen.with_role(Role::External)
            .filter(|spot| outermost.get(&spot.endpoint.name) == Some(&spot.vantage.zone)),
        |spot| spot.tls_sign(is_old),
        case,
    )
}

fn is_old(observation: &Observation) -> bool {
    observation.transport.tls().is_some_and(|it| it.version <= TlsVersion::Tls11)
}

fn case(spot: &Spot<'_>, shown: Claim) -> Case {
    let versions = || sessions(spot).map(|it| it.tls.version);
    let oldest = versions().min().map(words::tls_version).unwrap_or_default();
    // Another address of the name that speaks 1.2 lets some clients through.
    let is_whole = versions().all(|it| it <= TlsVersion::Tls11);
    Case::new(spot, all([shown, is_meant_address(spot)]), &[])
        .firmer(is_seen_from_outside(spot))
        .at_most(if is_whole { Standing::Confirmed } else { Standing::Likely })
        .with(TextPlace::Seen, oldest)
        .with(TextPlace::Expected, "TLS 1.2 or 1.3")
}

fn is_seen_from_outside(spot: &Spot<'_>) -> Claim {
    if spot.vantage.zone <= Zone::Dmz {
        Claim::given()
    } else {
        Claim::unknown(Need::Vantage { zone: Zone::External })
    }
}
