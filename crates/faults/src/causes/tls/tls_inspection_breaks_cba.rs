//! `tls_inspection_breaks_cba`
//!
//! ## What it says
//! A device between this vantage and the service ends TLS and shows a certificate of its own making; a client certificate
//! does not get past it, and clients without its root refuse.
//!
//! ## How we know
//! At the same address this vantage is shown a leaf of a private authority that nobody else meets, another vantage a public
//! chain. Certain where this vantage's control shows the same issuer.
//!
//! ## What it is not
//! - `tls_untrusted_or_selfsigned`: there every vantage is shown the same private leaf.
//! - A server of a pool with a certificate of its own: then another path meets that leaf too.
//! - A store that accepts the device, while no server asks for a certificate: Basic goes through, and nobody fails.
//!
//! ## What to do
//! See the text.

use std::collections::BTreeMap;

use parallax_model::{
    ChainJudgement, ChainProblem, FaultId, Need, Observation, Role, Standing, TextPlace, TlsFacts,
    VantageName, Zone,
};

use super::handshakes::{Chains, Session, request, sessions};
use crate::claim::{Claim, all};
use crate::claims::is_meant_address;
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::{Seen, Spot};
use crate::sign::along;
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("tls_inspection_breaks_cba"),
    layer: Layer::Tls,
    owner: Owner::Firewall,
    era: Era::Any,
    basis: Basis::Observed,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("tls_inspection_breaks_cba"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let chains = Chains::of(seen);
    let controls = controls(seen);
    let is_certificate_used = seen.fronts().any(|spot| request(spot).is_some());
    along(
        seen.with_role(Role::External).filter(|spot| spot.endpoint.is_https),
        |spot| spot.tls_sign(|it| is_hurt(it, is_certificate_used)),
        |spot, shown| case(&chains, &controls, is_certificate_used, spot, shown),
    )
}

/// What a vantage's control shows.
type Controls<'a, 'e> = BTreeMap<&'a VantageName, Session<'a, 'e>>;

fn controls<'a, 'e>(seen: &'a Seen<'e>) -> Controls<'a, 'e> {
    let found = seen.with_role(Role::Control).flat_map(sessions);
    found.map(|it| (&it.spot.vantage.name, it)).collect()
}

/// A leaf of an authority that is not public, and either this client refuses it or a client certificate would not get past.
fn is_hurt(observation: &Observation, is_certificate_used: bool) -> bool {
    observation.transport.tls().is_some_and(|it| is_private(it, is_certificate_used))
}

fn is_private(tls: &TlsFacts, is_certificate_used: bool) -> bool {
    tls.trust.public == ChainJudgement::Untrusted(ChainProblem::UnknownIssuer)
        && (is_certificate_used || tls.trust.endpoint != ChainJudgement::Trusted)
}

fn case(
    chains: &Chains<'_, '_>,
    controls: &Controls<'_, '_>,
    is_certificate_used: bool,
    spot: &Spot<'_>,
    shown: Claim,
) -> Case {
    let Some(session) = sessions(spot).find(|it| is_private(it.tls, is_certificate_used)) else {
        return Case::new(spot, shown, &[]);
    };
    let others = is_alone(chains, &session);
    let elsewhere = chains.public_elsewhere(&session);
    // Where this client accepts the device, only clients with a certificate would fail, and nobody here is one.
    let is_refused = session.tls.trust.endpoint != ChainJudgement::Trusted;
    Case::new(spot, all([shown, is_meant_address(spot), others]), &[Stage::Tls])
        .firmer(is_control_the_same(controls, &session))
        .at_most(if is_refused { Standing::Confirmed } else { Standing::Likely })
        .with(TextPlace::Seen, session.leaf_reference().value)
        .with(
            TextPlace::Expected,
            elsewhere.map(|it| it.leaf_reference().value).unwrap_or_default(),
        )
        .with(
            TextPlace::Elsewhere,
            elsewhere.map(|it| it.spot.vantage.name.to_string()).unwrap_or_default(),
        )
}

/// At the same address another vantage is shown a public chain, and nobody else this leaf.
fn is_alone(chains: &Chains<'_, '_>, here: &Session<'_, '_>) -> Claim {
    if let Some(other) = chains.same_leaf(here) {
        return Claim::fails(other.leaf_reference());
    }
    match (chains.only_here(here), chains.public_elsewhere(here)) {
        (Some(other), _) => Claim::holds(other.leaf_reference()),
        (None, Some(other)) => Claim::Unknown {
            seen: vec![other.leaf_reference()],
            needs: vec![Need::Vantage { zone: Zone::External }],
        },
        (None, None) => Claim::unknown(Need::Vantage { zone: Zone::External }),
    }
}

/// What is known to be good elsewhere is shown with a leaf of the same issuer: the device meets this vantage whatever it asks.
fn is_control_the_same(controls: &Controls<'_, '_>, here: &Session<'_, '_>) -> Claim {
    let issuer = |tls: &TlsFacts| tls.chain.first().map(|it| it.issuer.clone());
    match controls.get(&here.spot.vantage.name) {
        Some(control) if issuer(control.tls) == issuer(here.tls) => {
            Claim::holds(control.leaf_reference())
        }
        Some(_) => Claim::undecidable(),
        None => {
            Claim::unknown(Need::Declared { what: "a control endpoint outside the organisation" })
        }
    }
}
