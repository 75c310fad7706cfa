//! A listener that reads one request head after another and answers each with scripted bytes, then does what it was told to.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::network::Identity;

/// What to do when a request has been read.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// Send and wait for the next request.
    Send(Vec<u8>),
    SendThenClose(Vec<u8>),
    /// Send this again and again until the client goes away.
    Flood(Vec<u8>, Vec<u8>),
    /// Send, then nothing more.
    SendThenStall(Vec<u8>),
    Reset,
}

/// What arrived: the connection's number and the head as text.
#[derive(Clone, Debug)]
pub(super) struct Arrived {
    pub(super) connection: usize,
    pub(super) head: String,
}

type Script = Arc<dyn Fn(&Arrived) -> Act + Send + Sync>;

/// A running listener; dropping it ends it and all its connections.
pub(super) struct Peer {
    pub(super) socket: SocketAddr,
    log: Arc<Mutex<Vec<Arrived>>>,
    connections: Arc<Mutex<usize>>,
    closed: Arc<Notify>,
    _tasks: JoinSet<()>,
}

/// How connections begin.
#[derive(Clone)]
pub(super) enum Opening {
    Plain,
    /// One configuration after another; the last one stays.
    Tls(Vec<Arc<ServerConfig>>),
    /// As a server of fifteen years ago.
    #[cfg(feature = "legacy-tls")]
    Old(openssl::ssl::SslContext),
    /// One opening after another; the last one stays.
    #[cfg(feature = "legacy-tls")]
    InTurn(Vec<Opening>),
    /// Send these bytes as soon as the client sent something, then close.
    Raw(Vec<u8>),
    Reset,
    Stall,
    /// Send these bytes, and then one byte every few milliseconds.
    #[cfg(feature = "legacy-tls")]
    Drip(Vec<u8>),
    /// Close each connection this soon after it was accepted and its TLS is up.
    CloseAtOnce(Arc<ServerConfig>),
}

pub(super) fn ok() -> Act {
    Act::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec())
}

impl Peer {
    pub(super) async fn plain(script: impl Fn(&Arrived) -> Act + Send + Sync + 'static) -> Self {
        Self::start(Opening::Plain, Arc::new(script)).await
    }

    pub(super) async fn tls(
        identity: Identity,
        script: impl Fn(&Arrived) -> Act + Send + Sync + 'static,
    ) -> Self {
        Self::tls_in_turn(vec![server_config(identity)], script).await
    }

    pub(super) async fn tls_in_turn(
        configs: Vec<ServerConfig>,
        script: impl Fn(&Arrived) -> Act + Send + Sync + 'static,
    ) -> Self {
        let configs = configs.into_iter().map(Arc::new).collect();
        Self::start(Opening::Tls(configs), Arc::new(script)).await
    }

    /// The modern client meets a scripted end, and then others meet `context`.
    #[cfg(feature = "legacy-tls")]
    pub(super) async fn old_after(
        first: Vec<Opening>,
        context: openssl::ssl::SslContext,
        script: impl Fn(&Arrived) -> Act + Send + Sync + 'static,
    ) -> Self {
        let openings = first.into_iter().chain([Opening::Old(context)]).collect();
        Self::start(Opening::InTurn(openings), Arc::new(script)).await
    }

    #[cfg(feature = "legacy-tls")]
    pub(super) async fn in_turn(openings: Vec<Opening>) -> Self {
        Self::start(Opening::InTurn(openings), Arc::new(|_| ok())).await
    }

    pub(super) async fn raw(bytes: &[u8]) -> Self {
        Self::start(Opening::Raw(bytes.to_vec()), Arc::new(|_| ok())).await
    }

    pub(super) async fn resetting() -> Self {
        Self::start(Opening::Reset, Arc::new(|_| ok())).await
    }

    pub(super) async fn stalling() -> Self {
        Self::start(Opening::Stall, Arc::new(|_| ok())).await
    }

    /// TLS that ends right after its handshake, except on the first connection.
    pub(super) async fn closing_the_second(identity: Identity) -> Self {
        Self::start(Opening::CloseAtOnce(Arc::new(server_config(identity))), Arc::new(|_| ok()))
            .await
    }

    async fn start(opening: Opening, script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listener");
        let socket = listener.local_addr().expect("address");
        let log = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(Mutex::new(0));
        let closed = Arc::new(Notify::new());
        let closing = Arc::clone(&closed);
        let mut tasks = JoinSet::new();
        let (log_there, count) = (Arc::clone(&log), Arc::clone(&connections));
        tasks.spawn(async move {
            let mut running = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let number = {
                    let mut count = count.lock().expect("lock");
                    *count += 1;
                    *count - 1
                };
                let talk = Talk {
                    number,
                    log: Arc::clone(&log_there),
                    script: Arc::clone(&script),
                    closed: Arc::clone(&closing),
                };
                // How a connection ends is the client's matter.
                running.spawn(serve(opening.clone(), stream, talk));
            }
        });
        Self { socket, log, connections, closed, _tasks: tasks }
    }

    pub(super) fn requests(&self) -> Vec<Arrived> {
        self.log.lock().expect("lock").clone()
    }

    /// Waits until a connection of [`Peer::closing_the_second`] was closed.
    pub(super) async fn closed(&self) {
        self.closed.notified().await;
    }

    pub(super) fn connections(&self) -> usize {
        *self.connections.lock().expect("lock")
    }

    /// Requests that carried any `Authorization`.
    pub(super) fn credentialed(&self) -> usize {
        self.requests().iter().filter(|it| it.head.contains("\r\nAuthorization: ")).count()
    }
}

pub(super) fn server_config(identity: Identity) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(identity.chain, identity.key)
        .expect("identity")
}

struct Talk {
    number: usize,
    log: Arc<Mutex<Vec<Arrived>>>,
    script: Script,
    closed: Arc<Notify>,
}

async fn serve(opening: Opening, mut stream: TcpStream, talk: Talk) {
    match opening {
        #[cfg(feature = "legacy-tls")]
        Opening::InTurn(openings) => {
            let opening = openings[talk.number.min(openings.len() - 1)].clone();
            Box::pin(serve(opening, stream, talk)).await;
        }
        #[cfg(feature = "legacy-tls")]
        Opening::Old(context) => {
            let ssl = openssl::ssl::Ssl::new(&context).expect("a session");
            let mut session = tokio_openssl::SslStream::new(ssl, stream).expect("a stream");
            if std::pin::Pin::new(&mut session).accept().await.is_ok() {
                let _ = converse(session, talk).await;
            } else {
                // What is unread would turn the alert into a reset.
                let stream = session.get_mut();
                let _ = stream.shutdown().await;
                while matches!(stream.read(&mut [0; 4096]).await, Ok(1..)) {}
            }
        }
        Opening::Plain => {
            let _ = converse(stream, talk).await;
        }
        Opening::Tls(configs) => {
            let config = &configs[talk.number.min(configs.len() - 1)];
            if let Ok(session) = TlsAcceptor::from(Arc::clone(config)).accept(stream).await {
                let _ = converse(session, talk).await;
            }
        }
        Opening::CloseAtOnce(config) => {
            if let Ok(mut session) = TlsAcceptor::from(config).accept(stream).await {
                if talk.number == 0 {
                    let _ = converse(session, talk).await;
                } else {
                    let _ = session.shutdown().await;
                    talk.closed.notify_one();
                }
            }
        }
        Opening::Raw(bytes) => {
            let mut hello = [0; 4096];
            let _ = stream.read(&mut hello).await;
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
            // Until the client closes, so that its view is a clean end and no reset.
            while matches!(stream.read(&mut hello).await, Ok(1..)) {}
        }
        Opening::Reset => {
            let _ = stream.read(&mut [0; 4096]).await;
            reset(&stream);
        }
        #[cfg(feature = "legacy-tls")]
        Opening::Drip(bytes) => {
            let mut sent = stream.write_all(&bytes).await;
            while sent.is_ok() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                sent = stream.write_all(&[7]).await;
            }
        }
        Opening::Stall => while matches!(stream.read(&mut [0; 4096]).await, Ok(1..)) {},
    }
}

/// Makes the close that follows a reset.
fn reset(stream: &TcpStream) {
    stream.set_zero_linger().expect("option");
}

/// A stream whose socket can be told to reset.
trait Resettable: AsyncRead + AsyncWrite + Unpin {
    fn reset(&self);
}

impl Resettable for TcpStream {
    fn reset(&self) {
        reset(self);
    }
}

impl Resettable for tokio_rustls::server::TlsStream<TcpStream> {
    fn reset(&self) {
        reset(self.get_ref().0);
    }
}

#[cfg(feature = "legacy-tls")]
impl Resettable for tokio_openssl::SslStream<TcpStream> {
    fn reset(&self) {
        reset(self.get_ref());
    }
}

async fn converse(mut stream: impl Resettable, talk: Talk) -> io::Result<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8(head).expect("our own requests are text");
        let arrived = Arrived { connection: talk.number, head };
        talk.log.lock().expect("lock").push(arrived.clone());
        match (talk.script)(&arrived) {
            Act::Send(bytes) => stream.write_all(&bytes).await?,
            Act::SendThenClose(bytes) => {
                stream.write_all(&bytes).await?;
                return stream.shutdown().await;
            }
            Act::Flood(first, again) => {
                stream.write_all(&first).await?;
                loop {
                    stream.write_all(&again).await?;
                }
            }
            Act::SendThenStall(bytes) => {
                stream.write_all(&bytes).await?;
                stream.flush().await?;
                while stream.read(&mut [0; 64]).await? > 0 {}
                return Ok(());
            }
            Act::Reset => {
                stream.reset();
                return Ok(());
            }
        }
        stream.flush().await?;
    }
}
