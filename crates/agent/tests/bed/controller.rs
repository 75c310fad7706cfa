//! A controller that does what a test tells it: a real gRPC server with mutual TLS, its sessions handed to the test.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, io};

use parallax_agent::Identity;
use parallax_auth::{Binding, Secret, seal};
use parallax_model::VantageName;
use parallax_wire::pb::link as wire;
use parallax_wire::pb::link::agent_service_server::{AgentService, AgentServiceServer};
use parallax_wire::pb::link::enrollment_service_server::{
    EnrollmentService, EnrollmentServiceServer,
};
use parallax_wire::pb::link::session_request::Message as Said;
use parallax_wire::pb::link::session_response::Message as Tell;
use rcgen::{
    CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType, IsCa, Issuer,
    KeyPair, PublicKeyData as _, SanType,
};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status, Streaming};

use super::soon;

/// The secret that this controller seals; it must turn up nowhere but in one `Authorization`.
pub(crate) const SECRET: &str = "Planted-12345";

pub(crate) struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// From when to when a certificate holds, in days from now.
pub(crate) type Days = (i64, i64);
/// As they come from a controller.
pub(crate) const FRESH: Days = (-1, 30);

impl Authority {
    pub(crate) fn new() -> Self {
        Self::named("Parallax agents")
    }

    pub(crate) fn named(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate").der().clone();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// SHA-256 over its key, as a token carries it.
    pub(crate) fn pin(&self) -> [u8; 32] {
        Sha256::digest(self.issuer.key().subject_public_key_info()).into()
    }

    fn params(name: SanType, days: Days) -> CertificateParams {
        let mut params = CertificateParams::default();
        let now = OffsetDateTime::now_utc();
        params.subject_alt_names = vec![name];
        params.not_before = now + time::Duration::days(days.0);
        params.not_after = now + time::Duration::days(days.1);
        params
    }

    fn issue(
        &self,
        name: SanType,
        days: Days,
    ) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().expect("a key");
        let certificate = Self::params(name, days).signed_by(&key, &self.issuer);
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        (certificate.expect("a certificate").der().clone(), key)
    }

    pub(crate) fn agent(&self, vantage: &str) -> Identity {
        self.agent_for(vantage, FRESH)
    }

    pub(crate) fn agent_for(&self, vantage: &str, days: Days) -> Identity {
        let (certificate, key) = self.issue(spiffe(vantage), days);
        Identity { chain: vec![certificate], key, authority: self.certificate.clone() }
    }

    /// What a controller answers to a request for the agent `hq`.
    pub(crate) fn certify(&self, request: &[u8]) -> wire::Certificate {
        let request = CertificateSigningRequestParams::from_der(&request.into());
        let public_key = request.expect("a request").public_key;
        let certificate = Self::params(spiffe("hq"), FRESH).signed_by(&public_key, &self.issuer);
        wire::Certificate {
            chain: vec![certificate.expect("a certificate").der().to_vec()],
            authority: self.certificate.to_vec(),
        }
    }

    /// TLS of a controller: its certificate for `controller.test`, and client certificates of this authority if any come.
    pub(crate) fn server(&self, days: Days) -> ServerConfig {
        let name = SanType::DnsName("controller.test".try_into().expect("a name"));
        let (certificate, key) = self.issue(name, days);
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("a root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
                .allow_unauthenticated()
                .build()
                .expect("a verifier");
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate, self.certificate.clone()], key)
            .expect("a certificate");
        config.alpn_protocols = vec![b"h2".to_vec()];
        config
    }
}

fn spiffe(vantage: &str) -> SanType {
    let id = format!("spiffe://parallax/agent/{vantage}");
    SanType::URI(id.try_into().expect("a URI"))
}

pub(crate) struct Controller {
    pub(crate) address: SocketAddr,
    sessions: mpsc::Receiver<Session>,
    /// Calls for certificates.
    calls: mpsc::Receiver<Call>,
    failures: mpsc::Receiver<io::Error>,
    _serving: JoinSet<()>,
}

/// One session, in the test's hands.
pub(crate) struct Session {
    incoming: Streaming<wire::SessionRequest>,
    outgoing: mpsc::Sender<Result<wire::SessionResponse, Status>>,
}

impl fmt::Debug for Session {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Session")
    }
}

impl Controller {
    /// A server whose certificate calls the test answers, and whose sessions the test holds.
    pub(crate) async fn start(authority: &Authority) -> Self {
        Self::start_with(authority.server(FRESH)).await
    }

    pub(crate) async fn start_with(tls: ServerConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (sender, sessions) = mpsc::channel(8);
        let (ask, calls) = mpsc::channel(8);
        let (connections, incoming) = mpsc::channel(8);
        let (failed, failures) = mpsc::channel(64);
        let mut serving = JoinSet::new();
        serving.spawn(accept(listener, TlsAcceptor::from(Arc::new(tls)), connections, failed));
        let scripted = Scripted { sessions: sender, calls: ask };
        let server = Server::builder()
            .add_service(EnrollmentServiceServer::new(scripted.clone()))
            .add_service(AgentServiceServer::new(scripted));
        serving.spawn(async move {
            let _ = server.serve_with_incoming(ReceiverStream::new(incoming)).await;
        });
        Self { address, sessions, calls, failures, _serving: serving }
    }

    /// The next session, after its hello; the welcome is still to be said.
    pub(crate) async fn session(&mut self) -> (Session, wire::Hello) {
        let mut session = soon("a session", self.sessions.recv()).await.expect("a server");
        let hello = if let Said::Hello(hello) = session.hears().await { Some(hello) } else { None };
        (session, hello.expect("a hello"))
    }

    /// The next call for a certificate.
    pub(crate) async fn call(&mut self) -> Call {
        soon("a call", self.calls.recv()).await.expect("a server")
    }

    /// A session that stands.
    pub(crate) async fn welcomed(&mut self, epoch: i64) -> Session {
        let (session, _) = self.session().await;
        session.welcome(epoch, Duration::from_secs(20)).await;
        session
    }

    /// A handshake that failed; before it no session may have come.
    pub(crate) async fn failed_handshake(&mut self) -> io::Error {
        let failure = soon("a failed handshake", self.failures.recv()).await.expect("a server");
        assert!(self.sessions.try_recv().is_err());
        failure
    }
}

impl Session {
    pub(crate) async fn tell(&self, message: Tell) {
        let response = wire::SessionResponse { message: Some(message) };
        self.outgoing.send(Ok(response)).await.expect("the session stands");
    }

    pub(crate) async fn welcome(&self, epoch: i64, heartbeat: Duration) {
        self.welcome_with(epoch, heartbeat, 8).await;
    }

    pub(crate) async fn welcome_with(&self, epoch: i64, heartbeat: Duration, credit: i32) {
        let welcome = wire::Welcome {
            session_epoch: epoch,
            protocol_min: 1,
            credit,
            heartbeat_interval: Some(parallax_wire::encode_duration(heartbeat)),
            vantage: "hq".to_owned(),
        };
        self.tell(Tell::Welcome(welcome)).await;
    }

    /// The next message, heartbeats among them; `None`: the session is over.
    pub(crate) async fn hears_anything(&mut self) -> Option<Said> {
        soon("a message", self.incoming.message()).await.ok()??.message
    }

    /// The next message that is neither a heartbeat nor progress.
    pub(crate) async fn hears(&mut self) -> Said {
        loop {
            let said = self.hears_anything().await.expect("the session stands");
            if !matches!(said, Said::Heartbeat(_) | Said::Progress(_)) {
                return said;
            }
        }
    }

    pub(crate) async fn hears_accept(&mut self, id: &str) {
        assert_eq!(self.hears().await, Said::Accept(wire::Accept { task: id.to_owned() }));
    }

    pub(crate) async fn hears_begin(&mut self) -> wire::Begin {
        let said = self.hears().await;
        let begin = if let Said::Begin(begin) = said { Some(begin) } else { None };
        begin.expect("a begin")
    }

    pub(crate) async fn hears_result(&mut self) -> wire::Result {
        let said = self.hears().await;
        let result = if let Said::Result(result) = said { Some(result) } else { None };
        result.expect("a result")
    }

    pub(crate) async fn hears_refuse(&mut self) -> wire::Refuse {
        let said = self.hears().await;
        let refuse = if let Said::Refuse(refuse) = said { Some(refuse) } else { None };
        refuse.expect("a refuse")
    }

    /// All that is still said, up to the end of the session.
    pub(crate) async fn rest(&mut self) -> Vec<Said> {
        let mut said = Vec::new();
        while let Some(message) = self.hears_anything().await {
            said.push(message);
        }
        said
    }

    /// The session is over, whatever was said before.
    pub(crate) async fn ends(&mut self) {
        while self.hears_anything().await.is_some() {}
    }

    /// Offers a task that is to be taken.
    pub(crate) async fn offers(&mut self, offer: wire::Offer) {
        let id = offer.task.clone();
        self.tell(Tell::Offer(offer)).await;
        self.hears_accept(&id).await;
    }

    pub(crate) async fn acknowledges(&self, task: &str) {
        self.tell(Tell::Acknowledge(wire::Acknowledge { task: task.to_owned() })).await;
    }
}

/// The go that answers this begin.
pub(crate) fn go(begin: &wire::Begin, sequence: i64) -> wire::Go {
    let vantage = VantageName::new("hq").expect("a name");
    let binding = Binding {
        attempt: &begin.attempt,
        nonce: &begin.nonce,
        sequence: sequence.cast_unsigned(),
    };
    let secret = Secret::new(SECRET.to_owned()).expect("a secret");
    let aad = parallax_wire::go_aad(&vantage);
    let sealed = seal(&begin.public_key, &binding, aad, &secret).expect("sealed");
    wire::Go {
        attempt: begin.attempt.clone(),
        nonce: begin.nonce.clone(),
        ledger_sequence: sequence,
        encapsulated_key: sealed.encapsulated_key,
        ciphertext: sealed.ciphertext,
    }
}

/// A call for a certificate; dropped without an answer, it is refused.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) asked: Asked,
    pub(crate) reply: oneshot::Sender<Result<wire::Certificate, Status>>,
}

#[derive(Debug)]
pub(crate) enum Asked {
    Enroll { token: Vec<u8>, request: Vec<u8> },
    Renew { request: Vec<u8> },
    Recover { expired: Vec<u8>, request: Vec<u8> },
}

#[derive(Clone)]
struct Scripted {
    sessions: mpsc::Sender<Session>,
    calls: mpsc::Sender<Call>,
}

impl Scripted {
    async fn ask(&self, asked: Asked) -> Result<Option<wire::Certificate>, Status> {
        let (reply, answer) = oneshot::channel();
        let sent = self.calls.send(Call { asked, reply }).await;
        sent.map_err(|_| Status::unavailable("the test is over"))?;
        let answer = answer.await;
        answer.unwrap_or_else(|_| Err(Status::permission_denied("the test says no"))).map(Some)
    }
}

#[tonic::async_trait]
impl EnrollmentService for Scripted {
    async fn enroll(
        &self,
        request: Request<wire::EnrollRequest>,
    ) -> Result<Response<wire::EnrollResponse>, Status> {
        let wire::EnrollRequest { token, signing_request } = request.into_inner();
        let certificate = self.ask(Asked::Enroll { token, request: signing_request }).await?;
        let (vantage, zone) = ("hq".to_owned(), "internal".to_owned());
        Ok(Response::new(wire::EnrollResponse { certificate, vantage, zone }))
    }

    async fn recover(
        &self,
        request: Request<wire::RecoverRequest>,
    ) -> Result<Response<wire::RecoverResponse>, Status> {
        let wire::RecoverRequest { expired_certificate, signing_request } = request.into_inner();
        let asked = Asked::Recover { expired: expired_certificate, request: signing_request };
        let certificate = self.ask(asked).await?;
        Ok(Response::new(wire::RecoverResponse { certificate }))
    }
}

#[tonic::async_trait]
impl AgentService for Scripted {
    type SessionStream = ReceiverStream<Result<wire::SessionResponse, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<wire::SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let (outgoing, stream) = mpsc::channel(64);
        let session = Session { incoming: request.into_inner(), outgoing };
        self.sessions.send(session).await.map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn renew(
        &self,
        request: Request<wire::RenewRequest>,
    ) -> Result<Response<wire::RenewResponse>, Status> {
        let wire::RenewRequest { signing_request } = request.into_inner();
        let certificate = self.ask(Asked::Renew { request: signing_request }).await?;
        Ok(Response::new(wire::RenewResponse { certificate }))
    }
}

async fn accept(
    listener: TcpListener,
    tls: TlsAcceptor,
    ready: mpsc::Sender<io::Result<Secured>>,
    failed: mpsc::Sender<io::Error>,
) {
    while let Ok((tcp, _)) = listener.accept().await {
        match tls.accept(tcp).await {
            Ok(stream) => {
                if ready.send(Ok(Secured(stream))).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                let _ = failed.try_send(error);
            }
        }
    }
}

struct Secured(TlsStream<TcpStream>);

impl Connected for Secured {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Secured {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
