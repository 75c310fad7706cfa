//! The evidence, arranged for asking: per path what was seen last, at each address, for each request.
//!
//! Absent on purpose: opinions. Nothing here says what an answer means.
//!
//! INVARIANT: a silent path yields nothing at all; it can be neither good nor bad.
//! INVARIANT: a path holds only the addresses that its own vantage was given. What it met at an address of another vantage's
//! stands apart (`elsewhere`): no client of this vantage goes there.
//! INVARIANT: of a vantage that fails its own control only what proved itself counts (`controls`); the rest is set aside, and so
//! is what a proxy on the vantage's own side said.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use parallax_model::{
    Account, AccountId, Answer, Credential, DnsFacts, DnsFailure, DnsSource, Endpoint,
    EndpointName, Evidence, EvidenceRef, Exchange, ExcludedVantage, Generation, Look, NameForm,
    Observation, Outcome, PathId, Place, Purpose, Report, Role, Sight, Vantage, VantageName, Zone,
};

use crate::controls::{self, Doubtful};
use crate::further::Further;
use crate::{responder, words};

/// Everything seen, by path.
pub(crate) struct Seen<'e> {
    pub(crate) evidence: &'e Evidence,
    /// Sorted by endpoint role, then zone, then name: outermost first.
    pub(crate) paths: Vec<Spot<'e>>,
    /// Paths that say nothing about the target (`controls`), in the same order.
    pub(crate) set_aside: Vec<Spot<'e>>,
    /// Vantages that fail their own control.
    doubtful: BTreeMap<&'e VantageName, Doubtful<'e>>,
    /// What the answers along an endpoint's paths show, and from where it is to be looked at. Asked for every path by every
    /// fault, so found once.
    recognised: BTreeMap<&'e EndpointName, Generation>,
    generations: BTreeMap<&'e EndpointName, Generation>,
    /// Endpoints that open from inside or beside the back end.
    opening_inside: BTreeSet<&'e EndpointName>,
    pub(crate) further: Further<'e>,
    outermost: BTreeMap<&'e EndpointName, Zone>,
}

/// One path and all its reports.
pub(crate) struct Spot<'e> {
    pub(crate) path: &'e PathId,
    pub(crate) vantage: &'e Vantage,
    pub(crate) endpoint: &'e Endpoint,
    reports: Vec<(u32, &'e Report)>,
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
        let mut reports: BTreeMap<&PathId, Vec<(u32, &Report)>> = BTreeMap::new();
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
        paths.sort_by(|a, b| {
            (a.endpoint.role, a.vantage.zone, a.path).cmp(&(
                b.endpoint.role,
                b.vantage.zone,
                b.path,
            ))
        });
        let doubtful = controls::doubtful(&paths);
        let (paths, set_aside): (Vec<_>, Vec<_>) =
            paths.into_iter().partition(|it| controls::stands(it, doubtful.get(&it.vantage.name)));
        let mut recognised = BTreeMap::new();
        for spot in &paths {
            if !recognised.contains_key(&spot.endpoint.name)
                && let Some(generation) = responder::recognised(spot)
            {
                recognised.insert(&spot.endpoint.name, generation);
            }
        }
        let outermost = evidence.target.endpoints.iter().filter_map(|endpoint| {
            let zones = evidence.vantages.iter().filter(|it| endpoint.is_for(it));
            Some((&endpoint.name, zones.map(|it| it.zone).min()?))
        });
        let outermost = outermost.collect();
        let opening_inside = paths
            .iter()
            .filter(|it| it.vantage.zone > Zone::Dmz && it.opens())
            .map(|it| &it.endpoint.name)
            .collect();
        let (generations, further) = (BTreeMap::new(), Further::default());
        let mut seen = Self {
            evidence,
            paths,
            set_aside,
            doubtful,
            recognised,
            generations,
            opening_inside,
            further,
            outermost,
        };
        let endpoints = evidence.target.endpoints.iter();
        seen.generations = endpoints
            .filter_map(|it| Some((&it.name, responder::find_generation(&seen, it)?)))
            .collect();
        seen.further = Further::of(&seen);
        seen
    }

    /// The generation of Exchange behind an endpoint, declared or recognised.
    pub(crate) fn generation(&self, endpoint: &Endpoint) -> Option<Generation> {
        self.generations.get(&endpoint.name).copied()
    }

    /// Whether some vantage inside or beside the back end gets a TCP connection to it.
    pub(crate) fn opens_inside(&self, endpoint: &Endpoint) -> bool {
        self.opening_inside.contains(&endpoint.name)
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
        self.recognised.get(&endpoint.name).copied()
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
        self.outermost.get(&endpoint.name).copied()
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
            latest,
            elsewhere,
            exchanges,
            logons,
            by_look,
        };
        let given = given_addresses(endpoint, spot.sights().map(|(_, sight)| sight));
        let (mut latest, mut elsewhere) = (BTreeMap::new(), BTreeMap::new());
        let mut by_look: Vec<(&Look, BTreeMap<IpAddr, Met<'e>>)> = Vec::new();
        for (round, sight) in
            spot.reports.iter().filter_map(|(round, it)| Some((round, it.seen()?)))
        {
            for observation in &sight.observations {
                let address = observation.address.ip();
                if given.as_ref().is_some_and(|it| !it.contains(&address)) {
                    elsewhere.insert(address, (*round, observation));
                    continue;
                }
                latest.insert(address, (*round, observation));
                for exchange in &observation.exchanges {
                    let met = Met { round: *round, path, observation, exchange };
                    spot.exchanges.push(met);
                    if exchange.sent && exchange.look.is_logon() {
                        spot.logons.push(met);
                    }
                    let known = by_look.iter_mut().find(|(look, _)| **look == exchange.look);
                    match known {
                        Some((_, places)) => {
                            places.insert(address, met);
                        }
                        None => by_look.push((&exchange.look, BTreeMap::from([(address, met)]))),
                    }
                }
            }
        }
        spot.latest = latest.into_values().collect();
        spot.elsewhere = elsewhere.into_values().collect();
        spot.by_look =
            by_look.into_iter().map(|(look, it)| (look, it.into_values().collect())).collect();
        spot
    }

    pub(crate) fn sights(&self) -> impl DoubleEndedIterator<Item = (u32, &'e Sight)> + '_ {
        self.reports.iter().filter_map(|(round, report)| report.seen().map(|sight| (*round, sight)))
    }

    /// Whether some address takes a TCP connection.
    pub(crate) fn opens(&self) -> bool {
        self.latest.iter().any(|(_, it)| it.tcp.done().is_some())
    }

    pub(crate) fn is_seen(&self) -> bool {
        self.sights().next().is_some()
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

/// The form and place of a logon.
pub(crate) fn logon_of(exchange: &Exchange) -> Option<(&AccountId, NameForm, Place)> {
    match &exchange.look.credential {
        Credential::Account { account, form } => Some((account, *form, exchange.look.place)),
        Credential::None | Credential::NtlmType1 | Credential::ImpossibleUser => None,
    }
}
