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
//! - A private or self-signed certificate: then no complete public chain with that issuer exists.
//!
//! ## What to do
//! See the text.

use parallax_model::{ChainJudgement, ChainProblem, FaultId, Role, Standing, TextPlace, TlsFacts};

use crate::causes::{at, places};
use crate::claim::{Claim, all, any};
use crate::claims::is_meant_address;
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Explains, Fault, Layer, Owner, Reach, Severity};
use crate::seen::{Seen, Spot};
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
    seen.with_role(Role::External)
        .filter(|spot| spot.endpoint.is_https)
        .map(|spot| Case {
            must: all([is_leaf_alone(spot), is_meant_address(spot)]),
            firmer: issuer_is_public(seen, spot),
            at_most: Standing::Confirmed,
            role: Role::External,
            explains: Explains::path(spot.path, &[Stage::Tls]),
            places: places([
                at(spot),
                vec![(TextPlace::Seen, "1".to_owned()), (TextPlace::Expected, "2".to_owned())],
                complete_elsewhere(seen, spot)
                    .map(|it| {
                        vec![(
                            TextPlace::Elsewhere,
                            format!("{} ({})", it.endpoint.name, it.vantage.name),
                        )]
                    })
                    .unwrap_or_default(),
            ]),
        })
        .collect()
}

fn sessions<'e>(spot: &Spot<'e>) -> impl Iterator<Item = (u32, std::net::IpAddr, &'e TlsFacts)> {
    spot.observations()
        .iter()
        .copied()
        .filter_map(|(round, it)| Some((round, it.address.ip(), it.transport.tls()?)))
}

fn is_alone(tls: &TlsFacts) -> bool {
    tls.chain.len() == 1
        && !tls.chain[0].is_self_issued()
        && tls.trust.public == ChainJudgement::Untrusted(ChainProblem::UnknownIssuer)
        && tls.trust.endpoint != ChainJudgement::Trusted
}

fn is_leaf_alone(spot: &Spot<'_>) -> Claim {
    let claims: Vec<Claim> = sessions(spot)
        .map(|(round, address, tls)| {
            let reference = spot.reference(
                round,
                Some(address),
                format!("certificates sent: {}", tls.chain.len()),
            );
            if is_alone(tls) { Claim::holds(reference) } else { Claim::fails(reference) }
        })
        .collect();
    if claims.is_empty() { Claim::undecidable() } else { any(claims) }
}

fn complete_elsewhere<'a, 'e>(seen: &'a Seen<'e>, spot: &Spot<'e>) -> Option<&'a Spot<'e>> {
    let issuer = sessions(spot)
        .find(|(_, _, tls)| is_alone(tls))
        .map(|(_, _, tls)| tls.chain[0].issuer.clone())?;
    seen.fronts().find(|it| {
        sessions(it).any(|(_, _, tls)| {
            tls.trust.public == ChainJudgement::Trusted
                && tls.chain.iter().skip(1).any(|link| link.subject == issuer)
        })
    })
}

fn issuer_is_public(seen: &Seen<'_>, spot: &Spot<'_>) -> Claim {
    match complete_elsewhere(seen, spot) {
        Some(other) => sessions(other)
            .find(|(_, _, tls)| tls.trust.public == ChainJudgement::Trusted)
            .map_or_else(Claim::undecidable, |(round, address, tls)| {
                Claim::holds(other.reference(
                    round,
                    Some(address),
                    format!("certificates sent: {}, trusted", tls.chain.len()),
                ))
            }),
        None => Claim::undecidable(),
    }
}
