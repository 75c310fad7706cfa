//! Peers that attack a port for a while, each on connections of its own, and what became of those.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_rustls::TlsConnector;

use super::frames::{Attack, Script};

/// Pause before the next connection; an attacker that is cut comes back.
const AGAIN: Duration = Duration::from_millis(10);

/// Where, and whether there is TLS before HTTP/2.
#[derive(Clone)]
pub(super) struct Port {
    pub address: SocketAddr,
    pub tls: Option<Arc<ClientConfig>>,
}

#[derive(Debug, Default)]
pub(super) struct Seen {
    pub connections: AtomicU64,
    /// Ended by the other side.
    pub ended: AtomicU64,
    pub bytes: AtomicU64,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// So many attackers at once, until the time is over.
pub(super) async fn besiege(port: &Port, attack: Attack, attackers: usize, until: Instant) -> Seen {
    let seen = Arc::new(Seen::default());
    let mut all = JoinSet::new();
    for _ in 0..attackers {
        let (port, seen) = (port.clone(), Arc::clone(&seen));
        all.spawn(async move {
            while Instant::now() < until {
                // A connection that the other side refuses is one that it ended.
                let _ = timeout_at(until, strike(&port, attack, &seen, until)).await;
                sleep_until((Instant::now() + AGAIN).min(until)).await;
            }
        });
    }
    while all.join_next().await.is_some() {}
    Arc::into_inner(seen).unwrap_or_default()
}

async fn connect(port: &Port) -> io::Result<Box<dyn Stream>> {
    let tcp = TcpStream::connect(port.address).await?;
    let Some(tls) = &port.tls else { return Ok(Box::new(tcp)) };
    let name = ServerName::from(port.address.ip());
    Ok(Box::new(TlsConnector::from(Arc::clone(tls)).connect(name, tcp).await?))
}

async fn strike(port: &Port, attack: Attack, seen: &Seen, until: Instant) -> io::Result<()> {
    let stream = connect(port).await?;
    seen.connections.fetch_add(1, Ordering::Relaxed);
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut script = Script::new(attack);
    let mut read = vec![0; 16 * 1024];
    let sending = async {
        loop {
            let bytes = script.next();
            if bytes.is_empty() {
                sleep_until(until).await;
                return;
            }
            if writer.write_all(&bytes).await.is_err() || writer.flush().await.is_err() {
                return;
            }
            seen.bytes.fetch_add(u64::try_from(bytes.len()).unwrap_or(0), Ordering::Relaxed);
        }
    };
    let reads = async { while matches!(reader.read(&mut read).await, Ok(length) if length > 0) {} };
    tokio::select! {
        () = sending => {}
        () = reads => {}
    }
    if Instant::now() < until {
        seen.ended.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
