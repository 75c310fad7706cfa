//! Attacks below HTTP on one connection: handshakes cut short, raw bytes, records sealed by hand.

use std::io;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rustls::{ConnectionTrafficSecrets, ServerConfig, ServerConnection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::behaviours::{Behaviour, Below, Conduct, Cut, End, Records};
use super::certificates::Authority;
use super::seal::Sealer;
use super::server::{Setting, converse, ordinary, read_head, silence};

/// Server configurations, made before anybody connects: some take long.
#[derive(Default)]
pub(super) struct Preparations {
    configs: Vec<Arc<ServerConfig>>,
}

impl Preparations {
    pub(super) fn of(behaviour: &Behaviour, authority: &Authority) -> Result<Self> {
        let configs = match behaviour.conduct {
            Conduct::Below(Below::Shown(shown)) => vec![authority.showing(shown)?],
            Conduct::Below(Below::OtherLeaf) => {
                (0..4).map(|_| authority.good()).collect::<Result<_>>()?
            }
            Conduct::Below(
                Below::Records(Records::KeyUpdates) | Below::Cut(Cut::Quarter(_) | Cut::Drip, _),
            ) => vec![authority.good()?],
            Conduct::Below(Below::Records(_) | Below::Cut(..)) => vec![authority.tls12()?],
            Conduct::Answer(_)
            | Conduct::Below(
                Below::Raw(..) | Below::Flood(..) | Below::AtOnce(_) | Below::NeverRead,
            ) => Vec::new(),
        };
        Ok(Self { configs: configs.into_iter().map(Arc::new).collect() })
    }

    /// The configuration of this connection, in turn.
    fn config(&self, number: u64) -> io::Result<Arc<ServerConfig>> {
        let count = self.configs.len().max(1);
        let at = usize::try_from(number).unwrap_or(0) % count;
        self.configs.get(at).map(Arc::clone).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

pub(super) async fn serve(
    attack: Below,
    mut stream: TcpStream,
    number: u64,
    setting: &Setting,
) -> io::Result<()> {
    match attack {
        Below::Shown(_) | Below::OtherLeaf => {
            let config = setting.preparations.config(number)?;
            let session = TlsAcceptor::from(config).accept(stream).await?;
            converse(session, setting).await
        }
        Below::Cut(cut, end) => {
            let config = setting.preparations.config(number)?;
            let pause = setting.scene.second();
            cut_short(&mut stream, config, cut, pause).await?;
            finish(stream, end).await
        }
        Below::Raw(bytes, end) => {
            hear_something(&mut stream).await?;
            stream.write_all(bytes).await?;
            finish(stream, end).await
        }
        Below::Flood(first, again) => {
            hear_something(&mut stream).await?;
            stream.write_all(first).await?;
            let again = again.repeat(200);
            loop {
                stream.write_all(&again).await?;
            }
        }
        Below::AtOnce(end) => finish(stream, end).await,
        Below::NeverRead => {
            // As long as any limit, and a little longer: nothing tells that the client went.
            tokio::time::sleep(setting.scene.limit * 5).await;
            Ok(())
        }
        Below::Records(Records::KeyUpdates) => key_updates(stream, number, setting).await,
        Below::Records(records) => sealed(stream, number, records, setting).await,
    }
}

/// Waits for the client's hello, or the part of it that came first.
async fn hear_something(stream: &mut TcpStream) -> io::Result<()> {
    match stream.read(&mut [0; 4096]).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

async fn finish(mut stream: TcpStream, end: End) -> io::Result<()> {
    match end {
        End::Stall => silence(&mut stream).await,
        End::Close => {
            stream.shutdown().await?;
            silence(&mut stream).await
        }
        End::Reset => stream.set_zero_linger(),
    }
}

/// Plays the server of a handshake by hand, so far and no further.
async fn cut_short(
    stream: &mut TcpStream,
    config: Arc<ServerConfig>,
    cut: Cut,
    pause: std::time::Duration,
) -> io::Result<()> {
    let mut connection = ServerConnection::new(config).map_err(io::Error::other)?;
    while !connection.wants_write() {
        receive(stream, &mut connection).await?;
    }
    let mut flight = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut flight)?;
    }
    match cut {
        Cut::BeforeServerHello => {}
        Cut::AfterMessage(count) => {
            stream.write_all(&messages(&flight).get(..count).unwrap_or_default().concat()).await?;
        }
        Cut::InMessage(count) => {
            let messages = messages(&flight);
            stream.write_all(&messages.get(..count).unwrap_or_default().concat()).await?;
            let half = messages.get(count).map(|it| &it[..it.len() / 2]);
            stream.write_all(half.unwrap_or_default()).await?;
        }
        Cut::BeforeFinished => {
            stream.write_all(&flight).await?;
            while connection.is_handshaking() && !connection.wants_write() {
                receive(stream, &mut connection).await?;
            }
        }
        Cut::Quarter(count) => stream.write_all(&flight[..flight.len() * count / 4]).await?,
        Cut::Drip => {
            for byte in flight {
                tokio::time::sleep(pause).await;
                stream.write_all(&[byte]).await?;
            }
        }
    }
    Ok(())
}

async fn receive(stream: &mut TcpStream, connection: &mut ServerConnection) -> io::Result<()> {
    let mut buffer = [0; 4096];
    let count = stream.read(&mut buffer).await?;
    if count == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut bytes = &buffer[..count];
    while !bytes.is_empty() {
        connection.read_tls(&mut bytes)?;
        connection.process_new_packets().map_err(io::Error::other)?;
    }
    Ok(())
}

/// The plain handshake messages of a TLS 1.2 flight, each in a record of its own (RFC 5246 sections 6.2.1 and 7.4).
fn messages(flight: &[u8]) -> Vec<Vec<u8>> {
    let mut joined = Vec::new();
    let mut rest = flight;
    while let [22, _, _, high, low, after @ ..] = rest {
        let length = usize::from(*high) << 8 | usize::from(*low);
        joined.extend_from_slice(after.get(..length).unwrap_or_default());
        rest = after.get(length..).unwrap_or_default();
    }
    let mut found = Vec::new();
    let mut rest = joined.as_slice();
    while let [_, first, second, third, ..] = rest {
        let length =
            4 + (usize::from(*first) << 16 | usize::from(*second) << 8 | usize::from(*third));
        let message = rest.get(..length).unwrap_or(rest);
        let size = u16::try_from(message.len()).unwrap_or(u16::MAX).to_be_bytes();
        found.push([&[22, 3, 3], size.as_slice(), message].concat());
        rest = rest.get(length..).unwrap_or_default();
    }
    found
}

/// TLS 1.3: asks for new keys again and again, and reads nothing of what comes back.
async fn key_updates(stream: TcpStream, number: u64, setting: &Setting) -> io::Result<()> {
    let config = setting.preparations.config(number)?;
    let mut session = TlsAcceptor::from(config).accept(stream).await?;
    read_head(&mut session, &setting.counts).await?;
    let (mut stream, mut connection) = session.into_inner();
    for _ in 0..10_000 {
        connection.refresh_traffic_keys().map_err(io::Error::other)?;
        let mut bytes = Vec::new();
        while connection.wants_write() {
            connection.write_tls(&mut bytes)?;
        }
        stream.write_all(&bytes).await?;
    }
    silence(&mut stream).await
}

/// TLS 1.2: a request is read, then records of our own follow.
async fn sealed(
    stream: TcpStream,
    number: u64,
    records: Records,
    setting: &Setting,
) -> io::Result<()> {
    const ALERT: u8 = 21;
    const HANDSHAKE: u8 = 22;
    const DATA: u8 = 23;
    let config = setting.preparations.config(number)?;
    let mut session = TlsAcceptor::from(config).accept(stream).await?;
    read_head(&mut session, &setting.counts).await?;
    let (mut stream, connection) = session.into_inner();
    let mut sealer = sealer_of(connection).map_err(io::Error::other)?;
    let (kind, content): (u8, &[u8]) = match records {
        Records::OneHelloRequest => {
            let request = sealer.record(HANDSHAKE, &[0, 0, 0, 0]);
            let answer = sealer.record(DATA, &ordinary());
            stream.write_all(&[request, answer].concat()).await?;
            return silence(&mut stream).await;
        }
        Records::BadSeal => {
            let mut record = sealer.record(DATA, &ordinary());
            record[20] ^= 1;
            stream.write_all(&record).await?;
            return silence(&mut stream).await;
        }
        Records::FatalAlert | Records::CloseNotify => {
            let is_fatal = records == Records::FatalAlert;
            let alert = if is_fatal { [2, 80] } else { [1, 0] };
            stream.write_all(&sealer.record(ALERT, &alert)).await?;
            return silence(&mut stream).await;
        }
        Records::HelloRequests => (HANDSHAKE, &[0, 0, 0, 0]),
        Records::Warnings => (ALERT, &[1, 90]),
        Records::Empty | Records::KeyUpdates => (DATA, &[]),
    };
    loop {
        stream.write_all(&sealer.record(kind, content)).await?;
    }
}

fn sealer_of(connection: ServerConnection) -> Result<Sealer> {
    let secrets = connection.dangerous_extract_secrets()?;
    let (sequence, ConnectionTrafficSecrets::Aes128Gcm { key, iv }) = secrets.tx else {
        anyhow::bail!("another cipher was chosen")
    };
    let salt = iv.as_ref().first_chunk::<4>().context("an initialisation vector has 12 bytes")?;
    Sealer::new(key.as_ref(), *salt, sequence)
}
