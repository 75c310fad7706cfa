//! `tls_untrusted_or_selfsigned`
//!
//! ## What it says
//! The certificate of the published name signed itself, or its chain ends at a root that phones do not have.
//!
//! ## How we know
//! The chain as sent leads to no public root and satisfies no declared trust; it ends at itself or at a root that was sent
//! along, or another agent's own store accepts it as it is.
//!
//! ## What it is not
//! - `tls_intermediate_missing`: there another hop shows the same issuer below a public root.
//! - `tls_inspection_breaks_cba`: there another vantage is shown a public chain at the same address.
//! - A private root that the operator declared as the endpoint's trust, or that the agent's own store accepts.
//!
//! ## What to do
//! See the text.

use parallax_model::{
    Certificate, ChainJudgement, ChainProblem, FaultId, Observation, Role, Standing, TextPlace,
    TlsFacts, Zone,
};

use super::handshakes::{Chains, Session, sessions};
use crate::claim::{Claim, all};
use crate::claims::{is_meant_address, other_side};
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::{Seen, Spot};
use crate::sign::along;
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("tls_untrusted_or_selfsigned"),
    layer: Layer::Tls,
    owner: Owner::Certificate,
    era: Era::Any,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("tls_untrusted_or_selfsigned"),
    cases,
};

/// How a chain ends that nobody outside accepts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    AtItself,
    /// A root was sent along, and it is not a public one.
    AtPrivateRoot,
    /// Below something that was not sent: a private root, or a public intermediate.
    Open,
}

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let chains = Chains::of(seen);
    along(
        seen.with_role(Role::External).filter(|spot| spot.endpoint.is_https),
        |spot| spot.tls_sign(is_untrusted),
        |spot, shown| case(&chains, spot, shown),
    )
}

fn is_untrusted(observation: &Observation) -> bool {
    observation.transport.tls().and_then(end).is_some()
}

fn end(tls: &TlsFacts) -> Option<End> {
    if tls.trust.endpoint == ChainJudgement::Trusted {
        return None;
    }
    let is_root_sent =
        tls.chain.len() > 1 && tls.chain.last().is_some_and(Certificate::is_self_issued);
    match tls.trust.public {
        ChainJudgement::Untrusted(ChainProblem::SelfSigned) => Some(End::AtItself),
        ChainJudgement::Untrusted(ChainProblem::UnknownIssuer) if is_root_sent => {
            Some(End::AtPrivateRoot)
        }
        ChainJudgement::Untrusted(ChainProblem::UnknownIssuer) => Some(End::Open),
        ChainJudgement::Untrusted(
            ChainProblem::BadSignature | ChainProblem::Unusable | ChainProblem::NotPinned,
        )
        | ChainJudgement::Trusted => None,
    }
}

fn case(chains: &Chains<'_, '_>, spot: &Spot<'_>, shown: Claim) -> Case {
    let found = sessions(spot).find_map(|it| Some((it, end(it.tls)?)));
    let Some((session, end)) = found else { return Case::new(spot, shown, &[]) };
    let leaf = session.leaf_reference();
    let accepted = chains.stored(session.tls);
    // Seen from where clients are, under the right name: else it may be somebody else's box.
    let is_firm = spot.vantage.zone <= Zone::Dmz
        && session.tls.name_matches
        && (end != End::Open || accepted.is_some());
    let issuer = session.tls.chain.first().map(|it| words::shortened(&it.issuer));
    let problem = words::chain_judgement(session.tls.trust.public);
    Case::new(
        spot,
        all([shown, is_shown_to_others(chains, &session), is_its_own_end(chains, &session, end)]),
        &[Stage::Tls],
    )
    .firmer(all([is_meant_address(spot), is_no_single_view(chains, &session, end)]))
    .at_most(if is_firm { Standing::Confirmed } else { Standing::Likely })
    .with(TextPlace::Seen, format!("{problem}, {}", leaf.value))
    .with(TextPlace::Expected, issuer.map(|_| "a chain to a public root").unwrap_or_default())
    .with(
        TextPlace::Elsewhere,
        accepted.map(|it| it.spot.vantage.name.to_string()).unwrap_or_default(),
    )
}

/// Something between this vantage and the address shows a leaf of its own: then it is not the published one's.
fn is_shown_to_others(chains: &Chains<'_, '_>, here: &Session<'_, '_>) -> Claim {
    chains.only_here(here).map_or_else(Claim::given, |it| Claim::fails(it.leaf_reference()))
}

/// Nothing is missing between the leaf and its root.
fn is_its_own_end(chains: &Chains<'_, '_>, here: &Session<'_, '_>, end: End) -> Claim {
    match (end, chains.public_issuer_of(here.tls), chains.stored(here.tls)) {
        (End::Open, Some(complete), _) => Claim::fails(complete.leaf_reference()),
        (_, _, Some(accepting)) => {
            Claim::holds(accepting.reference("its own store accepts the chain as sent"))
        }
        (_, _, None) => Claim::given(),
    }
}

/// A single view of a private authority's leaf may be a device on that one way; a self-signed leaf is nobody's who intercepts.
fn is_no_single_view(chains: &Chains<'_, '_>, here: &Session<'_, '_>, end: End) -> Claim {
    if end == End::AtItself {
        return Claim::given();
    }
    match (chains.same_leaf(here), chains.public_elsewhere(here)) {
        (Some(other), _) => Claim::holds(other.leaf_reference()),
        (None, Some(_)) => Claim::undecidable(),
        (None, None) => Claim::unknown(other_side(here.spot)),
    }
}
