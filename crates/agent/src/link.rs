//! Reaching the controller: TCP, mutual TLS 1.3, HTTP/2, and the session's two streams up to the welcome.
//!
//! INVARIANT: one link is one connection. Nothing in it connects again by itself.
//! INVARIANT: the controller is who the authority's certificate says it is, under the name in the settings, or nobody.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use parallax_model::VantageName;
use parallax_wire::pb::link as wire;
use parallax_wire::pb::link::agent_service_client::AgentServiceClient;
use parallax_wire::pb::link::session_request::Message;
use parallax_wire::pb::link::session_response::Message as Told;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

use crate::desk::Footing;
use crate::settings::{AgentSettings, Identity};

/// Name resolution and TCP, over all addresses.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const TLS_LIMIT: Duration = Duration::from_secs(10);
/// From hello to welcome.
const WELCOME_LIMIT: Duration = Duration::from_secs(10);
/// Messages on their way to the controller; a controller that lets more pile up loses the session.
pub(crate) const OUTGOING_MAX: usize = 256;

const MESSAGE_IN_MAX: usize = 256 * 1024;
const MESSAGE_OUT_MAX: usize = 1024 * 1024;
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
const HEADER_LIST_MAX: u32 = 16 * 1024;
const PING_INTERVAL: Duration = Duration::from_mins(1);
const PING_LIMIT: Duration = Duration::from_secs(15);
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
#[cfg(not(windows))]
const KEEPALIVE_RETRIES: u32 = 3;

/// Heartbeats that a controller may ask for.
const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(20);
const HEARTBEAT_MIN: Duration = Duration::from_millis(50);
const HEARTBEAT_MAX: Duration = Duration::from_mins(1);

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error("the controller's address cannot be reached")]
    Reach(#[source] io::Error),
    #[error("no TLS with the controller")]
    Tls(#[source] io::Error),
    #[error("no HTTP/2 with the controller")]
    Http(#[source] tonic::transport::Error),
    #[error("the controller gives no session: {}", .0.message())]
    Session(Box<Status>),
    #[error("the controller was silent for {after:?}")]
    TimedOut { after: Duration },
    #[error("the controller's first message is no welcome")]
    NoWelcome,
    #[error("the controller calls this vantage `{vantage}`, which is no name")]
    Vantage { vantage: String },
    #[error(
        "the controller needs an agent that speaks protocol {min} or later; this one speaks {ours}"
    )]
    TooOld { min: i32, ours: i32 },
}

/// A session that stands.
pub(crate) struct Link {
    pub(crate) outgoing: mpsc::Sender<wire::SessionRequest>,
    pub(crate) incoming: Streaming<wire::SessionResponse>,
    pub(crate) footing: Footing,
    /// Time between heartbeats.
    pub(crate) heartbeat: Duration,
}

/// Knows how to reach the controller.
pub(crate) struct Connector {
    controller: String,
    server_name: ServerName<'static>,
    tls: TlsConnector,
}

impl Connector {
    pub(crate) fn new(settings: &AgentSettings, identity: Identity) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(identity.authority)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_client_auth_cert(identity.chain, identity.key)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self {
            controller: settings.controller.clone(),
            server_name: settings.server_name.clone(),
            tls: TlsConnector::from(Arc::new(config)),
        })
    }

    /// Begins a session. Cancel-safe: dropping it closes the connection.
    pub(crate) async fn connect(&self, hello: wire::Hello) -> Result<Link, LinkError> {
        let stream = self.reach().await?;
        let channel = self.speak(stream).await?;
        let (outgoing, requests) = mpsc::channel(OUTGOING_MAX);
        // The queue is new and empty; there is room.
        let _ = outgoing.try_send(request(Message::Hello(hello)));
        let mut client = AgentServiceClient::new(channel)
            .max_decoding_message_size(MESSAGE_IN_MAX)
            .max_encoding_message_size(MESSAGE_OUT_MAX);
        let opening = async {
            let mut incoming = client.session(ReceiverStream::new(requests)).await?.into_inner();
            let first = incoming.message().await?;
            Ok::<_, Status>((incoming, first))
        };
        let opened = limited(WELCOME_LIMIT, opening).await?;
        let (incoming, first) = opened.map_err(|status| LinkError::Session(Box::new(status)))?;
        let Some(Told::Welcome(welcome)) = first.and_then(|it| it.message) else {
            return Err(LinkError::NoWelcome);
        };
        let (footing, heartbeat) = read_welcome(welcome)?;
        Ok(Link { outgoing, incoming, footing, heartbeat })
    }

    async fn reach(&self) -> Result<TlsStream<TcpStream>, LinkError> {
        let connecting = TcpStream::connect(&self.controller);
        let tcp = limited(CONNECT_LIMIT, connecting).await?.map_err(LinkError::Reach)?;
        keep_alive(&tcp).map_err(LinkError::Reach)?;
        let shaking_hands = self.tls.connect(self.server_name.clone(), tcp);
        limited(TLS_LIMIT, shaking_hands).await?.map_err(LinkError::Tls)
    }

    /// HTTP/2 over this very stream. TLS is below it already, so the URI says `http`.
    async fn speak(&self, stream: TlsStream<TcpStream>) -> Result<Channel, LinkError> {
        let mut stream = Some(TokioIo::new(stream));
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
        let connecting = endpoint.connect_with_connector(connector);
        limited(CONNECT_LIMIT, connecting).await?.map_err(LinkError::Http)
    }
}

async fn limited<F: Future>(limit: Duration, future: F) -> Result<F::Output, LinkError> {
    timeout(limit, future).await.map_err(|_| LinkError::TimedOut { after: limit })
}

fn keep_alive(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    #[cfg(not(windows))]
    let keepalive = keepalive.with_retries(KEEPALIVE_RETRIES);
    SockRef::from(tcp).set_tcp_keepalive(&keepalive)
}

fn read_welcome(welcome: wire::Welcome) -> Result<(Footing, Duration), LinkError> {
    if welcome.protocol_min > crate::PROTOCOL {
        return Err(LinkError::TooOld { min: welcome.protocol_min, ours: crate::PROTOCOL });
    }
    let vantage = VantageName::new(welcome.vantage.as_str())
        .map_err(|_| LinkError::Vantage { vantage: welcome.vantage.clone() })?;
    let heartbeat =
        parallax_wire::decode_duration(welcome.heartbeat_interval, "heartbeat_interval")
            .unwrap_or(HEARTBEAT_DEFAULT)
            .clamp(HEARTBEAT_MIN, HEARTBEAT_MAX);
    let credit = usize::try_from(welcome.credit).unwrap_or(0);
    Ok((Footing { epoch: welcome.session_epoch, vantage, credit }, heartbeat))
}

pub(crate) fn request(message: Message) -> wire::SessionRequest {
    wire::SessionRequest { message: Some(message) }
}
