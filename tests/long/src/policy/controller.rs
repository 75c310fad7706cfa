//! A controller in an attacker's hands: its certificate is good, its offers are not.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, io};

use anyhow::Context as _;
use parallax_agent::Identity;
use parallax_wire::pb::link as wire;
use parallax_wire::pb::link::agent_service_server::{AgentService, AgentServiceServer};
use parallax_wire::pb::link::session_request::Message as Said;
use parallax_wire::pb::link::session_response::Message as Tell;
use parallax_wire::pb::path_report::Report;
use rcgen::{CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status, Streaming};

use super::watch::CONTROLLER;

/// In the controller's certificate.
pub(super) const SERVER_NAME: &str = "controller.test";
const VANTAGE: &str = "hq";
/// For anything an agent has to say.
const PATIENCE: Duration = Duration::from_secs(20);
const CREDIT: i32 = 4;

/// What an agent made of an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// By its policy, before or after it asked for names.
    Refused(String),
    /// The offer or its endpoint is no such thing.
    Unreadable(String),
    Seen,
    Other(String),
}

pub(super) struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(super) fn new() -> anyhow::Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key)?.der().clone();
        Ok(Self { certificate, issuer: Issuer::new(params, key) })
    }

    fn issue(
        &self,
        name: SanType,
    ) -> anyhow::Result<(CertificateDer<'static>, PrivateKeyDer<'static>)> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![name];
        let certificate = params.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::try_from(key.serialize_der())
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok((certificate.der().clone(), key))
    }

    pub(super) fn agent(&self) -> anyhow::Result<Identity> {
        let id = format!("spiffe://parallax/agent/{VANTAGE}");
        let (certificate, key) = self.issue(SanType::URI(id.try_into()?))?;
        Ok(Identity { chain: vec![certificate], key, authority: self.certificate.clone() })
    }

    fn server(&self) -> anyhow::Result<TlsAcceptor> {
        let (certificate, key) = self.issue(SanType::DnsName(SERVER_NAME.try_into()?))?;
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone())?;
        let verifier = WebPkiClientVerifier::builder(roots.into()).build()?;
        let mut config = ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate], key)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// A running controller; dropping it ends it.
pub(super) struct Controller {
    sessions: mpsc::Receiver<Session>,
    _serving: JoinSet<()>,
}

/// One agent's session.
pub(super) struct Session {
    incoming: Streaming<wire::SessionRequest>,
    outgoing: mpsc::Sender<Result<wire::SessionResponse, Status>>,
}

impl fmt::Debug for Session {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Session")
    }
}

impl Controller {
    pub(super) async fn start(authority: &Authority) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(CONTROLLER).await.context("the controller's port")?;
        let (sender, sessions) = mpsc::channel(8);
        let (connections, incoming) = mpsc::channel(8);
        let mut serving = JoinSet::new();
        serving.spawn(accept(listener, authority.server()?, connections));
        let server = Server::builder().add_service(AgentServiceServer::new(Scripted(sender)));
        serving.spawn(async move {
            let _ = server.serve_with_incoming(ReceiverStream::new(incoming)).await;
        });
        Ok(Self { sessions, _serving: serving })
    }

    /// The next agent's session, welcomed.
    pub(super) async fn session(&mut self, epoch: i64) -> anyhow::Result<Session> {
        let session = timeout(PATIENCE, self.sessions.recv()).await.context("no session came")?;
        let mut session = session.context("the server ended")?;
        anyhow::ensure!(matches!(session.hears().await?, Said::Hello(_)), "no hello");
        let welcome = wire::Welcome {
            session_epoch: epoch,
            protocol_min: 1,
            credit: CREDIT,
            heartbeat_interval: Some(parallax_wire::encode_duration(Duration::from_secs(20))),
            vantage: VANTAGE.to_owned(),
        };
        session.tell(Tell::Welcome(welcome)).await?;
        Ok(session)
    }
}

impl Session {
    async fn tell(&self, message: Tell) -> anyhow::Result<()> {
        let response = wire::SessionResponse { message: Some(message) };
        self.outgoing.send(Ok(response)).await.context("the session ended")
    }

    /// The next message that is neither a heartbeat nor progress.
    async fn hears(&mut self) -> anyhow::Result<Said> {
        loop {
            let message = timeout(PATIENCE, self.incoming.message()).await.context("silence")??;
            let said = message.and_then(|it| it.message).context("the session ended")?;
            if !matches!(said, Said::Heartbeat(_) | Said::Progress(_)) {
                return Ok(said);
            }
        }
    }

    /// Offers a task and sees it through. No logon of it is ever permitted.
    pub(super) async fn offer(&mut self, offer: wire::Offer) -> anyhow::Result<Verdict> {
        let id = offer.task.clone();
        self.tell(Tell::Offer(offer)).await?;
        loop {
            match self.hears().await? {
                Said::Accept(accept) if accept.task == id => {}
                Said::Refuse(refuse) if refuse.task == id => return Ok(refused(refuse.reason)),
                Said::Begin(begin) => {
                    let reason = "only the way to it was wanted".to_owned();
                    let deny = wire::Deny { attempt: begin.attempt, nonce: begin.nonce, reason };
                    self.tell(Tell::Deny(deny)).await?;
                }
                Said::Result(result) if result.task == id => {
                    self.tell(Tell::Acknowledge(wire::Acknowledge { task: id })).await?;
                    return Ok(match result.report.and_then(|it| it.report) {
                        Some(Report::Seen(_)) => Verdict::Seen,
                        Some(Report::Refused(refusal)) => refused(refusal.rule),
                        Some(Report::Unable(unable)) => Verdict::Unreadable(unable.detail),
                        other => Verdict::Other(format!("{other:?}")),
                    });
                }
                other @ (Said::Hello(_)
                | Said::Accept(_)
                | Said::Refuse(_)
                | Said::Progress(_)
                | Said::Result(_)
                | Said::Heartbeat(_)) => return Ok(Verdict::Other(format!("{other:?}"))),
            }
        }
    }
}

fn refused(reason: String) -> Verdict {
    if reason.starts_with("the offer cannot be read") {
        return Verdict::Unreadable(reason);
    }
    Verdict::Refused(reason)
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
        self.0.send(session).await.map_err(|_| Status::unavailable("the campaign is over"))?;
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn renew(
        &self,
        _request: Request<wire::RenewRequest>,
    ) -> Result<Response<wire::RenewResponse>, Status> {
        Err(Status::unimplemented("not this controller"))
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, ready: mpsc::Sender<io::Result<Secured>>) {
    while let Ok((tcp, _)) = listener.accept().await {
        // Hundreds of short messages; without it each waits for an acknowledgement.
        let _ = tcp.set_nodelay(true);
        if let Ok(stream) = tls.accept(tcp).await
            && ready.send(Ok(Secured(stream))).await.is_err()
        {
            return;
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
