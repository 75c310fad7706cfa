//! `dns_external_stale_ip`
//!
//! ## What it says
//! Outside, the published name leads to an address that is no longer the service's.
//!
//! ## How we know
//! The address that clients are given is not among those that the operator declares, and what stands there is not the service,
//! while it answers at a declared one. Without a declaration: another vantage is given another address, and the service answers
//! there, to this vantage too.
//!
//! ## What it is not
//! - `tcp_443_filtered`, `tcp_443_refused`: there the address is the right one.
//! - `dns_split_brain_mismatch`: there clients outside are served, and those inside are not.
//! - A declaration that was forgotten at the move: then the service answers where the name leads, and nothing is wrong.
//!
//! ## What to do
//! See the text.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;

use parallax_model::{FaultId, Need, Observation, PathId, Role, Standing, TextPlace, Zone};

use super::views::{Found, Served, is_asked, outermost, served_at_the_other};
use crate::claim::{Claim, all};
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Explains, Fault, Layer, Owner, Reach, Severity};
use crate::seen::{Seen, Spot};
use crate::sign::{Fact, Sign, along};
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("dns_external_stale_ip"),
    layer: Layer::Dns,
    owner: Owner::Dns,
    era: Era::Any,
    basis: Basis::Observed,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("dns_external_stale_ip"),
    cases,
};

/// What stands at a stale address is somebody else's, whatever it answers.
const STAGES: &[Stage] = &[Stage::Tcp, Stage::Tls, Stage::Anonymous, Stage::Logon];

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let outer = || outermost(seen).filter(|it| it.vantage.zone <= Zone::Dmz && is_asked(it));
    let served = Served::among(
        seen,
        seen.with_role(Role::External).filter(|it| it.vantage.zone <= Zone::Dmz && is_asked(it)),
    );
    let same = same_address(seen);
    along(outer(), |spot| sign(seen, spot), |spot, shown| case(seen, spot, shown, &served, &same))
}

/// Something that is not the service, at an address that is not declared.
fn sign<'e>(seen: &Seen<'e>, spot: &Spot<'e>) -> Sign<'e> {
    let mut denied = None;
    for &(round, observation) in spot.observations() {
        let found = Found::at(seen, spot, observation);
        if is_stray(spot, observation) && found.wrong().is_some() {
            return Sign::Shown(Fact::Tls(round, observation));
        }
        if !is_stray(spot, observation) || found == Found::Service {
            denied = denied.or(Some(Fact::Tcp(round, observation)));
        }
    }
    match denied {
        Some(fact) => Sign::Denied(fact),
        None if spot.dns().is_some_and(|(_, dns)| dns.failed().is_some()) => {
            Sign::Denied(Fact::Dns)
        }
        None => Sign::Unknown(Vec::new()),
    }
}

/// Not one of the declared addresses; where none is declared, any may be.
fn is_stray(spot: &Spot<'_>, observation: &Observation) -> bool {
    !spot.endpoint.published_on.contains(&observation.address.ip())
}

fn strays<'a, 'e>(
    seen: &'a Seen<'e>,
    spot: &'a Spot<'e>,
) -> impl Iterator<Item = (u32, &'e Observation, String)> + 'a {
    spot.observations().iter().filter_map(|&(round, it)| {
        let found = Found::at(seen, spot, it);
        let text = found.wrong().filter(|_| is_stray(spot, it))?.to_owned();
        Some((round, it, text))
    })
}

fn case(
    seen: &Seen<'_>,
    spot: &Spot<'_>,
    shown: Claim,
    served: &[Served<'_, '_>],
    same: &BTreeMap<IpAddr, Rc<[PathId]>>,
) -> Case {
    let is_declared = !spot.endpoint.published_on.is_empty();
    let first = strays(seen, spot).next();
    let (address, text) =
        first.map(|(_, it, text)| (it.address.ip().to_string(), text)).unwrap_or_default();
    let explained = strays(seen, spot).find_map(|(_, it, _)| same.get(&it.address.ip()));
    let elsewhere = others(spot, served).next();
    let case = if is_declared {
        Case::new(spot, all([shown, leads_astray(seen, spot)]), STAGES)
            .firmer(all([served_where_declared(seen, spot, served), others_are_right(seen, spot)]))
    } else {
        Case::new(spot, all([shown, served_where_others_go(seen, spot, served)]), STAGES)
            .at_most(Standing::Likely)
    };
    let paths = explained.map_or_else(|| Rc::from([spot.path.clone()]), Rc::clone);
    case.explaining(Explains { paths, stages: STAGES, logons_of: None })
        .with(TextPlace::Address, address)
        .with(TextPlace::Seen, text)
        .with(TextPlace::Expected, expected(spot, elsewhere.map(|it| it.address)))
        .with(TextPlace::Elsewhere, elsewhere.map(place).unwrap_or_default())
}

fn place(served: &Served<'_, '_>) -> String {
    format!("{} ({})", served.spot.vantage.name, served.address)
}

fn expected(spot: &Spot<'_>, elsewhere: Option<IpAddr>) -> String {
    let declared: Vec<String> =
        spot.endpoint.published_on.iter().map(ToString::to_string).collect();
    match elsewhere {
        Some(address) if declared.is_empty() => address.to_string(),
        Some(_) | None => declared.join(", "),
    }
}

fn leads_astray(seen: &Seen<'_>, spot: &Spot<'_>) -> Claim {
    match strays(seen, spot).next() {
        Some((round, it, _)) => Claim::holds(spot.reference(
            round,
            Some(it.address.ip()),
            "not among the declared addresses",
        )),
        None => Claim::undecidable(),
    }
}

/// Others who are served under the same name at an address that this vantage was not given.
fn others<'a, 'b, 'e>(
    spot: &'a Spot<'_>,
    served: &'a [Served<'b, 'e>],
) -> impl Iterator<Item = &'a Served<'b, 'e>> {
    served.iter().filter(move |it| {
        let declared = &spot.endpoint.published_on;
        it.spot.endpoint.host == spot.endpoint.host
            && it.spot.path != spot.path
            && !spot.resolved().contains(&it.address)
            && (declared.is_empty() || declared.contains(&it.address))
    })
}

/// The service answers where the operator says that it is published: for others, or for this vantage itself, by another record or
/// sent there.
fn served_where_declared(seen: &Seen<'_>, spot: &Spot<'_>, served: &[Served<'_, '_>]) -> Claim {
    let declared = &spot.endpoint.published_on;
    let own = served.iter().find(|it| it.spot.path == spot.path && declared.contains(&it.address));
    match own.or_else(|| others(spot, served).next()) {
        Some(it) => Claim::holds(it.reference()),
        None => served_at_the_other(seen, spot, declared.iter().copied()),
    }
}

/// Of several records those that are right lead to the service: then what fails is the stale one's.
fn others_are_right(seen: &Seen<'_>, spot: &Spot<'_>) -> Claim {
    let is_right =
        |it: &Observation| is_stray(spot, it) || Found::at(seen, spot, it) == Found::Service;
    if spot.observations().iter().all(|(_, it)| is_right(it)) {
        Claim::given()
    } else {
        Claim::undecidable()
    }
}

/// Another vantage is given another address and is served there; so is this one.
fn served_where_others_go(seen: &Seen<'_>, spot: &Spot<'_>, served: &[Served<'_, '_>]) -> Claim {
    let others: Vec<&Served<'_, '_>> = others(spot, served).collect();
    let Some(first) = others.first() else {
        return Claim::unknown(Need::Declared {
            what: "published_on: the addresses the name is published on",
        });
    };
    all([
        Claim::holds(first.reference()),
        served_at_the_other(seen, spot, others.iter().map(|it| it.address)),
    ])
}

/// Every path to a published name that meets the same stray address: it is one record.
fn same_address(seen: &Seen<'_>) -> BTreeMap<IpAddr, Rc<[PathId]>> {
    let mut paths: BTreeMap<IpAddr, Vec<PathId>> = BTreeMap::new();
    for spot in seen.with_role(Role::External).filter(|it| is_asked(it)) {
        for (_, observation, _) in strays(seen, spot) {
            paths.entry(observation.address.ip()).or_default().push(spot.path.clone());
        }
    }
    paths.into_iter().map(|(address, paths)| (address, Rc::from(paths))).collect()
}
