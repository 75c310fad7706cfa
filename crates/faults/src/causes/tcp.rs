//! What `tcp_443_filtered` and `tcp_443_refused` share: the same silence or refusal at every address of a published name,
//! and who gets through.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use parallax_model::{
    EvidenceRef, Need, Observation, PathId, Role, Standing, TcpFailure, TextPlace, Zone,
};

use crate::causes::{at, places};
use crate::claim::{Claim, all, any};
use crate::claims::{is_meant_address, other_side};
use crate::condition::Stage;
use crate::fault::{Case, Explains};
use crate::seen::{Seen, Spot};
use crate::words;

/// One case per outermost path to a published name, and per inner path to a client access server.
pub(super) fn cases(
    seen: &Seen<'_>,
    is_failure: fn(&TcpFailure) -> bool,
    expected: &str,
    also_when_refused_inside: bool,
) -> Vec<Case> {
    let published = seen
        .with_role(Role::External)
        .filter(|spot| seen.outermost_zone(spot.endpoint) == Some(spot.vantage.zone));
    let nodes = seen.with_role(Role::Cas).filter(|spot| spot.vantage.zone >= Zone::Internal);
    published
        .chain(nodes)
        .filter(|spot| spot.endpoint.port == 443)
        .map(|spot| match some_address(spot, is_failure) {
            Claim::Fails(against) => not_here(spot, against),
            fails_here @ (Claim::Holds(_) | Claim::Unknown { .. }) => Case {
                must: all([
                    fails_here,
                    is_meant_address(spot),
                    somebody_may_get_through(seen, spot, also_when_refused_inside),
                ]),
                firmer: all([
                    another_opens(seen, spot, also_when_refused_inside),
                    not_another_address(seen, spot),
                    no_address_opens(spot),
                    from_outside(spot),
                ]),
                at_most: Standing::Confirmed,
                role: spot.endpoint.role,
                explains: Explains {
                    paths: same_failure(seen, spot, is_failure),
                    stages: &[Stage::Tcp],
                    logons_of: None,
                },
                places: places([
                    at(spot),
                    vec![
                        (TextPlace::Seen, seen_words(spot)),
                        (TextPlace::Expected, expected.to_owned()),
                    ],
                    opener(seen, spot)
                        .map(|it| vec![(TextPlace::Elsewhere, it.vantage.name.to_string())])
                        .unwrap_or_default(),
                ]),
            },
        })
        .collect()
}

/// The path itself denies it, as most do; who else gets through is not asked then, for it takes a look at every path.
fn not_here(spot: &Spot<'_>, against: Vec<EvidenceRef>) -> Case {
    Case {
        must: Claim::Fails(against),
        firmer: Claim::given(),
        at_most: Standing::Confirmed,
        role: spot.endpoint.role,
        explains: Explains::path(spot.path, &[Stage::Tcp]),
        places: BTreeMap::new(),
    }
}

fn seen_words(spot: &Spot<'_>) -> String {
    spot.observations()
        .into_iter()
        .find_map(|(_, it)| it.tcp.failed().map(words::tcp_failure))
        .unwrap_or_default()
}

fn some_address(spot: &Spot<'_>, is_failure: fn(&TcpFailure) -> bool) -> Claim {
    let observations = spot.observations();
    if observations.is_empty() {
        return if spot.dns().is_some_and(|(_, dns)| dns.failed().is_some()) {
            Claim::Fails(
                spot.dns()
                    .map(|(round, _)| spot.reference(round, None, "name not resolved"))
                    .into_iter()
                    .collect(),
            )
        } else {
            Claim::undecidable()
        };
    }
    any(observations.into_iter().map(|(round, it)| {
        let address = Some(it.address.ip());
        match it.tcp.failed() {
            Some(failure) if is_failure(failure) => {
                Claim::holds(spot.reference(round, address, words::tcp_failure(failure)))
            }
            Some(failure) => {
                Claim::fails(spot.reference(round, address, words::tcp_failure(failure)))
            }
            None => Claim::fails(spot.reference(round, address, "TCP 443 opens")),
        }
    }))
}

/// Every path that meets the same end at one of the same addresses.
fn same_failure(
    seen: &Seen<'_>,
    spot: &Spot<'_>,
    is_failure: fn(&TcpFailure) -> bool,
) -> Vec<PathId> {
    let failed = |observation: &Observation| observation.tcp.failed().is_some_and(is_failure);
    let observations = spot.observations().into_iter().map(|(_, it)| it);
    let here: Vec<SocketAddr> = observations.filter(|it| failed(it)).map(|it| it.address).collect();
    if here.is_empty() {
        return vec![spot.path.clone()];
    }
    let is_same = |it: &&Spot<'_>| {
        let met_there = |it: &Observation| failed(it) && here.contains(&it.address);
        it.path == spot.path || it.observations().iter().any(|(_, it)| met_there(it))
    };
    seen.fronts().filter(is_same).map(|it| it.path.clone()).collect()
}

/// All addresses of the name behave alike. One address of several is likely its own box, or a record that should go.
fn no_address_opens(spot: &Spot<'_>) -> Claim {
    if spot.observations().iter().any(|(_, it)| it.tcp.done().is_some()) {
        Claim::undecidable()
    } else {
        Claim::given()
    }
}

fn opener<'a, 'e>(seen: &'a Seen<'e>, outer: &Spot<'e>) -> Option<&'a Spot<'e>> {
    seen.fronts().filter(|it| it.path != outer.path).find(|it| {
        it.observations().iter().any(|(_, observation)| observation.tcp.done().is_some())
    })
}

/// Somebody gets a TCP connection to the service, so it is not merely switched off.
fn another_opens(seen: &Seen<'_>, outer: &Spot<'_>, also_when_refused: bool) -> Claim {
    let mut others = seen
        .fronts()
        .filter(|it| it.path != outer.path && it.endpoint.port == 443)
        .flat_map(|it| it.observations().into_iter().map(move |found| (it, found)))
        .map(|(it, (round, observation))| {
            let address = Some(observation.address.ip());
            match observation.tcp.failed() {
                None if observation.tcp.done().is_some() => {
                    Claim::holds(it.reference(round, address, "TCP 443 opens"))
                }
                Some(TcpFailure::Refused) if also_when_refused => {
                    Claim::holds(it.reference(round, address, "connection refused"))
                }
                Some(_) | None => Claim::undecidable(),
            }
        })
        .peekable();
    if others.peek().is_none() {
        return Claim::unknown(other_side(outer));
    }
    any(others)
}

/// Others looked and nobody got through: the machine may be switched off, and no firewall is accused. Nobody else having
/// looked leaves it likely.
fn somebody_may_get_through(seen: &Seen<'_>, outer: &Spot<'_>, also_when_refused: bool) -> Claim {
    let others_looked =
        seen.fronts().any(|it| it.path != outer.path && !it.observations().is_empty());
    if others_looked { another_opens(seen, outer, also_when_refused) } else { Claim::given() }
}

/// A vantage in the DMZ resolves the same name to another address that opens: then the record outside may be stale, and
/// nobody can tell from here. The declared addresses settle it.
fn not_another_address(seen: &Seen<'_>, outer: &Spot<'_>) -> Claim {
    if outer.endpoint.connect.is_some() || !outer.endpoint.published_on.is_empty() {
        return Claim::given();
    }
    let mine = outer.resolved();
    let other = seen.with_role(Role::External).find(|it| {
        it.endpoint.name == outer.endpoint.name
            && it.vantage.zone <= Zone::Dmz
            && it.path != outer.path
            && !it.resolved().is_empty()
            && it.resolved().iter().all(|address| !mine.contains(address))
            && it.observations().iter().any(|(_, observation)| observation.tcp.done().is_some())
    });
    match other {
        Some(_) => Claim::unknown(Need::Declared {
            what: "published_on: the addresses the name is published on",
        }),
        None => Claim::given(),
    }
}

/// Seen from where clients are; an inner look at a published name may fail for reasons of its own.
fn from_outside(spot: &Spot<'_>) -> Claim {
    if spot.endpoint.role == Role::Cas || spot.vantage.zone <= Zone::Dmz {
        Claim::given()
    } else {
        Claim::unknown(Need::Vantage { zone: Zone::External })
    }
}
