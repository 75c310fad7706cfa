//! `dns_split_brain_mismatch`
//!
//! ## What it says
//! Inside, the published name leads somewhere else than outside, or nowhere, and clients there are not served.
//!
//! ## How we know
//! Clients outside are served under the name. Inside the name has no address, or another one at which the service is not; and
//! the same vantage, with the same name, is served at the address that clients outside are given. Or both are given the same
//! public address, which inside does not open, while a server dialled directly with the same name answers.
//!
//! ## What it is not
//! - Split DNS as such: two answers that both lead to the service are how it is meant.
//! - `dns_external_stale_ip`, `dns_host_nxdomain`: there clients outside are not served.
//! - A service inside that has a defect of its own: there the name is held, and this stays likely.
//! - A server of Exchange inside whose certificate lacks the name: the record leads where it is meant to.
//!
//! ## What to do
//! See the text.

use std::net::IpAddr;

use parallax_model::{
    DnsFailure, FaultId, Need, Observation, Outcome, Role, Standing, TextPlace, Zone,
};

use super::views::{Found, Served, is_asked, outermost, served_at_the_other};
use crate::claim::{Claim, all, any};
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::{Seen, Spot};
use crate::sign::{Fact, Sign, along};
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("dns_split_brain_mismatch"),
    layer: Layer::Dns,
    owner: Owner::Dns,
    era: Era::Any,
    basis: Basis::Observed,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("dns_split_brain_mismatch"),
    cases,
};

const STAGES: &[Stage] = &[Stage::Dns, Stage::Tcp, Stage::Tls, Stage::Anonymous, Stage::Logon];

/// Who is served where, found once for all paths.
struct Outside<'a, 'e> {
    served: Vec<Served<'a, 'e>>,
    /// A client access server dialled directly with the published name.
    direct: Vec<Served<'a, 'e>>,
    is_looked_at: bool,
}

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let inner = seen.with_role(Role::External).filter(|it| {
        let outermost = seen.outermost_zone(it.endpoint);
        is_asked(it) && outermost.is_some_and(|zone| it.vantage.zone > zone.min(Zone::Dmz))
    });
    let outside = Outside {
        served: Served::among(seen, outermost(seen)),
        direct: Served::among(seen, seen.with_role(Role::Cas)),
        is_looked_at: outermost(seen).any(Spot::is_seen),
    };
    along(
        inner,
        |spot| sign(seen, spot),
        |spot, shown| {
            if seen.outermost_zone(spot.endpoint) == Some(spot.vantage.zone) {
                return unseen_from_outside(seen, spot, shown);
            }
            case(seen, spot, shown, &outside)
        },
    )
}

/// The name leads nowhere, or to nothing that serves.
fn sign<'e>(seen: &Seen<'e>, spot: &Spot<'e>) -> Sign<'e> {
    match spot.dns() {
        Some((_, Outcome::Failed(DnsFailure::NxDomain | DnsFailure::NoAddress))) => {
            return Sign::Shown(Fact::Dns);
        }
        // A resolver in trouble says nothing about the zone.
        Some((_, Outcome::Failed(_))) => return Sign::Unknown(Vec::new()),
        Some((_, Outcome::Done(_) | Outcome::NotReached)) | None => {}
    }
    let mut wrong = None;
    for &(round, observation) in spot.observations() {
        match Found::at(seen, spot, observation) {
            Found::Service | Found::Misnamed(_) => {
                return Sign::Denied(Fact::Tls(round, observation));
            }
            Found::Nothing(_) => wrong = wrong.or(Some(Fact::Tcp(round, observation))),
            Found::Stranger(_) | Found::Trouble(_) => {
                wrong = wrong.or(Some(Fact::Tls(round, observation)));
            }
            Found::Unknown => return Sign::Unknown(Vec::new()),
        }
    }
    wrong.map_or_else(|| Sign::Unknown(Vec::new()), Sign::Shown)
}

/// Nobody looks from further out, so there is nothing to compare with.
fn unseen_from_outside(seen: &Seen<'_>, spot: &Spot<'_>, shown: Claim) -> Case {
    let outside = Claim::unknown(Need::Vantage { zone: Zone::External });
    let must = all([shown, outside, is_undeclared(spot)]);
    Case::new(spot, must, STAGES).with(TextPlace::Seen, seen_words(seen, spot))
}

fn case(seen: &Seen<'_>, spot: &Spot<'_>, shown: Claim, outside: &Outside<'_, '_>) -> Case {
    let same_name = |it: &&Served<'_, '_>| it.spot.endpoint.host == spot.endpoint.host;
    let served: Vec<&Served<'_, '_>> = outside.served.iter().filter(same_name).collect();
    let mine = spot.resolved();
    let others: Vec<&Served<'_, '_>> =
        served.iter().copied().filter(|it| !mine.contains(&it.address)).collect();
    let is_same = others.is_empty() && !served.is_empty();
    let place = if is_same { served.first() } else { others.first() };
    let outside_is_served = match place {
        Some(it) => Claim::holds(it.reference()),
        None if outside.is_looked_at => Claim::undecidable(),
        None => seen
            .outermost_zone(spot.endpoint)
            .map_or_else(Claim::undecidable, |zone| Claim::unknown(Need::Vantage { zone })),
    };
    let direct = served_directly(spot, outside);
    let must = if is_same {
        all([shown, outside_is_served, does_not_open(spot), direct])
    } else {
        let dialled = if others.is_empty() {
            Claim::undecidable()
        } else {
            served_at_the_other(seen, spot, others.iter().map(|it| it.address))
        };
        // A private address that outside is given is nobody's to dial; a node dialled directly tells as much.
        all([shown, outside_is_served, is_undeclared(spot), any([dialled, direct])])
    };
    Case::new(spot, must, STAGES)
        .firmer(if is_same { Claim::undecidable() } else { is_not_the_service(seen, spot) })
        .at_most(if is_same { Standing::Likely } else { Standing::Confirmed })
        .with(TextPlace::Seen, seen_words(seen, spot))
        .with(
            TextPlace::Elsewhere,
            place.map(|it| it.spot.vantage.name.to_string()).unwrap_or_default(),
        )
        .with(TextPlace::Expected, place.map(|it| it.address.to_string()).unwrap_or_default())
}

fn seen_words(seen: &Seen<'_>, spot: &Spot<'_>) -> String {
    if let Some(failure) = spot.dns().and_then(|(_, dns)| dns.failed()) {
        return words::dns_failure(failure);
    }
    let wrong = spot.observations().iter().find_map(|(_, it)| {
        Found::at(seen, spot, it).wrong().map(|text| format!("{}: {text}", it.address.ip()))
    });
    wrong.unwrap_or_default()
}

/// A node dialled directly from the same vantage, under the same name.
fn served_directly(spot: &Spot<'_>, outside: &Outside<'_, '_>) -> Claim {
    let is_such = |it: &&Served<'_, '_>| {
        it.spot.vantage.name == spot.vantage.name && it.spot.endpoint.host == spot.endpoint.host
    };
    outside
        .direct
        .iter()
        .find(is_such)
        .map_or_else(Claim::undecidable, |it| Claim::holds(it.reference()))
}

/// An address that the operator declares is meant; what is wrong there is no matter of DNS.
fn is_undeclared(spot: &Spot<'_>) -> Claim {
    let declared = &spot.endpoint.published_on;
    let meant: Option<IpAddr> = spot.resolved().into_iter().find(|it| declared.contains(it));
    match (meant, spot.dns()) {
        (Some(address), Some((round, _))) => {
            Claim::fails(spot.reference(round, Some(address), "among the declared addresses"))
        }
        (Some(_) | None, _) => Claim::given(),
    }
}

/// The connection itself fails at every address.
fn does_not_open(spot: &Spot<'_>) -> Claim {
    let opens = spot.observations().iter().find(|(_, it)| it.tcp.done().is_some());
    match opens {
        Some((round, it)) => {
            Claim::fails(spot.reference(*round, Some(it.address.ip()), "TCP opens"))
        }
        None => Claim::given(),
    }
}

/// Nothing, or a server that does not hold the name: a stranger is no server with a defect, while a silent address may be a
/// balancer that is down.
fn is_not_the_service(seen: &Seen<'_>, spot: &Spot<'_>) -> Claim {
    let is_stranger = |it: &Observation| matches!(Found::at(seen, spot, it), Found::Stranger(_));
    if spot.observations().iter().all(|(_, it)| is_stranger(it)) {
        Claim::given()
    } else {
        Claim::unknown(Need::Declared {
            what: "published_on: the addresses the name is published on, inside as well",
        })
    }
}
