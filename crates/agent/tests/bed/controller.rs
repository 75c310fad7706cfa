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
use parallax_wire::pb::link::session_request::Message as Said;
use parallax_wire::pb::link::session_response::Message as Tell;
use rcgen::{CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
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

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate").der().clone();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    fn issue(&self, name: SanType) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![name];
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        (certificate.der().clone(), key)
    }

    pub(crate) fn agent(&self, vantage: &str) -> Identity {
        let id = format!("spiffe://parallax/agent/{vantage}");
        let (certificate, key) = self.issue(SanType::URI(id.try_into().expect("a URI")));
        Identity { chain: vec![certificate], key, authority: self.certificate.clone() }
    }

    fn server(&self) -> TlsAcceptor {
        let (certificate, key) =
            self.issue(SanType::DnsName("controller.test".try_into().expect("a name")));
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("a root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
                .build()
                .expect("a verifier");
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate], key)
            .expect("a certificate");
        config.alpn_protocols = vec![b"h2".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }
}

pub(crate) struct Controller {
    pub(crate) address: SocketAddr,
    sessions: mpsc::Receiver<Session>,
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
    pub(crate) async fn start(authority: &Authority) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (sender, sessions) = mpsc::channel(8);
        let (connections, incoming) = mpsc::channel(8);
        let (failed, failures) = mpsc::channel(64);
        let mut serving = JoinSet::new();
        serving.spawn(accept(listener, authority.server(), connections, failed));
        let service = AgentServiceServer::new(Scripted(sender));
        let server = Server::builder().add_service(service);
        serving.spawn(async move {
            let _ = server.serve_with_incoming(ReceiverStream::new(incoming)).await;
        });
        Self { address, sessions, failures, _serving: serving }
    }

    /// The next session, after its hello; the welcome is still to be said.
    pub(crate) async fn session(&mut self) -> (Session, wire::Hello) {
        let mut session = soon("a session", self.sessions.recv()).await.expect("a server");
        let hello = if let Said::Hello(hello) = session.hears().await { Some(hello) } else { None };
        (session, hello.expect("a hello"))
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
        let welcome = wire::Welcome {
            session_epoch: epoch,
            protocol_min: 1,
            credit: 8,
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

struct Scripted(mpsc::Sender<Session>);

#[tonic::async_trait]
impl AgentService for Scripted {
    type SessionStream = ReceiverStream<Result<wire::SessionResponse, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<wire::SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let (outgoing, stream) = mpsc::channel(64);
        let session = Session { incoming: request.into_inner(), outgoing };
        self.0.send(session).await.map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn renew(
        &self,
        _request: Request<wire::RenewRequest>,
    ) -> Result<Response<wire::RenewResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
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
