//! `dns_host_nxdomain`
//!
//! ## What it says
//! The published name has no address where clients ask for it.
//!
//! ## How we know
//! An external vantage is told NXDOMAIN (or SERVFAIL), no other external vantage gets an address, and further in the name
//! resolves or the service answers.
//!
//! ## What it is not
//! - A broken resolver of one vantage: then its control target does not resolve either, or another vantage outside does.
//! - A name that is missing inside only.
//!
//! ## What to do
//! See the text.

use parallax_model::{DnsFailure, FaultId, Need, Outcome, Role, Standing, TextPlace, Zone};

use crate::causes::{at, places};
use crate::claim::{Claim, all, any, not};
use crate::claims::other_side;
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Explains, Fault, Layer, Owner, Reach, Severity};
use crate::seen::{Seen, Spot};
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("dns_host_nxdomain"),
    layer: Layer::Dns,
    owner: Owner::Dns,
    era: Era::Any,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("dns_host_nxdomain"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let outermost =
        |spot: &&Spot<'_>| seen.outermost_zone(spot.endpoint) == Some(spot.vantage.zone);
    seen.with_role(Role::External)
        .filter(outermost)
        .filter(|spot| spot.endpoint.connect.is_none())
        .map(|spot| Case {
            must: all([
                is_outside(spot),
                fails_to_resolve(spot),
                not(resolves_elsewhere_outside(seen, spot)),
                not(control_fails_too(seen, spot)),
            ]),
            firmer: any([resolves_further_in(seen, spot), agrees(seen, spot)]),
            at_most: at_most(seen, spot),
            role: Role::External,
            explains: Explains::path(spot.path, &[Stage::Dns]),
            places: places([
                at(spot),
                vec![
                    (TextPlace::Seen, seen_words(spot)),
                    (TextPlace::Expected, "A / AAAA".to_owned()),
                ],
            ]),
        })
        .collect()
}

/// NXDOMAIN is the zone's own word. SERVFAIL may as well be the vantage's resolver: it takes a second vantage that gets no
/// address either, or a control that resolves there.
fn at_most(seen: &Seen<'_>, spot: &Spot<'_>) -> Standing {
    let is_zone_word = spot.dns().and_then(|(_, dns)| dns.failed()) == Some(&DnsFailure::NxDomain);
    let control_resolves = seen.with_role(Role::Control).any(|it| {
        it.vantage.name == spot.vantage.name
            && it.dns().is_some_and(|(_, dns)| dns.done().is_some())
    });
    let another_fails = same_name(seen, spot).any(|it| {
        let failure = it.dns().and_then(|(_, dns)| dns.failed());
        it.vantage.zone <= Zone::Dmz
            && matches!(failure, Some(DnsFailure::NxDomain | DnsFailure::ServFail))
    });
    if spot.vantage.zone == Zone::External && (is_zone_word || control_resolves || another_fails) {
        Standing::Confirmed
    } else {
        Standing::Likely
    }
}

/// What an inner vantage's name server says is about the inner zone; only a look from outside tells what clients get.
fn is_outside(spot: &Spot<'_>) -> Claim {
    if spot.vantage.zone <= Zone::Dmz {
        Claim::given()
    } else {
        Claim::unknown(Need::Vantage { zone: Zone::External })
    }
}

fn seen_words(spot: &Spot<'_>) -> String {
    spot.dns().and_then(|(_, dns)| dns.failed()).map(words::dns_failure).unwrap_or_default()
}

fn fails_to_resolve(spot: &Spot<'_>) -> Claim {
    match spot.dns() {
        Some((round, Outcome::Failed(failure @ (DnsFailure::NxDomain | DnsFailure::ServFail)))) => {
            Claim::holds(spot.reference(round, None, words::dns_failure(failure)))
        }
        Some((round, Outcome::Failed(failure))) => Claim::Unknown {
            seen: vec![spot.reference(round, None, words::dns_failure(failure))],
            needs: Vec::new(),
        },
        Some((round, Outcome::Done(_))) => Claim::fails(spot.reference(round, None, "resolves")),
        Some((_, Outcome::NotReached)) | None => Claim::undecidable(),
    }
}

fn same_name<'a, 'e>(seen: &'a Seen<'e>, spot: &'a Spot<'e>) -> impl Iterator<Item = &'a Spot<'e>> {
    seen.paths.iter().filter(|it| {
        it.endpoint.host == spot.endpoint.host
            && it.endpoint.connect.is_none()
            && it.path != spot.path
    })
}

fn resolves_elsewhere_outside(seen: &Seen<'_>, spot: &Spot<'_>) -> Claim {
    same_name(seen, spot)
        .filter(|it| it.vantage.zone == spot.vantage.zone)
        .find_map(|it| match it.dns() {
            Some((round, Outcome::Done(_))) => {
                Some(Claim::holds(it.reference(round, None, "resolves")))
            }
            _ => None,
        })
        .unwrap_or(Claim::Fails(Vec::new()))
}

fn control_fails_too(seen: &Seen<'_>, spot: &Spot<'_>) -> Claim {
    seen.with_role(Role::Control)
        .filter(|it| it.vantage.name == spot.vantage.name)
        .find_map(|it| match it.dns() {
            Some((round, Outcome::Failed(failure))) => Some(Claim::holds(it.reference(
                round,
                None,
                format!("control: {}", words::dns_failure(failure)),
            ))),
            _ => None,
        })
        .unwrap_or(Claim::Fails(Vec::new()))
}

fn resolves_further_in(seen: &Seen<'_>, spot: &Spot<'_>) -> Claim {
    let inner = seen.fronts().filter(|it| it.vantage.zone > spot.vantage.zone);
    let claims: Vec<Claim> = inner
        .map(|it| {
            let opens = it
                .observations()
                .iter()
                .copied()
                .find(|(_, observation)| observation.tcp.done().is_some());
            match opens {
                Some((round, observation)) => Claim::holds(it.reference(
                    round,
                    Some(observation.address.ip()),
                    "the service answers",
                )),
                None => Claim::undecidable(),
            }
        })
        .collect();
    if claims.is_empty() { Claim::unknown(other_side(spot)) } else { any(claims) }
}

/// A second vantage is told the same.
fn agrees(seen: &Seen<'_>, spot: &Spot<'_>) -> Claim {
    same_name(seen, spot)
        .find_map(|it| match it.dns() {
            Some((round, Outcome::Failed(DnsFailure::NxDomain))) => {
                Some(Claim::holds(it.reference(round, None, "NXDOMAIN")))
            }
            _ => None,
        })
        .unwrap_or_else(Claim::undecidable)
}
