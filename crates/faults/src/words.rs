//! What was seen, in the short technical words of the wire; the same in every language.

use std::time::Duration;

use parallax_model::{
    Answer, ChainJudgement, ChainProblem, Challenge, DnsFacts, DnsFailure, Exchange, Generation,
    HttpFailure, LimitBroken, Outcome, Silence, TcpFacts, TcpFailure, TlsFacts, TlsFailure,
    TlsVersion, Transport,
};

pub(crate) fn exchange(exchange: &Exchange) -> String {
    match &exchange.outcome {
        Outcome::Done(it) => answer(it),
        Outcome::Failed(it) => http_failure(it),
        Outcome::NotReached => "not reached".to_owned(),
    }
}

/// `401 Basic`, `200 MS-Server-ActiveSync 14.3`, `302 /owa/`.
pub(crate) fn answer(answer: &Answer) -> String {
    let mut text = answer.status.to_string();
    let schemes = schemes(&answer.challenges);
    if answer.status == 401 {
        text.push(' ');
        text.push_str(if schemes.is_empty() { "without a challenge" } else { &schemes });
    }
    if let Some(version) = answer.headers.first("MS-Server-ActiveSync") {
        text.push_str(" MS-Server-ActiveSync ");
        text.push_str(&shortened(version));
    }
    if let (300..=399 | 451, Some(place)) = (answer.status, place_named(answer)) {
        text.push(' ');
        text.push_str(&shortened(place));
    }
    text
}

fn place_named(answer: &Answer) -> Option<&str> {
    answer.headers.first("X-MS-Location").or_else(|| answer.headers.first("Location"))
}

/// The names of the schemes in order, each once.
pub(crate) fn schemes(challenges: &[Challenge]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for challenge in challenges {
        if !names.contains(&challenge.scheme.name()) {
            names.push(challenge.scheme.name());
        }
    }
    names.join(", ")
}

/// Text of a stranger, cut to one readable line of at most 80 characters.
pub(crate) fn shortened(text: &str) -> String {
    const CHARACTERS_MAX: usize = 80;
    let clean: String =
        text.chars().map(|it| if it.is_control() { '\u{fffd}' } else { it }).collect();
    if clean.chars().count() <= CHARACTERS_MAX {
        return clean;
    }
    clean.chars().take(CHARACTERS_MAX - 1).chain(['…']).collect()
}

pub(crate) fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64().round())
}

pub(crate) fn milliseconds(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}

pub(crate) fn dns(outcome: &Outcome<DnsFacts, DnsFailure>) -> String {
    match outcome {
        Outcome::Done(facts) => {
            let addresses: Vec<String> = facts.addresses.iter().map(ToString::to_string).collect();
            shortened(&addresses.join(", "))
        }
        Outcome::Failed(failure) => dns_failure(failure),
        Outcome::NotReached => "not reached".to_owned(),
    }
}

pub(crate) fn tcp(outcome: &Outcome<TcpFacts, TcpFailure>) -> String {
    match outcome {
        Outcome::Done(_) => "TCP opens".to_owned(),
        Outcome::Failed(failure) => tcp_failure(failure),
        Outcome::NotReached => "not reached".to_owned(),
    }
}

/// `TLS 1.2, certificate for mail.corp.example`, or how the handshake failed.
pub(crate) fn transport(transport: &Transport) -> String {
    match transport {
        Transport::Plain => "http".to_owned(),
        Transport::Tls(outcome) => tls(outcome),
        Transport::OldTls { modern, old } => {
            format!("modern client: {}; old client: {}", tls_failure(modern), tls(old))
        }
    }
}

pub(crate) fn tls(outcome: &Outcome<TlsFacts, TlsFailure>) -> String {
    match outcome {
        Outcome::Done(facts) => {
            let names = facts.chain.first().map(|leaf| leaf.names.join(", ")).unwrap_or_default();
            format!("{}, certificate for {}", tls_version(facts.version), shortened(&names))
        }
        Outcome::Failed(failure) => tls_failure(failure),
        Outcome::NotReached => "not reached".to_owned(),
    }
}

pub(crate) fn dns_failure(failure: &DnsFailure) -> String {
    match failure {
        DnsFailure::NxDomain => "NXDOMAIN".to_owned(),
        DnsFailure::ServFail => "SERVFAIL".to_owned(),
        DnsFailure::Refused => "REFUSED by the name server".to_owned(),
        DnsFailure::TimedOut { after } => format!("no DNS answer in {}", seconds(*after)),
        DnsFailure::NoAddress => "no A or AAAA record".to_owned(),
        DnsFailure::NoNameServer => "no name server".to_owned(),
        DnsFailure::ChainTooLong => "more than 8 CNAME records in a row".to_owned(),
        DnsFailure::Other { detail } => shortened(detail),
    }
}

pub(crate) fn tcp_failure(failure: &TcpFailure) -> String {
    match failure {
        TcpFailure::Refused => "connection refused".to_owned(),
        TcpFailure::Reset => "connection reset".to_owned(),
        TcpFailure::TimedOut { after } => format!("no answer to SYN in {}", seconds(*after)),
        TcpFailure::Unreachable => "network unreachable".to_owned(),
        TcpFailure::Other { detail } => shortened(detail),
    }
}

pub(crate) fn tls_failure(failure: &TlsFailure) -> String {
    match failure {
        TlsFailure::Alert { number } => format!("TLS alert {number}"),
        TlsFailure::Reset => "reset in the TLS handshake".to_owned(),
        TlsFailure::Closed => "closed in the TLS handshake".to_owned(),
        TlsFailure::TimedOut { after } => format!("TLS handshake not done in {}", seconds(*after)),
        TlsFailure::NotTls => "not TLS".to_owned(),
        TlsFailure::ClientCertificateRequired => "client certificate required".to_owned(),
        TlsFailure::Limit { detail }
        | TlsFailure::OurLimit { detail }
        | TlsFailure::Other { detail } => shortened(detail),
    }
}

pub(crate) fn http_failure(failure: &HttpFailure) -> String {
    match failure {
        HttpFailure::Reset => "reset after the request".to_owned(),
        HttpFailure::Closed => "closed without an answer".to_owned(),
        HttpFailure::TimedOut { after } => format!("no answer in {}", seconds(*after)),
        HttpFailure::Malformed { detail } => format!("not HTTP: {}", shortened(detail)),
        HttpFailure::Limit(LimitBroken::HeadBytes) => "head larger than 64 KiB".to_owned(),
        HttpFailure::Limit(LimitBroken::HeaderCount) => "more than 100 header fields".to_owned(),
        HttpFailure::Limit(LimitBroken::InterimResponses) => {
            "more than 10 interim responses".to_owned()
        }
        HttpFailure::Limit(LimitBroken::Progress) => "less than 1 KiB in 5 s".to_owned(),
        HttpFailure::NoConnection { detail } => format!("no connection: {}", shortened(detail)),
        HttpFailure::UntrustedPeer => "not sent: certificate not trusted".to_owned(),
        HttpFailure::NotPermitted { reason } => format!("not sent: {}", shortened(reason)),
        HttpFailure::Other { detail } => shortened(detail),
    }
}

pub(crate) fn tls_version(version: TlsVersion) -> &'static str {
    match version {
        TlsVersion::Tls10 => "TLS 1.0",
        TlsVersion::Tls11 => "TLS 1.1",
        TlsVersion::Tls12 => "TLS 1.2",
        TlsVersion::Tls13 => "TLS 1.3",
    }
}

pub(crate) fn chain_judgement(judgement: ChainJudgement) -> &'static str {
    match judgement {
        ChainJudgement::Trusted => "trusted",
        ChainJudgement::Untrusted(ChainProblem::UnknownIssuer) => "unknown issuer",
        ChainJudgement::Untrusted(ChainProblem::SelfSigned) => "self-signed",
        ChainJudgement::Untrusted(ChainProblem::BadSignature) => "bad signature",
        ChainJudgement::Untrusted(ChainProblem::Unusable) => "unusable certificate",
        ChainJudgement::Untrusted(ChainProblem::NotPinned) => "not pinned",
    }
}

pub(crate) fn silence(silence: &Silence) -> &'static str {
    match silence {
        Silence::NoSession => "no session",
        Silence::Lost => "session lost",
        Silence::Late => "no report in time",
        Silence::Cancelled => "cancelled",
    }
}

pub(crate) fn generation(generation: Generation) -> &'static str {
    match generation {
        Generation::Exchange2003 => "Exchange 2003",
        Generation::Exchange2007 => "Exchange 2007",
        Generation::Exchange2010 => "Exchange 2010",
        Generation::Exchange2013 => "Exchange 2013",
        Generation::Exchange2016 => "Exchange 2016",
        Generation::Exchange2019 => "Exchange 2019",
        Generation::SubscriptionEdition => "Exchange SE",
        Generation::Online => "Exchange Online",
        Generation::Other => "not Exchange",
    }
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
