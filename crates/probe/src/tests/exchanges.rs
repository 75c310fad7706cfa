//! Looks in order at a well-behaved or merely odd server: what is kept, which connection is used, what is never done.

use parallax_model::{
    BodyEnd, DnsFailure, HttpFailure, HttpVersion, Look, Outcome, Place, Scheme, TcpFailure,
    Transport,
};

use super::network::{Network, SHORT, address, answer, failure, http, numbers, only};
use super::peer::{Act, Peer, ok};
use crate::{Dial, Instrument, Route, observe};

#[tokio::test]
async fn the_answer_is_kept_as_it_came() {
    let peer = Peer::plain(|_| {
        Act::Send(
            b"HTTP/1.0 401 Access Denied, sorry\r\nWWW-Authenticate: Negotiate, NTLM\r\nX-oDD: \xff\r\n\
            www-authenticate: Basic realm=\"mail\"\r\nContent-Length: 3\r\n\r\nno\xfe"
                .to_vec(),
        )
    })
    .await;
    let sight = Network::to(peer.socket).see(&http(&[Look::OPTIONS])).await;
    let exchange = &only(&sight).exchanges[0];
    assert!(exchange.sent);
    let answer = answer(exchange);
    assert_eq!((answer.version, answer.status), (HttpVersion::Http10, 401));
    assert_eq!(answer.reason, "Access Denied, sorry");
    let names: Vec<_> = answer.headers.0.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["WWW-Authenticate", "X-oDD", "www-authenticate", "Content-Length"]);
    assert_eq!(answer.headers.first("x-odd"), Some("\u{fffd}"));
    let schemes: Vec<_> = answer.challenges.iter().map(|it| it.scheme.clone()).collect();
    assert_eq!(schemes, [Scheme::Negotiate, Scheme::Ntlm, Scheme::Basic]);
    assert_eq!((answer.body.beginning.as_str(), answer.body.length), ("no\u{fffd}", 3));
    assert!(answer.body.end == BodyEnd::Whole);
}

#[tokio::test]
async fn the_request_is_what_a_client_sends() {
    let peer = Peer::plain(|_| ok()).await;
    let mut task = http(&[Look::OPTIONS, Look::HEALTH_CHECK]);
    task.endpoint.port = 8080;
    let routes = [(address(8080), Route::To(peer.socket))];
    let sight = Network::of(&routes).see(&task).await;
    assert_eq!(sight.observations[0].address, address(8080));
    let requests = peer.requests();
    let lines: Vec<_> = requests[0].head.trim_end().split("\r\n").collect();
    assert_eq!(lines[0], "OPTIONS /Microsoft-Server-ActiveSync HTTP/1.1");
    for line in [
        "Host: mail.corp.example:8080",
        concat!("User-Agent: Parallax/", env!("CARGO_PKG_VERSION")),
        "Accept-Encoding: identity",
        "Connection: keep-alive",
    ] {
        assert!(lines.contains(&line), "{line} in {lines:?}");
    }
    assert!(
        requests[1]
            .head
            .starts_with("GET /Microsoft-Server-ActiveSync/healthcheck.htm HTTP/1.1\r\n")
    );
    assert_eq!(peer.credentialed(), 0);
}

#[tokio::test]
async fn anonymous_looks_share_a_connection_and_controls_have_their_own() {
    let challenge = "TlRMTVNTUAACAAAADAAMADgAAAAzgoriASNFZ4mrze8AAAAAAAAAACQAJABEAAAABgBwFwAAAA9TAGUAcgB2AGUAcgACAAwARABvAG0AYQBpAG4AAQAMAFMAZQByAHYAZQByAAAAAAA=";
    let peer = Peer::plain(move |arrived| {
        if !arrived.head.contains("\r\nAuthorization: NTLM TlRMTVNTUAAB") {
            return ok();
        }
        let text = format!(
            "HTTP/1.1 401 U\r\nWWW-Authenticate: NTLM {challenge}\r\nContent-Length: 0\r\n\r\n"
        );
        Act::Send(text.into_bytes())
    })
    .await;
    let looks = [Look::OPTIONS, Look::NTLM_PROXY, Look::GET, Look::IMPOSSIBLE_USER, Look::OWA];
    let sight = Network::to(peer.socket).see(&http(&looks)).await;
    let observation = only(&sight);
    assert_eq!(numbers(observation), [0, 1, 0, 2, 0]);
    assert_eq!(peer.connections(), 3);
    let type2 = answer(&observation.exchanges[1]).type2.as_ref().expect("a type-2");
    assert_eq!(type2.netbios_computer.as_deref(), Some("Server"));
    let requests = peer.requests();
    assert!(requests[1].head.starts_with("OPTIONS /Microsoft-Server-ActiveSync/Proxy "));
    assert!(requests[3].head.contains("\r\nAuthorization: Basic "));
    assert_eq!(peer.credentialed(), 2);
    let ports: Vec<_> = observation.exchanges.iter().map(|it| it.connection.local_port).collect();
    assert!(ports[0] == ports[2] && ports[0] != ports[1] && ports.iter().all(|port| *port > 0));
}

#[tokio::test]
async fn a_closed_connection_is_reopened_and_counted() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        // Says nothing and closes all the same, perhaps only when the next request is on its way.
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\nuntil the end",
    ] {
        let peer = Peer::plain(move |_| Act::SendThenClose(answer.as_bytes().to_vec())).await;
        let sight = Network::to(peer.socket).see(&http(&[Look::OPTIONS, Look::GET])).await;
        let observation = only(&sight);
        assert_eq!(numbers(observation), [0, 1], "{answer:?}");
        assert!(observation.exchanges.iter().all(|it| it.outcome.done().is_some()), "{sight:?}");
        assert_eq!(peer.requests().len(), 2);
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_never_followed() {
    let peer = Peer::plain(|arrived| {
        let host = "http://mail.corp.example/elsewhere";
        assert!(!arrived.head.contains("/elsewhere"));
        Act::Send(
            format!("HTTP/1.1 307 T\r\nLocation: {host}\r\nContent-Length: 0\r\n\r\n").into_bytes(),
        )
    })
    .await;
    let looks = [Look::OPTIONS, Look::OWA, Look::AUTODISCOVER_JSON];
    let sight = Network::to(peer.socket).see(&http(&looks)).await;
    for exchange in &only(&sight).exchanges {
        assert_eq!(answer(exchange).status, 307);
        assert!(answer(exchange).headers.has("location"));
    }
    assert_eq!(peer.requests().len(), 3);
}

#[tokio::test]
async fn one_method_that_is_cut_off_leaves_the_others_to_be_seen() {
    let peer =
        Peer::plain(|arrived| if arrived.head.starts_with("OPTIONS") { Act::Reset } else { ok() })
            .await;
    let sight =
        Network::to(peer.socket).see(&http(&[Look::OPTIONS, Look::GET, Look::OPTIONS])).await;
    let observation = only(&sight);
    assert_eq!(observation.exchanges[0].outcome.failed(), Some(&HttpFailure::Reset));
    assert!(observation.exchanges[0].sent);
    assert_eq!(answer(&observation.exchanges[1]).status, 200);
    // On the connection of the GET first, then on a fresh one, which tells that it is no stale close.
    assert_eq!(observation.exchanges[2].outcome.failed(), Some(&HttpFailure::Reset));
    assert_eq!(numbers(observation), [0, 1, 2]);
}

#[tokio::test]
async fn stages_that_fail_end_the_walk_there() {
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("listener");
        listener.local_addr().expect("address")
    };
    let sight = Network::to(closed).see(&http(&[Look::OPTIONS])).await;
    assert_eq!(only(&sight).tcp, Outcome::Failed(TcpFailure::Refused));
    assert_eq!(only(&sight).exchanges, []);

    let mut task = http(&[Look::OPTIONS]);
    task.limits.tcp = SHORT;
    task.endpoint.is_https = true;
    let sight = Network::of(&[]).see(&task).await;
    assert_eq!(only(&sight).tcp, Outcome::Failed(TcpFailure::TimedOut { after: SHORT }));
    assert_eq!(only(&sight).transport, Transport::Tls(Outcome::NotReached));
}

#[tokio::test]
async fn a_second_connection_that_cannot_be_had_is_said_and_ends_the_looks() {
    use std::sync::{Arc, Mutex};
    // The listener goes away while it answers the first request.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("listener");
    let socket = listener.local_addr().expect("address");
    let server = Arc::new(Mutex::new(tokio::task::JoinSet::new()));
    server.lock().expect("lock").spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut stream, _) = listener.accept().await.expect("connection");
        let mut head = [0; 1024];
        let _ = stream.read(&mut head).await;
        drop(listener);
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .await;
    });
    let sight = Network::to(socket).see(&http(&[Look::OPTIONS, Look::GET, Look::OWA])).await;
    let exchanges = &only(&sight).exchanges;
    assert_eq!(answer(&exchanges[0]).status, 200);
    assert!(matches!(exchanges[1].outcome.failed(), Some(HttpFailure::NoConnection { .. })));
    assert!(!exchanges[1].sent);
    assert_eq!(exchanges[2].outcome, Outcome::NotReached);
}

#[tokio::test]
async fn no_time_left_is_not_reached_and_accuses_nobody() {
    let peer = Peer::plain(|_| Act::SendThenStall(Vec::new())).await;
    let mut task = http(&[Look::OPTIONS, Look::GET]);
    (task.limits.tcp, task.limits.exchange) = (SHORT, SHORT * 2);
    task.limits.observation = SHORT * 7 / 2;
    let sight = Network::to(peer.socket).see(&task).await;
    let exchanges = &only(&sight).exchanges;
    assert!(matches!(exchanges[0].outcome.failed(), Some(HttpFailure::TimedOut { .. })));
    assert_eq!(exchanges[1].outcome, Outcome::NotReached);
}

#[tokio::test]
async fn a_body_is_bounded_and_hashed_and_never_loses_the_head() {
    let long = |length: usize| {
        let mut bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
        bytes.resize(bytes.len() + length, b'x');
        bytes
    };
    for (length, kept, end) in [(65_536, 65_536, BodyEnd::Whole), (65_537, 65_536, BodyEnd::Bound)]
    {
        let bytes = long(length);
        let peer = Peer::plain(move |_| Act::Send(bytes.clone())).await;
        let sight = Network::to(peer.socket).see(&http(&[Look::GET, Look::OWA])).await;
        let body = &answer(&only(&sight).exchanges[1]).body;
        assert_eq!((body.length, body.end, body.beginning.len()), (kept, end, 2048));
        let hash: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest(vec![b'x'; 65_536]).into();
        assert_eq!(body.sha256, hash);
    }
    let half = b"HTTP/1.1 500 E\r\nContent-Length: 9\r\n\r\nhalf";
    for (act, end) in [
        (Act::SendThenStall(half.to_vec()), BodyEnd::TooSlow),
        (Act::SendThenClose(half.to_vec()), BodyEnd::Broken),
    ] {
        let peer = Peer::plain(move |_| act.clone()).await;
        let mut task = http(&[Look::GET, Look::OWA]);
        task.limits.exchange = SHORT;
        let sight = Network::to(peer.socket).see(&task).await;
        for exchange in &only(&sight).exchanges {
            let answer = answer(exchange);
            assert_eq!((answer.status, answer.body.beginning.as_str()), (500, "half"));
            assert_eq!(answer.body.end, end);
        }
        assert_eq!(numbers(only(&sight)), [0, 1], "what was given up is not read on");
    }
}

/// Read as a TLS record, `HTTP/` announces 20,527 bytes; what follows here looks like another handshake.
#[tokio::test]
async fn without_tls_no_answer_asks_for_a_certificate() {
    let mut bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 30000\r\n\r\n".to_vec();
    let end = bytes.len() + 30_000;
    bytes.resize(5 + 20_527, b'x');
    bytes.extend_from_slice(&[20, 3, 3, 0, 1, 1, 22, 3, 3, 0, 1, 1]);
    bytes.resize(end, b'x');
    let peer = Peer::plain(move |_| Act::Send(bytes.clone())).await;
    let sight = Network::to(peer.socket).see(&http(&[Look::OPTIONS])).await;
    let exchange = &only(&sight).exchanges[0];
    assert_eq!(answer(exchange).body.length, 30_000);
    assert!(!exchange.asked_for_certificate);
    assert_eq!(peer.requests().len(), 1);
}

#[tokio::test]
async fn how_a_connection_ends_is_told_apart() {
    for (act, expected) in [
        (Act::Reset, HttpFailure::Reset),
        (Act::SendThenClose(Vec::new()), HttpFailure::Closed),
        (Act::SendThenClose(b"HTTP/1.1 200 OK\r\nA: b\r\n".to_vec()), HttpFailure::Closed),
        (Act::SendThenStall(Vec::new()), HttpFailure::TimedOut { after: SHORT }),
    ] {
        let peer = Peer::plain(move |_| act.clone()).await;
        let mut task = http(&[Look::OPTIONS]);
        if matches!(expected, HttpFailure::TimedOut { .. }) {
            task.limits.exchange = SHORT;
        }
        let sight = Network::to(peer.socket).see(&task).await;
        assert_eq!(failure(&sight), &expected);
        assert_eq!(peer.requests().len(), 1, "nothing is repeated on a fresh connection");
    }
}

#[tokio::test]
async fn an_own_path_is_used_for_the_service_alone() {
    let peer = Peer::plain(|_| ok()).await;
    let mut task = http(&[Look::OPTIONS, Look::EWS, Look::AUTODISCOVER]);
    task.endpoint.path = "/sync/eas".to_owned();
    Network::to(peer.socket).see(&task).await;
    let lines: Vec<_> = peer
        .requests()
        .iter()
        .map(|it| it.head.split(" HTTP").next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(
        lines,
        ["OPTIONS /sync/eas", "GET /EWS/Exchange.asmx", "GET /autodiscover/autodiscover.xml"]
    );
    assert_eq!(task.looks[1].place, Place::Ews);
}

#[tokio::test]
async fn without_a_map_the_declared_address_is_dialled() {
    let peer = Peer::plain(|_| ok()).await;
    let instrument =
        Instrument::new(Dial::Direct).expect("instrument").with_name_servers(Vec::new());
    let mut task = http(&[Look::OPTIONS, Look::AUTODISCOVER_JSON]);
    (task.endpoint.connect, task.endpoint.port) = (Some(peer.socket.ip()), peer.socket.port());
    let sight = observe(&task, &instrument, &|_, _| Ok(()), &|_| {}).await.expect("a sight");
    assert_eq!(only(&sight).address, peer.socket);
    assert!(only(&sight).exchanges.iter().all(|it| answer(it).status == 200));

    task.endpoint.connect = None;
    let sight = observe(&task, &instrument, &|_, _| Ok(()), &|_| {}).await.expect("a sight");
    assert_eq!(sight.dns.failed(), Some(&DnsFailure::NoNameServer));
}
