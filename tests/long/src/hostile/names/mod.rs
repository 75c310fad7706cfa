//! A name server that means harm: UDP and TCP on one loopback port, answering by script.

mod forged;
mod message;
mod scripts;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

pub(super) use message::Ask;

/// One way to answer questions.
pub(super) struct Script {
    pub(super) name: &'static str,
    /// The label of the DNS stage.
    pub(super) says: &'static str,
    udp: fn(&Ask) -> Vec<Say>,
    tcp: fn(&Ask) -> Hear,
}

/// One datagram, or many.
pub(super) enum Say {
    Now(Vec<u8>),
    Later(Duration, Vec<u8>),
    FromElsewhere(Vec<u8>),
    /// So many times, as fast as the client's socket takes them.
    Often(usize, Vec<u8>),
}

/// What comes over TCP.
pub(super) enum Hear {
    /// Behind its length.
    Whole(Vec<u8>),
    /// As it is, then a close.
    Raw(Vec<u8>),
    /// As it is, then silence.
    RawThenSilence(Vec<u8>),
    Reset,
}

/// Every script.
pub(super) fn all() -> impl Iterator<Item = &'static Script> {
    scripts::ALL.iter().chain(forged::ALL)
}

/// A running name server. Dropping it ends it.
#[derive(Debug)]
pub(super) struct NameServer {
    pub(super) socket: SocketAddr,
    /// Questions over both transports.
    pub(super) asked: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

impl NameServer {
    pub(super) async fn start(script: &'static Script) -> Result<Self> {
        let (udp, tcp) = sockets().await?;
        let socket = udp.local_addr()?;
        let asked: Arc<AtomicU64> = Arc::default();
        let mut tasks = JoinSet::new();
        let count = Arc::clone(&asked);
        tasks.spawn(async move {
            let udp = Arc::new(udp);
            let mut running = JoinSet::new();
            let mut buffer = [0; 4096];
            while let Ok((length, client)) = udp.recv_from(&mut buffer).await {
                let number = count.fetch_add(1, Ordering::Relaxed);
                let Some(ask) = Ask::read(&buffer[..length], number) else { continue };
                let said = (script.udp)(&ask);
                let udp = Arc::clone(&udp);
                running.spawn(async move {
                    let _ = say(said, &udp, client).await;
                });
            }
        });
        let count = Arc::clone(&asked);
        tasks.spawn(async move {
            let mut running = JoinSet::new();
            while let Ok((stream, _)) = tcp.accept().await {
                let number = count.fetch_add(1, Ordering::Relaxed);
                running.spawn(async move {
                    let _ = hear(stream, script, number).await;
                });
            }
        });
        Ok(Self { socket, asked, _tasks: tasks })
    }
}

/// UDP and TCP on the same free port.
async fn sockets() -> Result<(UdpSocket, TcpListener)> {
    const TRIES: usize = 100;
    for _ in 0..TRIES {
        let udp = UdpSocket::bind("127.0.0.1:0").await?;
        if let Ok(tcp) = TcpListener::bind(udp.local_addr()?).await {
            return Ok((udp, tcp));
        }
    }
    anyhow::bail!("no port is free for both UDP and TCP")
}

async fn say(said: Vec<Say>, udp: &UdpSocket, client: SocketAddr) -> io::Result<()> {
    for one in said {
        match one {
            Say::Now(bytes) => {
                udp.send_to(&bytes, client).await?;
            }
            Say::Later(pause, bytes) => {
                tokio::time::sleep(pause).await;
                udp.send_to(&bytes, client).await?;
            }
            Say::FromElsewhere(bytes) => {
                let other = UdpSocket::bind("127.0.0.1:0").await?;
                other.send_to(&bytes, client).await?;
            }
            Say::Often(times, bytes) => {
                for _ in 0..times {
                    udp.send_to(&bytes, client).await?;
                }
            }
        }
    }
    Ok(())
}

async fn hear(mut stream: TcpStream, script: &Script, number: u64) -> io::Result<()> {
    let mut query = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut query).await?;
    let Some(ask) = Ask::read(&query, number) else { return Ok(()) };
    match (script.tcp)(&ask) {
        Hear::Whole(bytes) => {
            let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
            stream.write_all(&[&length, bytes.as_slice()].concat()).await?;
        }
        Hear::Raw(bytes) => stream.write_all(&bytes).await?,
        Hear::RawThenSilence(bytes) => {
            stream.write_all(&bytes).await?;
            while stream.read(&mut [0; 64]).await? > 0 {}
        }
        Hear::Reset => stream.set_zero_linger()?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn there_are_enough_and_each_has_a_name_of_its_own() {
        let names: BTreeSet<_> = all().map(|it| it.name).collect();
        assert_eq!(names.len(), all().count());
        assert!(names.len() >= 40, "{}", names.len());
    }
}
