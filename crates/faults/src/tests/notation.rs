//! A notation for evidence: one line per path and round.
//!
//! `round vantage endpoint  word word …` where the words are `silent`, `dns=nxdomain`, `tcp=timeout`, `tcp=refused`,
//! `tls=expired|name|leaf`, `OPTIONS=401:Basic`, `GET=…`, `OWA=…`, `AD=…` (Autodiscover), `nobody=…` (a user name that cannot
//! exist) and `logon:ACCOUNT[:FORM]=200`. A status may be followed by `:` and the schemes, joined by `+`; `+fe` after a
//! status adds `X-FEServer`, `+slow` makes it late. A 200 to a logon has `ActiveSync` headers, `200-` has none.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use parallax_model::{
    Account, AccountId, Answer, Body, Certificate, ChainJudgement, ChainProblem, ChainTrust,
    Connection, Credential, DnsFacts, DnsFailure, DnsSource, Endpoint, EndpointName, Evidence,
    Exchange, FamilyAnswer, Generation, Headers, HttpVersion, LockoutPolicy, Look, Method,
    NameForm, Observation, Outcome, PathId, PathReport, Place, Purpose, Report, Role, Round, Sight,
    Silence, Target, TargetAccount, TargetId, TcpFacts, TcpFailure, Threshold, TlsFacts,
    TlsVersion, Transport, Trust, UserName, Vantage, VantageName, Zone,
};

/// The reference time of every evidence here.
pub(super) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(498_000)
}

/// Four vantages, a published name, a CAS and a back end of 2003; `anna` lives on the back end, `pilot` on the CAS.
pub(super) fn evidence(generation: Generation, lines: &str) -> Evidence {
    let mut evidence = Evidence {
        target: target(generation),
        accounts: vec![account("anna", Generation::Exchange2003), account("pilot", generation)],
        vantages: [
            ("ext", Zone::External),
            ("dmz", Zone::Dmz),
            ("cas", Zone::Internal),
            ("be", Zone::Backend),
        ]
        .map(|(name, zone)| Vantage { name: vantage(name), zone, site: "hq".to_owned() })
        .to_vec(),
        rounds: Vec::new(),
        history: Vec::new(),
        now: now(),
    };
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace();
        let number: u32 = words.next().and_then(|it| it.parse().ok()).expect("a round");
        let path = PathId {
            vantage: vantage(words.next().expect("a vantage")),
            endpoint: EndpointName::new(words.next().expect("an endpoint")).expect("a name"),
        };
        let report = report(&evidence.target, &path, &words.collect::<Vec<_>>());
        while evidence.rounds.len() < number as usize {
            let number = u32::try_from(evidence.rounds.len() + 1).expect("few rounds");
            evidence.rounds.push(Round { number, reports: Vec::new() });
        }
        evidence.rounds[number as usize - 1].reports.push(PathReport { path, report });
    }
    evidence
}

fn vantage(name: &str) -> VantageName {
    VantageName::new(name).expect("a name")
}

fn target(generation: Generation) -> Target {
    let endpoint = |name: &str, role, is_https, generation| Endpoint {
        name: EndpointName::new(name).expect("a name"),
        role,
        is_https,
        host: format!("{name}.contoso.example"),
        port: if is_https { 443 } else { 80 },
        path: "/Microsoft-Server-ActiveSync".to_owned(),
        generation,
        connect: (role != Role::External).then(|| IpAddr::from([10, 0, 0, 1])),
        trust: Trust::PublicOrStore,
        from: Vec::new(),
        published_on: Vec::new(),
        allow_plaintext_logon: !is_https,
        logon_cost: None,
    };
    Target {
        id: TargetId::new("contoso").expect("a name"),
        display_name: String::new(),
        generation: Some(generation),
        endpoints: vec![
            endpoint("published", Role::External, true, None),
            endpoint("cas1", Role::Cas, true, Some(generation)),
            endpoint("be03", Role::Backend, false, Some(Generation::Exchange2003)),
            endpoint("control", Role::Control, true, None),
        ],
        accounts: [("anna", Purpose::Subject), ("pilot", Purpose::Witness)]
            .map(|(name, purpose)| TargetAccount {
                account: AccountId::new(name).expect("a name"),
                purpose,
            })
            .to_vec(),
        events: Vec::new(),
    }
}

pub(super) fn account(name: &str, mailbox: Generation) -> Account {
    Account {
        id: AccountId::new(name).expect("a name"),
        directory: "corp".to_owned(),
        names: vec![UserName { form: NameForm::Upn, login: format!("{name}@contoso.example") }],
        upn: None,
        mailbox: Some(mailbox),
        lockout: LockoutPolicy { threshold: Threshold::At(10), window: None },
        secret_is_ascii: true,
        has_password: true,
    }
}

fn report(target: &Target, path: &PathId, words: &[&str]) -> Report {
    if words.contains(&"silent") {
        return Report::Silent(Silence::NoSession);
    }
    let value = |key: &str| words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    let endpoint = target.endpoint(&path.endpoint).expect("an endpoint");
    if let Some(failure) = value("dns") {
        let failure =
            if failure == "servfail" { DnsFailure::ServFail } else { DnsFailure::NxDomain };
        return Report::Seen(Sight { dns: Outcome::Failed(failure), observations: Vec::new() });
    }
    let address =
        SocketAddr::new(endpoint.connect.unwrap_or(IpAddr::from([203, 0, 113, 7])), endpoint.port);
    let tcp = match value("tcp") {
        Some("timeout") => Outcome::Failed(TcpFailure::TimedOut { after: Duration::from_secs(10) }),
        Some("refused") => Outcome::Failed(TcpFailure::Refused),
        _ => Outcome::Done(TcpFacts { local_port: 50_000, took: Duration::from_millis(2) }),
    };
    let reached = tcp.done().is_some();
    let transport = match endpoint.is_https {
        false => Transport::Plain,
        true if reached => Transport::Tls(Outcome::Done(tls(value("tls").unwrap_or_default()))),
        true => Transport::Tls(Outcome::NotReached),
    };
    let exchanges = words.iter().filter_map(|word| exchange(word)).collect();
    let observations =
        vec![Observation { address, tcp, transport, without_sni: Outcome::NotReached, exchanges }];
    let dns = DnsFacts {
        source: DnsSource::Declared,
        cname_chain: Vec::new(),
        addresses: vec![address.ip()],
        left_out: 0,
        v4: FamilyAnswer::NotAsked,
        v6: FamilyAnswer::NotAsked,
        took: Duration::ZERO,
    };
    Report::Seen(Sight { dns: Outcome::Done(dns), observations })
}

fn tls(defect: &str) -> TlsFacts {
    let certificate = |subject: &str, issuer: &str| Certificate {
        sha256: [u8::try_from(defect.len()).unwrap_or(0); 32],
        subject: subject.to_owned(),
        issuer: issuer.to_owned(),
        serial: "01".to_owned(),
        names: vec!["published.contoso.example".to_owned()],
        not_before: now() - Duration::from_hours(24),
        not_after: if defect == "expired" {
            now() - Duration::from_hours(1)
        } else {
            now() + Duration::from_hours(24)
        },
    };
    let leaf = certificate("CN=leaf", "CN=Public CA");
    let leaf = if defect == "inspected" { certificate("CN=leaf", "CN=Inspection") } else { leaf };
    let judgement = if matches!(defect, "leaf" | "inspected") {
        ChainJudgement::Untrusted(ChainProblem::UnknownIssuer)
    } else {
        ChainJudgement::Trusted
    };
    TlsFacts {
        version: TlsVersion::Tls13,
        cipher: "TLS13_AES_256_GCM_SHA384".to_owned(),
        alpn: None,
        chain: if defect == "leaf" {
            vec![leaf]
        } else {
            vec![leaf, certificate("CN=Public CA", "CN=Root")]
        },
        trust: ChainTrust { public: judgement, store: judgement, endpoint: judgement },
        name_matches: defect != "name",
        dates_hold: defect != "expired",
        client_certificate_requested: false,
        took: Duration::from_millis(9),
    }
}

fn exchange(word: &str) -> Option<Exchange> {
    let (what, said) = word.split_once('=')?;
    let look = match what {
        "OPTIONS" => Look::OPTIONS,
        "GET" => Look::GET,
        "OWA" => Look::OWA,
        "AD" => Look::AUTODISCOVER,
        "nobody" => Look::IMPOSSIBLE_USER,
        other => {
            let mut parts = other.strip_prefix("logon:")?.split(':');
            let account = AccountId::new(parts.next()?).expect("a name");
            let form = match parts.next() {
                Some("bare") => NameForm::Bare,
                Some("mail") => NameForm::Smtp,
                _ => NameForm::Upn,
            };
            Look {
                method: Method::Options,
                place: Place::ActiveSync,
                credential: Credential::Account { account, form },
            }
        }
    };
    let is_logon = look.is_logon();
    Some(Exchange {
        look,
        connection: Connection { number: 0, local_port: 50_000 },
        sent: true,
        asked_for_certificate: false,
        outcome: Outcome::Done(answer(said, is_logon)),
    })
}

fn answer(said: &str, is_logon: bool) -> Answer {
    let (said, marks) = said.split_once('+').map_or((said, ""), |(said, marks)| {
        if said.contains(':') { (said, "") } else { (said, marks) }
    });
    let (status, schemes) = said.split_once(':').unwrap_or((said, ""));
    let is_bare = status.ends_with('-');
    let status: u16 = status.trim_end_matches('-').parse().expect("a status");
    let mut headers = vec![("Server".to_owned(), "Microsoft-IIS/7.5".to_owned())];
    let schemes = if schemes.is_empty() && status == 401 { "Basic" } else { schemes };
    headers.extend(
        schemes
            .split('+')
            .filter(|it| !it.is_empty())
            .map(|it| ("WWW-Authenticate".to_owned(), it.to_owned())),
    );
    if is_logon && status == 200 && !is_bare {
        headers.push(("MS-ASProtocolVersions".to_owned(), "2.5".to_owned()));
        headers.push(("MS-ASProtocolCommands".to_owned(), "Sync".to_owned()));
    }
    if marks.contains("fe") {
        headers.push(("X-FEServer".to_owned(), "EX1".to_owned()));
    }
    let headers = Headers(headers);
    Answer {
        version: HttpVersion::Http11,
        status,
        reason: String::new(),
        challenges: headers.challenges(),
        headers,
        headers_left_out: 0,
        body: Body::default(),
        type2: None,
        took: if marks.contains("slow") {
            Duration::from_secs(20)
        } else {
            Duration::from_millis(30)
        },
    }
}

/// One line: verdict and standing, then the other findings and what is ruled out or open.
pub(super) fn summary(evidence: &Evidence) -> String {
    use parallax_model::{Standing, Verdict};

    let diagnosis = crate::diagnose(evidence);
    let mut text = match diagnosis.verdict {
        Verdict::Healthy => "healthy".to_owned(),
        Verdict::Undetermined => "undetermined".to_owned(),
        Verdict::Fault { fault, standing: Standing::Confirmed } => format!("{fault} confirmed"),
        Verdict::Fault { fault, standing: Standing::Likely } => format!("{fault} likely"),
    };
    let mut list = |name: &str, ids: Vec<String>| {
        if !ids.is_empty() {
            for part in ["; ", name, " ", &ids.join(" ")] {
                text.push_str(part);
            }
        }
    };
    list("latent", diagnosis.findings.iter().skip(1).map(|it| it.fault.to_string()).collect());
    list("open", diagnosis.open.iter().map(|it| it.fault.to_string()).collect());
    list("unexplained", diagnosis.unexplained.iter().map(|it| it.path.to_string()).collect());
    text
}
