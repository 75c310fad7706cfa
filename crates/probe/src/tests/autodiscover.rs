//! Autodiscover v2: a connection apart, the same address, the same rules.

use parallax_model::{BodyEnd, HttpFailure, LimitBroken, Look};

use super::network::{
    Authority, Identity, Network, SHORT, address, answer, failure, http, https, only,
};
use super::peer::{Act, Peer, ok};
use crate::Route;

#[tokio::test]
async fn asks_the_checked_address_over_tls_with_the_name_of_the_host() {
    let authority = Authority::root("root");
    let body = r#"{"Protocol":"ActiveSync","Url":"https://mail.corp.example/Microsoft-Server-ActiveSync"}"#;
    let text = format!(
        "HTTP/1.1 200 Fine\r\nX-FEServer: CAS1\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let peer = Peer::tls(authority.leaf(), move |_| Act::Send(text.clone().into_bytes())).await;
    let mut task = https(&[Look::OPTIONS, Look::AUTODISCOVER_JSON]);
    task.endpoint.port = 444;
    let routes = [(address(444), Route::To(peer.socket))];
    let sight = Network::of(&routes).public(&authority.der()).see(&task).await;
    let exchange = &only(&sight).exchanges[1];
    assert_eq!(exchange.connection.number, 1);
    assert!(exchange.sent && exchange.connection.local_port > 0);
    let answer = answer(exchange);
    assert_eq!((answer.status, answer.reason.as_str()), (200, "Fine"));
    assert_eq!(answer.headers.first("X-FEServer"), Some("CAS1"));
    assert_eq!(answer.body.beginning, body);
    let request = &peer.requests()[1];
    assert!(
        request.head.starts_with(
            "GET /autodiscover/autodiscover.json?Email=parallax-probe@corp.example&Protocol=ActiveSync&RedirectCount=3 "
        ),
        "{}",
        request.head
    );
    assert!(request.head.contains("Host: mail.corp.example:444\r\n"), "{}", request.head);
    assert!(!request.head.to_lowercase().contains("authorization"));
}

#[tokio::test]
async fn looks_over_an_untrusted_chain_too() {
    let peer = Peer::tls(Identity::self_signed(), |_| ok()).await;
    let sight = Network::to(peer.socket).see(&https(&[Look::AUTODISCOVER_JSON])).await;
    assert_eq!(answer(&only(&sight).exchanges[0]).status, 200);
}

#[tokio::test]
async fn its_failures_have_the_same_names() {
    for (act, expected) in [
        (Act::Reset, HttpFailure::Reset),
        (Act::SendThenClose(Vec::new()), HttpFailure::Closed),
        (Act::SendThenStall(Vec::new()), HttpFailure::TimedOut { after: SHORT }),
    ] {
        let peer = Peer::plain(move |_| act.clone()).await;
        let mut task = http(&[Look::AUTODISCOVER_JSON]);
        if matches!(expected, HttpFailure::TimedOut { .. }) {
            task.limits.exchange = SHORT;
        }
        let sight = Network::to(peer.socket).see(&task).await;
        assert_eq!(failure(&sight), &expected);
        assert_eq!(peer.requests().len(), 1, "never retried");
    }
    let peer = Peer::plain(|_| Act::SendThenClose(b"nonsense\r\n\r\n".to_vec())).await;
    let sight = Network::to(peer.socket).see(&http(&[Look::AUTODISCOVER_JSON])).await;
    assert!(matches!(failure(&sight), HttpFailure::Malformed { .. }), "{sight:?}");
}

#[tokio::test]
async fn bodies_without_end_and_floods_of_interim_answers_end() {
    let peer =
        Peer::plain(|_| Act::Flood(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; 8192])).await;
    let sight = Network::to(peer.socket).see(&http(&[Look::AUTODISCOVER_JSON])).await;
    let body = &answer(&only(&sight).exchanges[0]).body;
    assert_eq!((body.length, body.end), (65_536, BodyEnd::Bound));

    let peer = Peer::plain(|_| Act::Flood(Vec::new(), b"HTTP/1.1 103 \r\n\r\n".to_vec())).await;
    let sight = Network::to(peer.socket).see(&http(&[Look::AUTODISCOVER_JSON])).await;
    assert_eq!(failure(&sight), &HttpFailure::Limit(LimitBroken::InterimResponses));
}
