//! The agent's policy at the dialled address, several addresses of one name, and tasks that cannot be carried out.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use hickory_proto::rr::RData;
use hickory_proto::rr::rdata::A;
use parallax_model::{DnsFailure, HttpFailure, Look, NameForm, Outcome, Place, TcpFailure};

use super::name_server::{Asked, NameServer, records};
use super::network::{
    HOST, Network, SHORT, address, answer, http, is_not_reached, only, with_logon,
};
use super::peer::{Act, Peer, ok};
use crate::{ProbeError, Progress, Route, Rule, observe};

fn rule(text: &str) -> Rule {
    Rule(text.to_owned())
}

#[tokio::test]
async fn a_path_without_an_allowed_address_is_refused_and_never_dialled() {
    let peer = Peer::plain(|_| ok()).await;
    let task = http(&[Look::OPTIONS, Look::OWA]);
    let instrument = Network::to(peer.socket).instrument();
    let refused = observe(&task, &instrument, &|_, _| Err(rule("private")), &|_| {}).await;
    assert!(matches!(refused, Err(ProbeError::Refused(Rule(name))) if name == "private"));
    assert_eq!(peer.connections(), 0);
}

#[tokio::test]
async fn a_look_that_is_forbidden_is_not_sent() {
    let peer = Peer::plain(|_| ok()).await;
    let task = http(&[Look::OWA, Look::OPTIONS, Look::AUTODISCOVER_JSON]);
    let instrument = Network::to(peer.socket).instrument();
    let allow = |_, path: &str| {
        if path.starts_with("/Microsoft") { Ok(()) } else { Err(rule("paths")) }
    };
    let sight = observe(&task, &instrument, &allow, &|_| {}).await.expect("a sight");
    let exchanges = &only(&sight).exchanges;
    let forbidden = HttpFailure::NotPermitted { reason: "paths".to_owned() };
    assert_eq!(exchanges[0].outcome.failed(), Some(&forbidden));
    assert_eq!(answer(&exchanges[1]).status, 200);
    assert_eq!(exchanges[2].outcome.failed(), Some(&forbidden));
    assert!(!exchanges[0].sent && !exchanges[2].sent);
    assert_eq!(peer.requests().len(), 1);
}

#[tokio::test]
async fn addresses_are_looked_at_side_by_side_and_forbidden_ones_left_out() {
    let server = NameServer::start(|query, _| {
        let data: Vec<_> = (1..=12).map(|last| (HOST, RData::A(A::new(192, 0, 2, last)))).collect();
        Some(records(query, &data))
    })
    .await;
    let peer = Peer::plain(|_| ok()).await;
    let mut task = http(&[Look::OPTIONS]);
    task.endpoint.connect = None;
    task.limits.tcp = SHORT;
    let routes = [
        (address(80), Route::To(peer.socket)),
        ("192.0.2.2:80".parse().expect("socket"), Route::To(peer.socket)),
    ];
    let instrument = Network::of(&routes).asking(&[server.socket]).instrument();
    let forbidden = "192.0.2.2".parse::<std::net::IpAddr>().expect("address");
    let allow = |address: std::net::SocketAddr, _: &str| {
        if address.ip() == forbidden { Err(rule("addresses")) } else { Ok(()) }
    };
    let seen = Mutex::new(Vec::new());
    let listen = |progress: Progress<'_>| {
        if let Progress::Tcp(address, _) = progress {
            seen.lock().expect("lock").push(address);
        }
    };
    let started = std::time::Instant::now();
    let sight = observe(&task, &instrument, &allow, &listen).await.expect("a sight");
    assert!(started.elapsed() < SHORT * 6, "side by side, not one after another");
    assert_eq!(sight.dns.done().expect("resolved").addresses.len(), 12);
    assert_eq!(sight.observations.len(), 8);
    let last: Vec<_> = sight.observations.iter().map(|it| it.address.to_string()).collect();
    assert_eq!((last[0].as_str(), last[7].as_str()), ("192.0.2.1:80", "192.0.2.8:80"));
    assert_eq!(sight.observations[0].tcp, Outcome::Failed(TcpFailure::TimedOut { after: SHORT }));
    assert!(is_not_reached(&sight.observations[1].tcp));
    assert_eq!(peer.connections(), 0);
    assert_eq!(seen.lock().expect("lock").len(), 7);
}

#[tokio::test]
async fn one_address_can_be_asked_for_alone() {
    let peer = Peer::plain(|_| ok()).await;
    let mut task = http(&[Look::OPTIONS]);
    task.endpoint.connect = None;
    task.only_address = Some(address(80).ip());
    let sight = Network::to(peer.socket).see(&task).await;
    assert_eq!(only(&sight).address, address(80));
    assert_eq!(answer(&only(&sight).exchanges[0]).status, 200);
}

#[tokio::test]
async fn what_cannot_be_asked_is_our_own_error_and_names_the_field() {
    let mut task = http(&[Look::OPTIONS]);
    task.endpoint.host = "mail corp".to_owned();
    let error = Network::of(&[]).refusal(&task).await.to_string();
    assert!(error.contains("`mail corp`") && error.contains("give a name"), "{error}");

    let mut task = http(&[Look::OPTIONS]);
    task.endpoint.path = "sync".to_owned();
    let error = Network::of(&[]).refusal(&task).await.to_string();
    assert!(error.contains("`sync`"), "{error}");

    let account = parallax_model::AccountId::new("alice").expect("name");
    let task = http(&[Look::logon(account, NameForm::Upn, Place::ActiveSync)]);
    assert!(matches!(Network::of(&[]).refusal(&task).await, ProbeError::LogonAmongLooks));
}

#[tokio::test]
async fn address_literals_need_no_name_server() {
    for (host, port, header) in [
        ("192.0.2.10", 80, "Host: 192.0.2.10\r\n"),
        ("2001:db8::10", 8080, "Host: [2001:db8::10]:8080\r\n"),
        ("[2001:db8::10]", 80, "Host: [2001:db8::10]\r\n"),
    ] {
        let peer = Peer::plain(|_| ok()).await;
        let mut task = http(&[Look::OPTIONS, Look::AUTODISCOVER_JSON]);
        (task.endpoint.connect, task.endpoint.port) = (None, port);
        task.endpoint.host = host.to_owned();
        let mut network = Network::of(&[]);
        network.mapped.otherwise = Route::To(peer.socket);
        let sight = network.see(&task).await;
        assert_eq!(answer(&only(&sight).exchanges[1]).status, 200, "{sight:?}");
        for request in peer.requests() {
            assert!(
                request.head.contains(header) || request.head.contains(&header.to_lowercase()),
                "{}",
                request.head
            );
        }
    }
}

/// Rebinding: the name leads elsewhere as soon as it was asked for once.
#[tokio::test]
async fn a_name_is_resolved_once_for_all_connections() {
    let answered = AtomicUsize::new(0);
    let server = NameServer::start(move |query, asked| {
        let data = match (asked, answered.load(Ordering::Relaxed)) {
            (Asked::A, 0) => RData::A(A::new(192, 0, 2, 10)),
            (Asked::A, _) => RData::A(A::new(127, 0, 0, 1)),
            (Asked::Aaaa, _) => return Some(records(query, &[])),
        };
        answered.fetch_add(1, Ordering::Relaxed);
        Some(records(query, &[(HOST, data)]))
    })
    .await;
    let peer = Peer::plain(|_| Act::SendThenClose(b"HTTP/1.1 200 OK\r\n\r\n".to_vec())).await;
    let mut task = with_logon(http(&[Look::OPTIONS, Look::NTLM, Look::AUTODISCOVER_JSON]));
    task.endpoint.connect = None;
    task.endpoint.allow_plaintext_logon = true;
    let instrument = Network::to(peer.socket).asking(&[server.socket]).instrument();
    let judged = Mutex::new(Vec::new());
    let allow = |address: std::net::SocketAddr, _: &str| {
        judged.lock().expect("lock").push(address);
        Ok(())
    };
    let prepared = crate::prepare(&task, &instrument, &allow, &|_| {}).await.expect("a sight");
    assert!(matches!(prepared, crate::Preparation::Ready(_)), "{prepared:?}");
    assert_eq!(server.asked(Asked::A), 1);
    assert!(judged.lock().expect("lock").iter().all(|it| *it == address(80)));
    // One for each look; the one for the secret was made, too, and perhaps not yet accepted.
    assert!(peer.connections() >= 3 && peer.requests().len() == 3);
}

/// What other programs read as an address is a name here: judged, resolved and named to the server in one spelling.
#[tokio::test]
async fn only_an_address_as_it_is_usually_written_is_dialled_unasked() {
    for host in [
        "2130706433",
        "127.1",
        "0x7f.1",
        "0177.0.0.1",
        "127.0.0.1.",
        "127.0.0.1:80",
        "::ffff:127.1",
        "fe80::1%lo",
        "mail@127.0.0.1",
        "127%2e0.0.1",
        "\u{ff11}27.0.0.1",
        "",
    ] {
        let mut task = http(&[Look::OPTIONS, Look::AUTODISCOVER_JSON]);
        task.endpoint.connect = None;
        task.endpoint.host = host.to_owned();
        let peer = Peer::plain(|_| ok()).await;
        let mut network = Network::of(&[]);
        network.mapped.otherwise = Route::To(peer.socket);
        let asked = AtomicUsize::new(0);
        let allow = |_, _: &str| {
            asked.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        match observe(&task, &network.instrument(), &allow, &|_| {}).await {
            Err(error) => assert!(matches!(error, ProbeError::Host { .. }), "{host}: {error}"),
            Ok(sight) => {
                assert_eq!(sight.dns.failed(), Some(&DnsFailure::NoNameServer), "{host}");
            }
        }
        assert_eq!((asked.load(Ordering::Relaxed), peer.connections()), (0, 0), "{host}");
    }
}

/// Agents run looks as tasks of a runtime with several threads.
#[test]
fn looks_can_move_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    let instrument = Network::of(&[]).instrument();
    let task = http(&[]);
    is_send(&observe(&task, &instrument, &|_, _| Ok(()), &|_| {}));
    is_send(&crate::prepare(&task, &instrument, &|_, _| Ok(()), &|_| {}));
}
