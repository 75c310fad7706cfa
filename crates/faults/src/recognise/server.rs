//! Servers that speak `ActiveSync`: generations and builds of Exchange, and the products that imitate it.
//!
//! A CAS may pass a mailbox on to another generation, and an operator may have declared yet another: what does not fit together
//! stands side by side.
//!
//! INVARIANT: a version is Exchange's only beside a mark of IIS or Exchange, for other products imitate the number.

use std::fmt;

use parallax_model::{Answer, Generation, Place, Role, Scheme};

use super::publisher::{self, Mark, Product};
use super::{Device, Marked};
use crate::responder;
use crate::seen::{Met, Seen, Spot};
use crate::words;

/// Products that are not Exchange, by a part of `Server`, in lower case.
const SERVERS: [(&str, &str); 6] = [
    ("horde_activesync", "Horde"),
    ("kerio", "Kerio Connect"),
    ("icewarp", "IceWarp"),
    ("axigen", "Axigen"),
    ("lotus-domino", "HCL (IBM) Domino Traveler"),
    ("mdaemon", "MDaemon"),
];

/// The same by a part of the realm.
const REALMS: [(&str, &str); 4] =
    [("zpush", "Z-Push"), ("sogo", "SOGo"), ("horde", "Horde"), ("zimbra", "Zimbra")];

/// Hosts of the consumer service.
const CONSUMER_HOSTS: [&str; 4] =
    ["eas.outlook.com", "s.outlook.com", "m.hotmail.com", "outlook.live.com"];

/// An `ActiveSync` server that is not Exchange.
pub(crate) struct Other<'a> {
    pub(crate) name: &'static str,
    version: Option<&'a str>,
    pub(crate) mark: Mark<'a>,
}

/// The product, if the answer names an `ActiveSync` server that is not Exchange.
pub(crate) fn other(answer: &Answer) -> Option<Other<'_>> {
    if let Some(version) = answer.headers.first("X-Z-Push-Version") {
        let mark = Mark::Named("X-Z-Push-Version", version);
        return Some(Other { name: "Z-Push", version: Some(version), mark });
    }
    if let Some(server) = answer.headers.first("Server")
        && let Some((_, name)) = SERVERS.iter().find(|(it, _)| publisher::holds(server, it))
    {
        return Some(Other { name, version: None, mark: Mark::Named("Server", server) });
    }
    let mut challenges = answer.challenges.iter().filter(|it| it.scheme == Scheme::Basic);
    let realm = challenges.find_map(|it| it.realm())?;
    let (_, name) = REALMS.iter().find(|(it, _)| publisher::holds(realm, it))?;
    Some(Other { name, version: None, mark: Mark::Realm(realm) })
}

/// `15.2.1544.11` in numbers, as far as they are given.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Build {
    major: u32,
    minor: u32,
    number: Option<u32>,
    revision: Option<u32>,
}

impl Build {
    fn read(text: &str) -> Option<Self> {
        let mut numbers = text.trim().split('.').map(|it| it.parse::<u32>().ok());
        let (major, minor) = (numbers.next()??, numbers.next()??);
        Some(Self {
            major,
            minor,
            number: numbers.next().flatten(),
            revision: numbers.next().flatten(),
        })
    }

    /// Generations that carry it.
    fn generations(self) -> Option<Fits> {
        /// The first build of the Subscription Edition, which goes on under 15.2.
        const SUBSCRIPTION_EDITION: u32 = 2562;
        let (first, second) = match (self.major, self.minor, self.number) {
            (6, ..) => (Generation::Exchange2003, None),
            (8, ..) => (Generation::Exchange2007, None),
            (14, ..) => (Generation::Exchange2010, None),
            (15, 0, _) => (Generation::Exchange2013, None),
            (15, 1, _) => (Generation::Exchange2016, None),
            (15, 2, None) => (Generation::Exchange2019, Some(Generation::SubscriptionEdition)),
            (15, 2, Some(SUBSCRIPTION_EDITION..)) => (Generation::SubscriptionEdition, None),
            (15, 2, Some(_)) => (Generation::Exchange2019, None),
            (15, 20.., _) => (Generation::Online, None),
            _ => return None,
        };
        Some(Fits::one(first).with(second))
    }
}

impl fmt::Display for Build {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.major, self.minor)?;
        for number in [self.number, self.revision].into_iter().flatten() {
            write!(out, ".{number}")?;
        }
        Ok(())
    }
}

/// Generations that something seen fits, one bit each.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Fits(u16);

/// In the order of the bits.
const GENERATIONS: [Generation; 8] = [
    Generation::Exchange2003,
    Generation::Exchange2007,
    Generation::Exchange2010,
    Generation::Exchange2013,
    Generation::Exchange2016,
    Generation::Exchange2019,
    Generation::SubscriptionEdition,
    Generation::Online,
];

impl Fits {
    /// Front ends since 2013 name themselves, those of Exchange Online too.
    const FROM_2013: Self = Self(0b1111_1000);

    fn one(generation: Generation) -> Self {
        let place = GENERATIONS.iter().position(|it| *it == generation);
        Self(place.map_or(0, |place| 1 << place))
    }

    fn with(self, other: Option<Generation>) -> Self {
        Self(self.0 | other.map_or(0, |it| Self::one(it).0))
    }

    fn both(self, other: Self) -> Option<Self> {
        let both = self.0 & other.0;
        (both != 0).then_some(Self(both))
    }

    fn may(self, is_such: impl Fn(Generation) -> bool) -> bool {
        GENERATIONS.iter().enumerate().any(|(place, it)| self.0 & (1 << place) != 0 && is_such(*it))
    }

    fn name(self) -> &'static str {
        let mut fitting = GENERATIONS
            .iter()
            .enumerate()
            .filter(|(place, _)| self.0 & (1 << place) != 0)
            .map(|(_, it)| *it);
        match (fitting.next(), fitting.next(), fitting.next()) {
            (Some(only), None, _) => words::generation(only),
            (Some(Generation::Exchange2019), Some(_), None) => "Exchange 2019 or SE",
            _ => "Exchange 2013 or later",
        }
    }
}

/// A mark of Exchange on one answer.
struct Sighting<'a, 'e> {
    fits: Fits,
    build: Option<Build>,
    by: Marked<'a, 'e>,
}

/// What answers as a server along one path, with the marks of each.
pub(super) fn along<'a, 'e>(seen: &Seen<'e>, spot: &'a Spot<'e>) -> Vec<Device<'a, 'e>> {
    let (mut sightings, mut others, mut ground) = (Vec::new(), Vec::new(), Ground::default());
    for met in spot.met() {
        let Some(answer) = met.answer() else { continue };
        ground.note(met, answer);
        let other = other(answer).filter(|_| met.exchange.look.place == Place::ActiveSync);
        match other {
            Some(other) => others.push((other, met)),
            None => sight(met, answer, &mut sightings),
        }
    }
    if !others.is_empty() {
        return other_entries(others);
    }
    let mut found = merged(sightings);
    if spot.met().iter().any(|met| met.answer().is_some()) {
        declare(seen, spot, &mut found);
    }
    ground.support(&mut found);
    found.into_iter().map(Candidate::entry).collect()
}

fn other_entries<'a, 'e>(others: Vec<(Other<'e>, &'a Met<'e>)>) -> Vec<Device<'a, 'e>> {
    let mut entries: Vec<Device<'a, 'e>> = Vec::new();
    for (other, met) in others {
        let known = entries.iter_mut().find(|it| it.what.starts_with(other.name));
        let by = Marked::Seen(met, other.mark);
        if let Some(entry) = known {
            entry.add(by);
            continue;
        }
        let version = other.version.map(words::shortened).unwrap_or_default();
        let what = format!("{} {version}", other.name).trim_end().to_owned();
        entries.push(Device { what, by: vec![by] });
    }
    entries
}

fn sight<'a, 'e>(met: &'a Met<'e>, answer: &'e Answer, found: &mut Vec<Sighting<'a, 'e>>) {
    let is_own = responder::is_exchange_or_iis(answer);
    for (name, value) in &answer.headers.0 {
        let (fits, build, mark) = match name.len() {
            20 if is_own && name.eq_ignore_ascii_case("MS-Server-ActiveSync") => {
                let Some(build) = Build::read(value) else { continue };
                (build.generations(), Some(build), Mark::Named("MS-Server-ActiveSync", value))
            }
            13 if name.eq_ignore_ascii_case("X-OWA-Version") => {
                let Some(build) = Build::read(value) else { continue };
                (build.generations(), Some(build), Mark::Named("X-OWA-Version", value))
            }
            10 if name.eq_ignore_ascii_case("X-FEServer") => {
                (Some(Fits::FROM_2013), None, Mark::Named("X-FEServer", value))
            }
            10 if name.eq_ignore_ascii_case("X-BEServer") => {
                (Some(Fits::FROM_2013), None, Mark::Named("X-BEServer", value))
            }
            11 if name.eq_ignore_ascii_case("X-NanoProxy") => {
                (Some(Fits::one(Generation::Online)), None, Mark::Field(name))
            }
            _ => continue,
        };
        if let Some(fits) = fits {
            found.push(Sighting { fits, build, by: Marked::Seen(met, mark) });
        }
    }
}

/// One server: what all its marks fit.
struct Candidate<'a, 'e> {
    fits: Fits,
    build: Option<Build>,
    /// Said in place of a generation.
    name: Option<String>,
    by: Vec<Marked<'a, 'e>>,
}

impl<'a, 'e> Candidate<'a, 'e> {
    fn entry(self) -> Device<'a, 'e> {
        let what = match (self.name, self.build) {
            (Some(name), _) => name,
            (None, Some(build)) => format!("{} {build}", self.fits.name()),
            (None, None) => self.fits.name().to_owned(),
        };
        Device { what, by: self.by }
    }

    fn add(&mut self, by: Marked<'a, 'e>) {
        super::add(&mut self.by, by);
    }
}

/// The narrowest marks first, so that a wide one joins what it fits.
fn merged<'a, 'e>(mut sightings: Vec<Sighting<'a, 'e>>) -> Vec<Candidate<'a, 'e>> {
    sightings.sort_by_key(|it| (it.fits.0.count_ones(), std::cmp::Reverse(it.build)));
    let mut found: Vec<Candidate<'a, 'e>> = Vec::new();
    for it in sightings {
        let known = found.iter_mut().find_map(|known| {
            let both = known.fits.both(it.fits)?;
            let is_same_build = |known: Build, new: Build| {
                known.number.is_none() || new.number.is_none() || known == new
            };
            known
                .build
                .zip(it.build)
                .is_none_or(|(a, b)| is_same_build(a, b))
                .then_some((known, both))
        });
        match known {
            Some((known, both)) => {
                known.fits = both;
                known.build = known.build.max(it.build);
                known.add(it.by);
            }
            None => found.push(Candidate {
                fits: it.fits,
                build: it.build,
                name: None,
                by: vec![it.by],
            }),
        }
    }
    found
}

/// What the operator, or the host's name, says of it: joins what fits, and stands beside what does not.
fn declare<'a, 'e>(seen: &Seen<'e>, spot: &'a Spot<'e>, found: &mut Vec<Candidate<'a, 'e>>) {
    let endpoint = spot.endpoint;
    let host = endpoint.host.as_str();
    if CONSUMER_HOSTS.iter().any(|it| host.eq_ignore_ascii_case(it)) {
        let by = vec![Marked::Declared(format!("{}: host {host}", endpoint.name))];
        found.clear();
        found.push(Candidate {
            fits: Fits::one(Generation::Online),
            build: None,
            name: Some("Outlook.com".to_owned()),
            by,
        });
        return;
    }
    let of_target = match endpoint.role {
        Role::External | Role::Cas => seen.evidence.target.generation,
        Role::Backend | Role::Control => None,
    };
    let (generation, said) = if responder::is_online_host(host) {
        (Generation::Online, format!("{}: host {host}", endpoint.name))
    } else {
        let Some(generation) = endpoint.generation.or(of_target) else { return };
        (generation, format!("{}: {}", endpoint.name, words::generation(generation)))
    };
    let declared = Fits::one(generation);
    if declared.0 == 0 {
        return;
    }
    let by = Marked::Declared(said);
    let known = found.iter_mut().find_map(|it| it.fits.both(declared).map(|both| (it, both)));
    match known {
        Some((known, both)) => {
            known.fits = both;
            known.by.insert(0, by);
        }
        None => found.push(Candidate { fits: declared, build: None, name: None, by: vec![by] }),
    }
}

/// What the server stands on: IIS, and Windows as its Type-2 tells. It supports what it can carry.
#[derive(Default)]
struct Ground<'a, 'e> {
    iis: Option<((u32, u32), Marked<'a, 'e>)>,
    windows: Option<((u8, u8, u16), Marked<'a, 'e>)>,
}

impl<'a, 'e> Ground<'a, 'e> {
    fn note(&mut self, met: &'a Met<'e>, answer: &'e Answer) {
        const NAME: &str = "Microsoft-IIS/";
        if self.iis.is_none()
            && let Some(server) = answer.headers.first("Server")
            && let Some(version) = server.get(..NAME.len()).and_then(|it| {
                it.eq_ignore_ascii_case(NAME).then(|| server.get(NAME.len()..)).flatten()
            })
            && let Some(version) = iis_version(version)
        {
            self.iis = Some((version, Marked::Seen(met, Mark::Named("Server", server))));
        }
        if self.windows.is_none()
            && let Some(version) = answer.type2.as_ref().and_then(|it| it.version)
        {
            self.windows = Some((version, Marked::Type2(met, version)));
        }
    }

    fn support(self, found: &mut Vec<Candidate<'a, 'e>>) {
        if let Some((version, by)) = self.windows {
            let carries = |it: &Candidate<'_, '_>| it.fits.may(|it| may_run_on(it, version));
            if let Some(known) = found.iter_mut().find(|it| carries(it)) {
                known.add(by);
            }
        }
        let Some((version, by)) = self.iis else { return };
        let is_carried = |it: &Candidate<'_, '_>| it.fits.may(|it| may_serve(it, version));
        match found.iter_mut().find(|it| is_carried(it)) {
            Some(known) => known.add(by),
            None => found.push(Candidate {
                fits: Fits(0),
                build: None,
                name: Some(format!("IIS {}.{}", version.0, version.1)),
                by: vec![by],
            }),
        }
    }
}

/// Whether a generation runs on a Windows of this version.
fn may_run_on(generation: Generation, (major, minor, _): (u8, u8, u16)) -> bool {
    match generation {
        Generation::Exchange2003 => major == 5,
        Generation::Exchange2007 => matches!((major, minor), (5, 2) | (6, 0 | 1)),
        Generation::Exchange2010 => matches!((major, minor), (6, _)),
        Generation::Exchange2013 => matches!((major, minor), (6, 1..)),
        Generation::Exchange2016 => matches!((major, minor), (6, 2..) | (10, _)),
        Generation::Exchange2019 | Generation::SubscriptionEdition | Generation::Online => {
            major == 10
        }
        Generation::Other => false,
    }
}

/// `7.5` or `10.0 Microsoft-HTTPAPI/2.0`.
fn iis_version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split(' ').next()?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Whether a generation is served by an IIS of this version.
fn may_serve(generation: Generation, version: (u32, u32)) -> bool {
    match generation {
        Generation::Exchange2003 => version < (7, 0),
        Generation::Exchange2007 => ((6, 0)..(8, 0)).contains(&version),
        Generation::Exchange2010 => ((7, 0)..(9, 0)).contains(&version),
        Generation::Exchange2013 => ((7, 5)..(9, 0)).contains(&version),
        Generation::Exchange2016 => version >= (8, 0),
        Generation::Exchange2019 | Generation::SubscriptionEdition | Generation::Online => {
            version >= (10, 0)
        }
        Generation::Other => false,
    }
}

/// Whether a product's marks tell nothing beside a server that speaks `ActiveSync` by itself on the same web server.
pub(super) fn is_its_web_server(product: Product) -> bool {
    matches!(product, Product::Nginx | Product::Apache)
}
