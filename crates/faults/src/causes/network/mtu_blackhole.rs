//! `mtu_blackhole`
//!
//! ## What it says
//! Large packets are lost on the way: the connection opens, and the server's certificates never arrive.
//!
//! ## How we know
//! The TLS handshake gets no answer within its limit, and at the same address another vantage completes it.
//!
//! ## What it is not
//! - `tcp_443_filtered`: there the connection itself does not open.
//! - A listener that hangs: then nobody completes the handshake at that address.
//! - A filter that drops the `ClientHello` for the name in it: no probe of ours tells the two apart, so this stays likely.
//!
//! ## What to do
//! See the text.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use parallax_model::{EvidenceRef, FaultId, Need, Observation, Outcome, TextPlace, TlsFailure};

use crate::claim::{Claim, all, any};
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::{Seen, Spot};
use crate::sign::along;
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("mtu_blackhole"),
    layer: Layer::Network,
    owner: Owner::Firewall,
    era: Era::Any,
    basis: Basis::Inferred,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("mtu_blackhole"),
    cases,
};

const CAPTURE: &str = "a packet capture of one handshake: whether the server's large packets are sent again and again";

/// Who completes the handshake at an address, and who stalls there.
#[derive(Default)]
struct At {
    done: Option<(EvidenceRef, String)>,
    stalled: u32,
}

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let mut places: BTreeMap<SocketAddr, At> = BTreeMap::new();
    for spot in seen.fronts() {
        for &(round, observation) in spot.observations() {
            let place = places.entry(observation.address).or_default();
            if is_stalled(observation) {
                place.stalled += 1;
            } else if place.done.is_none() && observation.transport.tls().is_some() {
                let value = words::transport(&observation.transport);
                let reference = spot.reference(round, Some(observation.address.ip()), value);
                place.done = Some((reference, spot.vantage.name.to_string()));
            }
        }
    }
    along(
        seen.fronts().filter(|it| it.endpoint.is_https),
        |spot| spot.tls_sign(is_stalled),
        |spot, shown| {
            let stalled = spot.observations().iter().find(|(_, it)| is_stalled(it));
            let done = stalled.and_then(|(_, it)| places.get(&it.address)?.done.as_ref());
            let words = stalled.map(|(_, it)| words::transport(&it.transport));
            Case::new(spot, all([shown, completes_there(spot, &places)]), &[Stage::Tls])
                .firmer(Claim::unknown(Need::OnTheServer { what: CAPTURE }))
                .with(TextPlace::Seen, words.unwrap_or_default())
                .with(TextPlace::Expected, "ServerHello, Certificate")
                .with(TextPlace::Elsewhere, done.map(|(_, it)| it.clone()).unwrap_or_default())
        },
    )
}

/// TCP opened and the handshake then got nothing, with whatever stack.
fn is_stalled(observation: &Observation) -> bool {
    observation.tcp.done().is_some()
        && matches!(
            observation.transport.handshake(),
            Some(Outcome::Failed(TlsFailure::TimedOut { .. }))
        )
}

/// At the very same address somebody else completes the handshake; if several look and nobody does, the listener hangs.
fn completes_there(spot: &Spot<'_>, places: &BTreeMap<SocketAddr, At>) -> Claim {
    let claims =
        spot.observations().iter().filter(|(_, it)| is_stalled(it)).map(|(round, it)| match places
            .get(&it.address)
        {
            Some(At { done: Some((reference, _)), .. }) => Claim::holds(reference.clone()),
            Some(At { stalled, .. }) if *stalled > 1 => Claim::fails(spot.reference(
                *round,
                Some(it.address.ip()),
                format!("the handshake stalls there for {stalled} paths, and completes for none"),
            )),
            Some(_) | None => Claim::undecidable(),
        });
    any(claims)
}
