//! The way to the agent port, stage by stage: name, TCP or proxy, TLS 1.3, HTTP/2. Joining, sessions, renewal and the
//! self-test go the same way.
//!
//! Absent on purpose: what is asked there, and any second try.
//!
//! INVARIANT: one way is one connection. Nothing in it connects again by itself.
//! INVARIANT: every stage has a limit, and what ends it has a name in [`Trouble`].

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, Error};
use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};

use crate::alerts::{Alerts, Listened};
use crate::proxy::Proxy;
use crate::settings::AgentSettings;
use crate::trouble::{Trouble, chain};
use crate::trust::{OwnCertificate, Trust, Verifier, client};

/// Name resolution.
const NAME_LIMIT: Duration = Duration::from_secs(10);
/// TCP, over all addresses.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const PROXY_LIMIT: Duration = Duration::from_secs(10);
const TLS_LIMIT: Duration = Duration::from_secs(10);
const HTTP_LIMIT: Duration = Duration::from_secs(10);
/// Addresses tried; a name with more is tried no further.
const ADDRESSES_MAX: usize = 8;

const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
const HEADER_LIST_MAX: u32 = 16 * 1024;
/// With its limit 45 s, as the heartbeats above it.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_LIMIT: Duration = Duration::from_secs(15);
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
#[cfg(not(windows))]
const KEEPALIVE_RETRIES: u32 = 3;

/// Where the controller is, and how it is known.
pub(crate) struct Way {
    /// `host:port`.
    pub(crate) controller: String,
    pub(crate) server_name: ServerName<'static>,
    pub(crate) proxy: Option<Proxy>,
    config: Arc<ClientConfig>,
    verifier: Arc<Verifier>,
}

/// A connection that speaks HTTP/2.
#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) channel: Channel,
    pub(crate) alerts: Alerts,
}

impl Way {
    pub(crate) fn new(
        settings: &AgentSettings,
        trust: Trust,
        own: Option<OwnCertificate>,
    ) -> Result<Self, Error> {
        let (config, verifier) = client(trust, own)?;
        Ok(Self {
            controller: settings.controller.clone(),
            server_name: settings.server_name.clone(),
            proxy: settings.proxy.clone(),
            config: Arc::new(config),
            verifier,
        })
    }

    /// All stages. Cancel-safe: dropping it closes the connection.
    pub(crate) async fn open(&self) -> Result<Wire, Trouble> {
        let tcp = self.tcp().await?;
        let tls = self.tls(tcp).await?;
        http2(tls).await
    }

    /// A connection to the controller, or through the proxy to it.
    pub(crate) async fn tcp(&self) -> Result<TcpStream, Trouble> {
        let Some(proxy) = &self.proxy else {
            return dial(&resolve(&self.controller, "controller").await?, "controller").await;
        };
        let unreachable = |trouble: Trouble| Trouble::ProxyUnreachable {
            proxy: proxy.to_string(),
            detail: trouble.to_string(),
        };
        let addresses = resolve(proxy.address(), "proxy").await.map_err(unreachable)?;
        let mut tcp = dial(&addresses, "proxy").await.map_err(unreachable)?;
        match timeout(PROXY_LIMIT, proxy.open(&mut tcp, &self.controller)).await {
            Ok(opened) => opened.map(|()| tcp),
            Err(_) => Err(Trouble::NotAProxy {
                proxy: proxy.to_string(),
                detail: format!("it said nothing for {} s", PROXY_LIMIT.as_secs()),
            }),
        }
    }

    pub(crate) async fn tls(&self, tcp: TcpStream) -> Result<TlsStream<TcpStream>, Trouble> {
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let shaking_hands = connector.connect(self.server_name.clone(), tcp);
        match timeout(TLS_LIMIT, shaking_hands).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(self.verifier.refused().unwrap_or_else(|| named(&error))),
            Err(_) => Err(Trouble::TlsSilent { after: TLS_LIMIT }),
        }
    }
}

/// HTTP/2 over this very stream. TLS is below it already, so the URI says `http`.
pub(crate) async fn http2(stream: TlsStream<TcpStream>) -> Result<Wire, Trouble> {
    if stream.get_ref().1.alpn_protocol() != Some(b"h2".as_slice()) {
        return Err(Trouble::NotHttp2 { detail: "it agreed to no such protocol".to_owned() });
    }
    let alerts = Alerts::default();
    let mut stream = Some(TokioIo::new(Listened::new(stream, alerts.clone())));
    let connector = tower::service_fn(move |_| {
        let stream = stream.take();
        async move { stream.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)) }
    });
    let endpoint = Endpoint::from_static("http://controller")
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_adaptive_window(false)
        .http2_max_header_list_size(HEADER_LIST_MAX)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_LIMIT)
        .keep_alive_while_idle(true);
    match timeout(HTTP_LIMIT, endpoint.connect_with_connector(connector)).await {
        Ok(Ok(channel)) => Ok(Wire { channel, alerts }),
        Ok(Err(error)) => {
            Err(alerts.trouble().unwrap_or_else(|| Trouble::NotHttp2 { detail: chain(&error) }))
        }
        Err(_) => Err(Trouble::Silent { after: HTTP_LIMIT }),
    }
}

async fn resolve(authority: &str, setting: &'static str) -> Result<Vec<SocketAddr>, Trouble> {
    let host = authority.rsplit_once(':').map_or(authority, |it| it.0);
    let unknown = |detail: String| Trouble::Name { name: host.to_owned(), detail, setting };
    let found = timeout(NAME_LIMIT, lookup_host(authority))
        .await
        .map_err(|_| unknown(format!("no answer within {} s", NAME_LIMIT.as_secs())))?
        .map_err(|error| unknown(error.to_string()))?;
    let found: Vec<SocketAddr> = found.take(ADDRESSES_MAX).collect();
    if found.is_empty() { Err(unknown("no address".to_owned())) } else { Ok(found) }
}

/// The first address that answers. Of those that do not, the first is told.
async fn dial(addresses: &[SocketAddr], setting: &'static str) -> Result<TcpStream, Trouble> {
    let ends = Instant::now() + CONNECT_LIMIT;
    let mut first: Option<Trouble> = None;
    for (number, address) in addresses.iter().enumerate() {
        let left = ends.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - number).unwrap_or(u32::MAX);
        let trouble = match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => match keep_alive(&tcp) {
                Ok(()) => return Ok(tcp),
                Err(error) => Trouble::Unreachable { address: *address, detail: error.to_string() },
            },
            Ok(Err(error)) => unconnected(&error, *address, setting),
            // To the second; the share is a hair less.
            Err(_) => Trouble::Filtered {
                address: *address,
                after: Duration::from_secs((share + Duration::from_millis(500)).as_secs()),
            },
        };
        first.get_or_insert(trouble);
    }
    Err(first.unwrap_or(Trouble::Silent { after: CONNECT_LIMIT }))
}

fn unconnected(error: &io::Error, address: SocketAddr, setting: &'static str) -> Trouble {
    if error.kind() == io::ErrorKind::ConnectionRefused {
        Trouble::Refused { address, setting }
    } else if error.kind() == io::ErrorKind::TimedOut {
        Trouble::Filtered { address, after: CONNECT_LIMIT }
    } else {
        Trouble::Unreachable { address, detail: error.to_string() }
    }
}

fn keep_alive(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    #[cfg(not(windows))]
    let keepalive = keepalive.with_retries(KEEPALIVE_RETRIES);
    SockRef::from(tcp).set_tcp_keepalive(&keepalive)
}

/// Why a handshake failed when the certificate was not the reason.
fn named(error: &io::Error) -> Trouble {
    let detail = error.to_string();
    let tls = error.get_ref().and_then(|it| it.downcast_ref::<Error>());
    match tls {
        Some(Error::InvalidMessage(_)) => Trouble::NotTls { detail },
        Some(Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. }) => {
            Trouble::NotTls { detail }
        }
        Some(_) => Trouble::Tls { detail },
        None => Trouble::TlsCut { detail },
    }
}
