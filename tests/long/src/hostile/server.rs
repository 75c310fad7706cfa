//! A listener that does to each request what a behaviour says, and counts what it is sent.
//!
//! INVARIANT: whatever the client does, a connection is served by one task, which ends with the listener.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::behaviours::{Behaviour, Conduct};
use super::below::{self, Preparations};
use super::mode::Mode;
use super::step::{Scene, Step, answer};

/// The longest request head that is read.
const HEAD_MAX: usize = 16 * 1024;

/// What arrived, over all connections.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) connections: AtomicU64,
    pub(super) requests: AtomicU64,
    /// Requests with `Authorization: Basic`.
    pub(super) credentials: AtomicU64,
    /// Requests that met the behaviour.
    pub(super) met: AtomicU64,
}

/// A running listener. Dropping it ends it and all its connections.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) socket: SocketAddr,
    pub(super) counts: Arc<Counts>,
    _tasks: JoinSet<()>,
}

/// What every connection of one server needs.
pub(super) struct Setting {
    pub(super) behaviour: &'static Behaviour,
    pub(super) mode: Mode,
    pub(super) scene: Scene,
    /// The session under an attack that is not below HTTP; `None`: plain HTTP.
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) preparations: Preparations,
    pub(super) counts: Arc<Counts>,
}

impl Server {
    /// Serves one behaviour.
    pub(super) async fn hostile(setting: Setting) -> Result<Self> {
        let counts = Arc::clone(&setting.counts);
        let setting = Arc::new(setting);
        Self::start(counts, move |stream, number| {
            let setting = Arc::clone(&setting);
            async move { serve(stream, number, &setting).await }
        })
        .await
    }

    /// Closes whatever comes. Nobody should.
    pub(super) async fn forbidden() -> Result<Self> {
        Self::start(Arc::default(), |_, _| async { Ok(()) }).await
    }

    async fn start<Served>(
        counts: Arc<Counts>,
        serve: impl Fn(TcpStream, u64) -> Served + Send + 'static,
    ) -> Result<Self>
    where
        Served: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let socket = listener.local_addr()?;
        let mut tasks = JoinSet::new();
        let there = Arc::clone(&counts);
        tasks.spawn(async move {
            let mut running = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let number = there.connections.fetch_add(1, Ordering::Relaxed);
                let served = serve(stream, number);
                // How a connection ends is the client's matter.
                running.spawn(async move {
                    let _ = served.await;
                });
            }
        });
        Ok(Self { socket, counts, _tasks: tasks })
    }
}

async fn serve(stream: TcpStream, number: u64, setting: &Setting) -> io::Result<()> {
    // Small writes are meant to arrive as they were written.
    stream.set_nodelay(true)?;
    match (&setting.behaviour.conduct, &setting.tls) {
        (Conduct::Below(attack), _) if number >= setting.mode.first_attacked() => {
            setting.counts.met.fetch_add(1, Ordering::Relaxed);
            below::serve(*attack, stream, number, setting).await
        }
        (_, None) => converse(stream, setting).await,
        (_, Some(config)) => {
            let session = TlsAcceptor::from(Arc::clone(config)).accept(stream).await?;
            converse(session, setting).await
        }
    }
}

/// A stream whose socket can be told to reset when it is closed.
pub(super) trait Resettable: AsyncRead + AsyncWrite + Unpin + Send {
    fn reset_on_close(&self) -> io::Result<()>;
}

impl Resettable for TcpStream {
    fn reset_on_close(&self) -> io::Result<()> {
        self.set_zero_linger()
    }
}

impl Resettable for tokio_rustls::server::TlsStream<TcpStream> {
    fn reset_on_close(&self) -> io::Result<()> {
        self.get_ref().0.set_zero_linger()
    }
}

/// Requests, each met by the behaviour or answered as anybody would.
pub(super) async fn converse(mut stream: impl Resettable, setting: &Setting) -> io::Result<()> {
    loop {
        let head = read_head(&mut stream, &setting.counts).await?;
        let Conduct::Answer(script) = &setting.behaviour.conduct else {
            stream.write_all(&ordinary()).await?;
            stream.flush().await?;
            continue;
        };
        if !setting.mode.is_attacked(&head) {
            stream.write_all(&ordinary()).await?;
            stream.flush().await?;
            continue;
        }
        setting.counts.met.fetch_add(1, Ordering::Relaxed);
        for step in script(&setting.scene) {
            if !take(step, &mut stream).await? {
                return Ok(());
            }
        }
    }
}

/// What a server behind which all is well says to a request without a credential.
pub(super) fn ordinary() -> Vec<u8> {
    answer("401 Unauthorized", &["WWW-Authenticate: Basic realm=\"mail\"", "Server: x"], b"")
}

pub(super) async fn read_head(
    stream: &mut (impl AsyncRead + Unpin),
    counts: &Counts,
) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
        if head.len() > HEAD_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    counts.requests.fetch_add(1, Ordering::Relaxed);
    if head.contains("\r\nauthorization: basic ") {
        counts.credentials.fetch_add(1, Ordering::Relaxed);
    }
    Ok(head)
}

/// `false`: the connection is over.
async fn take(step: Step, stream: &mut impl Resettable) -> io::Result<bool> {
    match step {
        Step::Send(bytes) => stream.write_all(&bytes).await?,
        Step::Flood(bytes) => loop {
            stream.write_all(&bytes).await?;
        },
        Step::Drip(bytes, pause) => {
            for byte in bytes {
                tokio::time::sleep(pause).await;
                stream.write_all(&[byte]).await?;
                stream.flush().await?;
            }
            silence(stream).await?;
            return Ok(false);
        }
        Step::Wait(pause) => {
            stream.flush().await?;
            tokio::time::sleep(pause).await;
        }
        Step::Stall => {
            stream.flush().await?;
            silence(stream).await?;
            return Ok(false);
        }
        Step::Close => {
            stream.shutdown().await?;
            silence(stream).await?;
            return Ok(false);
        }
        Step::Reset => {
            stream.flush().await?;
            stream.reset_on_close()?;
            return Ok(false);
        }
    }
    stream.flush().await?;
    Ok(true)
}

/// Reads and says nothing until the client goes away, so that it sees a clean end and no reset.
pub(super) async fn silence(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    while stream.read(&mut [0; 4096]).await? > 0 {}
    Ok(())
}
