//! A small network for one test: an endpoint, its declared address, who answers there, and which certificates are trusted.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parallax_model::{
    AccountId, DiagnosisId, Endpoint, EndpointName, Exchange, HttpFailure, Limits, LogonTask, Look,
    NameForm, Observation, Outcome, Place, Role, Sight, Task, Trust, UserName,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::{Dial, Instrument, Mapped, ProbeError, Route, observe};

/// The declared address of every endpoint here (RFC 5737).
pub(super) const ADDRESS: &str = "192.0.2.10";
pub(super) const HOST: &str = "mail.corp.example";

/// Long enough for a loaded machine; what must run into a limit sets a shorter one.
const PATIENT: Limits = Limits {
    dns: Duration::from_secs(5),
    tcp: Duration::from_secs(5),
    tls: Duration::from_secs(5),
    exchange: Duration::from_secs(5),
    observation: Duration::from_secs(20),
    credentialed: Duration::from_secs(5),
};

/// The limit of what is meant to run into it.
pub(super) const SHORT: Duration = Duration::from_millis(400);

pub(super) fn address(port: u16) -> SocketAddr {
    SocketAddr::new(ADDRESS.parse::<IpAddr>().expect("address"), port)
}

pub(super) fn https(looks: &[Look]) -> Task {
    Task {
        id: "t-1".to_owned(),
        diagnosis: DiagnosisId::new("d-1").expect("name"),
        endpoint: Endpoint {
            name: EndpointName::new("published").expect("name"),
            role: Role::External,
            is_https: true,
            host: HOST.to_owned(),
            port: 443,
            path: "/Microsoft-Server-ActiveSync".to_owned(),
            generation: None,
            connect: Some(ADDRESS.parse().expect("address")),
            trust: Trust::PublicOrStore,
            from: Vec::new(),
            published_on: Vec::new(),
            allow_plaintext_logon: false,
            logon_cost: None,
        },
        looks: looks.to_vec(),
        logon: None,
        only_address: None,
        without_sni: false,
        limits: PATIENT,
    }
}

pub(super) fn http(looks: &[Look]) -> Task {
    let mut task = https(looks);
    task.endpoint.is_https = false;
    task.endpoint.port = 80;
    task
}

pub(super) fn with_logon(mut task: Task) -> Task {
    task.logon = Some(LogonTask {
        attempt: "a-1".to_owned(),
        account: AccountId::new("alice").expect("name"),
        name: UserName { form: NameForm::Upn, login: "alice@corp.example".to_owned() },
        place: Place::ActiveSync,
    });
    task
}

/// A network in which only these declared addresses answer.
pub(super) struct Network {
    pub(super) mapped: Mapped,
}

impl Network {
    pub(super) fn of(routes: &[(SocketAddr, Route)]) -> Self {
        Self {
            mapped: Mapped {
                routes: routes.iter().copied().collect::<BTreeMap<_, _>>(),
                otherwise: Route::Silent,
                name_servers: Vec::new(),
                public_roots: Vec::new(),
                store_roots: Vec::new(),
            },
        }
    }

    /// The endpoint's address on both usual ports leads to this socket.
    pub(super) fn to(socket: SocketAddr) -> Self {
        Self::of(&[(address(443), Route::To(socket)), (address(80), Route::To(socket))])
    }

    pub(super) fn public(mut self, root: &CertificateDer<'static>) -> Self {
        self.mapped.public_roots.push(root.clone());
        self
    }

    pub(super) fn store(mut self, root: &CertificateDer<'static>) -> Self {
        self.mapped.store_roots.push(root.clone());
        self
    }

    pub(super) fn asking(mut self, name_servers: &[SocketAddr]) -> Self {
        self.mapped.name_servers = name_servers.to_vec();
        self
    }

    pub(super) fn instrument(self) -> Instrument {
        Instrument::new(Dial::Mapped(Arc::new(self.mapped))).expect("instrument")
    }

    /// Looks, with a policy that allows everything.
    pub(super) async fn see(self, task: &Task) -> Sight {
        observe(task, &self.instrument(), &|_, _| Ok(()), &|_| {}).await.expect("a sight")
    }

    pub(super) async fn refusal(self, task: &Task) -> ProbeError {
        observe(task, &self.instrument(), &|_, _| Ok(()), &|_| {}).await.expect_err("no sight")
    }
}

#[track_caller]
pub(super) fn only(sight: &Sight) -> &Observation {
    assert_eq!(sight.observations.len(), 1, "{sight:?}");
    &sight.observations[0]
}

/// The failure of the only exchange.
#[track_caller]
pub(super) fn failure(sight: &Sight) -> &HttpFailure {
    let exchanges = &only(sight).exchanges;
    assert_eq!(exchanges.len(), 1, "{sight:?}");
    exchanges[0].outcome.failed().unwrap_or_else(|| panic!("no failure: {:?}", exchanges[0]))
}

#[track_caller]
pub(super) fn answer(exchange: &Exchange) -> &parallax_model::Answer {
    exchange.outcome.done().unwrap_or_else(|| panic!("no answer: {exchange:?}"))
}

pub(super) fn numbers(observation: &Observation) -> Vec<u32> {
    observation.exchanges.iter().map(|exchange| exchange.connection.number).collect()
}

pub(super) fn is_not_reached<F, E>(outcome: &Outcome<F, E>) -> bool {
    matches!(outcome, Outcome::NotReached)
}

/// A certificate authority of a test.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A chain as a server sends it, leaf first, and the leaf's key.
pub(super) struct Identity {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).expect("params");
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

impl Authority {
    pub(super) fn root(name: &str) -> Self {
        let key = KeyPair::generate().expect("key");
        Self(CertifiedIssuer::self_signed(authority_params(name), key).expect("root"))
    }

    pub(super) fn intermediate(&self, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = authority_params("intermediate");
        change(&mut params);
        let key = KeyPair::generate().expect("key");
        Self(CertifiedIssuer::signed_by(params, key, &self.0).expect("intermediate"))
    }

    pub(super) fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// A leaf for the endpoint's host.
    pub(super) fn leaf(&self) -> Identity {
        self.leaf_with(|_| {})
    }

    /// A leaf for the endpoint's host with this key.
    #[cfg(feature = "legacy-tls")]
    pub(super) fn leaf_of(&self, key: KeyPair) -> Identity {
        let params = CertificateParams::new(vec![HOST.to_owned()]).expect("params");
        let leaf = params.signed_by(&key, &self.0).expect("leaf");
        Identity { chain: vec![leaf.der().clone()], key: key.into() }
    }

    pub(super) fn leaf_with(&self, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = CertificateParams::new(vec![HOST.to_owned()]).expect("params");
        params.distinguished_name.push(rcgen::DnType::CommonName, "leaf");
        change(&mut params);
        let key = KeyPair::generate().expect("key");
        let leaf = params.signed_by(&key, &self.0).expect("leaf");
        Identity { chain: vec![leaf.der().clone()], key: key.into() }
    }
}

impl Identity {
    pub(super) fn and(mut self, authority: &Authority) -> Self {
        self.chain.push(authority.der());
        self
    }

    pub(super) fn self_signed() -> Self {
        let params = CertificateParams::new(vec![HOST.to_owned()]).expect("params");
        let key = KeyPair::generate().expect("key");
        let leaf = params.self_signed(&key).expect("leaf");
        Self { chain: vec![leaf.der().clone()], key: key.into() }
    }
}

pub(super) fn in_2001(params: &mut CertificateParams) {
    params.not_before = rcgen::date_time_ymd(2001, 1, 1);
    params.not_after = rcgen::date_time_ymd(2002, 1, 1);
}
