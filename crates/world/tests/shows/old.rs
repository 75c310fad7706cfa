//! Listeners of fifteen years ago, and those that ask for a certificate late, as the product's probe meets them.

use std::sync::Arc;

use parallax_model::{
    Look, Observation, Outcome, Task, TlsFacts, TlsFailure, TlsVersion, Transport,
};
use parallax_probe::Instrument;
use parallax_world::format::{
    CertificateDefect, Ciphers, ClientCertificateRequest, Handshake, OtherCertificate, Tls,
    TlsVersion as Written, World,
};
use parallax_world::network::RunningWorld;
use parallax_world::simulation::Pace;

use super::{every_listener, install_provider, probe};

/// The host whose listener is changed; it answers 401 to every request.
const HOST: &str = "t-12";

fn world(change: impl FnOnce(&mut Tls)) -> World {
    let mut world = every_listener();
    let host = world.hosts.iter_mut().find(|it| it.name == HOST).expect("a host");
    change(host.listeners[0].tls.as_mut().expect("TLS"));
    world
}

/// Looks at the changed listener.
async fn look(change: impl FnOnce(&mut Tls), ask: impl FnOnce(&mut Task)) -> Observation {
    install_provider();
    let running =
        RunningWorld::start(Arc::new(world(change)), Pace::Stepped).await.expect("it starts");
    let instrument =
        Instrument::new(running.dial("in").expect("a vantage")).expect("an instrument");
    let mut task = probe::task(&running, HOST, Look::OPTIONS);
    task.looks.push(Look::GET);
    ask(&mut task);
    let mut sight = probe::see(&task, &instrument).await;
    running.stop().await;
    sight.observations.remove(0)
}

#[track_caller]
fn both(seen: &Observation) -> (&TlsFailure, &TlsFacts) {
    assert!(matches!(seen.transport, Transport::OldTls { .. }), "{:?}", seen.transport);
    let modern = seen.transport.modern_failure().expect("a failure");
    (modern, seen.transport.tls().expect("a handshake"))
}

#[track_caller]
fn statuses(seen: &Observation) -> Vec<u16> {
    seen.exchanges.iter().map(|it| it.outcome.done().expect("an answer").status).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_world_of_old_listeners_answers_options() {
    for (newest, ciphers, version, cipher) in [
        (Written::V10, Ciphers::Modern, TlsVersion::Tls10, "TLS_ECDHE_RSA_"),
        (Written::V10, Ciphers::Windows2003, TlsVersion::Tls10, "TLS_RSA_WITH_RC4_128_"),
        (Written::V11, Ciphers::Modern, TlsVersion::Tls11, "TLS_ECDHE_RSA_"),
        (Written::V13, Ciphers::CbcOnly, TlsVersion::Tls12, "TLS_ECDHE_RSA_WITH_AES_256_CBC_"),
        (Written::V13, Ciphers::RsaOnly, TlsVersion::Tls12, "TLS_RSA_WITH_AES_"),
    ] {
        let seen = look(|tls| (tls.max_version, tls.ciphers) = (newest, ciphers), |_| {}).await;
        let (modern, facts) = both(&seen);
        assert!(matches!(modern, TlsFailure::OurLimit { .. }), "{modern:?}");
        assert_eq!(facts.version, version, "{ciphers:?}");
        assert!(facts.cipher.starts_with(cipher), "{}", facts.cipher);
        assert_eq!(facts.alpn.as_deref(), Some("http/1.1"));
        assert!(facts.may_carry_a_secret());
        assert_eq!(statuses(&seen), [401, 401]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_resets_a_modern_hello_takes_an_old_one() {
    let seen = look(|tls| tls.handshake = Handshake::ResetModern, |_| {}).await;
    let (modern, facts) = both(&seen);
    assert_eq!((modern, facts.version), (&TlsFailure::Reset, TlsVersion::Tls12));
    assert_eq!(statuses(&seen), [401, 401]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_listener_asks_for_a_certificate_as_it_says() {
    for (request, expected) in
        [(ClientCertificateRequest::Optional, None), (ClientCertificateRequest::Required, Some(()))]
    {
        let change = |tls: &mut Tls| {
            (tls.max_version, tls.requests_client_cert) = (Written::V10, request);
        };
        let seen = look(change, |_| {}).await;
        let Transport::OldTls { old, .. } = &seen.transport else { panic!("{seen:?}") };
        match expected {
            None => assert!(old.done().expect("a handshake").client_certificate_requested),
            Some(()) => assert_eq!(old.failed(), Some(&TlsFailure::ClientCertificateRequired)),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_asked_for_after_the_request_is_noticed_and_the_answer_kept() {
    let renegotiate = |tls: &mut Tls| {
        tls.requests_client_cert = ClientCertificateRequest::Renegotiate;
    };
    let seen = look(renegotiate, |_| {}).await;
    // The handshake itself was fine for a modern client.
    let Transport::Tls(Outcome::Done(facts)) = &seen.transport else { panic!("{seen:?}") };
    assert_eq!(facts.version, TlsVersion::Tls12);
    assert!(!facts.client_certificate_requested);
    assert_eq!(statuses(&seen), [401, 401]);
    let first = &seen.exchanges[0];
    assert!(first.asked_for_certificate && first.sent);
    // The second one went over the connection that had been asked already.
    let numbers: Vec<u32> = seen.exchanges.iter().map(|it| it.connection.number).collect();
    assert_eq!(numbers, [1, 1]);
    assert!(!seen.exchanges[1].asked_for_certificate);

    let kind = |task: &mut Task| task.looks = vec![Look::NTLM];
    let seen = look(renegotiate, kind).await;
    // A free control is noticed, and not taken again.
    assert!(seen.exchanges[0].asked_for_certificate);
    assert!(seen.exchanges[0].outcome.failed().is_some(), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_server_name_another_site_answers() {
    let other = OtherCertificate {
        cert: CertificateDefect::SelfSigned,
        leaf: "default site".to_owned(),
        names: vec!["win-8f3k2.local".to_owned()],
        issuer: "self".to_owned(),
    };
    for newest in [Written::V13, Written::V10] {
        let change = |tls: &mut Tls| {
            (tls.max_version, tls.without_sni) = (newest, Some(other.clone()));
        };
        let seen = look(change, |task| task.without_sni = true).await;
        let named = seen.transport.tls().expect("a handshake");
        let nameless = seen.without_sni.done().expect("a handshake");
        assert!(named.name_matches && !nameless.name_matches);
        assert_eq!(nameless.chain[0].names, ["win-8f3k2.local"]);
        assert_eq!(nameless.version, named.version);
    }
    let required = |tls: &mut Tls| tls.sni = parallax_world::format::ServerNameIndication::Required;
    let seen = look(required, |task| task.without_sni = true).await;
    assert!(seen.transport.tls().is_some());
    assert_eq!(seen.without_sni, Outcome::Failed(TlsFailure::Reset));
    let seen = look(required, |_| {}).await;
    assert_eq!(seen.without_sni, Outcome::NotReached);
}
