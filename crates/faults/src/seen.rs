//! The evidence, arranged for asking: per path what was seen last, at each address, for each request.
//!
//! Absent on purpose: opinions. Nothing here says what an answer means.
//!
//! INVARIANT: a silent path yields nothing at all; it can be neither good nor bad.

use std::collections::BTreeMap;
use std::net::IpAddr;

use parallax_model::{
    Account, AccountId, Answer, Credential, DnsFacts, DnsFailure, DnsSource, Endpoint,
    EndpointName, Evidence, EvidenceRef, Exchange, Generation, Look, NameForm, Observation,
    Outcome, PathId, Place, Purpose, Report, Role, Sight, Vantage, VantageName, Zone,
};

use crate::{responder, words};

/// Everything seen, by path.
pub(crate) struct Seen<'e> {
    pub(crate) evidence: &'e Evidence,
    /// Sorted by endpoint role, then zone, then name: outermost first.
    pub(crate) paths: Vec<Spot<'e>>,
    /// What the answers along an endpoint's paths show, and from where it is to be looked at. Asked for every path by every fault, so
    /// found once.
    recognised: BTreeMap<&'e EndpointName, Generation>,
    outermost: BTreeMap<&'e EndpointName, Zone>,
}

/// One path and all its reports.
pub(crate) struct Spot<'e> {
    pub(crate) path: &'e PathId,
    pub(crate) vantage: &'e Vantage,
    pub(crate) endpoint: &'e Endpoint,
    reports: Vec<(u32, &'e Report)>,
    /// The latest observation of each address; asked for by every fault, so found once.
    latest: Vec<(u32, &'e Observation)>,
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
        EvidenceRef {
            round: self.round,
            path: Some(self.path.clone()),
            address: Some(self.observation.address.ip()),
            look: Some(self.exchange.look.clone()),
            value: words::exchange(self.exchange),
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
                reports.sort_by_key(|(round, _)| *round);
                let vantage = *vantages.get(&path.vantage)?;
                let endpoint = evidence.target.endpoint(&path.endpoint)?;
                let latest = latest_observations(&reports);
                Some(Spot { path, vantage, endpoint, reports, latest })
            })
            .collect();
        paths.sort_by(|a, b| {
            (a.endpoint.role, a.vantage.zone, a.path).cmp(&(
                b.endpoint.role,
                b.vantage.zone,
                b.path,
            ))
        });
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
        Self { evidence, paths, recognised, outermost }
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
    pub(crate) fn sights(&self) -> impl DoubleEndedIterator<Item = (u32, &'e Sight)> + '_ {
        self.reports.iter().filter_map(|(round, report)| report.seen().map(|sight| (*round, sight)))
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

    /// The latest observation of each address.
    pub(crate) fn observations(&self) -> Vec<(u32, &'e Observation)> {
        self.latest.clone()
    }

    /// Every exchange for which the test is true, oldest first.
    pub(crate) fn exchanges(&self, wanted: impl Fn(&Look) -> bool) -> Vec<Met<'e>> {
        let mut found = Vec::new();
        for (round, sight) in self.sights() {
            for observation in &sight.observations {
                for exchange in observation.exchanges.iter().filter(|it| wanted(&it.look)) {
                    found.push(Met { round, path: self.path, observation, exchange });
                }
            }
        }
        found
    }

    /// The latest exchange with this look at each address.
    pub(crate) fn latest(&self, look: &Look) -> Vec<Met<'e>> {
        let mut latest: BTreeMap<IpAddr, Met<'e>> = BTreeMap::new();
        for met in self.exchanges(|it| it == look) {
            latest.insert(met.observation.address.ip(), met);
        }
        latest.into_values().collect()
    }

    /// The latest answer with this look, at the first address that gave one.
    pub(crate) fn answer(&self, look: &Look) -> Option<(Met<'e>, &'e Answer)> {
        self.latest(look).into_iter().find_map(|met| met.answer().map(|answer| (met, answer)))
    }

    /// Logons of an account along this path, oldest first; those that were never sent are left out.
    pub(crate) fn logons(&self, account: &AccountId) -> Vec<Met<'e>> {
        self.exchanges(|look| matches!(&look.credential, Credential::Account { account: it, .. } if it == account))
            .into_iter()
            .filter(|met| met.exchange.sent)
            .collect()
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

fn latest_observations<'e>(reports: &[(u32, &'e Report)]) -> Vec<(u32, &'e Observation)> {
    let mut latest: BTreeMap<IpAddr, (u32, &'e Observation)> = BTreeMap::new();
    for (round, sight) in
        reports.iter().filter_map(|(round, report)| report.seen().map(|sight| (*round, sight)))
    {
        for observation in &sight.observations {
            latest.insert(observation.address.ip(), (round, observation));
        }
    }
    latest.into_values().collect()
}

/// The form and place of a logon.
pub(crate) fn logon_of(exchange: &Exchange) -> Option<(&AccountId, NameForm, Place)> {
    match &exchange.look.credential {
        Credential::Account { account, form } => Some((account, *form, exchange.look.place)),
        Credential::None | Credential::NtlmType1 | Credential::ImpossibleUser => None,
    }
}
