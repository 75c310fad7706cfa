//! Evidence of any size: as many vantages as wanted, one published name and one client access server, four rounds.
//!
//! Every path is looked at in all four rounds, six requests in the first and two in each later one. What is wrong with a path is
//! drawn by its number from a fixed list, so that the same size always gives the same evidence.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime};

use parallax_model::{
    Account, AccountId, Answer, Body, Certificate, ChainJudgement, ChainTrust, Connection,
    DnsFacts, DnsFailure, DnsSource, Endpoint, EndpointName, Evidence, Exchange, FamilyAnswer,
    Generation, Headers, HttpVersion, LockoutPolicy, Look, NameForm, Observation, Outcome, PathId,
    PathReport, Purpose, Report, Role, Round, Sight, Silence, Target, TargetAccount, TargetId,
    TcpFacts, TcpFailure, Threshold, TlsFacts, TlsVersion, Transport, Trust, UserName, Vantage,
    VantageName, Zone,
};

const ROUNDS: u32 = 4;

/// How the paths are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mix {
    /// All healthy.
    Healthy,
    /// All meet the same end.
    Filtered,
    /// Half of them are healthy, the others fail in ten different ways.
    Mixed,
}

impl Mix {
    pub(crate) const ALL: [Self; 3] = [Self::Healthy, Self::Filtered, Self::Mixed];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Filtered => "filtered",
            Self::Mixed => "mixed",
        }
    }

    fn condition(self, number: usize) -> Condition {
        match self {
            Self::Healthy => Condition::Healthy,
            Self::Filtered => Condition::Filtered,
            Self::Mixed => Condition::ALL[number % Condition::ALL.len()],
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Healthy,
    Silent,
    NoName,
    Filtered,
    Refused,
    Forbidden,
    NotAllowed,
    BadGateway,
    Portal,
    NoBasic,
    Unavailable,
}

impl Condition {
    const ALL: [Self; 20] = [
        Self::Healthy,
        Self::Silent,
        Self::Healthy,
        Self::NoName,
        Self::Healthy,
        Self::Filtered,
        Self::Healthy,
        Self::Refused,
        Self::Healthy,
        Self::Forbidden,
        Self::Healthy,
        Self::NotAllowed,
        Self::Healthy,
        Self::BadGateway,
        Self::Healthy,
        Self::Portal,
        Self::Healthy,
        Self::NoBasic,
        Self::Healthy,
        Self::Unavailable,
    ];
}

/// Evidence with this many paths.
pub(crate) fn evidence(paths: usize, mix: Mix) -> Evidence {
    let endpoints = [("published", Role::External), ("cas1", Role::Cas)];
    let vantages: Vec<Vantage> = (0..paths.div_ceil(2)).map(vantage).collect();
    let pairs = vantages.iter().flat_map(|vantage| endpoints.iter().map(move |it| (vantage, it)));
    let pairs: Vec<_> = pairs.take(paths).collect();
    let rounds = (1..=ROUNDS)
        .map(|number| Round {
            number,
            reports: pairs
                .iter()
                .enumerate()
                .map(|(place, (vantage, (endpoint, _)))| PathReport {
                    path: PathId { vantage: vantage.name.clone(), endpoint: name(endpoint) },
                    report: report(number, place, mix.condition(place)),
                })
                .collect(),
        })
        .collect();
    Evidence {
        target: target(&endpoints),
        accounts: vec![account()],
        vantages,
        rounds,
        history: Vec::new(),
        now: now(),
    }
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(498_000)
}

fn name(text: &str) -> EndpointName {
    EndpointName::new(text).expect("a name")
}

fn vantage(number: usize) -> Vantage {
    let zones = [Zone::External, Zone::Dmz, Zone::Internal, Zone::Backend];
    Vantage {
        name: VantageName::new(format!("site{number}")).expect("a name"),
        zone: zones[number % zones.len()],
        site: format!("site{number}"),
    }
}

fn target(endpoints: &[(&str, Role)]) -> Target {
    let endpoint = |(it, role): &(&str, Role)| Endpoint {
        name: name(it),
        role: *role,
        is_https: true,
        host: format!("{it}.contoso.example"),
        port: 443,
        path: "/Microsoft-Server-ActiveSync".to_owned(),
        generation: Some(Generation::Exchange2016),
        connect: None,
        trust: Trust::PublicOrStore,
        from: Vec::new(),
        published_on: Vec::new(),
        allow_plaintext_logon: false,
        logon_cost: None,
    };
    Target {
        id: TargetId::new("contoso").expect("a name"),
        display_name: String::new(),
        generation: Some(Generation::Exchange2016),
        endpoints: endpoints.iter().map(endpoint).collect(),
        accounts: vec![TargetAccount {
            account: AccountId::new("anna").expect("a name"),
            purpose: Purpose::Subject,
        }],
        events: Vec::new(),
    }
}

fn account() -> Account {
    Account {
        id: AccountId::new("anna").expect("a name"),
        directory: "corp".to_owned(),
        names: vec![UserName { form: NameForm::Upn, login: "anna@contoso.example".to_owned() }],
        upn: None,
        mailbox: Some(Generation::Exchange2016),
        lockout: LockoutPolicy { threshold: Threshold::At(10), window: None },
        secret_is_ascii: true,
        has_password: true,
    }
}

fn report(round: u32, place: usize, condition: Condition) -> Report {
    let host = u32::try_from(place % 2).unwrap_or(0);
    let address = IpAddr::V4(Ipv4Addr::from_bits(0xcb00_7107 + host));
    let took = Duration::from_millis(3);
    if condition == Condition::Silent {
        return Report::Silent(Silence::NoSession);
    }
    if condition == Condition::NoName {
        let dns = Outcome::Failed(DnsFailure::NxDomain);
        return Report::Seen(Sight { dns, observations: Vec::new() });
    }
    let dns = DnsFacts {
        source: DnsSource::NameServer(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 53)),
        cname_chain: Vec::new(),
        addresses: vec![address],
        left_out: 0,
        v4: FamilyAnswer::Addresses(vec![address]),
        v6: FamilyAnswer::NotAsked,
        took,
    };
    let tcp = if condition == Condition::Filtered {
        Outcome::Failed(TcpFailure::TimedOut { after: Duration::from_secs(10) })
    } else if condition == Condition::Refused {
        Outcome::Failed(TcpFailure::Refused)
    } else {
        Outcome::Done(TcpFacts { local_port: 50_000, took })
    };
    let is_open = tcp.done().is_some();
    let transport =
        Transport::Tls(if is_open { Outcome::Done(tls(took)) } else { Outcome::NotReached });
    let first = [
        Look::OPTIONS,
        Look::GET,
        Look::HEALTH_CHECK,
        Look::OWA,
        Look::NTLM_PROXY,
        Look::AUTODISCOVER_JSON,
    ];
    let looks = if round == 1 { &first[..] } else { &first[..2] };
    let exchanges = looks.iter().filter(|_| is_open).map(|it| exchange(it, condition)).collect();
    Report::Seen(Sight {
        dns: Outcome::Done(dns),
        observations: vec![Observation {
            address: SocketAddr::new(address, 443),
            tcp,
            transport,
            without_sni: Outcome::NotReached,
            exchanges,
        }],
    })
}

fn tls(took: Duration) -> TlsFacts {
    let trusted = ChainJudgement::Trusted;
    let certificate = |subject: &str, issuer: &str, first: u8| Certificate {
        sha256: [first; 32],
        subject: subject.to_owned(),
        issuer: issuer.to_owned(),
        serial: "01".to_owned(),
        names: vec!["published.contoso.example".to_owned(), "cas1.contoso.example".to_owned()],
        not_before: now() - Duration::from_hours(24 * 30),
        not_after: now() + Duration::from_hours(24 * 300),
    };
    TlsFacts {
        version: TlsVersion::Tls12,
        cipher: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384".to_owned(),
        alpn: None,
        chain: vec![
            certificate("CN=mail", "CN=Issuing", 1),
            certificate("CN=Issuing", "CN=Root", 2),
        ],
        trust: ChainTrust { public: trusted, store: trusted, endpoint: trusted },
        name_matches: true,
        dates_hold: true,
        client_certificate_requested: false,
        took,
    }
}

fn exchange(look: &Look, condition: Condition) -> Exchange {
    let is_active_sync = *look == Look::OPTIONS || *look == Look::GET;
    let basic = ("WWW-Authenticate", "Basic realm=\"mail\"");
    let (status, mut fields) = match condition {
        Condition::Forbidden if is_active_sync => (403, Vec::new()),
        Condition::NotAllowed if *look == Look::OPTIONS => (405, vec![("Allow", "GET, POST")]),
        Condition::BadGateway => (502, vec![("Server", "nginx")]),
        Condition::Portal => {
            (302, vec![("Location", "/my.policy"), ("Set-Cookie", "MRHSession=1")])
        }
        Condition::Unavailable => (503, vec![("Server", "Microsoft-HTTPAPI/2.0")]),
        Condition::NoBasic if is_active_sync => (401, vec![("WWW-Authenticate", "Negotiate")]),
        Condition::Healthy
        | Condition::Silent
        | Condition::NoName
        | Condition::Filtered
        | Condition::Refused
        | Condition::Forbidden
        | Condition::NotAllowed
        | Condition::NoBasic => {
            if is_active_sync {
                (401, vec![basic])
            } else {
                (200, Vec::new())
            }
        }
    };
    if matches!(condition, Condition::Healthy | Condition::NoBasic) {
        fields.extend([("Server", "Microsoft-IIS/10.0"), ("X-FEServer", "EX01")]);
        fields.extend([("X-Powered-By", "ASP.NET"), ("Date", "Sun, 25 Oct 2026 10:00:00 GMT")]);
    }
    let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let headers = Headers(fields.collect());
    let answer = Answer {
        version: HttpVersion::Http11,
        status,
        reason: String::new(),
        challenges: headers.challenges(),
        headers,
        headers_left_out: 0,
        body: Body::default(),
        type2: None,
        took: Duration::from_millis(5),
    };
    Exchange {
        look: look.clone(),
        connection: Connection { number: 0, local_port: 50_000 },
        sent: true,
        asked_for_certificate: false,
        outcome: Outcome::Done(answer),
    }
}
