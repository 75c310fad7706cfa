//! The TLS stage: chains of every kind, judged; handshakes that fail in every way.

use std::sync::Arc;

use parallax_model::{
    ChainJudgement, ChainProblem, Look, Outcome, Task, TlsFacts, TlsFailure, TlsVersion, Transport,
    Trust,
};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;

use super::network::{Authority, Identity, Network, SHORT, answer, https, in_2001, only};
use super::peer::{Peer, ok, server_config};

const TRUSTED: ChainJudgement = ChainJudgement::Trusted;
const UNKNOWN: ChainJudgement = ChainJudgement::Untrusted(ChainProblem::UnknownIssuer);

/// Shakes hands with a box of this identity, in a network where `network` says who is trusted.
async fn facts(
    identity: Identity,
    trust: Trust,
    network: impl FnOnce(Network) -> Network,
) -> TlsFacts {
    let peer = Peer::tls(identity, |_| ok()).await;
    let mut task = https(&[Look::OPTIONS]);
    task.endpoint.trust = trust;
    let sight = network(Network::to(peer.socket)).see(&task).await;
    assert_eq!(answer(&only(&sight).exchanges[0]).status, 200, "looks go on, whatever the chain");
    only(&sight).transport.tls().expect("a handshake").clone()
}

async fn failure_of(peer: Peer) -> TlsFailure {
    failure_in(peer, &https(&[Look::OPTIONS])).await
}

/// What the modern client meets.
async fn failure_in(peer: Peer, task: &Task) -> TlsFailure {
    let sight = Network::to(peer.socket).see(task).await;
    let observation = only(&sight);
    assert_eq!(observation.exchanges, []);
    assert!(observation.transport.handshake().is_some_and(|it| it.failed().is_some()));
    observation.transport.modern_failure().expect("a failure").clone()
}

#[tokio::test]
async fn a_good_chain_is_kept_and_trusted() {
    let root = Authority::root("root");
    let intermediate = root.intermediate(|_| {});
    let identity = intermediate.leaf().and(&intermediate);
    let facts = facts(identity, Trust::PublicOrStore, |it| it.public(&root.der())).await;
    assert_eq!(facts.version, TlsVersion::Tls13);
    assert!(facts.cipher.starts_with("TLS13_"), "{}", facts.cipher);
    assert_eq!(facts.chain.len(), 2);
    assert_eq!(facts.chain[0].names, ["mail.corp.example"]);
    assert_eq!(facts.chain[0].issuer, facts.chain[1].subject);
    assert_eq!((facts.trust.public, facts.trust.endpoint), (TRUSTED, TRUSTED));
    assert_eq!(facts.trust.store, UNKNOWN);
    assert!(facts.name_matches && facts.dates_hold && facts.may_carry_a_secret());
    assert!(!facts.client_certificate_requested);
}

#[tokio::test]
async fn a_missing_intermediate_is_an_unknown_issuer() {
    let root = Authority::root("root");
    let leaf = root.intermediate(|_| {}).leaf();
    let facts =
        facts(leaf, Trust::PublicOrStore, |it| it.public(&root.der()).store(&root.der())).await;
    assert_eq!(
        (facts.trust.public, facts.trust.store, facts.trust.endpoint),
        (UNKNOWN, UNKNOWN, UNKNOWN)
    );
    assert!(facts.name_matches && facts.dates_hold && !facts.may_carry_a_secret());
}

#[tokio::test]
async fn every_kind_of_trust_asks_its_own_roots() {
    let (one, two) = (Authority::root("one"), Authority::root("two"));
    let leaf = one.leaf();
    let pin: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest(&leaf.chain[0]).into();
    let in_store = |it: Network| it.store(&one.der()).public(&two.der());
    for (trust, endpoint) in [
        (Trust::PublicOrStore, TRUSTED),
        (Trust::Store, TRUSTED),
        (Trust::Public, UNKNOWN),
        (Trust::Authorities(vec![one.der().to_vec()]), TRUSTED),
        (Trust::Authorities(vec![two.der().to_vec(), vec![1, 2, 3]]), UNKNOWN),
        (Trust::Pinned(vec![[0; 32], pin]), TRUSTED),
        (Trust::Pinned(vec![[0; 32]]), ChainJudgement::Untrusted(ChainProblem::NotPinned)),
    ] {
        let identity = Identity { chain: leaf.chain.clone(), key: leaf.key.clone_key() };
        let facts = facts(identity, trust.clone(), in_store).await;
        assert_eq!(facts.trust.endpoint, endpoint, "{trust:?}");
        assert_eq!((facts.trust.public, facts.trust.store), (UNKNOWN, TRUSTED));
    }
}

#[tokio::test]
async fn a_self_signed_leaf_is_named_and_can_be_trusted_by_itself() {
    let identity = Identity::self_signed();
    let der = identity.chain[0].to_vec();
    let again = Identity { chain: identity.chain.clone(), key: identity.key.clone_key() };
    let seen = facts(identity, Trust::PublicOrStore, |it| it).await;
    assert_eq!(seen.trust.endpoint, ChainJudgement::Untrusted(ChainProblem::SelfSigned));
    let seen = facts(again, Trust::Authorities(vec![der]), |it| it).await;
    assert_eq!(seen.trust.endpoint, TRUSTED);
}

#[tokio::test]
async fn dates_are_judged_apart_from_the_path() {
    let root = Authority::root("root");
    let seen = facts(root.leaf_with(in_2001), Trust::Public, |it| it.public(&root.der())).await;
    assert_eq!(seen.trust.endpoint, TRUSTED, "the path is fine");
    assert!(!seen.dates_hold && seen.name_matches && !seen.may_carry_a_secret());

    // An intermediate out of date breaks the path that the leaf needs now.
    let old = root.intermediate(in_2001);
    let seen = facts(old.leaf().and(&old), Trust::Public, |it| it.public(&root.der())).await;
    assert_eq!(seen.trust.endpoint, TRUSTED);
    assert!(!seen.dates_hold && !seen.may_carry_a_secret());

    // One that the path does not need breaks nothing.
    let seen = facts(root.leaf().and(&old), Trust::Public, |it| it.public(&root.der())).await;
    assert!(seen.dates_hold && seen.may_carry_a_secret());

    // An expired leaf of nobody known is both.
    let seen = facts(root.leaf_with(in_2001), Trust::Public, |it| it).await;
    assert_eq!(seen.trust.endpoint, UNKNOWN);
    assert!(!seen.dates_hold);
}

#[tokio::test]
async fn the_name_is_judged_apart_from_the_path() {
    let root = Authority::root("root");
    let other = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        root.leaf_with(|params| {
            params.subject_alt_names = names
                .into_iter()
                .map(|it| rcgen::SanType::DnsName(it.try_into().expect("name")))
                .collect();
        })
    };
    for (names, matches) in [
        (vec!["other.corp.example"], false),
        (vec!["*.corp.example"], true),
        (vec!["*.example"], false),
        // A common name alone is no name (RFC 9525).
        (vec![], false),
    ] {
        let seen = facts(other(&names), Trust::Public, |it| it.public(&root.der())).await;
        assert_eq!((seen.trust.endpoint, seen.name_matches), (TRUSTED, matches), "{names:?}");
    }
}

#[tokio::test]
async fn a_forged_signature_and_a_wrong_use_are_told_apart() {
    // Two authorities of the same name, of which only the first is trusted.
    let (real, forged) = (Authority::root("root"), Authority::root("root"));
    let seen = facts(forged.leaf(), Trust::Public, |it| it.public(&real.der())).await;
    assert_eq!(seen.trust.endpoint, ChainJudgement::Untrusted(ChainProblem::BadSignature));
    let client_only = real.leaf_with(|params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    let seen = facts(client_only, Trust::Public, |it| it.public(&real.der())).await;
    assert_eq!(seen.trust.endpoint, ChainJudgement::Untrusted(ChainProblem::Unusable));
}

/// A server that asks for a client certificate, below or at TLS 1.3.
fn asking(
    authority: &Authority,
    version: &'static rustls::SupportedProtocolVersion,
    is_required: bool,
) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.der()).expect("root");
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
    let verifier = if is_required { verifier } else { verifier.allow_unauthenticated() };
    let identity = authority.leaf();
    ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .expect("version")
        .with_client_cert_verifier(verifier.build().expect("verifier"))
        .with_single_cert(identity.chain, identity.key)
        .expect("identity")
}

#[tokio::test]
async fn a_wish_for_a_client_certificate_is_noticed() {
    let root = Authority::root("root");
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let optional = Peer::tls_in_turn(vec![asking(&root, version, false)], |_| ok()).await;
        let sight = Network::to(optional.socket).see(&https(&[Look::OPTIONS])).await;
        let facts = only(&sight).transport.tls().expect("a handshake");
        assert!(facts.client_certificate_requested);
        assert_eq!(answer(&only(&sight).exchanges[0]).status, 200);

        let required = Peer::tls_in_turn(vec![asking(&root, version, true)], |_| ok()).await;
        let mut task = https(&[Look::OPTIONS, Look::GET]);
        task.endpoint.trust = Trust::Authorities(vec![root.der().to_vec()]);
        let sight = Network::to(required.socket).see(&task).await;
        let expected = Transport::Tls(Outcome::Failed(TlsFailure::ClientCertificateRequired));
        assert_eq!(only(&sight).transport, expected, "{version:?}");
        assert_eq!(only(&sight).exchanges, []);
    }
}

#[tokio::test]
async fn a_server_of_tls_1_2_is_fine() {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let identity = Authority::root("root").leaf();
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .expect("version")
        .with_no_client_auth()
        .with_single_cert(identity.chain, identity.key)
        .expect("identity");
    let peer = Peer::tls_in_turn(vec![config], |_| ok()).await;
    let sight = Network::to(peer.socket).see(&https(&[Look::OPTIONS, Look::GET])).await;
    let facts = only(&sight).transport.tls().expect("a handshake");
    assert_eq!(facts.version, TlsVersion::Tls12);
    assert!(facts.cipher.starts_with("TLS_ECDHE_"), "{}", facts.cipher);
}

#[tokio::test]
async fn the_protocol_agreed_on_is_kept() {
    let mut config = server_config(Identity::self_signed());
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let peer = Peer::tls_in_turn(vec![config], |_| ok()).await;
    let sight = Network::to(peer.socket).see(&https(&[Look::OPTIONS])).await;
    assert_eq!(
        only(&sight).transport.tls().expect("a handshake").alpn.as_deref(),
        Some("http/1.1")
    );
}

#[tokio::test]
async fn handshakes_that_fail_have_their_names() {
    let mut task = https(&[Look::OPTIONS]);
    task.limits.tls = SHORT;
    let failure = failure_in(Peer::stalling().await, &task).await;
    assert_eq!(failure, TlsFailure::TimedOut { after: SHORT });
    assert_eq!(failure_of(Peer::resetting().await).await, TlsFailure::Reset);
    assert_eq!(failure_of(Peer::raw(b"").await).await, TlsFailure::Closed);
    for bytes in [
        b"HTTP/1.1 400 Bad Request\r\n\r\n".as_slice(),
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"220 mail ESMTP\r\n",
    ] {
        assert_eq!(
            failure_of(Peer::raw(bytes).await).await,
            TlsFailure::NotTls,
            "{}",
            bytes.escape_ascii()
        );
    }
    let alert = |number: u8| [0x15, 3, 1, 0, 2, 2, number];
    assert_eq!(failure_of(Peer::raw(&alert(112)).await).await, TlsFailure::Alert { number: 112 });
    for number in [40, 70, 71] {
        let failure = failure_of(Peer::raw(&alert(number)).await).await;
        assert!(matches!(failure, TlsFailure::OurLimit { .. }), "{number}: {failure:?}");
    }
    assert_eq!(
        failure_of(Peer::raw(&alert(116)).await).await,
        TlsFailure::ClientCertificateRequired
    );
    // An unexpected handshake message: a certificate before the server's hello.
    let failure = failure_of(Peer::raw(&[0x16, 3, 3, 0, 4, 14, 0, 0, 0]).await).await;
    assert!(matches!(failure, TlsFailure::Other { .. }), "{failure:?}");
}

/// What a default IIS on Windows Server 2003 answers: version 1.0, an RSA key exchange.
#[tokio::test]
async fn a_server_hello_of_tls_1_0_is_our_limit() {
    let mut hello = vec![0x16, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1];
    hello.extend([7; 32]);
    // No session id, TLS_RSA_WITH_RC4_128_MD5, no compression.
    hello.extend([0, 0, 4, 0]);
    let failure = failure_of(Peer::raw(&hello).await).await;
    assert!(matches!(failure, TlsFailure::OurLimit { .. }), "{failure:?}");
}

#[tokio::test]
async fn a_chain_beyond_64_kib_breaks_a_bound() {
    let root = Authority::root("root");
    let other = root.intermediate(|_| {}).der();
    let mut identity = root.leaf();
    identity.chain.extend(std::iter::repeat_n(other.clone(), 1 + 65_536 / other.len()));
    let failure = failure_of(Peer::tls(identity, |_| ok()).await).await;
    assert!(matches!(failure, TlsFailure::Limit { .. }), "{failure:?}");
}
