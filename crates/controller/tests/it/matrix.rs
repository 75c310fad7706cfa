//! Every RPC of both packages, on both ports, for everybody who may come: 100 % of the cells, from the descriptor.
//!
//! What each RPC needs stands here a second time, so that a line of the product's table cannot change unnoticed, and an RPC that
//! was added without one fails.

#![expect(clippy::wildcard_enum_match_arm, reason = "whoever is not named is nobody")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use parallax_controller::authority::{AUTHORITY_FILE, AUTHORITY_KEY_FILE};
use parallax_controller::token::TokenDigest;
use parallax_controller::{ApiIdentity, Principal, Role, Terms};
use parallax_model::Zone;
use prost::Message as _;
use rcgen::{CertificateParams, Issuer, KeyPair, SanType};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::Code;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower::{Service as _, ServiceExt as _};

use crate::bed::{Bed, SOON, TOKEN};

/// Who may call what, for each public RPC: the least role.
const LEAST: &[(&str, Least)] = &[
    ("CatalogService/GetFault", Least::Viewer),
    ("CatalogService/ListFaults", Least::Viewer),
    ("TargetService/GetTarget", Least::Viewer),
    ("TargetService/ListTargets", Least::Viewer),
    ("TargetService/CreateTarget", Least::Admin),
    ("TargetService/UpdateTarget", Least::Admin),
    ("TargetService/DeleteTarget", Least::Admin),
    ("DiagnosisService/GetDiagnosis", Least::Viewer),
    ("DiagnosisService/ListDiagnoses", Least::Viewer),
    ("DiagnosisService/WatchDiagnosis", Least::Viewer),
    ("DiagnosisService/CreateDiagnosis", Least::Operator),
    ("DiagnosisService/Diagnose", Least::Operator),
    ("DiagnosisService/CancelDiagnosis", Least::Operator),
    ("AccountService/GetAccount", Least::Operator),
    ("AccountService/ListAccounts", Least::Operator),
    ("AccountService/CreateAccount", Least::Admin),
    ("AccountService/RotateAccount", Least::Admin),
    ("AccountService/ReleaseAccount", Least::Admin),
    ("AccountService/DeleteAccount", Least::Admin),
    ("FleetService/GetAgent", Least::Viewer),
    ("FleetService/ListAgents", Least::Viewer),
    ("FleetService/DrainAgent", Least::Operator),
    ("FleetService/ResumeAgent", Least::Operator),
    ("FleetService/CreateJoinToken", Least::Admin),
    ("FleetService/BanAgent", Least::Admin),
    ("FleetService/DeleteAgent", Least::Admin),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Least {
    Viewer,
    Operator,
    Admin,
}

/// Whoever comes, on either port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    Nobody,
    WrongToken,
    Viewer,
    Operator,
    Admin,
    /// A registered agent.
    Agent,
    /// With a certificate of our authority that nobody registered.
    Unregistered,
    Expired,
    ForeignAuthority,
    /// Of our authority, but naming no agent.
    NoSpiffeId,
}

const CALLERS: [Caller; 10] = [
    Caller::Nobody,
    Caller::WrongToken,
    Caller::Viewer,
    Caller::Operator,
    Caller::Admin,
    Caller::Agent,
    Caller::Unregistered,
    Caller::Expired,
    Caller::ForeignAuthority,
    Caller::NoSpiffeId,
];

const VIEWER: &str = "viewer-0123456789abcdef0123456789";
const OPERATOR: &str = "operator-0123456789abcdef01234567";

impl Caller {
    fn token(self) -> Option<&'static str> {
        match self {
            Self::WrongToken => Some("wrong-0123456789abcdef0123456789ab"),
            Self::Viewer => Some(VIEWER),
            Self::Operator => Some(OPERATOR),
            Self::Admin => Some(TOKEN),
            _ => None,
        }
    }

    fn role(self) -> Option<Least> {
        match self {
            Self::Viewer => Some(Least::Viewer),
            Self::Operator => Some(Least::Operator),
            Self::Admin => Some(Least::Admin),
            _ => None,
        }
    }
}

type Certificate = (CertificateDer<'static>, PrivateKeyDer<'static>);

/// Makes certificates as no controller does.
struct Forge {
    issuer: Issuer<'static, KeyPair>,
}

impl Forge {
    fn of(bed: &Bed) -> Self {
        let read =
            |name: &str| std::fs::read_to_string(bed.site.folder.path().join(name)).expect(name);
        let key = KeyPair::from_pem(&read(AUTHORITY_KEY_FILE)).expect("a key");
        let issuer = Issuer::from_ca_cert_pem(&read(AUTHORITY_FILE), key).expect("an authority");
        Self { issuer }
    }

    fn foreign() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self { issuer: Issuer::new(params, KeyPair::generate().expect("a key")) }
    }

    fn issue(&self, spiffe: Option<&str>, days_left: i64) -> Certificate {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        let now = time::OffsetDateTime::now_utc();
        params.not_before = now - time::Duration::days(40);
        params.not_after = now + time::Duration::days(days_left);
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        if let Some(vantage) = spiffe {
            let id = format!("spiffe://parallax/agent/{vantage}").try_into().expect("a URI");
            params.subject_alt_names = vec![SanType::URI(id)];
        }
        let key = KeyPair::generate().expect("a key");
        let leaf = params.signed_by(&key, &self.issuer).expect("signed");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        (leaf.der().clone(), key)
    }
}

fn certificate(bed: &Bed, caller: Caller) -> Option<Certificate> {
    let ours = Forge::of(bed);
    Some(match caller {
        Caller::Agent => {
            let identity = bed.identity("ext");
            let leaf = CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes());
            let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes());
            (leaf.expect("PEM"), key.expect("PEM"))
        }
        Caller::Unregistered => ours.issue(Some("ext"), 10),
        Caller::Expired => ours.issue(Some("ext"), -1),
        Caller::ForeignAuthority => Forge::foreign().issue(Some("ext"), 10),
        Caller::NoSpiffeId => ours.issue(None, 10),
        _ => return None,
    })
}

/// A connection over TLS; `None`: the peer does not take this certificate.
async fn connect(
    address: std::net::SocketAddr,
    root: CertificateDer<'static>,
    certificate: Option<Certificate>,
) -> Option<Channel> {
    let mut roots = RootCertStore::empty();
    roots.add(root).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots);
    let mut config = match certificate {
        Some((leaf, key)) => config.with_client_auth_cert(vec![leaf], key).expect("a certificate"),
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = TlsConnector::from(Arc::new(config));
    let dial = tower::service_fn(move |_| {
        let connector = connector.clone();
        async move {
            let stream = TcpStream::connect(address).await?;
            let name = ServerName::try_from("localhost").expect("a name");
            connector.connect(name, stream).await.map(TokioIo::new)
        }
    });
    Endpoint::from_static("https://localhost").connect_with_connector(dial).await.ok()
}

/// Calls with an empty message; what the status is. `None`: the connection is gone.
async fn call(channel: &Channel, path: &str, token: Option<&str>) -> Option<Code> {
    let mut request = http::Request::post(format!("https://localhost{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", "3S");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let message = Full::new(Bytes::from_static(&[0; 5]));
    let request = request.body(Body::new(message)).expect("a request");
    let mut channel = channel.clone();
    let answered = async {
        let response = channel.ready().await.ok()?.call(request).await.ok()?;
        let (head, body) = response.into_parts();
        let status = |headers: &http::HeaderMap| {
            let code = headers.get("grpc-status")?.as_bytes().to_vec();
            Some(Code::from_bytes(&code))
        };
        if let Some(code) = status(&head.headers) {
            return Some(code);
        }
        // A stream that goes on was let in, too.
        let rest = tokio::time::timeout(Duration::from_millis(300), body.collect()).await;
        match rest {
            Ok(Ok(rest)) => rest.trailers().and_then(status),
            Ok(Err(status)) => Some(status.code()),
            Err(_) => Some(Code::Ok),
        }
    };
    tokio::time::timeout(SOON, answered).await.expect("an answer soon")
}

/// Every RPC of the public package, as `/parallax.v1.TargetService/GetTarget`.
fn public_rpcs() -> Vec<String> {
    let files = prost_types::FileDescriptorSet::decode(parallax_wire::pb::DESCRIPTORS);
    let files = files.expect("descriptors").file;
    let mut paths = Vec::new();
    for file in files.iter().filter(|it| it.package() == "parallax.v1") {
        for service in &file.service {
            for method in &service.method {
                paths.push(format!("/{}.{}/{}", file.package(), service.name(), method.name()));
            }
        }
    }
    paths
}

/// Every RPC of the private package; it has no descriptor at run time.
fn agent_rpcs() -> Vec<String> {
    let text = include_str!("../../../../proto/parallax/agent/v1/agent.proto");
    let mut service = "";
    let mut paths = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("service ") {
            service = rest.split(' ').next().expect("a name");
        } else if let Some(rest) = line.trim_start().strip_prefix("rpc ") {
            let method = rest.split('(').next().expect("a name");
            paths.push(format!("/parallax.agent.v1.{service}/{method}"));
        }
    }
    paths
}

fn least() -> BTreeMap<String, Least> {
    LEAST.iter().map(|(rpc, least)| (format!("/parallax.v1.{rpc}"), *least)).collect()
}

/// What has to come of a call on the API's port; `None`: anything that is about the message, not about the caller.
fn on_api(path: &str, caller: Caller, least: &BTreeMap<String, Least>) -> Option<Code> {
    if path.starts_with("/grpc.") {
        return None;
    }
    // The API asks for no certificate, so an agent is nobody there.
    let Some(role) = caller.role() else { return Some(Code::Unauthenticated) };
    match least.get(path) {
        Some(least) if role >= *least => None,
        Some(_) => Some(Code::PermissionDenied),
        None => Some(Code::Unimplemented),
    }
}

/// The same on the port of the agents.
fn on_agents(path: &str, caller: Caller) -> Option<Code> {
    if path.starts_with("/parallax.agent.v1.EnrollmentService/") {
        return None;
    }
    if !path.starts_with("/parallax.agent.v1.AgentService/") {
        return Some(Code::Unimplemented);
    }
    match caller {
        Caller::Agent => None,
        Caller::Unregistered => Some(Code::PermissionDenied),
        // A token means nothing here.
        _ => Some(Code::Unauthenticated),
    }
}

fn check(cell: &str, expected: Option<Code>, got: Option<Code>) {
    match (expected, got) {
        (Some(expected), got) => assert_eq!(got, Some(expected), "{cell}"),
        (None, Some(code)) => {
            let about_caller = [Code::Unauthenticated, Code::PermissionDenied];
            assert!(!about_caller.contains(&code), "{cell}: {code:?}");
            assert_ne!(code, Code::Internal, "{cell}");
            assert_ne!(code, Code::Unknown, "{cell}");
        }
        (None, None) => panic!("{cell}: no answer"),
    }
}

fn api_identity() -> (CertificateDer<'static>, ApiIdentity) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
    let certificate = params.self_signed(&key).expect("signed");
    let der = certificate.der().clone();
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    (der.clone(), ApiIdentity { chain: vec![der], key })
}

fn terms() -> Terms {
    let principal = |name: &str, role| Principal { name: name.to_owned(), role };
    let mut terms = Terms {
        callers: vec![
            (TokenDigest::of(VIEWER), principal("vera", Role::Viewer)),
            (TokenDigest::of(OPERATOR), principal("otto", Role::Operator)),
        ],
        ..Terms::default()
    };
    // Many wrong ones come from here within a second.
    terms.limits.api.failures.burst = 10_000;
    terms.limits.api.open.burst = 10_000;
    terms
}

#[tokio::test]
async fn every_rpc_on_every_port_for_every_caller() {
    let (root, identity) = api_identity();
    let bed = Bed::start_on(terms(), Some(identity), &[("ext", Zone::External)]).await;
    let least = least();
    let mut paths = public_rpcs();
    let described: BTreeSet<&String> = paths.iter().collect();
    assert_eq!(described, least.keys().collect(), "each public RPC has a line in this test");
    let of_agents = agent_rpcs();
    assert!(of_agents.len() >= 4, "{of_agents:?}");
    paths.extend(of_agents);
    paths.push("/grpc.health.v1.Health/Check".to_owned());
    paths.push("/grpc.health.v1.Health/Watch".to_owned());
    paths.push("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo".to_owned());
    paths.push("/parallax.v1.TargetService/NoSuchMethod".to_owned());
    let mut cells = 0;
    for caller in CALLERS {
        let token = caller.token();
        let shown = certificate(&bed, caller);
        let api = connect(bed.api, root.clone(), shown).await.expect("the API takes anybody");
        let agents = connect(bed.agents, bed.authority(), certificate(&bed, caller)).await;
        for path in &paths {
            let got = call(&api, path, token).await;
            check(&format!("API, {caller:?}, {path}"), on_api(path, caller, &least), got);
            cells += 2;
            // TLS 1.3 refuses a client after it believes to be connected: the first call finds out.
            let is_bad = matches!(caller, Caller::Expired | Caller::ForeignAuthority);
            let got = match &agents {
                Some(agents) => call(agents, path, token).await,
                None => None,
            };
            if is_bad {
                assert_eq!(got, None, "agents' port, {caller:?}, {path}: the handshake fails");
            } else {
                check(&format!("agents' port, {caller:?}, {path}"), on_agents(path, caller), got);
            }
        }
    }
    assert_eq!(cells, CALLERS.len() * paths.len() * 2);
    bed.stop().await;
}
