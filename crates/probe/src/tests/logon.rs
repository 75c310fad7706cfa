//! The credentialed look: sent once, to the right box, or not at all. Counted at the listener.

use parallax_auth::Secret;
use parallax_model::{Exchange, HttpFailure, Look, Sight, Task, TlsFailure, Trust};

use super::network::{
    Authority, Identity, Network, SHORT, answer, http, https, in_2001, numbers, only, with_logon,
};
use super::peer::{Act, Arrived, Peer, ok, server_config};
use crate::{Preparation, Prepared, ProbeError, Rule, prepare};

const PASSWORD: &str = "Xyzzy-planted-9";

fn secret() -> Secret {
    Secret::new(PASSWORD.to_owned()).expect("valid")
}

async fn prepared(network: Network, task: &Task) -> Preparation {
    prepare(task, &network.instrument(), &|_, _| Ok(()), &|_| {}).await.expect("a preparation")
}

async fn ready(network: Network, task: &Task) -> Box<Prepared> {
    match prepared(network, task).await {
        Preparation::Ready(prepared) => prepared,
        Preparation::Stopped(sight) => panic!("stopped: {sight:?}"),
    }
}

async fn stopped(network: Network, task: &Task) -> Sight {
    match prepared(network, task).await {
        Preparation::Ready(prepared) => panic!("ready: {prepared:?}"),
        Preparation::Stopped(sight) => sight,
    }
}

#[track_caller]
fn last(sight: &Sight) -> &Exchange {
    only(sight).exchanges.last().expect("an exchange")
}

/// Answers 401 to whoever has no credential and does `act` with whoever has.
fn for_credential(act: Act) -> impl Fn(&Arrived) -> Act + Send + Sync + 'static {
    move |arrived| {
        if arrived.head.contains("\r\nAuthorization: ") {
            return act.clone();
        }
        Act::Send(
            b"HTTP/1.1 401 U\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n"
                .to_vec(),
        )
    }
}

/// A trusted box, and the network in which it stands.
async fn trusted(act: Act) -> (Peer, Network) {
    let root = Authority::root("root");
    let peer = Peer::tls(root.leaf(), for_credential(act)).await;
    let network = Network::to(peer.socket).public(&root.der());
    (peer, network)
}

#[tokio::test]
async fn one_request_on_a_connection_of_its_own() {
    let (peer, network) = trusted(ok()).await;
    let task = with_logon(https(&[Look::OPTIONS]));
    let prepared = ready(network, &task).await;
    assert_eq!(prepared.sight().observations[0].exchanges.len(), 1);
    assert_eq!(peer.credentialed(), 0, "nothing before go");
    let sight = prepared.send(&secret()).await;
    assert_eq!(numbers(only(&sight)), [0, 1]);
    let exchange = last(&sight);
    assert!(exchange.sent && exchange.look.is_logon());
    assert_eq!(answer(exchange).status, 200);
    assert_eq!((peer.credentialed(), peer.connections()), (1, 2));
    let request = &peer.requests()[1];
    assert_eq!(request.connection, 1);
    assert!(request.head.starts_with("OPTIONS /Microsoft-Server-ActiveSync "));
    assert!(request.head.contains("\r\nConnection: close\r\n"));
    // alice@corp.example:Xyzzy-planted-9
    let header = "\r\nAuthorization: Basic YWxpY2VAY29ycC5leGFtcGxlOlh5enp5LXBsYW50ZWQtOQ==\r\n";
    assert!(request.head.contains(header), "{}", request.head);
    let shown = format!("{sight:?}");
    assert!(!shown.contains(PASSWORD) && !shown.contains("YWxpY2V"));
}

#[tokio::test]
async fn whatever_comes_back_it_is_sent_once() {
    let redirect = b"HTTP/1.1 307 T\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n".to_vec();
    let refusal =
        b"HTTP/1.1 401 U\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n".to_vec();
    for (act, failure) in [
        (Act::Send(redirect), None),
        (Act::Send(refusal), None),
        (Act::Reset, Some(HttpFailure::Reset)),
        (Act::SendThenClose(Vec::new()), Some(HttpFailure::Closed)),
        (Act::SendThenStall(Vec::new()), Some(HttpFailure::TimedOut { after: SHORT })),
    ] {
        let (peer, network) = trusted(act).await;
        let mut task = with_logon(https(&[Look::OPTIONS]));
        if matches!(failure, Some(HttpFailure::TimedOut { .. })) {
            task.limits.credentialed = SHORT;
        }
        let sight = ready(network, &task).await.send(&secret()).await;
        assert_eq!(last(&sight).outcome.failed(), failure.as_ref());
        assert!(last(&sight).sent, "{sight:?}");
        assert_eq!(peer.credentialed(), 1);
    }
}

#[track_caller]
fn check_nothing_sent(peer: &Peer, sight: &Sight, expected: &HttpFailure) {
    let exchange = last(sight);
    assert_eq!(exchange.outcome.failed(), Some(expected));
    assert!(exchange.look.is_logon() && !exchange.sent);
    assert_eq!(peer.credentialed(), 0);
}

#[tokio::test]
async fn never_over_a_connection_that_the_trust_does_not_accept() {
    let root = Authority::root("root");
    let wrong_name = root.leaf_with(|params| {
        params.subject_alt_names =
            vec![rcgen::SanType::DnsName("other.example".try_into().expect("name"))];
    });
    for (identity, trust) in [
        (Identity::self_signed(), Trust::PublicOrStore),
        (root.intermediate(|_| {}).leaf(), Trust::PublicOrStore),
        (root.leaf_with(in_2001), Trust::PublicOrStore),
        (wrong_name, Trust::PublicOrStore),
        (root.leaf(), Trust::Pinned(vec![[0; 32]])),
        (root.leaf(), Trust::Store),
    ] {
        let peer = Peer::tls(identity, for_credential(ok())).await;
        let mut task = with_logon(https(&[Look::OPTIONS]));
        task.endpoint.trust = trust;
        let sight = stopped(Network::to(peer.socket).public(&root.der()), &task).await;
        assert_eq!(answer(&only(&sight).exchanges[0]).status, 401, "the anonymous look was taken");
        check_nothing_sent(&peer, &sight, &HttpFailure::UntrustedPeer);
    }
}

#[tokio::test]
async fn never_to_another_box_than_the_one_looked_at() {
    let root = Authority::root("root");
    let configs = vec![server_config(root.leaf()), server_config(root.leaf())];
    let peer = Peer::tls_in_turn(configs, for_credential(ok())).await;
    let task = with_logon(https(&[Look::OPTIONS]));
    let sight = stopped(Network::to(peer.socket).public(&root.der()), &task).await;
    assert_eq!(peer.connections(), 2);
    check_nothing_sent(&peer, &sight, &HttpFailure::UntrustedPeer);
}

#[tokio::test]
async fn plain_http_only_where_the_endpoint_allows_it() {
    let peer = Peer::plain(for_credential(ok())).await;
    let mut task = with_logon(http(&[Look::OPTIONS]));
    let sight = stopped(Network::to(peer.socket), &task).await;
    check_nothing_sent(&peer, &sight, &HttpFailure::UntrustedPeer);

    task.endpoint.allow_plaintext_logon = true;
    let sight = ready(Network::to(peer.socket), &task).await.send(&secret()).await;
    assert_eq!(answer(last(&sight)).status, 200);
    assert_eq!(peer.credentialed(), 1);
}

#[tokio::test]
async fn a_connection_lost_before_go_sends_nothing() {
    let root = Authority::root("root");
    let peer = Peer::closing_the_second(root.leaf()).await;
    let task = with_logon(https(&[Look::OPTIONS]));
    let prepared = ready(Network::to(peer.socket).public(&root.der()), &task).await;
    peer.closed().await;
    let sight = prepared.send(&secret()).await;
    check_nothing_sent(&peer, &sight, &HttpFailure::Closed);
}

#[tokio::test]
async fn without_go_nothing_is_sent() {
    let (peer, network) = trusted(ok()).await;
    let task = with_logon(https(&[Look::OPTIONS]));
    let sight = ready(network, &task).await.abandon("budget");
    let reason = HttpFailure::NotPermitted { reason: "budget".to_owned() };
    check_nothing_sent(&peer, &sight, &reason);
    let (peer, network) = trusted(ok()).await;
    drop(ready(network, &task).await);
    assert_eq!(peer.credentialed(), 0);
}

#[tokio::test]
async fn a_box_that_does_not_answer_gets_no_secret() {
    let root = Authority::root("root");
    let peer = Peer::tls(root.leaf(), |_| Act::Reset).await;
    let task = with_logon(https(&[Look::OPTIONS]));
    let sight = stopped(Network::to(peer.socket).public(&root.der()), &task).await;
    assert_eq!(last(&sight).look, Look::OPTIONS);
    assert_eq!((peer.connections(), peer.credentialed()), (1, 0));

    let sight = stopped(Network::to(Peer::raw(b"").await.socket), &task).await;
    assert_eq!(only(&sight).transport.modern_failure(), Some(&TlsFailure::Closed));
}

#[tokio::test]
async fn what_cannot_be_sent_is_known_before_anything_is_dialled() {
    let (peer, network) = trusted(ok()).await;
    let instrument = network.instrument();
    let mut task = with_logon(https(&[Look::OPTIONS]));
    let refused = prepare(&task, &instrument, &|_, _| Err(Rule("zone".to_owned())), &|_| {}).await;
    assert!(matches!(refused, Err(ProbeError::Refused(_))));
    if let Some(logon) = &mut task.logon {
        logon.name.login = "a:b".to_owned();
    }
    let refused = prepare(&task, &instrument, &|_, _| Ok(()), &|_| {}).await;
    assert!(matches!(refused, Err(ProbeError::Login(_))));
    let refused = prepare(&https(&[]), &instrument, &|_, _| Ok(()), &|_| {}).await;
    assert!(matches!(refused, Err(ProbeError::NoLogon)));
    assert_eq!(peer.connections(), 0);
}
