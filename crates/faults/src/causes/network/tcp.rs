//! What `tcp_443_filtered` and `tcp_443_refused` share: the same silence or refusal at every address of a published name,
//! and who gets through.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use parallax_model::{
    EndpointName, EvidenceRef, Look, Need, Observation, PathId, Role, Standing, TcpFailure,
    TextPlace, Zone,
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
    let others = Others::of(seen, also_when_refused_inside);
    let mut same = BTreeMap::new();
    published
        .chain(nodes)
        .filter(|spot| spot.endpoint.port == 443)
        .map(|spot| match some_address(spot, is_failure) {
            Claim::Fails(against) => not_here(spot, against),
            fails_here @ (Claim::Holds(_) | Claim::Unknown { .. }) => Case {
                must: all([
                    fails_here,
                    is_meant_address(spot),
                    others.somebody_may_get_through(spot),
                    // A stopped service may have been started in between; a rule stays.
                    if also_when_refused_inside { Claim::given() } else { is_steady(seen, spot) },
                ]),
                firmer: all([
                    others.another_opens(spot),
                    others.not_another_address(spot),
                    others.node_is_on(spot),
                    no_address_opens(spot),
                    is_steady(seen, spot),
                    from_outside(spot),
                ]),
                at_most: Standing::Confirmed,
                role: spot.endpoint.role,
                explains: Explains {
                    paths: same_failure(seen, spot, is_failure, &mut same),
                    stages: &[Stage::Tcp],
                    logons_of: None,
                },
                places: places([
                    at(spot),
                    vec![
                        (TextPlace::Seen, seen_words(spot)),
                        (TextPlace::Expected, expected.to_owned()),
                    ],
                    others
                        .opener(spot)
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
        .iter()
        .copied()
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
    any(observations.iter().copied().map(|(round, it)| {
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

/// Every path that meets the same end at one of the same addresses; `known` are those that were found already.
fn same_failure(
    seen: &Seen<'_>,
    spot: &Spot<'_>,
    is_failure: fn(&TcpFailure) -> bool,
    known: &mut BTreeMap<Vec<SocketAddr>, Rc<[PathId]>>,
) -> Rc<[PathId]> {
    let failed = |observation: &Observation| observation.tcp.failed().is_some_and(is_failure);
    let observations = spot.observations().iter().copied().map(|(_, it)| it);
    let here: Vec<SocketAddr> = observations.filter(|it| failed(it)).map(|it| it.address).collect();
    if here.is_empty() {
        return Rc::from([spot.path.clone()]);
    }
    if let Some(paths) = known.get(&here) {
        return Rc::clone(paths);
    }
    // This path is among them.
    let is_same = |it: &&Spot<'_>| {
        it.observations().iter().any(|(_, it)| failed(it) && here.contains(&it.address))
    };
    let paths: Rc<[PathId]> = seen.fronts().filter(is_same).map(|it| it.path.clone()).collect();
    known.insert(here, Rc::clone(&paths));
    paths
}

/// All addresses of the name behave alike. One address of several is likely its own box, or a record that should go; where all
/// of IPv4 opens and IPv6 does not, no port is closed: the IPv6 address is the fault.
fn no_address_opens(spot: &Spot<'_>) -> Claim {
    let observations = spot.observations();
    let Some((round, open)) = observations.iter().find(|(_, it)| it.tcp.done().is_some()) else {
        return Claim::given();
    };
    let by_family =
        observations.iter().all(|(_, it)| it.address.is_ipv6() != it.tcp.done().is_some());
    if by_family {
        Claim::fails(spot.reference(*round, Some(open.address.ip()), "TCP opens over IPv4"))
    } else {
        Claim::undecidable()
    }
}

/// What failed before and worked in between is no rule and no stopped service.
fn is_steady(seen: &Seen<'_>, spot: &Spot<'_>) -> Claim {
    match came_and_went(seen, spot, |it| it.tcp.failed().is_some()) {
        Claim::Holds(seen) => Claim::Unknown { seen, needs: Vec::new() },
        Claim::Fails(_) | Claim::Unknown { .. } => Claim::given(),
    }
}

/// The path failed in this way before, and did not at some later time: so it comes and goes. One earlier look is no history.
pub(super) fn came_and_went(
    seen: &Seen<'_>,
    spot: &Spot<'_>,
    is_failure: fn(&Observation) -> bool,
) -> Claim {
    let looks = seen.evidence.history.iter().filter(|it| it.path == *spot.path);
    let mut failed: Option<EvidenceRef> = None;
    // Oldest first.
    for past in looks.filter(|it| it.look == Look::OPTIONS) {
        let Some(observation) = past.sight.observations.first() else { continue };
        let address = Some(observation.address.ip());
        let has_failed = past.sight.observations.iter().any(is_failure);
        match &failed {
            None if has_failed => {
                failed = Some(spot.reference(0, address, "it failed in this way before"));
            }
            Some(before) if !has_failed => {
                let between = spot.reference(0, address, "it worked in between");
                return Claim::Holds(vec![before.clone(), between]);
            }
            Some(_) | None => {}
        }
    }
    let need = Need::AskAgain { path: spot.path.clone(), look: Look::OPTIONS, after: LATER };
    Claim::Unknown { seen: failed.into_iter().collect(), needs: vec![need] }
}

/// Long enough for something that comes and goes within hours.
const LATER: Duration = Duration::from_hours(1);

/// What the other paths to a front came to. Each path asks for it, so it is found once; of those that would do, the first two are
/// enough for any path to find one that is not itself.
struct Others<'a, 'e> {
    /// They have an observation.
    looked: Vec<&'a Spot<'e>>,
    /// One of their addresses opens.
    open: Vec<&'a Spot<'e>>,
    /// They looked at port 443.
    looked_443: Vec<&'a Spot<'e>>,
    /// It opens there, or is refused where that tells as much.
    let_through: Vec<(&'a Spot<'e>, EvidenceRef)>,
    /// The first paths to each client access server that let somebody through.
    nodes: BTreeMap<&'e EndpointName, Vec<(&'a Spot<'e>, EvidenceRef)>>,
    /// A refusal tells by itself that the machine is there.
    is_refusal: bool,
    /// Paths from outside or the DMZ to a published name that open, with what it resolves to. All of them.
    outer: Vec<(&'a Spot<'e>, Vec<IpAddr>)>,
}

const ENOUGH: usize = 2;

impl<'a, 'e> Others<'a, 'e> {
    fn of(seen: &'a Seen<'e>, also_when_refused: bool) -> Self {
        let looked = || seen.fronts().filter(|it| !it.observations().is_empty());
        let opens =
            |it: &&Spot<'_>| it.observations().iter().any(|(_, it)| it.tcp.done().is_some());
        let at_443 = || looked().filter(|it| it.endpoint.port == 443);
        let outer = seen.with_role(Role::External).filter(|it| it.vantage.zone <= Zone::Dmz);
        let mut nodes: BTreeMap<&EndpointName, Vec<_>> = BTreeMap::new();
        for node in seen.with_role(Role::Cas) {
            let known = nodes.entry(&node.endpoint.name).or_default();
            if known.len() < ENOUGH
                && let Some(reference) = lets_through(node, also_when_refused)
            {
                known.push((node, reference));
            }
        }
        Self {
            nodes,
            is_refusal: also_when_refused,
            looked: looked().take(ENOUGH).collect(),
            open: looked().filter(opens).take(ENOUGH).collect(),
            looked_443: at_443().take(ENOUGH).collect(),
            let_through: at_443()
                .filter_map(|it| Some((it, lets_through(it, also_when_refused)?)))
                .take(ENOUGH)
                .collect(),
            outer: outer
                .filter(opens)
                .map(|it| (it, it.resolved()))
                .filter(|(_, addresses)| !addresses.is_empty())
                .collect(),
        }
    }

    fn opener(&self, outer: &Spot<'_>) -> Option<&'a Spot<'e>> {
        self.open.iter().copied().find(|it| it.path != outer.path)
    }

    /// Somebody gets a TCP connection to the service, so it is not merely switched off.
    fn another_opens(&self, outer: &Spot<'_>) -> Claim {
        if let Some((_, reference)) = self.let_through.iter().find(|(it, _)| it.path != outer.path)
        {
            return Claim::holds(reference.clone());
        }
        if self.looked_443.iter().any(|it| it.path != outer.path) {
            Claim::undecidable()
        } else {
            Claim::unknown(other_side(outer))
        }
    }

    /// One node that nobody reaches may be switched off, whoever gets through to another.
    fn node_is_on(&self, outer: &Spot<'_>) -> Claim {
        if outer.endpoint.role != Role::Cas || self.is_refusal {
            return Claim::given();
        }
        let others = self.nodes.get(&outer.endpoint.name).map(Vec::as_slice).unwrap_or_default();
        match others.iter().find(|(it, _)| it.path != outer.path) {
            Some((_, reference)) => Claim::holds(reference.clone()),
            None => Claim::undecidable(),
        }
    }

    /// Others looked and nobody got through: the machine may be switched off, and no firewall is accused. Nobody else having
    /// looked leaves it likely.
    fn somebody_may_get_through(&self, outer: &Spot<'_>) -> Claim {
        let others_looked = self.looked.iter().any(|it| it.path != outer.path);
        if others_looked { self.another_opens(outer) } else { Claim::given() }
    }

    /// A vantage in the DMZ resolves the same name to another address that opens: then the record outside may be stale, and
    /// nobody can tell from here. The declared addresses settle it.
    fn not_another_address(&self, outer: &Spot<'_>) -> Claim {
        if outer.endpoint.connect.is_some() || !outer.endpoint.published_on.is_empty() {
            return Claim::given();
        }
        let mine = outer.resolved();
        let is_other = |(it, addresses): &&(&Spot<'_>, Vec<IpAddr>)| {
            it.endpoint.name == outer.endpoint.name
                && it.path != outer.path
                && addresses.iter().all(|address| !mine.contains(address))
        };
        let Some((_, addresses)) = self.outer.iter().find(is_other) else {
            return Claim::given();
        };
        let what = "published_on: the addresses the name is published on";
        let mut needs = vec![Need::Declared { what }];
        // Whether this vantage is served there tells a filter at home from a record that should go.
        let met =
            |address: &IpAddr| outer.elsewhere().iter().any(|(_, it)| it.address.ip() == *address);
        if let Some(address) = addresses.iter().copied().find(|it| !met(it)) {
            let path = outer.path.clone();
            needs.push(Need::Dial { path, address, look: Look::OPTIONS });
        }
        Claim::Unknown { seen: Vec::new(), needs }
    }
}

/// The first address along this path that opens, or is refused where that tells as much.
fn lets_through(spot: &Spot<'_>, also_when_refused: bool) -> Option<EvidenceRef> {
    spot.observations().iter().copied().find_map(|(round, observation)| {
        let words = match observation.tcp.failed() {
            None if observation.tcp.done().is_some() => "TCP 443 opens",
            Some(TcpFailure::Refused) if also_when_refused => "connection refused",
            Some(_) | None => return None,
        };
        Some(spot.reference(round, Some(observation.address.ip()), words))
    })
}

/// Seen from where clients are; an inner look at a published name may fail for reasons of its own.
fn from_outside(spot: &Spot<'_>) -> Claim {
    if spot.endpoint.role == Role::Cas || spot.vantage.zone <= Zone::Dmz {
        Claim::given()
    } else {
        Claim::unknown(Need::Vantage { zone: Zone::External })
    }
}
