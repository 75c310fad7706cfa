//! Whether what an agent says keeps to the bounds of the protocol, field by field.
//!
//! A message is at most 1 MiB and prost ends the nesting; lists have their bound where they are decoded. Here it is the texts:
//! ids, and what a report repeats of its target. Absent on purpose: what a message means.
//!
//! INVARIANT: nothing that an agent said is repeated in an error here.

use parallax_wire::pb;
use parallax_wire::pb::{
    dns_facts, dns_outcome, exchange, observation, path_report, tcp_outcome, tls_outcome,
};
use tonic::Status;

/// Ids of tasks and attempts, in bytes; ours are UUIDs.
const ID_BYTES_MAX: usize = 128;
/// An X25519 public key (RFC 7748 section 5).
const PUBLIC_KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 16;
/// Any text of a report, in bytes. The largest that an honest agent sends is a header field: 16 KiB, of which every byte
/// outside UTF-8 became three.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Names in one certificate.
const NAMES_MAX: usize = 1000;

/// A breach of the protocol: no honest agent sends this.
pub(super) type Checked = Result<(), Status>;

fn wrong(field: &str, expected: &str) -> Status {
    Status::invalid_argument(format!("`{field}`: has to be {expected}"))
}

/// The id of a task.
pub(super) fn check_task(task: &str, field: &str) -> Checked {
    if (1..=ID_BYTES_MAX).contains(&task.len()) {
        Ok(())
    } else {
        Err(wrong(field, "1 to 128 bytes"))
    }
}

/// The id of an attempt; empty where there is none.
pub(super) fn check_attempt(attempt: &str, field: &str) -> Checked {
    if attempt.len() <= ID_BYTES_MAX { Ok(()) } else { Err(wrong(field, "at most 128 bytes")) }
}

/// The key that a secret is sealed for.
pub(super) fn check_public_key(key: &[u8], field: &str) -> Checked {
    if key.len() == PUBLIC_KEY_BYTES { Ok(()) } else { Err(wrong(field, "32 bytes")) }
}

/// The nonce of a result; empty where there was no logon.
pub(super) fn check_result_nonce(nonce: &[u8], field: &str) -> Checked {
    if nonce.is_empty() || nonce.len() == NONCE_BYTES {
        Ok(())
    } else {
        Err(wrong(field, "16 bytes, or none"))
    }
}

/// The first text of a report that is too long, or list that has no bound of its own. A target may have provoked it, so it makes
/// the report unreadable and is no breach.
pub(super) fn find_oversize(report: &pb::PathReport) -> Option<&'static str> {
    use path_report::Report;
    match report.report.as_ref()? {
        Report::Refused(it) => too_long(&it.rule, "refused.rule"),
        Report::Unable(it) => too_long(&it.detail, "unable.detail"),
        Report::Silent(_) => None,
        Report::Seen(sight) => {
            in_dns(sight).or_else(|| sight.observations.iter().find_map(in_observation))
        }
    }
}

fn too_long(text: &str, field: &'static str) -> Option<&'static str> {
    (text.len() > TEXT_BYTES_MAX).then_some(field)
}

fn in_dns(sight: &pb::Sight) -> Option<&'static str> {
    use dns_outcome::Outcome;
    match sight.dns.as_ref()?.outcome.as_ref()? {
        Outcome::Done(facts) => {
            let server = facts.source.as_ref().and_then(|it| match it {
                dns_facts::Source::NameServer(text) => too_long(text, "dns.name_server"),
                dns_facts::Source::Declared(_) => None,
            });
            let mut chain = facts.cname_chain.iter();
            server.or_else(|| chain.find_map(|it| too_long(it, "dns.cname_chain")))
        }
        Outcome::Failed(failure) => too_long(&failure.detail, "dns.detail"),
        Outcome::NotReached(_) => None,
    }
}

fn in_observation(observation: &pb::Observation) -> Option<&'static str> {
    let tcp = observation.tcp.as_ref().and_then(|it| match it.outcome.as_ref()? {
        tcp_outcome::Outcome::Failed(failure) => too_long(&failure.detail, "tcp.detail"),
        tcp_outcome::Outcome::Done(_) | tcp_outcome::Outcome::NotReached(_) => None,
    });
    let tls = observation.transport.as_ref().and_then(|it| match it {
        observation::Transport::Tls(tls) => in_tls(tls),
        observation::Transport::OldTls(both) => {
            let modern = both.modern.as_ref().and_then(|it| too_long(&it.detail, "tls.detail"));
            modern.or_else(|| in_tls(both.old.as_ref()?))
        }
        observation::Transport::Plain(_) => None,
    });
    let tls = tls.or_else(|| in_tls(observation.without_sni.as_ref()?));
    tcp.or(tls).or_else(|| observation.exchanges.iter().find_map(in_exchange))
}

fn in_tls(outcome: &pb::TlsOutcome) -> Option<&'static str> {
    match outcome.outcome.as_ref()? {
        tls_outcome::Outcome::Done(facts) => too_long(&facts.cipher, "tls.cipher")
            .or_else(|| too_long(&facts.alpn, "tls.alpn"))
            .or_else(|| facts.chain.iter().find_map(in_certificate)),
        tls_outcome::Outcome::Failed(failure) => too_long(&failure.detail, "tls.detail"),
        tls_outcome::Outcome::NotReached(_) => None,
    }
}

fn in_certificate(certificate: &pb::Certificate) -> Option<&'static str> {
    let pb::Certificate { subject, issuer, serial, names, .. } = certificate;
    if names.len() > NAMES_MAX {
        return Some("tls.chain.names");
    }
    too_long(subject, "tls.chain.subject")
        .or_else(|| too_long(issuer, "tls.chain.issuer"))
        .or_else(|| too_long(serial, "tls.chain.serial"))
        .or_else(|| names.iter().find_map(|it| too_long(it, "tls.chain.names")))
}

fn in_exchange(exchange: &pb::Exchange) -> Option<&'static str> {
    match exchange.outcome.as_ref()? {
        exchange::Outcome::Done(answer) => {
            let mut headers = answer.headers.iter();
            too_long(&answer.reason, "answer.reason")
                .or_else(|| too_long(&answer.body_beginning, "answer.body_beginning"))
                .or_else(|| {
                    headers.find_map(|it| {
                        too_long(&it.name, "answer.headers.name")
                            .or_else(|| too_long(&it.value, "answer.headers.value"))
                    })
                })
        }
        exchange::Outcome::Failed(pb::HttpFailure { detail, .. }) => {
            too_long(detail, "exchange.detail")
        }
        exchange::Outcome::NotReached(_) => None,
    }
}
