//! The old stack: servers of fifteen years ago, and what means harm to a library of that age. The servers are `OpenSSL`'s own.

use std::time::Instant;

use openssl::pkey::PKey;
use openssl::provider::Provider;
use openssl::ssl::{
    SslContext, SslContextBuilder, SslMethod, SslOptions, SslVerifyMode, SslVersion,
};
use openssl::x509::X509;
use parallax_auth::Secret;
use parallax_model::{
    HttpFailure, Look, Observation, Outcome, TlsFacts, TlsFailure, TlsVersion, Transport,
};
use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use tokio::time::Duration;

use super::network::{
    Authority, Identity, Network, SHORT, answer, https, numbers, only, with_logon,
};
use super::peer::{Act, Arrived, Opening, Peer, ok};
use crate::{Preparation, prepare};

/// What a modern client is told by a server that has nothing for it.
const NO_COMMON_GROUND: [u8; 7] = [21, 3, 1, 0, 2, 2, 40];

/// What Windows Server 2003 has.
const RC4: &str = "RC4-MD5:RC4-SHA:@SECLEVEL=0";
const CBC: &str = "ECDHE-RSA-AES256-SHA:ECDHE-RSA-AES128-SHA:@SECLEVEL=0";
const PLAIN_RSA: &str = "AES128-GCM-SHA256:AES128-SHA:@SECLEVEL=0";
const ANY: &str = "ALL:!aNULL:@SECLEVEL=0";

fn rsa_leaf(root: &Authority) -> Identity {
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).expect("key");
    root.leaf_of(key)
}

fn settings(identity: &Identity, newest: SslVersion, ciphers: &str) -> SslContextBuilder {
    // Stays loaded for the process: dropping the last handle would take RC4 from the tests beside this one.
    std::mem::forget(Provider::try_load(None, "legacy", true).expect("RC4"));
    let mut context = SslContext::builder(SslMethod::tls_server()).expect("settings");
    context.set_security_level(0);
    context.set_options(SslOptions::NO_TICKET);
    context.set_min_proto_version(Some(SslVersion::TLS1)).expect("version");
    context.set_max_proto_version(Some(newest)).expect("version");
    context.set_cipher_list(ciphers).expect("suites");
    let key = PKey::private_key_from_der(identity.key.secret_der()).expect("key");
    context.set_private_key(&key).expect("key");
    let mut chain = identity.chain.iter().map(|it| X509::from_der(it).expect("certificate"));
    context.set_certificate(&chain.next().expect("leaf")).expect("leaf");
    chain.for_each(|it| context.add_extra_chain_cert(it).expect("chain"));
    context
}

fn old(identity: &Identity, newest: SslVersion, ciphers: &str) -> SslContext {
    settings(identity, newest, ciphers).build()
}

async fn peer(context: SslContext) -> Peer {
    Peer::old_after(Vec::new(), context, |_| ok()).await
}

#[track_caller]
fn both(observation: &Observation) -> (&TlsFailure, &Outcome<TlsFacts, TlsFailure>) {
    let Transport::OldTls { modern, old } = &observation.transport else {
        panic!("{:?}", observation.transport)
    };
    (modern, old)
}

#[tokio::test]
async fn what_rustls_cannot_speak_is_spoken_and_both_facts_are_kept() {
    let root = Authority::root("root");
    let identity = rsa_leaf(&root);
    for (newest, ciphers, version, cipher) in [
        (SslVersion::TLS1, ANY, TlsVersion::Tls10, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"),
        (SslVersion::TLS1, RC4, TlsVersion::Tls10, "TLS_RSA_WITH_RC4_128_"),
        (SslVersion::TLS1_1, ANY, TlsVersion::Tls11, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"),
        (SslVersion::TLS1_2, CBC, TlsVersion::Tls12, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"),
        (SslVersion::TLS1_2, PLAIN_RSA, TlsVersion::Tls12, "TLS_RSA_WITH_AES_128_"),
    ] {
        let peer = peer(old(&identity, newest, ciphers)).await;
        let network = Network::to(peer.socket).public(&root.der());
        let sight = network.see(&https(&[Look::OPTIONS, Look::GET])).await;
        let (modern, facts) = both(only(&sight));
        assert!(matches!(modern, TlsFailure::OurLimit { .. }), "{modern:?}");
        let facts = facts.done().expect("a handshake");
        assert_eq!(facts.version, version);
        assert!(facts.cipher.starts_with(cipher), "{}", facts.cipher);
        assert!(facts.may_carry_a_secret() && !facts.client_certificate_requested);
        assert_eq!(facts.chain.len(), 1);
        for exchange in &only(&sight).exchanges {
            assert_eq!(answer(exchange).status, 200);
            assert!(!exchange.asked_for_certificate);
        }
        assert_eq!(numbers(only(&sight)), [0, 0]);
        assert_eq!(peer.connections(), 2, "one for each stack");
    }
}

#[tokio::test]
async fn a_hello_that_is_not_understood_gets_a_second_try_and_only_one() {
    let root = Authority::root("root");
    let identity = rsa_leaf(&root);
    for (first, expected) in
        [(Opening::Reset, TlsFailure::Reset), (Opening::Raw(Vec::new()), TlsFailure::Closed)]
    {
        let context = old(&identity, SslVersion::TLS1, ANY);
        let peer = Peer::old_after(vec![first.clone()], context, |_| ok()).await;
        let sight = Network::to(peer.socket).see(&https(&[Look::OPTIONS])).await;
        let (modern, facts) = both(only(&sight));
        assert_eq!(*modern, expected);
        assert!(facts.done().is_some());
        assert_eq!(answer(&only(&sight).exchanges[0]).status, 200);

        let peer = Peer::in_turn(vec![first]).await;
        let sight = Network::to(peer.socket).see(&https(&[Look::OPTIONS])).await;
        assert_eq!(both(only(&sight)), (&expected, &Outcome::Failed(expected.clone())));
        assert_eq!((only(&sight).exchanges.len(), peer.connections()), (0, 2));
    }
}

#[tokio::test]
async fn what_cannot_be_our_limit_gets_no_second_connection() {
    let alert = |number| vec![21, 3, 3, 0, 2, 2, number];
    for first in [
        Opening::Stall,
        Opening::Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        Opening::Raw(alert(112)),
        Opening::Raw(alert(116)),
        // It had begun to answer before it closed.
        Opening::Raw(vec![22, 3]),
    ] {
        let peer = Peer::in_turn(vec![first]).await;
        let mut task = https(&[Look::OPTIONS]);
        task.limits.tls = SHORT;
        let sight = Network::to(peer.socket).see(&task).await;
        assert!(matches!(only(&sight).transport, Transport::Tls(Outcome::Failed(_))), "{sight:?}");
        assert_eq!(peer.connections(), 1);
    }
}

#[tokio::test]
async fn an_alert_to_both_stacks_is_told_as_it_came() {
    let identity = rsa_leaf(&Authority::root("root"));
    let peer = Peer::in_turn(vec![Opening::Raw(NO_COMMON_GROUND.to_vec())]).await;
    let sight = Network::to(peer.socket).see(&https(&[Look::OPTIONS])).await;
    let (modern, old_one) = both(only(&sight));
    assert!(matches!(modern, TlsFailure::OurLimit { .. }));
    assert_eq!(*old_one, Outcome::Failed(TlsFailure::Alert { number: 40 }));

    for (mode, expected) in [
        (SslVerifyMode::PEER, None),
        (
            SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT,
            Some(&TlsFailure::ClientCertificateRequired),
        ),
    ] {
        let mut context = settings(&identity, SslVersion::TLS1, ANY);
        context.set_verify(mode);
        let peer = self::peer(context.build()).await;
        let sight = Network::to(peer.socket).see(&https(&[Look::OPTIONS])).await;
        let (_, old_one) = both(only(&sight));
        assert_eq!(old_one.failed(), expected);
        if let Some(facts) = old_one.done() {
            assert!(facts.client_certificate_requested);
        }
    }
}

fn secret() -> Secret {
    Secret::new("Xyzzy-planted-9".to_owned()).expect("valid")
}

fn has_secret(arrived: &Arrived) -> bool {
    arrived.head.contains("\r\nAuthorization: ")
}

#[tokio::test]
async fn a_secret_goes_over_the_old_stack_once_and_only_to_a_trusted_box() {
    let root = Authority::root("root");
    let identity = rsa_leaf(&root);
    for act in [ok(), Act::Reset, Act::SendThenClose(Vec::new())] {
        let context = old(&identity, SslVersion::TLS1, ANY);
        let script = move |it: &Arrived| if has_secret(it) { act.clone() } else { ok() };
        let peer = Peer::old_after(Vec::new(), context, script).await;
        let task = with_logon(https(&[Look::OPTIONS]));
        for (network, is_trusted) in [
            (Network::to(peer.socket), false),
            (Network::to(peer.socket).public(&root.der()), true),
        ] {
            let before = peer.connections();
            let instrument = network.instrument();
            let preparation =
                prepare(&task, &instrument, &|_, _| Ok(()), &|_| {}).await.expect("a preparation");
            let sight = match preparation {
                Preparation::Ready(prepared) => prepared.send(&secret()).await,
                Preparation::Stopped(sight) => sight,
            };
            let last = only(&sight).exchanges.last().expect("an exchange");
            assert_eq!((last.look.is_logon(), last.sent), (true, is_trusted));
            if !is_trusted {
                assert_eq!(last.outcome.failed(), Some(&HttpFailure::UntrustedPeer));
            }
            // The modern stack once, the old one for the look, and straight the old one for the secret.
            assert_eq!(peer.connections() - before, 3);
        }
        assert_eq!(peer.credentialed(), 1);
    }
}

/// A server hello that announces a message of 16 MiB.
fn endless_message() -> Vec<u8> {
    let mut record = vec![22, 3, 1, 0x40, 0, 11, 0xff, 0xff, 0xff];
    record.resize(5 + 0x4000, 7);
    record
}

/// A server hello as it should be, and then certificates without end.
fn endless_certificates() -> Vec<u8> {
    let mut bytes = vec![22, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1];
    bytes.extend([7; 32]);
    bytes.extend([0, 0, 4, 0]);
    for _ in 0..20 {
        bytes.extend(endless_message());
    }
    bytes
}

#[tokio::test]
async fn hostile_bytes_end_as_values_within_the_limits() {
    let random: Vec<u8> =
        (0..60_000_u32).map(|it| (it.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let empty_records = [22, 3, 1, 0, 0].repeat(4000);
    let warnings = [21, 3, 1, 0, 2, 1, 90].repeat(4000);
    let mut late = vec![22, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1];
    late.extend([7; 32]);
    for bytes in [
        random,
        [vec![22, 3, 1], vec![255; 60_000]].concat(),
        endless_message(),
        endless_certificates(),
        empty_records,
        warnings,
        late,
    ] {
        let started = Instant::now();
        let first = Opening::Raw(NO_COMMON_GROUND.to_vec());
        let peer = Peer::in_turn(vec![first, Opening::Raw(bytes)]).await;
        let sight = Network::to(peer.socket).see(&https(&[Look::OPTIONS])).await;
        assert!(both(only(&sight)).1.failed().is_some(), "{sight:?}");
        assert_eq!((only(&sight).exchanges.len(), peer.connections()), (0, 2));
        assert!(started.elapsed() < Duration::from_secs(5), "{sight:?}");
    }
}

#[tokio::test]
async fn slowness_at_the_old_stack_ends_at_the_limit() {
    for slow in [Opening::Stall, Opening::Drip(vec![22, 3, 1, 0x40, 0])] {
        let peer = Peer::in_turn(vec![Opening::Raw(NO_COMMON_GROUND.to_vec()), slow]).await;
        let mut task = https(&[Look::OPTIONS]);
        task.limits.tls = SHORT;
        let sight = Network::to(peer.socket).see(&task).await;
        assert_eq!(both(only(&sight)).1.failed(), Some(&TlsFailure::TimedOut { after: SHORT }));
    }
}

#[tokio::test]
async fn a_chain_too_long_for_the_old_stack_breaks_a_bound() {
    let root = Authority::root("root");
    let mut identity = rsa_leaf(&root);
    let other = root.intermediate(|_| {}).der();
    let count = 1 + 128 * 1024 / other.len();
    identity.chain.extend(std::iter::repeat_n(other, count));
    let peer = peer(old(&identity, SslVersion::TLS1, ANY)).await;
    let sight = Network::to(peer.socket).see(&https(&[Look::OPTIONS])).await;
    let failure = both(only(&sight)).1.failed().expect("a failure");
    assert!(matches!(failure, TlsFailure::Limit { .. }), "{failure:?}");
}

/// A server of the old kind that shows another leaf to whoever names none.
fn with_default_site(named: &Identity, other: &Identity) -> SslContext {
    let by_name = old(named, SslVersion::TLS1, ANY);
    let mut context = settings(other, SslVersion::TLS1, ANY);
    context.set_servername_callback(move |ssl, _| {
        if ssl.servername(openssl::ssl::NameType::HOST_NAME).is_some() {
            ssl.set_ssl_context(&by_name).map_err(|_| openssl::ssl::SniError::ALERT_FATAL)?;
        }
        Ok(())
    });
    context.build()
}

#[tokio::test]
async fn without_a_server_name_the_stack_that_worked_sees_the_other_leaf() {
    let root = Authority::root("root");
    let (named, other) = (rsa_leaf(&root), rsa_leaf(&root));
    let peer = peer(with_default_site(&named, &other)).await;
    let mut task = https(&[Look::OPTIONS]);
    let sight = Network::to(peer.socket).see(&task).await;
    assert_eq!((&only(&sight).without_sni, peer.connections()), (&Outcome::NotReached, 2));

    task.without_sni = true;
    let sight = Network::to(peer.socket).see(&task).await;
    assert_eq!(peer.connections(), 5, "one more, straight with the old stack");
    let seen = only(&sight).transport.tls().expect("a handshake").chain[0].sha256;
    let nameless = only(&sight).without_sni.done().expect("a handshake");
    assert_eq!(nameless.version, TlsVersion::Tls10);
    assert_ne!(nameless.chain[0].sha256, seen);
    assert_eq!(peer.requests().len(), 2, "no request follows it");
}
