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

use std::collections::BTreeMap;

use parallax_model::{
    DnsFailure, FaultId, Need, Outcome, Role, Standing, TextPlace, VantageName, Zone,
};

use super::views::outermost;
use crate::claim::{Claim, all, any, not};
use crate::claims::other_side;
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::{Seen, Spot};
use crate::sign::{Fact, Sign, along};
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
    let asking = || outermost(seen).filter(|spot| spot.endpoint.connect.is_none());
    let told = Told::of(seen);
    let mut further_in = BTreeMap::new();
    for spot in asking() {
        further_in.entry(spot.vantage.zone).or_insert_with(|| answers_further_in(seen, spot));
    }
    along(asking(), sign, |spot, _| {
        let inside = further_in.get(&spot.vantage.zone).cloned().unwrap_or_else(Claim::undecidable);
        let must = all([
            is_outside(spot),
            fails_to_resolve(spot),
            not(told.resolves_beside(spot)),
            not(told.control_fails(spot)),
        ]);
        Case::new(spot, must, &[Stage::Dns])
            .firmer(all([any([inside, told.agrees(spot)]), told.all_have_spoken(spot)]))
            .at_most(told.at_most(spot))
            .with(TextPlace::Seen, seen_words(spot))
            .with(TextPlace::Expected, "A / AAAA")
    })
}

fn is_no_name(failure: &DnsFailure) -> bool {
    matches!(failure, DnsFailure::NxDomain | DnsFailure::ServFail)
}

fn sign<'e>(spot: &Spot<'e>) -> Sign<'e> {
    match spot.dns() {
        Some((_, Outcome::Failed(failure))) if is_no_name(failure) => Sign::Shown(Fact::Dns),
        Some((_, Outcome::Done(_))) => Sign::Denied(Fact::Dns),
        Some((_, Outcome::Failed(_) | Outcome::NotReached)) | None => Sign::Unknown(Vec::new()),
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
        Some((round, Outcome::Failed(failure))) => {
            let reference = spot.reference(round, None, words::dns_failure(failure));
            if is_no_name(failure) {
                Claim::holds(reference)
            } else {
                Claim::Unknown { seen: vec![reference], needs: Vec::new() }
            }
        }
        Some((round, Outcome::Done(_))) => Claim::fails(spot.reference(round, None, "resolves")),
        Some((_, Outcome::NotReached)) | None => Claim::undecidable(),
    }
}

/// Some vantage further in gets a TCP connection to the service; the same for all vantages of a zone.
fn answers_further_in(seen: &Seen<'_>, outer: &Spot<'_>) -> Claim {
    let mut inner = seen.fronts().filter(|it| it.vantage.zone > outer.vantage.zone).peekable();
    if inner.peek().is_none() {
        return Claim::unknown(other_side(outer));
    }
    let opens = inner.find_map(|it| {
        let (round, at) = it.observations().iter().find(|(_, at)| at.tcp.done().is_some())?;
        Some(it.reference(*round, Some(at.address.ip()), "the service answers"))
    });
    opens.map_or_else(Claim::undecidable, Claim::holds)
}

/// Enough of one kind for any path to find one that is not itself.
const ENOUGH: usize = 2;

type Spots<'a, 'e> = Vec<&'a Spot<'e>>;

fn another<'a, 'e>(spots: Option<&Spots<'a, 'e>>, own: &Spot<'_>) -> Option<&'a Spot<'e>> {
    spots?.iter().copied().find(|it| it.path != own.path)
}

/// What name servers said of one name. Every path asks for it, so it is gathered once.
#[derive(Default)]
struct Name<'a, 'e> {
    resolving: BTreeMap<Zone, Spots<'a, 'e>>,
    /// Nobody knows what they would be told.
    silent: BTreeMap<Zone, Spots<'a, 'e>>,
    failing_outside: Spots<'a, 'e>,
    nxdomain: Spots<'a, 'e>,
}

impl<'a, 'e> Name<'a, 'e> {
    fn add(&mut self, spot: &'a Spot<'e>) {
        let zone = spot.vantage.zone;
        match spot.dns() {
            Some((_, Outcome::Done(_))) => keep(self.resolving.entry(zone).or_default(), spot),
            Some((_, Outcome::Failed(failure))) => {
                if zone <= Zone::Dmz && is_no_name(failure) {
                    keep(&mut self.failing_outside, spot);
                }
                if *failure == DnsFailure::NxDomain {
                    keep(&mut self.nxdomain, spot);
                }
            }
            Some((_, Outcome::NotReached)) | None => {
                keep(self.silent.entry(zone).or_default(), spot);
            }
        }
    }
}

fn keep<'a, 'e>(spots: &mut Spots<'a, 'e>, spot: &'a Spot<'e>) {
    if spots.len() < ENOUGH {
        spots.push(spot);
    }
}

/// What name servers said of the published names, and of the controls.
struct Told<'a, 'e> {
    by_host: BTreeMap<&'a str, Name<'a, 'e>>,
    controls: BTreeMap<&'a VantageName, Spots<'a, 'e>>,
}

impl<'a, 'e> Told<'a, 'e> {
    fn of(seen: &'a Seen<'e>) -> Self {
        let mut told = Self { by_host: BTreeMap::new(), controls: BTreeMap::new() };
        for spot in seen.paths.iter().filter(|it| it.endpoint.connect.is_none()) {
            told.by_host.entry(&spot.endpoint.host).or_default().add(spot);
        }
        for spot in seen.with_role(Role::Control) {
            told.controls.entry(&spot.vantage.name).or_default().push(spot);
        }
        told
    }

    fn name(&self, spot: &Spot<'_>) -> Option<&Name<'a, 'e>> {
        self.by_host.get(spot.endpoint.host.as_str())
    }

    fn controls(&self, spot: &Spot<'_>) -> &[&'a Spot<'e>] {
        self.controls.get(&spot.vantage.name).map_or(&[], Vec::as_slice)
    }

    /// Another vantage of the same zone gets an address.
    fn resolves_beside(&self, spot: &Spot<'_>) -> Claim {
        let beside = self.name(spot).and_then(|it| it.resolving.get(&spot.vantage.zone));
        match another(beside, spot).and_then(|it| Some((it, it.dns()?))) {
            Some((it, (round, _))) => Claim::holds(it.reference(round, None, "resolves")),
            None => Claim::Fails(Vec::new()),
        }
    }

    /// A control of the same vantage does not resolve either.
    fn control_fails(&self, spot: &Spot<'_>) -> Claim {
        let failed = self.controls(spot).iter().find_map(|it| match it.dns() {
            Some((round, Outcome::Failed(failure))) => {
                let value = format!("control: {}", words::dns_failure(failure));
                Some(it.reference(round, None, value))
            }
            Some((_, Outcome::Done(_) | Outcome::NotReached)) | None => None,
        });
        failed.map_or(Claim::Fails(Vec::new()), Claim::holds)
    }

    /// Nobody is silent whose word could deny it: the vantages of the same zone, and the controls of this one.
    fn all_have_spoken(&self, spot: &Spot<'_>) -> Claim {
        let beside = self.name(spot).and_then(|it| it.silent.get(&spot.vantage.zone));
        let is_silent = another(beside, spot).is_some()
            || self.controls(spot).iter().any(|it| it.dns().is_none());
        if is_silent { Claim::undecidable() } else { Claim::given() }
    }

    /// A second vantage is told the same.
    fn agrees(&self, spot: &Spot<'_>) -> Claim {
        match another(self.name(spot).map(|it| &it.nxdomain), spot)
            .and_then(|it| Some((it, it.dns()?)))
        {
            Some((it, (round, _))) => Claim::holds(it.reference(round, None, "NXDOMAIN")),
            None => Claim::undecidable(),
        }
    }

    /// NXDOMAIN is the zone's own word. SERVFAIL may as well be the vantage's resolver: it takes a second vantage that gets no
    /// address either, or a control that resolves there.
    fn at_most(&self, spot: &Spot<'_>) -> Standing {
        let failure = spot.dns().and_then(|(_, dns)| dns.failed());
        let is_zone_word = failure == Some(&DnsFailure::NxDomain);
        let control_resolves = || {
            let resolves = |it: &&Spot<'_>| it.dns().is_some_and(|(_, dns)| dns.done().is_some());
            self.controls(spot).iter().any(resolves)
        };
        let another_fails =
            || another(self.name(spot).map(|it| &it.failing_outside), spot).is_some();
        if spot.vantage.zone == Zone::External
            && (is_zone_word || control_resolves() || another_fails())
        {
            Standing::Confirmed
        } else {
            Standing::Likely
        }
    }
}
