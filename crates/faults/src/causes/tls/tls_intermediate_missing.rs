//! `tls_intermediate_missing`
//!
//! ## What it says
//! The device that ends TLS sends its leaf alone; clients that do not fetch intermediates cannot build the chain.
//!
//! ## How we know
//! One certificate sent, not issued by itself, no way to a public root; and the same issuer is known, from a complete chain
//! that another hop sends, as an intermediate of a public root.
//!
//! ## What it is not
//! - A private or self-signed certificate: then no complete public chain with that issuer exists; where some agent's own store
//!   accepts the leaf as it was sent, its issuer is a root.
//!
//! ## What to do
//! See the text.

use parallax_model::{
    ChainJudgement, ChainProblem, FaultId, Observation, Role, TextPlace, TlsFacts,
};

use super::handshakes::{Chains, Session, sessions};
use crate::claim::{Claim, all};
use crate::claims::is_meant_address;
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::{Seen, Spot};
use crate::sign::along;
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("tls_intermediate_missing"),
    layer: Layer::Tls,
    owner: Owner::Certificate,
    era: Era::Any,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("tls_intermediate_missing"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let chains = Chains::of(seen);
    along(
        seen.with_role(Role::External).filter(|spot| spot.endpoint.is_https),
        |spot| spot.tls_sign(is_leaf_alone),
        |spot, shown| case(&chains, spot, shown),
    )
}

fn is_leaf_alone(observation: &Observation) -> bool {
    observation.transport.tls().is_some_and(is_alone)
}

fn is_alone(tls: &TlsFacts) -> bool {
    tls.chain.len() == 1
        && tls.chain.first().is_some_and(|it| !it.is_self_issued())
        && tls.trust.public == ChainJudgement::Untrusted(ChainProblem::UnknownIssuer)
        && tls.trust.endpoint != ChainJudgement::Trusted
}

fn case(chains: &Chains<'_, '_>, spot: &Spot<'_>, shown: Claim) -> Case {
    let Some(session) = sessions(spot).find(|it| is_alone(it.tls)) else {
        return Case::new(spot, shown, &[]);
    };
    let sent = Claim::holds(session.reference("certificates sent: 1"));
    let complete = chains.public_issuer_of(session.tls);
    let at = complete.map(|it| format!("{} ({})", it.spot.endpoint.name, it.spot.vantage.name));
    let must = [shown, sent, is_meant_address(spot), is_no_root(chains, &session)];
    Case::new(spot, all(must), &[Stage::Tls])
        .firmer(complete.map_or_else(Claim::undecidable, |it| {
            let sent = it.tls.chain.len();
            Claim::holds(it.reference(format!("certificates sent: {sent}, trusted")))
        }))
        .with(TextPlace::Seen, "1")
        .with(TextPlace::Expected, "2")
        .with(TextPlace::Elsewhere, at.unwrap_or_default())
}

/// The issuer is no root of a private authority: then nothing would be missing.
fn is_no_root(chains: &Chains<'_, '_>, here: &Session<'_, '_>) -> Claim {
    match (chains.public_issuer_of(here.tls), chains.stored(here.tls)) {
        (None, Some(accepting)) => {
            Claim::fails(accepting.reference("its own store accepts the chain as sent"))
        }
        (_, _) => Claim::given(),
    }
}
