//! Takes connections for both ports: TCP, TLS where there is any, and who the peer proved to be.
//!
//! tonic's own TLS settings know neither an optional client certificate nor a limit on handshakes, so this is ours.
//! Absent on purpose: what a peer may do; here it is only learned who it is.
//!
//! INVARIANT: at most [`HANDSHAKES_MAX`] handshakes are under way, each for at most [`HANDSHAKE_LIMIT`]; further peers
//! wait in the kernel's queue.
//! INVARIANT: a failed handshake ends that connection and nothing else.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use parallax_model::VantageName;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;
use tracing::{debug, warn};

use crate::authority::{Authority, Identity, vantage_of};

/// Longest TLS handshake.
pub(crate) const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Handshakes under way at once.
pub(crate) const HANDSHAKES_MAX: usize = 256;
/// Connections that wait for the HTTP/2 server to take them.
const READY_MAX: usize = 64;
/// Pause after the kernel refused an accept (no file descriptor left), so that we do not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// TCP keepalive of both ports.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;

/// Who is at the other end.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub address: SocketAddr,
    /// Who a verified client certificate says it is.
    pub agent: Option<PeerAgent>,
}

/// What a verified client certificate says.
#[derive(Clone, Debug)]
pub(crate) struct PeerAgent {
    pub vantage: VantageName,
    /// Over the DER encoding.
    pub certificate_sha256: [u8; 32],
}

/// A connection that is ready for HTTP/2.
pub(crate) struct Connection {
    stream: Transport,
    peer: Peer,
}

enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Transport::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Transport::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Transport::Plain(stream) => Pin::new(stream).poll_write(context, buffer),
            Transport::Tls(stream) => Pin::new(stream).poll_write(context, buffer),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(context),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

/// What stands between TCP and HTTP/2 on a port.
#[derive(Clone)]
pub(crate) enum Security {
    /// Loopback only; the settings see to that.
    Plain,
    Tls(TlsAcceptor),
}

/// TLS of the agent port: 1.3 only; a client certificate is taken if one comes, and then it has to be ours.
pub(crate) fn agent_tls(
    authority: &Authority,
    server: Identity,
) -> Result<Security, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().clone())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let (chain, key) = server.into_rustls();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Security::Tls(TlsAcceptor::from(Arc::new(config))))
}

/// TLS of the API port with the operator's certificate.
pub(crate) fn api_tls(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Security, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Security::Tls(TlsAcceptor::from(Arc::new(config))))
}

/// Connections of a port as they get ready, for tonic.
pub(crate) type Incoming = tokio_stream::wrappers::ReceiverStream<io::Result<Connection>>;

/// Takes connections until `stop`. The first part is the stream for the server, the second the work itself; whoever
/// calls owns and drives it.
pub(crate) fn accept(
    listener: TcpListener,
    security: Security,
    stop: CancellationToken,
) -> (Incoming, impl Future<Output = ()> + Send) {
    let (ready, incoming) = mpsc::channel(READY_MAX);
    (incoming.into(), take_connections(listener, security, ready, stop))
}

async fn take_connections(
    listener: TcpListener,
    security: Security,
    ready: mpsc::Sender<io::Result<Connection>>,
    stop: CancellationToken,
) {
    let mut handshakes: JoinSet<Option<Connection>> = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept(), if handshakes.len() < HANDSHAKES_MAX => match accepted {
                Ok((stream, address)) => {
                    handshakes.spawn(shake_hands(stream, address, security.clone()));
                }
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(done) = handshakes.join_next() => {
                if let Ok(Some(connection)) = done {
                    // The server takes what is ready at once; when it has gone, so have we.
                    let handed = stop.run_until_cancelled(ready.send(Ok(connection))).await;
                    if !matches!(handed, Some(Ok(()))) {
                        return;
                    }
                }
            }
        }
    }
}

async fn shake_hands(
    stream: TcpStream,
    address: SocketAddr,
    security: Security,
) -> Option<Connection> {
    if let Err(error) = prepare(&stream) {
        debug!(%error, %address, "cannot set the options of a connection");
    }
    match security {
        Security::Plain => Some(Connection {
            stream: Transport::Plain(stream),
            peer: Peer { address, agent: None },
        }),
        Security::Tls(acceptor) => {
            match tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => {
                    let certificates = stream.get_ref().1.peer_certificates();
                    let agent = certificates.and_then(|it| it.first()).and_then(|leaf| {
                        let certificate_sha256 = Sha256::digest(leaf).into();
                        vantage_of(leaf).map(|vantage| PeerAgent { vantage, certificate_sha256 })
                    });
                    let peer = Peer { address, agent };
                    Some(Connection { stream: Transport::Tls(Box::new(stream)), peer })
                }
                Ok(Err(error)) => {
                    debug!(%error, %address, "a TLS handshake failed");
                    None
                }
                Err(_) => {
                    debug!(%address, "a TLS handshake took too long");
                    None
                }
            }
        }
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_RETRIES);
    socket2::SockRef::from(stream).set_tcp_keepalive(&keepalive)
}
