//! `tls_sni_required_or_wrong_vhost`
//!
//! ## What it says
//! The box shows the right certificate only to those who name the host in the handshake; health monitors of load balancers and
//! very old phones do not. Or it knows others by name, and not this one.
//!
//! ## How we know
//! The same handshake without a server name (RFC 6066 section 3) is refused, or shows a leaf for another name; or it is
//! finished, while the one with the published name is refused.
//!
//! ## What it is not
//! - A fault that today's phones meet: they all send the name. It is told beside the verdict.
//! - `tls_cert_name_mismatch`: there the leaf is wrong although the name was sent.
//!
//! ## What to do
//! See the text.

use parallax_model::{FaultId, Observation, Outcome, Role, TextPlace, TlsFacts, TlsFailure};

use super::handshakes::failure;
use crate::claim::all;
use crate::claims::is_meant_address;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::{Seen, Spot};
use crate::sign::{Sign, along};
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("tls_sni_required_or_wrong_vhost"),
    layer: Layer::Tls,
    owner: Owner::Publishing,
    era: Era::Any,
    basis: Basis::Inferred,
    reach: Reach::Options,
    severity: Severity::Warning,
    pages: pages!("tls_sni_required_or_wrong_vhost"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    along(
        seen.with_role(Role::External).filter(|spot| spot.endpoint.is_https),
        sign,
        |spot, shown| {
            Case::new(spot, all([shown, is_meant_address(spot)]), &[])
                .with(TextPlace::Seen, told(spot))
                .with(TextPlace::Expected, format!("the certificate of {}", spot.endpoint.host))
        },
    )
}

/// Unknown where nobody tried without a name.
fn sign<'e>(spot: &Spot<'e>) -> Sign<'e> {
    let is_tried = |it: &Observation| it.without_sni != Outcome::NotReached;
    if spot.observations().iter().any(|(_, it)| is_tried(it)) {
        spot.tls_sign(minds_the_name)
    } else {
        Sign::Unknown(Vec::new())
    }
}

fn minds_the_name(observation: &Observation) -> bool {
    match (observation.transport.tls(), &observation.without_sni) {
        (Some(named), Outcome::Done(nameless)) => is_another_leaf(named, nameless),
        // Where only the old stack got through, the nameless handshake may have failed for that alone.
        (Some(_), Outcome::Failed(refusal)) => {
            is_refusal(refusal) && observation.transport.modern_failure().is_none()
        }
        (None, Outcome::Done(_)) => failure(&observation.transport).is_some_and(is_refusal),
        (Some(_) | None, _) => false,
    }
}

fn is_another_leaf(named: &TlsFacts, nameless: &TlsFacts) -> bool {
    let leaf = |it: &TlsFacts| it.chain.first().map(|it| it.sha256);
    leaf(named) != leaf(nameless) && named.name_matches && !nameless.name_matches
}

/// The box itself ended it. Silence and our own limits say nothing about names.
fn is_refusal(failure: &TlsFailure) -> bool {
    matches!(failure, TlsFailure::Alert { .. } | TlsFailure::Reset | TlsFailure::Closed)
}

fn told(spot: &Spot<'_>) -> String {
    let found = spot.observations().iter().find(|(_, it)| minds_the_name(it));
    let words = found.map(|(_, it)| {
        let (named, nameless) = (words::transport(&it.transport), words::tls(&it.without_sni));
        format!("with the name: {named}; without a name: {nameless}")
    });
    words.unwrap_or_default()
}
