//! The evidence, arranged for asking: per path what was seen last, at each address, for each request.
//!
//! Absent on purpose: opinions. Nothing here says what an answer means.
//!
//! INVARIANT: a silent path yields nothing at all; it can be neither good nor bad.
//! INVARIANT: a path holds only the addresses that its own vantage was given. What it met at an address of another vantage's
//! stands apart (`elsewhere`): no client of this vantage goes there.
//! INVARIANT: of a vantage that fails its own control only what proved itself counts (`controls`); the rest is set aside, and so
//! is what a proxy on the vantage's own side said.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use parallax_model::{
    Account, AccountId, Answer, Credential, DnsFacts, DnsFailure, DnsSource, Endpoint, Evidence,
    EvidenceRef, Exchange, ExcludedVantage, Generation, Look, NameForm, Observation, Outcome,
    PathId, Place, Purpose, Report, Role, Sight, Vantage, VantageName, Zone,
};

use crate::controls::{self, Doubtful};
use crate::face::Faces;
use crate::further::Further;
use crate::{responder, words};

/// Everything seen, by path.
pub(crate) struct Seen<'e> {
    pub(crate) evidence: &'e Evidence,
    /// Sorted by endpoint role, then zone, then name: outermost first.
    pub(crate) paths: Vec<Spot<'e>>,
    /// Further paths that show the same as [`ALIKE_JUDGED`] of these: what is found there holds here.
    alike: Vec<Spot<'e>>,
    /// Paths that say nothing about the target (`controls`), in the same order.
    pub(crate) set_aside: Vec<Spot<'e>>,
    /// Vantages that fail their own control.
    doubtful: BTreeMap<&'e VantageName, Doubtful<'e>>,
    /// What concerns each endpoint of the target, in its order; asked for every path by every fault, so found once.
    endpoints: Vec<AboutEndpoint>,
    pub(crate) further: Further<'e>,
}

/// Of paths that show the same, as many are judged one by one: any path then still has others that agree with it.
const ALIKE_JUDGED: usize = 3;

/// What concerns an endpoint as a whole.
#[derive(Clone, Copy, Default)]
struct AboutEndpoint {
    /// What the first path that shows it says about the server.
    recognised: Option<Generation>,
    /// Declared or recognised.
    generation: Option<Generation>,
    /// From where it is to be looked at.
    outermost: Option<Zone>,
    /// Whether it opens from inside or beside the back end.
    opens_inside: bool,
}

/// One path and all its reports.
pub(crate) struct Spot<'e> {
    pub(crate) path: &'e PathId,
    pub(crate) vantage: &'e Vantage,
    pub(crate) endpoint: &'e Endpoint,
    reports: Vec<(u32, &'e Report)>,
    /// Where it stands among all paths, outermost first.
    pub(crate) place: usize,
    /// The number of its face, if it has one (see `face`).
    pub(crate) face: Option<usize>,
    // Asked for by every fault, so found once:
    /// The latest observation of each address.
    latest: Vec<(u32, &'e Observation)>,
    /// The latest observation of each address that only another vantage was given.
    elsewhere: Vec<(u32, &'e Observation)>,
    /// Every exchange, oldest first.
    exchanges: Vec<Met<'e>>,
    /// Logons that were sent, oldest first.
    logons: Vec<Met<'e>>,
    /// By look, the latest exchange at each address.
    by_look: Vec<(&'e Look, Vec<Met<'e>>)>,
}

/// One exchange, with where it was.
#[derive(Clone, Copy)]
pub(crate) struct Met<'e> {
    pub(crate) round: u32,
    pub(crate) path: &'e PathId,
    pub(crate) observation: &'e Observation,
    pub(crate) exchange: &'e Exchange,
}

impl<'e> Met<'e> {
    pub(crate) fn answer(&self) -> Option<&'e Answer> {
        self.exchange.outcome.done()
    }

    pub(crate) fn status(&self) -> Option<u16> {
        self.answer().map(|answer| answer.status)
    }

    pub(crate) fn reference(&self) -> EvidenceRef {
        EvidenceRef { value: words::exchange(self.exchange), ..self.place() }
    }

    /// Where it was, with nothing said of what came back.
    pub(crate) fn place(&self) -> EvidenceRef {
        EvidenceRef {
            round: self.round,
            path: Some(self.path.clone()),
            address: Some(self.observation.address.ip()),
            look: Some(self.exchange.look.clone()),
            value: String::new(),
        }
    }
}

impl<'e> Seen<'e> {
    pub(crate) fn new(evidence: &'e Evidence) -> Self {
        // Its order does not matter: the paths are sorted below.
        let mut reports: HashMap<&PathId, Vec<(u32, &Report)>> = HashMap::new();
        for round in &evidence.rounds {
            for it in &round.reports {
                reports.entry(&it.path).or_default().push((round.number, &it.report));
            }
        }
        let vantages: BTreeMap<&VantageName, &Vantage> =
            evidence.vantages.iter().rev().map(|it| (&it.name, it)).collect();
        let mut paths: Vec<Spot<'e>> = reports
            .into_iter()
            .filter_map(|(path, mut reports)| {
                let vantage = *vantages.get(&path.vantage)?;
                let endpoint = evidence.target.endpoint(&path.endpoint)?;
                reports.sort_by_key(|(round, _)| *round);
                Some(Spot::new(path, vantage, endpoint, reports))
            })
            .collect();
        paths.sort_by_key(|it| (it.endpoint.role, it.vantage.zone, it.path));
        for (place, spot) in paths.iter_mut().enumerate() {
            spot.place = place;
        }
        let doubtful = controls::doubtful(&paths);
        let (mut paths, set_aside): (Vec<_>, Vec<_>) =
            paths.into_iter().partition(|it| controls::stands(it, doubtful.get(&it.vantage.name)));
        let remembered: BTreeSet<&PathId> = evidence.history.iter().map(|it| &it.path).collect();
        let mut faces = Faces::default();
        let face = |(place, spot): (usize, &Spot<'e>)| {
            let is_plain = spot.is_plain()
                && !doubtful.contains_key(&spot.vantage.name)
                && !remembered.contains(spot.path);
            is_plain.then(|| faces.face(&paths, place)).flatten()
        };
        let found: Vec<Option<usize>> = paths.iter().enumerate().map(face).collect();
        let mut judged: BTreeMap<usize, usize> = BTreeMap::new();
        for (spot, face) in paths.iter_mut().zip(found) {
            spot.face = face;
        }
        let is_judged = |spot: &Spot<'_>| {
            let count = spot.face.map(|it| judged.entry(it).or_default());
            count.is_none_or(|count| {
                *count += 1;
                *count <= ALIKE_JUDGED
            })
        };
        let (paths, alike): (Vec<_>, Vec<_>) = paths.into_iter().partition(is_judged);
        let endpoints = vec![AboutEndpoint::default(); evidence.target.endpoints.len()];
        let further = Further::default();
        let mut seen = Self { evidence, paths, alike, set_aside, doubtful, endpoints, further };
        for (place, endpoint) in evidence.target.endpoints.iter().enumerate() {
            seen.learn(place, endpoint);
        }
        seen.further = Further::of(&seen);
        seen
    }

    /// Every path that counts, outermost first: those that are judged and those that show the same.
    pub(crate) fn every(&self) -> Vec<&Spot<'e>> {
        let mut every: Vec<&Spot<'e>> = self.paths.iter().chain(&self.alike).collect();
        every.sort_by_key(|it| it.place);
        every
    }

    /// The path of this name, if it counts.
    pub(crate) fn find(&self, path: &PathId) -> Option<&Spot<'e>> {
        self.paths.iter().chain(&self.alike).find(|it| it.path == path)
    }

    /// By face, the paths that are not judged themselves.
    pub(crate) fn alike(&self) -> impl Iterator<Item = (usize, &'e PathId)> + '_ {
        self.alike.iter().filter_map(|it| Some((it.face?, it.path)))
    }

    /// Finds out what concerns an endpoint as a whole.
    fn learn(&mut self, place: usize, endpoint: &'e Endpoint) {
        let own = || self.paths.iter().filter(|it| std::ptr::eq(it.endpoint, endpoint));
        let vantages = self.evidence.vantages.iter().filter(|it| endpoint.is_for(it));
        let about = AboutEndpoint {
            recognised: own().find_map(responder::recognised),
            generation: None,
            outermost: vantages.map(|it| it.zone).min(),
            opens_inside: own().any(|it| it.vantage.zone > Zone::Dmz && it.opens()),
        };
        if let Some(it) = self.endpoints.get_mut(place) {
            *it = about;
        }
        let generation = responder::find_generation(self, endpoint);
        if let Some(it) = self.endpoints.get_mut(place) {
            it.generation = generation;
        }
    }

    fn about(&self, endpoint: &Endpoint) -> AboutEndpoint {
        let endpoints = &self.evidence.target.endpoints;
        let place = endpoints
            .iter()
            .position(|it| std::ptr::eq(it, endpoint))
            .or_else(|| endpoints.iter().position(|it| it.name == endpoint.name));
        place.and_then(|it| self.endpoints.get(it)).copied().unwrap_or_default()
    }

    /// The generation of Exchange behind an endpoint, declared or recognised.
    pub(crate) fn generation(&self, endpoint: &Endpoint) -> Option<Generation> {
        self.about(endpoint).generation
    }

    /// Whether some vantage inside or beside the back end gets a TCP connection to it.
    pub(crate) fn opens_inside(&self, endpoint: &Endpoint) -> bool {
        self.about(endpoint).opens_inside
    }

    /// Whether nothing seen along this path counts.
    pub(crate) fn is_set_aside(&self, spot: &Spot<'_>) -> bool {
        !controls::stands(spot, self.doubtful.get(&spot.vantage.name))
    }

    /// What its controls say against a vantage.
    pub(crate) fn doubt(&self, vantage: &Vantage) -> Option<&Doubtful<'e>> {
        self.doubtful.get(&vantage.name)
    }

    /// The vantages of which something is set aside, and why. A control that is dead while all else answers excludes nobody.
    pub(crate) fn excluded(&self) -> Vec<ExcludedVantage> {
        let mut excluded: BTreeMap<&VantageName, Vec<EvidenceRef>> = BTreeMap::new();
        let missed = self.set_aside.iter();
        for spot in missed.filter(|it| it.endpoint.role != Role::Control && it.is_seen()) {
            let by = excluded.entry(&spot.vantage.name).or_insert_with(|| {
                self.doubtful.get(&spot.vantage.name).map(|it| it.by.clone()).unwrap_or_default()
            });
            let said = controls::word_of_a_proxy(spot).map(|it| it.reference());
            by.extend(said.filter(|_| by.is_empty()));
        }
        excluded
            .into_iter()
            .map(|(vantage, by)| ExcludedVantage { vantage: vantage.clone(), by })
            .collect()
    }

    /// What the first path that shows it says about the server behind an endpoint.
    pub(crate) fn recognised(&self, endpoint: &Endpoint) -> Option<Generation> {
        self.about(endpoint).recognised
    }

    /// Paths to endpoints of a role, outermost vantage first.
    pub(crate) fn with_role(&self, role: Role) -> impl Iterator<Item = &Spot<'e>> {
        self.paths.iter().filter(move |spot| spot.endpoint.role == role)
    }

    /// Paths that a client or an inner vantage takes to the front: `external` and `cas`.
    pub(crate) fn fronts(&self) -> impl Iterator<Item = &Spot<'e>> {
        self.paths.iter().filter(|spot| matches!(spot.endpoint.role, Role::External | Role::Cas))
    }

    pub(crate) fn accounts(&self, purpose: Purpose) -> impl Iterator<Item = &'e Account> {
        let evidence = self.evidence;
        evidence
            .target
            .accounts
            .iter()
            .filter(move |it| it.purpose == purpose)
            .filter_map(move |it| evidence.accounts.iter().find(|account| account.id == it.account))
    }

    /// Something the operator declared.
    pub(crate) fn declared(value: impl Into<String>) -> EvidenceRef {
        EvidenceRef {
            round: 0,
            path: None,
            address: None,
            look: None,
            value: format!("declared: {}", value.into()),
        }
    }

    /// The outermost zone from which this endpoint is meant to be looked at.
    pub(crate) fn outermost_zone(&self, endpoint: &Endpoint) -> Option<Zone> {
        self.about(endpoint).outermost
    }
}

impl<'e> Spot<'e> {
    /// `reports` in the order of the rounds.
    fn new(
        path: &'e PathId,
        vantage: &'e Vantage,
        endpoint: &'e Endpoint,
        reports: Vec<(u32, &'e Report)>,
    ) -> Self {
        let (latest, elsewhere) = (Vec::new(), Vec::new());
        let (exchanges, logons, by_look) = (Vec::new(), Vec::new(), Vec::new());
        let mut spot = Self {
            path,
            vantage,
            endpoint,
            reports,
            place: 0,
            face: None,
            latest,
            elsewhere,
            exchanges,
            logons,
            by_look,
        };
        let given = given_addresses(endpoint, spot.sights().map(|(_, sight)| sight));
        for (round, sight) in
            spot.reports.iter().filter_map(|(round, it)| Some((round, it.seen()?)))
        {
            for observation in &sight.observations {
                let address = observation.address.ip();
                if given.as_ref().is_some_and(|it| !it.contains(&address)) {
                    keep_latest(&mut spot.elsewhere, (*round, observation), |(_, it)| {
                        it.address.ip()
                    });
                    continue;
                }
                keep_latest(&mut spot.latest, (*round, observation), |(_, it)| it.address.ip());
                for exchange in &observation.exchanges {
                    let met = Met { round: *round, path, observation, exchange };
                    spot.exchanges.push(met);
                    if exchange.sent && exchange.look.is_logon() {
                        spot.logons.push(met);
                    }
                    let known = spot.by_look.iter_mut().find(|(look, _)| **look == exchange.look);
                    match known {
                        Some((_, places)) => {
                            keep_latest(places, met, |it| it.observation.address.ip());
                        }
                        None => spot.by_look.push((&exchange.look, vec![met])),
                    }
                }
            }
        }
        spot
    }

    pub(crate) fn sights(&self) -> impl DoubleEndedIterator<Item = (u32, &'e Sight)> + '_ {
        self.reports.iter().filter_map(|(round, report)| report.seen().map(|sight| (*round, sight)))
    }

    /// Oldest first.
    pub(crate) fn reports(&self) -> &[(u32, &'e Report)] {
        &self.reports
    }

    /// Whether nothing happened along it that concerns it alone, or its vantage.
    fn is_plain(&self) -> bool {
        self.logons.is_empty() && self.elsewhere.is_empty() && self.endpoint.role != Role::Control
    }

    /// Whether some address takes a TCP connection.
    pub(crate) fn opens(&self) -> bool {
        self.latest.iter().any(|(_, it)| it.tcp.done().is_some())
    }

    pub(crate) fn is_seen(&self) -> bool {
        self.sights().next().is_some()
    }

    /// Whether it was asked about, and nobody said a word.
    pub(crate) fn is_silent(&self) -> bool {
        self.reports.iter().all(|(_, it)| matches!(it, Report::Silent(_)))
    }

    pub(crate) fn last_report(&self) -> Option<(u32, &'e Report)> {
        self.reports.last().map(|(round, report)| (*round, *report))
    }

    /// The latest outcome of name resolution that was reached. A name server's word outlives a later round that dialled one
    /// address without asking.
    pub(crate) fn dns(&self) -> Option<(u32, &'e Outcome<DnsFacts, DnsFailure>)> {
        let reached = || {
            self.sights()
                .map(|(round, sight)| (round, &sight.dns))
                .filter(|(_, dns)| !matches!(dns, Outcome::NotReached))
        };
        let is_asked = |dns: &Outcome<DnsFacts, DnsFailure>| {
            dns.done().is_none_or(|facts| facts.source != DnsSource::Declared)
        };
        reached().rfind(|(_, dns)| is_asked(dns)).or_else(|| reached().next_back())
    }

    pub(crate) fn resolved(&self) -> Vec<IpAddr> {
        self.dns()
            .and_then(|(_, dns)| dns.done())
            .map(|facts| facts.addresses.clone())
            .unwrap_or_default()
    }

    /// The latest observation of each address that this vantage was given.
    pub(crate) fn observations(&self) -> &[(u32, &'e Observation)] {
        &self.latest
    }

    /// The latest observation of each address that only another vantage was given, under the published name.
    pub(crate) fn elsewhere(&self) -> &[(u32, &'e Observation)] {
        &self.elsewhere
    }

    /// Every exchange, oldest first.
    pub(crate) fn met(&self) -> &[Met<'e>] {
        &self.exchanges
    }

    /// Every exchange for which the test is true, oldest first.
    pub(crate) fn exchanges(&self, wanted: impl Fn(&Look) -> bool) -> Vec<Met<'e>> {
        self.exchanges.iter().filter(|met| wanted(&met.exchange.look)).copied().collect()
    }

    /// The latest exchange with this look at each address.
    pub(crate) fn latest(&self, look: &Look) -> &[Met<'e>] {
        self.by_look.iter().find(|(it, _)| *it == look).map_or(&[], |(_, met)| met)
    }

    /// The latest answer with this look, at the first address that gave one.
    pub(crate) fn answer(&self, look: &Look) -> Option<(Met<'e>, &'e Answer)> {
        self.latest(look).iter().find_map(|met| met.answer().map(|answer| (*met, answer)))
    }

    /// Logons of an account along this path, oldest first; those that were never sent are left out.
    pub(crate) fn logons(&self, account: &AccountId) -> Vec<Met<'e>> {
        let is_own =
            |met: &&Met<'e>| logon_of(met.exchange).is_some_and(|(it, _, _)| it == account);
        self.logons.iter().filter(is_own).copied().collect()
    }

    pub(crate) fn reference(
        &self,
        round: u32,
        address: Option<IpAddr>,
        value: impl Into<String>,
    ) -> EvidenceRef {
        EvidenceRef {
            round,
            path: Some(self.path.clone()),
            address,
            look: None,
            value: value.into(),
        }
    }
}

/// The addresses that name servers gave to a vantage for an endpoint, by what was seen along that path; `None`: the address was
/// declared, so whatever was dialled is its own.
pub fn given_addresses<'e>(
    endpoint: &Endpoint,
    sights: impl IntoIterator<Item = &'e Sight>,
) -> Option<Vec<IpAddr>> {
    if endpoint.connect.is_some() || endpoint.host.parse::<IpAddr>().is_ok() {
        return None;
    }
    let is_asked = |facts: &DnsFacts| matches!(facts.source, DnsSource::NameServer(_));
    let mut given = Vec::new();
    let mut is_known = false;
    for sight in sights {
        match &sight.dns {
            Outcome::Done(facts) if is_asked(facts) => {
                is_known = true;
                given.extend(&facts.addresses);
            }
            Outcome::Failed(_) => is_known = true,
            Outcome::Done(_) | Outcome::NotReached => {}
        }
    }
    is_known.then_some(given)
}

/// Puts in the place of what has the same address, or where its address belongs; there are a few at most.
fn keep_latest<T>(known: &mut Vec<T>, new: T, address: impl Fn(&T) -> IpAddr) {
    match known.binary_search_by_key(&address(&new), &address) {
        Ok(place) => {
            if let Some(old) = known.get_mut(place) {
                *old = new;
            }
        }
        Err(place) => known.insert(place, new),
    }
}

/// The form and place of a logon.
pub(crate) fn logon_of(exchange: &Exchange) -> Option<(&AccountId, NameForm, Place)> {
    match &exchange.look.credential {
        Credential::Account { account, form } => Some((account, *form, exchange.look.place)),
        Credential::None | Credential::NtlmType1 | Credential::ImpossibleUser => None,
    }
}
