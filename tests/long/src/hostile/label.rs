//! What does a sight say of the phase in which it ended, in a few words that a table can name?
//!
//! Absent on purpose: opinions, and the texts of other libraries beyond the word that tells one failure from another.

use parallax_model::{
    Answer, BodyEnd, ChainJudgement, ChainProblem, DnsFailure, Exchange, HttpFailure, LimitBroken,
    Observation, Outcome, Sight, TcpFailure, TlsFacts, TlsFailure,
};

/// `dns …` when that is where it ended, else the number of addresses kept and left out.
pub(super) fn dns(sight: &Sight) -> String {
    match &sight.dns {
        Outcome::NotReached => "dns not reached".to_owned(),
        Outcome::Failed(failure) => format!("dns {}", dns_failure(failure)),
        Outcome::Done(facts) => {
            let (kept, passed) = (facts.addresses.len(), facts.cname_chain.len());
            format!("dns found {kept} left out {} aliases {passed}", facts.left_out)
        }
    }
}

fn dns_failure(failure: &DnsFailure) -> String {
    match failure {
        DnsFailure::NxDomain => "nxdomain".to_owned(),
        DnsFailure::ServFail => "servfail".to_owned(),
        DnsFailure::Refused => "refused".to_owned(),
        DnsFailure::TimedOut { .. } => "timed out".to_owned(),
        DnsFailure::NoAddress => "no address".to_owned(),
        DnsFailure::NoNameServer => "no name server".to_owned(),
        DnsFailure::ChainTooLong => "chain too long".to_owned(),
        DnsFailure::Other { detail } => format!("other: {detail}"),
    }
}

/// The transport of the first address that was dialled.
pub(super) fn transport(observation: &Observation) -> String {
    match &observation.tcp {
        Outcome::NotReached => return "tcp not reached".to_owned(),
        Outcome::Failed(failure) => return format!("tcp {}", tcp(failure)),
        Outcome::Done(_) => {}
    }
    match observation.transport.handshake() {
        None => "plain".to_owned(),
        Some(Outcome::NotReached) => "tls not reached".to_owned(),
        Some(Outcome::Failed(failure)) => format!("tls {}", tls(failure)),
        Some(Outcome::Done(facts)) => format!("tls {}", session(facts)),
    }
}

fn tcp(failure: &TcpFailure) -> String {
    match failure {
        TcpFailure::Refused => "refused".to_owned(),
        TcpFailure::Reset => "reset".to_owned(),
        TcpFailure::TimedOut { .. } => "timed out".to_owned(),
        TcpFailure::Unreachable => "unreachable".to_owned(),
        TcpFailure::Other { detail } => format!("other: {detail}"),
    }
}

fn tls(failure: &TlsFailure) -> String {
    match failure {
        TlsFailure::Alert { number } => format!("alert {number}"),
        TlsFailure::Reset => "reset".to_owned(),
        TlsFailure::Closed => "closed".to_owned(),
        TlsFailure::TimedOut { .. } => "timed out".to_owned(),
        TlsFailure::NotTls => "not tls".to_owned(),
        TlsFailure::ClientCertificateRequired => "client certificate required".to_owned(),
        TlsFailure::Limit { .. } => "limit".to_owned(),
        TlsFailure::OurLimit { .. } => "our limit".to_owned(),
        TlsFailure::Other { detail } => format!("other: {detail}"),
    }
}

fn session(facts: &TlsFacts) -> String {
    let mut words = vec![match facts.trust.endpoint {
        ChainJudgement::Trusted => "trusted",
        ChainJudgement::Untrusted(ChainProblem::UnknownIssuer) => "unknown issuer",
        ChainJudgement::Untrusted(ChainProblem::SelfSigned) => "self-signed",
        ChainJudgement::Untrusted(ChainProblem::BadSignature) => "bad signature",
        ChainJudgement::Untrusted(ChainProblem::Unusable) => "unusable",
        ChainJudgement::Untrusted(ChainProblem::NotPinned) => "not pinned",
    }];
    words.extend((!facts.name_matches).then_some("wrong name"));
    words.extend((!facts.dates_hold).then_some("out of date"));
    words.extend(facts.client_certificate_requested.then_some("asks for a certificate"));
    words.join(", ")
}

/// What one exchange came to.
pub(super) fn exchange(exchange: Option<&Exchange>) -> String {
    match exchange.map(|it| &it.outcome) {
        None => "http none".to_owned(),
        Some(Outcome::NotReached) => "http not reached".to_owned(),
        Some(Outcome::Failed(failure)) => format!("http {}", http(failure)),
        Some(Outcome::Done(answer)) => format!("http {} {}", answer.status, body(answer)),
    }
}

fn body(answer: &Answer) -> &'static str {
    match answer.body.end {
        BodyEnd::Whole => "whole",
        BodyEnd::Bound => "bound",
        BodyEnd::TimedOut => "timed out",
        BodyEnd::TooSlow => "too slow",
        BodyEnd::Broken => "broken",
    }
}

fn http(failure: &HttpFailure) -> String {
    match failure {
        HttpFailure::Reset => "reset".to_owned(),
        HttpFailure::Closed => "closed".to_owned(),
        HttpFailure::TimedOut { .. } => "timed out".to_owned(),
        HttpFailure::Malformed { .. } => "malformed".to_owned(),
        HttpFailure::Limit(LimitBroken::HeadBytes) => "limit head bytes".to_owned(),
        HttpFailure::Limit(LimitBroken::HeaderCount) => "limit header count".to_owned(),
        HttpFailure::Limit(LimitBroken::InterimResponses) => "limit interim".to_owned(),
        HttpFailure::Limit(LimitBroken::Progress) => "limit progress".to_owned(),
        HttpFailure::NoConnection { detail } => format!("no connection: {detail}"),
        HttpFailure::UntrustedPeer => "untrusted".to_owned(),
        HttpFailure::NotPermitted { reason } => format!("not permitted: {reason}"),
        HttpFailure::Other { detail } => format!("other: {detail}"),
    }
}

/// Whether a label is one of the expected ones: alternatives stand between ` | `, a `*` at the end stands for anything.
pub(super) fn fits(label: &str, expected: &str) -> bool {
    expected.split(" | ").any(|one| match one.strip_suffix('*') {
        Some(beginning) => label.starts_with(beginning),
        None => label == one,
    })
}
