//! The DNS stage against scripted name servers.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{Name, RData};
use parallax_model::{DnsFacts, DnsFailure, DnsSource, FamilyAnswer};

use super::name_server::{Asked, NameServer, alias, code, records};
use super::network::{HOST, Network, http};
use crate::dns::run;

const LIMIT: Duration = Duration::from_secs(3);

fn v4(last: u8) -> RData {
    RData::A(A::new(192, 0, 2, last))
}

fn v6(last: u16) -> RData {
    RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last))
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().expect("address")).collect()
}

async fn resolve(servers: &[&NameServer]) -> Result<DnsFacts, DnsFailure> {
    resolve_within(servers, LIMIT).await
}

async fn resolve_within(servers: &[&NameServer], limit: Duration) -> Result<DnsFacts, DnsFailure> {
    let sockets: Vec<SocketAddr> = servers.iter().map(|it| it.socket).collect();
    let name = Name::from_ascii(format!("{HOST}.")).expect("name");
    let found = run(&sockets, &name, limit).await;
    found.map(|(facts, addresses)| {
        assert_eq!(facts.addresses, addresses);
        facts
    })
}

/// Answers A with one code and AAAA with another.
async fn with_codes(a: ResponseCode, aaaa: ResponseCode) -> NameServer {
    NameServer::start(move |query, record| {
        Some(code(query, if record == Asked::A { a } else { aaaa }))
    })
    .await
}

fn healthy(query: &Message, record: Asked) -> Message {
    let data = if record == Asked::A { v4(1) } else { v6(1) };
    records(query, &[(HOST, data)])
}

#[tokio::test]
async fn both_families_and_the_chain_are_kept() {
    let server = NameServer::start(|query, record| {
        let chain =
            [(HOST, alias("edge.example.net.")), ("edge.example.net", alias("Node7.example.net."))];
        let mut data = chain.to_vec();
        match record {
            Asked::A => {
                data.extend([("node7.example.net", v4(2)), ("node7.example.net", v4(1))]);
            }
            Asked::Aaaa => data.push(("node7.example.net", v6(9))),
        }
        // Somebody else's address in the same answer is not ours.
        data.push(("other.example.net", v4(66)));
        Some(records(query, &data))
    })
    .await;
    let facts = resolve(&[&server]).await.expect("resolved");
    assert_eq!(facts.source, DnsSource::NameServer(server.socket));
    assert_eq!(facts.cname_chain, ["edge.example.net", "node7.example.net"]);
    assert_eq!(facts.addresses, ips(&["192.0.2.2", "192.0.2.1", "2001:db8::9"]));
    assert_eq!(facts.v4, FamilyAnswer::Addresses(ips(&["192.0.2.2", "192.0.2.1"])));
    assert_eq!(facts.v6, FamilyAnswer::Addresses(ips(&["2001:db8::9"])));
}

#[tokio::test]
async fn one_family_that_fails_does_not_hide_the_other() {
    let server = NameServer::start(|query, record| match record {
        Asked::A => Some(healthy(query, record)),
        Asked::Aaaa => Some(code(query, ResponseCode::ServFail)),
    })
    .await;
    let facts = resolve(&[&server]).await.expect("resolved");
    assert_eq!(facts.v4, FamilyAnswer::Addresses(ips(&["192.0.2.1"])));
    assert_eq!(facts.v6, FamilyAnswer::Failed(DnsFailure::ServFail));

    let silent = NameServer::start(|query, record| match record {
        Asked::A => Some(healthy(query, record)),
        Asked::Aaaa => None,
    })
    .await;
    let facts = resolve(&[&silent]).await.expect("resolved");
    assert!(matches!(facts.v6, FamilyAnswer::Failed(DnsFailure::TimedOut { .. })));
}

#[tokio::test]
async fn every_refusal_has_its_name() {
    use ResponseCode::{NXDomain, NoError, Refused, ServFail};
    for (a, aaaa, expected) in [
        (NXDomain, NXDomain, DnsFailure::NxDomain),
        (NXDomain, NoError, DnsFailure::NxDomain),
        (ServFail, ServFail, DnsFailure::ServFail),
        (NoError, ServFail, DnsFailure::ServFail),
        (Refused, Refused, DnsFailure::Refused),
        (NoError, NoError, DnsFailure::NoAddress),
    ] {
        let server = with_codes(a, aaaa).await;
        assert_eq!(resolve(&[&server]).await, Err(expected), "{a:?} {aaaa:?}");
    }
    let server = with_codes(ResponseCode::NotImp, ResponseCode::NotImp).await;
    assert!(matches!(resolve(&[&server]).await, Err(DnsFailure::Other { .. })));
    assert_eq!(resolve(&[]).await, Err(DnsFailure::NoNameServer));
}

#[tokio::test]
async fn silence_passes_the_question_on() {
    let silent = NameServer::start(|_, _| None).await;
    let good = NameServer::start(|query, record| Some(healthy(query, record))).await;
    let facts = resolve(&[&silent, &good]).await.expect("resolved");
    assert_eq!(facts.source, DnsSource::NameServer(good.socket));
    assert_eq!((silent.asked(Asked::A), silent.asked(Asked::Aaaa)), (1, 1));
}

#[tokio::test]
async fn a_server_that_cannot_tell_passes_the_question_on_and_one_that_can_does_not() {
    use ResponseCode::{NXDomain, NoError, Refused, ServFail};
    for declines in [ServFail, Refused, ResponseCode::NotImp] {
        let declining = with_codes(declines, declines).await;
        let good = NameServer::start(|query, record| Some(healthy(query, record))).await;
        let facts = resolve(&[&declining, &good]).await.expect("resolved");
        assert_eq!(facts.source, DnsSource::NameServer(good.socket));
        assert_eq!(facts.addresses, ips(&["192.0.2.1", "2001:db8::1"]));
        assert_eq!((declining.asked(Asked::A), declining.asked(Asked::Aaaa)), (1, 1));

        let no_name = with_codes(NXDomain, NXDomain).await;
        assert_eq!(resolve(&[&declining, &no_name]).await, Err(DnsFailure::NxDomain));
    }
    for (a, aaaa, expected) in [
        (NXDomain, NXDomain, DnsFailure::NxDomain),
        (NXDomain, ServFail, DnsFailure::NxDomain),
        (NoError, NoError, DnsFailure::NoAddress),
    ] {
        let telling = with_codes(a, aaaa).await;
        let untouched = NameServer::start(|query, record| Some(healthy(query, record))).await;
        assert_eq!(resolve(&[&telling, &untouched]).await, Err(expected));
        assert_eq!((untouched.asked(Asked::A), untouched.asked(Asked::Aaaa)), (0, 0));
    }
}

#[tokio::test]
async fn if_no_server_can_tell_the_first_says_why_and_each_is_asked_once() {
    let refusing = with_codes(ResponseCode::Refused, ResponseCode::Refused).await;
    let failing = with_codes(ResponseCode::ServFail, ResponseCode::ServFail).await;
    let servers = [&refusing, &failing];
    assert_eq!(resolve(&servers).await, Err(DnsFailure::Refused));
    for server in servers {
        assert_eq!((server.asked(Asked::A), server.asked(Asked::Aaaa)), (1, 1));
    }
    // One that is silent is asked on, but no longer than the limit.
    let silent = NameServer::start(|_, _| None).await;
    let limit = Duration::from_millis(200);
    let started = tokio::time::Instant::now();
    let outcome = resolve_within(&[&failing, &silent], limit).await;
    assert_eq!(outcome, Err(DnsFailure::ServFail));
    assert!(started.elapsed() >= limit && started.elapsed() < LIMIT, "{:?}", started.elapsed());
    assert_eq!(failing.asked(Asked::A), 2);
}

#[tokio::test]
async fn a_family_that_a_server_declines_is_asked_for_at_the_next() {
    let half = with_codes(ResponseCode::NoError, ResponseCode::ServFail).await;
    let good = NameServer::start(|query, record| Some(healthy(query, record))).await;
    let facts = resolve(&[&half, &good]).await.expect("resolved");
    assert_eq!(facts.source, DnsSource::NameServer(good.socket));
    assert_eq!(facts.addresses, ips(&["2001:db8::1"]));
    assert_eq!((good.asked(Asked::A), good.asked(Asked::Aaaa)), (0, 1));
}

#[tokio::test]
async fn silence_of_all_ends_within_the_limit() {
    let silent = NameServer::start(|_, _| None).await;
    let limit = Duration::from_millis(200);
    let outcome = resolve_within(&[&silent], limit).await;
    assert!(
        matches!(outcome, Err(DnsFailure::TimedOut { after }) if after >= limit && after < LIMIT),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_lost_datagram_is_asked_for_again_at_the_server_that_answered() {
    let seen = std::sync::atomic::AtomicBool::new(false);
    let lossy = NameServer::start(move |query, record| match record {
        Asked::A if !seen.swap(true, std::sync::atomic::Ordering::Relaxed) => None,
        Asked::A => Some(healthy(query, record)),
        Asked::Aaaa => Some(code(query, ResponseCode::NoError)),
    })
    .await;
    let other = NameServer::start(|query, _| Some(code(query, ResponseCode::NXDomain))).await;
    let facts = resolve(&[&lossy, &other]).await.expect("resolved");
    assert_eq!(facts.source, DnsSource::NameServer(lossy.socket));
    assert_eq!((lossy.asked(Asked::A), lossy.asked(Asked::Aaaa)), (2, 1));
    assert_eq!(other.asked(Asked::A), 0);
}

#[tokio::test]
async fn hostile_answers_are_cut() {
    // 200 addresses do not fit into a datagram, so this goes over TCP.
    let many = NameServer::start(|query, record| match record {
        Asked::A => {
            let data: Vec<_> = (0..200).map(|last| (HOST, v4(last))).collect();
            Some(records(query, &data))
        }
        Asked::Aaaa => Some(code(query, ResponseCode::NoError)),
    })
    .await;
    let facts = resolve(&[&many]).await.expect("resolved");
    assert_eq!((facts.addresses.len(), facts.left_out), (16, 184));
    assert_eq!(many.asked(Asked::A), 2);

    let circle = NameServer::start(|query, _| {
        Some(records(
            query,
            &[(HOST, alias("b.example.")), ("b.example", alias("mail.corp.example."))],
        ))
    })
    .await;
    assert_eq!(resolve(&[&circle]).await, Err(DnsFailure::ChainTooLong));
}

#[tokio::test]
async fn a_server_older_than_edns_is_asked_without() {
    let old = NameServer::start(|query, record| match query.edns {
        Some(_) => Some(code(query, ResponseCode::FormErr)),
        None => Some(healthy(query, record)),
    })
    .await;
    assert_eq!(resolve(&[&old]).await.expect("resolved").addresses.len(), 2);
}

#[tokio::test]
async fn the_stage_stands_at_the_beginning_of_a_sight() {
    let server = with_codes(ResponseCode::NXDomain, ResponseCode::NXDomain).await;
    let mut task = http(&[]);
    task.endpoint.connect = None;
    let sight = Network::of(&[]).asking(&[server.socket]).see(&task).await;
    assert_eq!(sight.dns.failed(), Some(&DnsFailure::NxDomain));
    assert_eq!(sight.observations, []);
}

#[tokio::test]
async fn what_cannot_be_used_is_asked_for_once() {
    let other = NameServer::start(|query, record| {
        let mut reply = healthy(query, record);
        reply.metadata.op_code = OpCode::Status;
        Some(reply)
    })
    .await;
    let outcome = resolve(&[&other]).await;
    assert!(matches!(outcome, Err(DnsFailure::Other { .. })), "{outcome:?}");
    assert_eq!((other.asked(Asked::A), other.asked(Asked::Aaaa)), (1, 1));

    // Cut over both transports: what is missing is not known to be missing.
    let cut = NameServer::start(|query, _| {
        let mut reply = code(query, ResponseCode::NoError);
        reply.metadata.truncation = true;
        Some(reply)
    })
    .await;
    let outcome = resolve(&[&cut]).await;
    assert!(matches!(outcome, Err(DnsFailure::Other { .. })), "{outcome:?}");
    assert_eq!(cut.asked(Asked::A), 2);
}
