//! `tls_cipher_no_overlap`
//!
//! ## What it says
//! The box that ends TLS and its clients have no cipher suite in common.
//!
//! ## How we know
//! Whatever was offered, today's suites and the old ones, the server ended the handshake with `handshake_failure` or
//! `insufficient_security`, while another front finishes its handshake.
//!
//! ## What it is not
//! - A server that only our modern library cannot talk to (CBC, RSA key exchange): phones can.
//! - `tls_client_cert_required`: there the server asks for a certificate before it ends the handshake.
//! - A name that the box does not know: without a server name the same handshake is finished.
//!
//! ## What to do
//! See the text.

use parallax_model::{FaultId, Observation, TextPlace, TlsFailure, VantageName};

use super::handshakes::{Session, failure, sessions};
use crate::claim::{Claim, all};
use crate::claims::{is_meant_address, other_side};
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::{Seen, Spot};
use crate::sign::along;
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("tls_cipher_no_overlap"),
    layer: Layer::Tls,
    owner: Owner::Publishing,
    era: Era::Any,
    basis: Basis::Inferred,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("tls_cipher_no_overlap"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let finished: Vec<Session<'_, '_>> = seen.fronts().flat_map(sessions).take(1).collect();
    let first_vantage: Option<&VantageName> =
        seen.fronts().find(|it| it.is_seen()).map(|it| &it.vantage.name);
    let others_looked = seen
        .fronts()
        .any(|it| !it.observations().is_empty() && Some(&it.vantage.name) != first_vantage);
    along(
        seen.fronts().filter(|spot| spot.endpoint.is_https),
        |spot| spot.tls_sign(is_refused),
        |spot, shown| case(finished.first(), others_looked, spot, shown),
    )
}

/// Alerts 40 and 71 (RFC 8446 section 6.2).
fn is_refused(observation: &Observation) -> bool {
    matches!(failure(&observation.transport), Some(TlsFailure::Alert { number: 40 | 71 }))
}

fn case(
    finished: Option<&Session<'_, '_>>,
    others_looked: bool,
    spot: &Spot<'_>,
    shown: Claim,
) -> Case {
    let refused = spot.observations().iter().find(|(_, it)| is_refused(it));
    let said = refused.map(|(_, it)| words::transport(&it.transport)).unwrap_or_default();
    let somebody = match finished {
        Some(session) => Claim::holds(session.reference(words::tls_version(session.tls.version))),
        None if others_looked => Claim::undecidable(),
        None => Claim::unknown(other_side(spot)),
    };
    let elsewhere =
        finished.map(|it| format!("{} ({})", it.spot.endpoint.name, it.spot.vantage.name));
    Case::new(
        spot,
        all([shown, is_meant_address(spot), somebody, is_not_about_the_name(spot)]),
        &[Stage::Tls],
    )
    .with(TextPlace::Seen, said)
    .with(TextPlace::Expected, "a finished handshake")
    .with(TextPlace::Elsewhere, elsewhere.unwrap_or_default())
}

/// The same box finishes a handshake in which no name is asked for: then suites are in common.
fn is_not_about_the_name(spot: &Spot<'_>) -> Claim {
    let nameless = spot
        .observations()
        .iter()
        .filter(|(_, it)| is_refused(it))
        .find(|(_, it)| it.without_sni.done().is_some());
    match nameless {
        Some((round, it)) => Claim::fails(spot.reference(
            *round,
            Some(it.address.ip()),
            "handshake without a server name finished",
        )),
        None => Claim::given(),
    }
}
