//! Generators of model values as the product itself makes them: names in canonical form, lists within their bounds.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parallax_model::{
    Answer, Body, BodyEnd, Certificate, ChainJudgement, ChainProblem, ChainTrust, Connection,
    Credential, DnsFacts, DnsFailure, DnsSource, Exchange, FamilyAnswer, Headers, HttpFailure,
    HttpVersion, LimitBroken, Look, Method, NameForm, Observation, Outcome, PathId, PathReport,
    Place, Report, Sight, Silence, TcpFacts, TcpFailure, TlsFacts, TlsFailure, TlsVersion,
    Transport, Type2,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};

pub(crate) mod declared;

pub(crate) fn word() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9]{0,6}(-[a-z0-9]{1,4})?"
}

pub(crate) fn text() -> impl Strategy<Value = String> {
    ".{1,12}"
}

pub(crate) fn duration() -> impl Strategy<Value = Duration> {
    (0..100_000_u64, 0..1_000_000_000_u32)
        .prop_map(|(seconds, nanos)| Duration::new(seconds, nanos))
}

pub(crate) fn time() -> impl Strategy<Value = SystemTime> {
    (-60_000_000_000_i64..250_000_000_000, 0..1_000_000_000_u64).prop_map(|(seconds, nanos)| {
        let whole = Duration::from_secs(seconds.unsigned_abs());
        let at = if seconds < 0 { UNIX_EPOCH - whole } else { UNIX_EPOCH + whole };
        at + Duration::from_nanos(nanos)
    })
}

pub(crate) fn address() -> impl Strategy<Value = IpAddr> {
    any::<IpAddr>()
}

pub(crate) fn method() -> impl Strategy<Value = Method> {
    prop_oneof![Just(Method::Options), Just(Method::Get)]
}

pub(crate) fn place() -> impl Strategy<Value = Place> {
    prop_oneof![
        Just(Place::ActiveSync),
        Just(Place::ActiveSyncProxy),
        Just(Place::HealthCheck),
        Just(Place::Owa),
        Just(Place::Autodiscover),
        Just(Place::AutodiscoverJson),
        Just(Place::Ews),
        Just(Place::Exchange),
    ]
}

pub(crate) fn form() -> impl Strategy<Value = NameForm> {
    prop_oneof![
        Just(NameForm::Upn),
        Just(NameForm::Domain),
        Just(NameForm::Smtp),
        Just(NameForm::Bare),
    ]
}

fn free_credential() -> impl Strategy<Value = Credential> {
    prop_oneof![
        Just(Credential::None),
        Just(Credential::NtlmType1),
        Just(Credential::ImpossibleUser),
    ]
}

fn credential() -> impl Strategy<Value = Credential> {
    prop_oneof![
        free_credential(),
        (declared::account_id(), form())
            .prop_map(|(account, form)| Credential::Account { account, form }),
    ]
}

pub(crate) fn free_look() -> impl Strategy<Value = Look> {
    (method(), place(), free_credential()).prop_map(|(method, place, credential)| Look {
        method,
        place,
        credential,
    })
}

pub(crate) fn look() -> impl Strategy<Value = Look> {
    (method(), place(), credential()).prop_map(|(method, place, credential)| Look {
        method,
        place,
        credential,
    })
}

fn outcome<T: std::fmt::Debug + Clone, F: std::fmt::Debug + Clone>(
    done: impl Strategy<Value = T>,
    failed: impl Strategy<Value = F>,
) -> impl Strategy<Value = Outcome<T, F>> {
    prop_oneof![
        3 => done.prop_map(Outcome::Done),
        1 => failed.prop_map(Outcome::Failed),
        1 => Just(Outcome::NotReached),
    ]
}

fn dns_failure() -> impl Strategy<Value = DnsFailure> {
    prop_oneof![
        Just(DnsFailure::NxDomain),
        Just(DnsFailure::ServFail),
        Just(DnsFailure::Refused),
        duration().prop_map(|after| DnsFailure::TimedOut { after }),
        Just(DnsFailure::NoAddress),
        Just(DnsFailure::NoNameServer),
        Just(DnsFailure::ChainTooLong),
        text().prop_map(|detail| DnsFailure::Other { detail }),
    ]
}

fn family() -> impl Strategy<Value = FamilyAnswer> {
    prop_oneof![
        vec(address(), 0..4).prop_map(FamilyAnswer::Addresses),
        dns_failure().prop_map(FamilyAnswer::Failed),
        Just(FamilyAnswer::NotAsked),
    ]
}

fn dns_facts() -> impl Strategy<Value = DnsFacts> {
    let source = prop_oneof![
        Just(DnsSource::Declared),
        (address(), any::<u16>())
            .prop_map(|(ip, port)| DnsSource::NameServer(SocketAddr::new(ip, port))),
    ];
    let counts = 0..=100_000_u32;
    (source, vec(text(), 0..=8), vec(address(), 0..=16), counts, family(), family(), duration())
        .prop_map(|(source, cname_chain, addresses, left_out, v4, v6, took)| DnsFacts {
            source,
            cname_chain,
            addresses,
            left_out,
            v4,
            v6,
            took,
        })
}

fn tcp_failure() -> impl Strategy<Value = TcpFailure> {
    prop_oneof![
        Just(TcpFailure::Refused),
        Just(TcpFailure::Reset),
        duration().prop_map(|after| TcpFailure::TimedOut { after }),
        Just(TcpFailure::Unreachable),
        text().prop_map(|detail| TcpFailure::Other { detail }),
    ]
}

fn tls_failure() -> impl Strategy<Value = TlsFailure> {
    prop_oneof![
        any::<u8>().prop_map(|number| TlsFailure::Alert { number }),
        Just(TlsFailure::Reset),
        Just(TlsFailure::Closed),
        duration().prop_map(|after| TlsFailure::TimedOut { after }),
        Just(TlsFailure::NotTls),
        Just(TlsFailure::ClientCertificateRequired),
        text().prop_map(|detail| TlsFailure::Limit { detail }),
        text().prop_map(|detail| TlsFailure::OurLimit { detail }),
        text().prop_map(|detail| TlsFailure::Other { detail }),
    ]
}

fn judgement() -> impl Strategy<Value = ChainJudgement> {
    prop_oneof![
        Just(ChainJudgement::Trusted),
        Just(ChainJudgement::Untrusted(ChainProblem::UnknownIssuer)),
        Just(ChainJudgement::Untrusted(ChainProblem::SelfSigned)),
        Just(ChainJudgement::Untrusted(ChainProblem::BadSignature)),
        Just(ChainJudgement::Untrusted(ChainProblem::Unusable)),
        Just(ChainJudgement::Untrusted(ChainProblem::NotPinned)),
    ]
}

fn certificate() -> impl Strategy<Value = Certificate> {
    (any::<[u8; 32]>(), text(), text(), "[0-9a-f]{2,16}", vec(text(), 0..3), time(), time())
        .prop_map(|(sha256, subject, issuer, serial, names, not_before, not_after)| Certificate {
            sha256,
            subject,
            issuer,
            serial,
            names,
            not_before,
            not_after,
        })
}

fn tls_facts() -> impl Strategy<Value = TlsFacts> {
    let version = prop_oneof![
        Just(TlsVersion::Tls10),
        Just(TlsVersion::Tls11),
        Just(TlsVersion::Tls12),
        Just(TlsVersion::Tls13)
    ];
    let trust = (judgement(), judgement(), judgement())
        .prop_map(|(public, store, endpoint)| ChainTrust { public, store, endpoint });
    (
        version,
        text(),
        option::of(text()),
        vec(certificate(), 1..4),
        trust,
        any::<(bool, bool, bool)>(),
        duration(),
    )
        .prop_map(|(version, cipher, alpn, chain, trust, flags, took)| TlsFacts {
            version,
            cipher,
            alpn,
            chain,
            trust,
            name_matches: flags.0,
            dates_hold: flags.1,
            client_certificate_requested: flags.2,
            took,
        })
}

fn http_failure() -> impl Strategy<Value = HttpFailure> {
    prop_oneof![
        Just(HttpFailure::Reset),
        Just(HttpFailure::Closed),
        duration().prop_map(|after| HttpFailure::TimedOut { after }),
        text().prop_map(|detail| HttpFailure::Malformed { detail }),
        Just(HttpFailure::Limit(LimitBroken::HeadBytes)),
        Just(HttpFailure::Limit(LimitBroken::HeaderCount)),
        Just(HttpFailure::Limit(LimitBroken::InterimResponses)),
        Just(HttpFailure::Limit(LimitBroken::Progress)),
        text().prop_map(|detail| HttpFailure::NoConnection { detail }),
        Just(HttpFailure::UntrustedPeer),
        text().prop_map(|reason| HttpFailure::NotPermitted { reason }),
        text().prop_map(|detail| HttpFailure::Other { detail }),
    ]
}

fn type2() -> impl Strategy<Value = Type2> {
    let name = || option::of(text());
    (name(), name(), name(), name(), name(), option::of(time()), option::of(any::<(u8, u8, u16)>()))
        .prop_map(|(computer, domain, dns_computer, dns_domain, dns_tree, timestamp, version)| {
            Type2 {
                netbios_computer: computer,
                netbios_domain: domain,
                dns_computer,
                dns_domain,
                dns_tree,
                timestamp,
                version,
            }
        })
}

fn answer() -> impl Strategy<Value = Answer> {
    let version = prop_oneof![Just(HttpVersion::Http10), Just(HttpVersion::Http11)];
    let header = prop_oneof![
        (text(), text()),
        (Just("WWW-Authenticate".to_owned()), "(Basic realm=\"[a-z]*\"|NTLM [A-Za-z0-9+/]*=|.*)"),
    ];
    let end = prop_oneof![
        Just(BodyEnd::Whole),
        Just(BodyEnd::Bound),
        Just(BodyEnd::TimedOut),
        Just(BodyEnd::TooSlow),
        Just(BodyEnd::Broken),
    ];
    let body = (text(), 0..=65_536_u64, any::<[u8; 32]>(), end)
        .prop_map(|(beginning, length, sha256, end)| Body { beginning, length, sha256, end });
    let headers = (vec(header, 0..6), 0..=100_u32);
    (version, 100..1000_u16, text(), headers, body, option::of(type2()), duration()).prop_map(
        |(version, status, reason, (headers, headers_left_out), body, type2, took)| {
            let headers = Headers(headers);
            let challenges = headers.challenges();
            Answer {
                version,
                status,
                reason,
                headers,
                headers_left_out,
                challenges,
                body,
                type2,
                took,
            }
        },
    )
}

fn exchange() -> impl Strategy<Value = Exchange> {
    (
        look(),
        0..100_u32,
        any::<u16>(),
        any::<bool>(),
        any::<bool>(),
        outcome(answer().boxed(), http_failure().boxed()),
    )
        .prop_map(|(look, number, local_port, sent, asked_for_certificate, outcome)| {
            Exchange {
                look,
                connection: Connection { number, local_port },
                sent,
                asked_for_certificate,
                outcome,
            }
        })
}

fn observation() -> impl Strategy<Value = Observation> {
    let tcp =
        (any::<u16>(), duration()).prop_map(|(local_port, took)| TcpFacts { local_port, took });
    let transport = prop_oneof![
        Just(Transport::Plain),
        tls().prop_map(Transport::Tls),
        (tls_failure(), tls()).prop_map(|(modern, old)| Transport::OldTls { modern, old }),
    ];
    let tcp = outcome(tcp, tcp_failure());
    (address(), any::<u16>(), tcp, transport, tls(), vec(exchange(), 0..4)).prop_map(
        |(ip, port, tcp, transport, without_sni, exchanges)| Observation {
            address: SocketAddr::new(ip, port),
            tcp,
            transport,
            without_sni,
            exchanges,
        },
    )
}

fn tls() -> impl Strategy<Value = Outcome<TlsFacts, TlsFailure>> {
    outcome(tls_facts().boxed(), tls_failure().boxed())
}

pub(crate) fn path() -> impl Strategy<Value = PathId> {
    (declared::vantage_name(), declared::endpoint_name())
        .prop_map(|(vantage, endpoint)| PathId { vantage, endpoint })
}

pub(crate) fn report() -> impl Strategy<Value = PathReport> {
    let sight =
        (outcome(dns_facts().boxed(), dns_failure().boxed()), vec(observation().boxed(), 0..3))
            .prop_map(|(dns, observations)| Sight { dns, observations });
    let silence = prop_oneof![
        Just(Silence::NoSession),
        Just(Silence::Lost),
        Just(Silence::Late),
        Just(Silence::Cancelled),
    ];
    let report = prop_oneof![
        4 => sight.prop_map(Report::Seen),
        1 => text().prop_map(|rule| Report::Refused { rule }),
        1 => text().prop_map(|detail| Report::Unable { detail }),
        1 => silence.prop_map(Report::Silent),
    ];
    (path(), report).prop_map(|(path, report)| PathReport { path, report })
}
