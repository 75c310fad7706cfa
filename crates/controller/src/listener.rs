//! Takes connections for both ports: TCP, TLS where there is any, and who the peer proved to be.
//!
//! tonic's own TLS settings know neither an optional client certificate nor a limit on handshakes, so this is ours.
//! Absent on purpose: what a peer may do; here it is only learned who it is.
//!
//! INVARIANT: at most [`PortLimits::handshakes_max`] handshakes are under way, each for at most [`PortLimits::handshake`];
//! further peers wait in the kernel's queue.
//! INVARIANT: of one source address at most [`PortLimits::handshakes_per_source`] are under way; its further peers wait here, at
//! most [`WAITING_MAX`] in all, and take no handshake from others.
//! INVARIANT: a failed handshake ends that connection and nothing else.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parallax_model::VantageName;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tracing::{debug, warn};

use crate::authority::{Authority, Identity, vantage_of};
use crate::limits::{PortLimits, network_of};

/// Connections that wait for the HTTP/2 server to take them.
const READY_MAX: usize = 64;
/// Connections that wait because their address has as many handshakes under way as may be; further ones are closed.
const WAITING_MAX: usize = 1024;
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
    /// The certificate's end.
    pub expires: SystemTime,
    pub address: SocketAddr,
    /// Cancelled, the connection is closed, whatever is on its way.
    pub connection: CancellationToken,
}

/// A connection that is ready for HTTP/2.
pub(crate) struct Connection {
    stream: Transport,
    peer: Peer,
    /// Of an agent: when it is to be closed.
    closing: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// Whether anything was read yet.
    was_heard: Arc<AtomicBool>,
    pace: Pace,
}

/// How fast a peer is read, so that a flood of small frames, which HTTP/2 does not forbid, costs little.
struct Pace {
    bytes_per_second: u32,
    bytes_burst: u32,
    /// When the whole burst is there again.
    full_at: Instant,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    fn new(limits: PortLimits) -> Self {
        let PortLimits { bytes_per_second, bytes_burst, .. } = limits;
        Self { bytes_per_second, bytes_burst, full_at: Instant::now(), pause: None }
    }

    fn time_for(&self, bytes: u64) -> Duration {
        Duration::from_micros(bytes.saturating_mul(1_000_000) / u64::from(self.bytes_per_second))
    }

    /// Ready when more may be read.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        Poll::Ready(())
    }

    fn count(&mut self, bytes: usize) {
        let now = Instant::now();
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.full_at = self.full_at.max(now) + self.time_for(bytes);
        let room = self.time_for(self.bytes_burst.into());
        if let Some(wait) = (self.full_at - now).checked_sub(room)
            && !wait.is_zero()
        {
            self.pause = Some(Box::pin(tokio::time::sleep(wait)));
        }
    }
}

impl Connection {
    fn new(stream: Transport, peer: Peer, limits: PortLimits) -> Self {
        let closing =
            peer.agent.as_ref().map(|it| Box::pin(it.connection.clone().cancelled_owned()));
        Self { stream, peer, closing, was_heard: Arc::default(), pace: Pace::new(limits) }
    }

    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Becomes true with the first byte of HTTP/2.
    pub(crate) fn was_heard(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.was_heard)
    }

    /// An error once the connection is to be closed; wakes the caller when that comes about.
    fn check_open(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let is_closing =
            self.closing.as_mut().is_some_and(|it| it.as_mut().poll(context).is_ready());
        if is_closing { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check_open(context)?;
        ready!(this.pace.poll(context));
        let before = buffer.filled().len();
        let read = match &mut this.stream {
            Transport::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Transport::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        };
        let length = buffer.filled().len() - before;
        if length > 0 {
            this.was_heard.store(true, Ordering::Relaxed);
            this.pace.count(length);
        }
        read
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
    // Nothing is resumed: every connection shows its certificate anew.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
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

/// Connections of a port as they get ready.
pub(crate) type Incoming = tokio_stream::wrappers::ReceiverStream<io::Result<Connection>>;

/// Takes connections until `stop`. The first part is the stream for the server, the second the work itself; whoever
/// calls owns and drives it.
pub(crate) fn accept(
    listener: TcpListener,
    security: Security,
    limits: PortLimits,
    stop: CancellationToken,
) -> (Incoming, impl Future<Output = ()> + Send) {
    let (ready, incoming) = mpsc::channel(READY_MAX);
    (incoming.into(), take_connections(listener, security, limits, ready, stop))
}

async fn take_connections(
    listener: TcpListener,
    security: Security,
    limits: PortLimits,
    ready: mpsc::Sender<io::Result<Connection>>,
    stop: CancellationToken,
) {
    let mut handshakes: JoinSet<Option<Connection>> = JoinSet::new();
    let mut turns = Turns::new(limits.handshakes_per_source);
    loop {
        // The kernel's queue comes after those that wait here already.
        while handshakes.len() < limits.handshakes_max
            && let Some((stream, address, turn)) = turns.next()
        {
            let security = security.clone();
            handshakes.spawn(async move {
                let _turn = turn;
                shake_hands(stream, address, security, limits).await
            });
        }
        tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept(), if handshakes.len() < limits.handshakes_max => match accepted {
                Ok((stream, address)) => turns.wait(stream, address),
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

/// Who shakes hands next.
struct Turns {
    per_source: usize,
    waiting: VecDeque<(TcpStream, SocketAddr)>,
    /// Handshakes under way. Never held across an await.
    under_way: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

/// Given back when a handshake is over.
struct Turn {
    source: IpAddr,
    under_way: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

impl Turns {
    fn new(per_source: usize) -> Self {
        Self { per_source, waiting: VecDeque::new(), under_way: Arc::default() }
    }

    fn wait(&mut self, stream: TcpStream, address: SocketAddr) {
        if self.waiting.len() >= WAITING_MAX {
            debug!(%address, "too many of this address shake hands; its connection is closed");
            return;
        }
        self.waiting.push_back((stream, address));
    }

    /// The longest waiting one whose address may.
    fn next(&mut self) -> Option<(TcpStream, SocketAddr, Turn)> {
        if self.waiting.is_empty() {
            return None;
        }
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let may = |source: &IpAddr| under_way.get(source).is_none_or(|it| *it < self.per_source);
        let found = self.waiting.iter().position(|(_, it)| may(&network_of(it.ip())))?;
        let (stream, address) = self.waiting.remove(found)?;
        let source = network_of(address.ip());
        *under_way.entry(source).or_default() += 1;
        Some((stream, address, Turn { source, under_way: Arc::clone(&self.under_way) }))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = under_way.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                under_way.remove(&self.source);
            }
        }
    }
}

/// Who a verified certificate says its holder is; `None`: no agent of ours.
fn read_agent(leaf: &CertificateDer<'_>, address: SocketAddr) -> Option<PeerAgent> {
    let vantage = vantage_of(leaf)?;
    let (_, read) = x509_parser::parse_x509_certificate(leaf).ok()?;
    let end = u64::try_from(read.validity().not_after.timestamp()).ok()?;
    Some(PeerAgent {
        vantage,
        certificate_sha256: Sha256::digest(leaf).into(),
        expires: UNIX_EPOCH.checked_add(Duration::from_secs(end))?,
        address,
        connection: CancellationToken::new(),
    })
}

async fn shake_hands(
    stream: TcpStream,
    address: SocketAddr,
    security: Security,
    limits: PortLimits,
) -> Option<Connection> {
    if let Err(error) = prepare(&stream) {
        debug!(%error, %address, "cannot set the options of a connection");
    }
    match security {
        Security::Plain => {
            let peer = Peer { address, agent: None };
            Some(Connection::new(Transport::Plain(stream), peer, limits))
        }
        Security::Tls(acceptor) => {
            match tokio::time::timeout(limits.handshake, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => {
                    let certificates = stream.get_ref().1.peer_certificates();
                    let leaf = certificates.and_then(|it| it.first());
                    let agent = leaf.and_then(|leaf| read_agent(leaf, address));
                    let peer = Peer { address, agent };
                    Some(Connection::new(Transport::Tls(Box::new(stream)), peer, limits))
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
