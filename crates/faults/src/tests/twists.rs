//! What the notation cannot say: facts of any kind put upon evidence, wherever they may stand.
//!
//! Absent on purpose: sense. Nobody would meet most of what comes of it, and none of it may make the engine panic or be certain.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use parallax_model::{
    DnsFacts, DnsSource, Event, EventKind, Evidence, Exchange, FamilyAnswer, HttpFailure, Look,
    Observation, Outcome, Past, PathReport, Report, Sight, TcpFailure, TlsFacts, TlsFailure,
    TlsVersion, Transport, Type2,
};
use proptest::prelude::{Just, Strategy, any, prop, prop_oneof};

/// One thing that is otherwise.
#[derive(Clone, Debug)]
pub(super) enum Twist {
    Connection(Connecting),
    Answer(Answering),
    Declared(Declaring),
}

/// On the way to the server.
#[derive(Clone, Debug)]
pub(super) enum Connecting {
    /// A name server gave these addresses.
    Resolves(Vec<IpAddr>),
    /// The same again at an address beside it.
    AnotherAddress(IpAddr),
    TcpFails(TcpFailure),
    HandshakeFails(TlsFailure),
    /// Only the old stack got in.
    OldTls(TlsVersion),
    /// Without the server's name the certificate fits, or does not.
    WithoutSni(bool),
}

/// At one exchange.
#[derive(Clone, Debug)]
pub(super) enum Answering {
    AskedForCertificate,
    Fails(HttpFailure),
    /// The exchange once more, as the answer to another question.
    AlsoAsked(Look),
    Status(u16),
    Header(&'static str, &'static str),
    Took(Duration),
    Type2(&'static str),
}

/// Beside what was seen now.
#[derive(Clone, Debug)]
pub(super) enum Declaring {
    /// A report once more, so long ago.
    Before(Duration),
    Event(EventKind, Duration),
    PublishedOn(IpAddr),
    /// The endpoint is reached by its name alone.
    ByName,
}

/// Each with the place where it is put.
pub(super) fn twists() -> impl Strategy<Value = Vec<(usize, Twist)>> {
    prop::collection::vec((any::<usize>(), twist()), 0..10)
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        Just(IpAddr::from([203, 0, 113, 7])),
        Just(IpAddr::from([203, 0, 113, 8])),
        Just(IpAddr::from([10, 0, 0, 1])),
        Just(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 7])),
    ]
}

fn twist() -> impl Strategy<Value = Twist> {
    prop_oneof![3 => connecting().prop_map(Twist::Connection),
        5 => answering().prop_map(Twist::Answer),
        1 => declaring().prop_map(Twist::Declared)]
}

fn connecting() -> impl Strategy<Value = Connecting> {
    let second = Duration::from_secs(10);
    let handshake = prop_oneof![
        Just(TlsFailure::Alert { number: 40 }),
        Just(TlsFailure::Reset),
        Just(TlsFailure::Closed),
        Just(TlsFailure::TimedOut { after: second }),
        Just(TlsFailure::NotTls),
        Just(TlsFailure::ClientCertificateRequired),
        Just(TlsFailure::OurLimit { detail: String::new() }),
    ];
    let tcp = prop_oneof![
        Just(TcpFailure::Refused),
        Just(TcpFailure::Reset),
        Just(TcpFailure::Unreachable),
        Just(TcpFailure::TimedOut { after: second }),
        Just(TcpFailure::Other { detail: String::new() }),
    ];
    let version =
        prop_oneof![Just(TlsVersion::Tls10), Just(TlsVersion::Tls11), Just(TlsVersion::Tls12)];
    prop_oneof![
        version.prop_map(Connecting::OldTls),
        handshake.prop_map(Connecting::HandshakeFails),
        any::<bool>().prop_map(Connecting::WithoutSni),
        address().prop_map(Connecting::AnotherAddress),
        prop::collection::vec(address(), 1..3).prop_map(Connecting::Resolves),
        tcp.prop_map(Connecting::TcpFails),
    ]
}

const HEADERS: [(&str, &str); 16] = [
    ("Via", "1.1 TMG01"),
    ("Via", "1.1 proxy.contoso.example (squid/5.7)"),
    ("Server", "nginx"),
    ("Server", "BigIP"),
    ("Server", "cloudflare"),
    ("CF-RAY", "8a-FRA"),
    ("X-FEServer", "EX1"),
    ("X-BEServer", "EX1"),
    ("X-CalculatedBETarget", "ex1.contoso.example"),
    ("MS-Server-ActiveSync", "15.1"),
    ("X-MS-Location", "https://outlook-cba.office365.com/Microsoft-Server-ActiveSync"),
    ("Location", "https://mail.contoso.example/owa/auth/logon.aspx"),
    ("Location", "/my.policy"),
    ("Set-Cookie", "NSC_TMAS=1"),
    ("WWW-Authenticate", "Negotiate"),
    ("WWW-Authenticate", "Basic realm=\"SOGo\""),
];

fn answering() -> impl Strategy<Value = Answering> {
    let failure = prop_oneof![
        Just(HttpFailure::Reset),
        Just(HttpFailure::Closed),
        Just(HttpFailure::TimedOut { after: Duration::from_secs(10) }),
        Just(HttpFailure::Malformed { detail: String::new() }),
        Just(HttpFailure::UntrustedPeer),
    ];
    let status = prop_oneof![
        Just(200u16),
        Just(301),
        Just(302),
        Just(307),
        Just(400),
        Just(401),
        Just(403),
        Just(407),
        Just(421),
        Just(429),
        Just(449),
        Just(451),
        Just(456),
        Just(457),
        Just(500),
        Just(501),
        Just(502),
        Just(503),
        Just(504),
        Just(507)
    ];
    let look = prop_oneof![
        Just(Look::EXCHANGE),
        Just(Look::EWS),
        Just(Look::HEALTH_CHECK),
        Just(Look::AUTODISCOVER_JSON),
        Just(Look::NTLM),
        Just(Look::NTLM_PROXY),
        Just(Look::GET),
        Just(Look::OWA)
    ];
    let took = prop_oneof![Just(0u64), Just(9), Just(20), Just(60)];
    prop_oneof![
        1 => Just(Answering::AskedForCertificate),
        1 => failure.prop_map(Answering::Fails),
        4 => status.prop_map(Answering::Status),
        6 => prop::sample::select(HEADERS.as_slice()).prop_map(|(name, value)| Answering::Header(name, value)),
        1 => took.prop_map(|it| Answering::Took(Duration::from_secs(it))),
        1 => prop_oneof![Just("ex1"), Just("ex2")].prop_map(Answering::Type2),
        3 => look.prop_map(Answering::AlsoAsked),
    ]
}

fn declaring() -> impl Strategy<Value = Declaring> {
    let ago = || prop_oneof![Just(30u64), Just(900), Just(86_400)].prop_map(Duration::from_secs);
    let kind = prop_oneof![
        Just(EventKind::AdminChange),
        Just(EventKind::PasswordChange),
        Just(EventKind::Restart),
        Just(EventKind::Update),
        Just(EventKind::ServerLog)
    ];
    prop_oneof![
        ago().prop_map(Declaring::Before),
        (kind, ago()).prop_map(|(kind, ago)| Declaring::Event(kind, ago)),
        address().prop_map(Declaring::PublishedOn),
        Just(Declaring::ByName),
    ]
}

impl Twist {
    /// Puts it upon one of the places where it fits; where there is none, nothing happens.
    pub(super) fn apply(&self, place: usize, evidence: &mut Evidence) {
        if let Self::Declared(it) = self {
            it.apply(place, evidence);
            return;
        }
        let reports = evidence.rounds.iter_mut().flat_map(|it| &mut it.reports);
        let mut sights: Vec<&mut Sight> = reports
            .filter_map(|it| match &mut it.report {
                Report::Seen(sight) => Some(sight),
                Report::Refused { .. } | Report::Unable { .. } | Report::Silent(_) => None,
            })
            .collect();
        let Some(at) = place.checked_rem(sights.len()) else { return };
        let sight = &mut *sights[at];
        match self {
            Self::Connection(it) => it.apply(sight),
            Self::Answer(it) => {
                if let Some(observation) = sight.observations.first_mut() {
                    it.apply(place, &mut observation.exchanges);
                }
            }
            Self::Declared(_) => {}
        }
    }
}

impl Connecting {
    fn apply(&self, sight: &mut Sight) {
        if let Self::Resolves(addresses) = self {
            sight.dns = Outcome::Done(asked(addresses.clone()));
        }
        let Some(first) = sight.observations.first_mut() else { return };
        let facts = first.transport.tls().cloned();
        match (self, facts) {
            (Self::AnotherAddress(address), _) => {
                let mut more = first.clone();
                more.address = SocketAddr::new(*address, first.address.port());
                add_address(sight, more);
            }
            (Self::TcpFails(failure), _) => {
                first.tcp = Outcome::Failed(failure.clone());
                end_after_tcp(first);
            }
            (Self::HandshakeFails(failure), Some(_)) => {
                first.transport = Transport::Tls(Outcome::Failed(failure.clone()));
                first.exchanges.clear();
            }
            (Self::OldTls(version), Some(facts)) => {
                let modern = TlsFailure::OurLimit { detail: String::new() };
                let old = Outcome::Done(TlsFacts { version: *version, ..facts });
                first.transport = Transport::OldTls { modern, old };
            }
            (Self::WithoutSni(name_matches), Some(facts)) => {
                let facts = TlsFacts { name_matches: *name_matches, ..facts };
                first.without_sni = Outcome::Done(facts);
            }
            (
                Self::Resolves(_) | Self::HandshakeFails(_) | Self::OldTls(_) | Self::WithoutSni(_),
                _,
            ) => {}
        }
    }
}

impl Answering {
    fn apply(&self, place: usize, exchanges: &mut Vec<Exchange>) {
        let Some(at) = place.checked_rem(exchanges.len()) else { return };
        if let Self::AlsoAsked(look) = self {
            let more = Exchange { look: look.clone(), ..exchanges[at].clone() };
            exchanges.push(more);
            return;
        }
        let exchange = &mut exchanges[at];
        match (self, &mut exchange.outcome) {
            (Self::AskedForCertificate, _) => exchange.asked_for_certificate = true,
            (Self::Fails(failure), outcome) => *outcome = Outcome::Failed(failure.clone()),
            (Self::Status(status), Outcome::Done(answer)) => answer.status = *status,
            (Self::Took(took), Outcome::Done(answer)) => answer.took = *took,
            (Self::Header(name, value), Outcome::Done(answer)) => {
                answer.headers.0.push(((*name).to_owned(), (*value).to_owned()));
                answer.challenges = answer.headers.challenges();
            }
            (Self::Type2(computer), Outcome::Done(answer)) => {
                let name = Some((*computer).to_owned());
                answer.type2 = Some(Type2 { netbios_computer: name, ..Type2::default() });
            }
            (
                Self::AlsoAsked(_)
                | Self::Status(_)
                | Self::Took(_)
                | Self::Header(..)
                | Self::Type2(_),
                _,
            ) => {}
        }
    }
}

impl Declaring {
    fn apply(&self, place: usize, evidence: &mut Evidence) {
        let count = evidence.target.endpoints.len();
        let endpoint = &mut evidence.target.endpoints[place % count];
        match self {
            Self::PublishedOn(address) => endpoint.published_on.push(*address),
            Self::ByName => endpoint.connect = None,
            Self::Event(kind, ago) => {
                let (at, text) = (evidence.now - *ago, "4776".to_owned());
                evidence.target.events.push(Event { at, kind: *kind, text });
            }
            Self::Before(ago) => {
                let at = evidence.now - *ago;
                let reports: Vec<&PathReport> =
                    evidence.rounds.iter().flat_map(|it| &it.reports).collect();
                let Some(report) = place.checked_rem(reports.len()).map(|it| reports[it]) else {
                    return;
                };
                if let Some(sight) = report.report.seen() {
                    let (path, sight) = (report.path.clone(), sight.clone());
                    evidence.history.push(Past { at, path, look: Look::OPTIONS, sight });
                    evidence.history.sort_by_key(|it| it.at);
                }
            }
        }
    }
}

fn add_address(sight: &mut Sight, more: Observation) {
    if let Outcome::Done(facts) = &mut sight.dns
        && !facts.addresses.contains(&more.address.ip())
    {
        facts.addresses.push(more.address.ip());
        sight.observations.push(more);
    }
}

fn end_after_tcp(observation: &mut Observation) {
    observation.exchanges.clear();
    if observation.transport != Transport::Plain {
        observation.transport = Transport::Tls(Outcome::NotReached);
    }
}

fn asked(addresses: Vec<IpAddr>) -> DnsFacts {
    DnsFacts {
        source: DnsSource::NameServer(SocketAddr::from(([10, 0, 0, 53], 53))),
        cname_chain: Vec::new(),
        v4: FamilyAnswer::Addresses(addresses.clone()),
        v6: FamilyAnswer::NotAsked,
        addresses,
        left_out: 0,
        took: Duration::ZERO,
    }
}
