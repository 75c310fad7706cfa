//! How does a listener ask for a client certificate only after it has read a request, as IIS does for one directory?
//!
//! rustls has no renegotiation, and the binding of `OpenSSL` no call that begins one. So this is the little of TLS 1.2 that it takes,
//! written out: one suite, one curve, a handshake in clear and one inside it (RFC 5246, 5288, 5746, 8422). Absent on purpose:
//! client certificates (whoever shows one is refused), resumption, and everything else that only a real server needs.

mod channel;
mod handshake;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use socket2::SockRef;
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf,
};
use tokio::net::TcpStream;

use self::channel::{ALERT, APPLICATION_DATA, Channel, HANDSHAKE};
use self::handshake::Finished;
use super::exchange::Wire;
use crate::certificates::Identity;

/// Bytes that wait between the two ends of a connection.
const WAITING_BYTES: usize = 64 * 1024;

/// Bytes of one record that is sent.
const RECORD_BYTES: usize = 2 * 1024;

/// How long the other side may take to close after the last byte.
const GOODBYE_LIMIT: Duration = Duration::from_secs(1);

/// A `HelloRequest`, RFC 5246 section 7.4.1.1.
const HELLO_REQUEST: [u8; 4] = [0; 4];

/// A fatal `handshake_failure`.
const HANDSHAKE_FAILURE: [u8; 2] = [2, 40];

/// What such a listener shows.
pub(super) struct LateServer {
    /// Certificates with their lengths, as a message has them.
    chain: Vec<u8>,
    key: PKey<Private>,
}

impl std::fmt::Debug for LateServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LateServer")
    }
}

impl LateServer {
    pub(super) fn new(identity: &Identity) -> Result<Self, ErrorStack> {
        let chain = identity.chain.iter().flat_map(|it| handshake::behind_length_24(it)).collect();
        Ok(Self { chain, key: PKey::private_key_from_der(identity.key.secret_der())? })
    }

    /// The first handshake, in clear and without a word about certificates of the client.
    pub(super) async fn accept(
        self: Arc<Self>,
        tcp: TcpStream,
        hello: Vec<u8>,
    ) -> io::Result<LateSession> {
        let mut channel = Channel::new(Arc::new(tcp), hello);
        let finished = handshake::run(&mut channel, &self, None).await?;
        Ok(LateSession { channel, server: self, finished, has_asked: false })
    }
}

/// A connection after its first handshake.
pub(super) struct LateSession {
    channel: Channel,
    server: Arc<LateServer>,
    finished: Finished,
    has_asked: bool,
}

/// What the requests are read from.
pub(super) struct LateStream {
    inner: DuplexStream,
    tcp: Arc<TcpStream>,
}

impl LateSession {
    /// The stream for the requests, and the other end of it, for [`Self::carry`].
    pub(super) fn stream(&self) -> (LateStream, DuplexStream) {
        let (inner, far) = tokio::io::duplex(WAITING_BYTES);
        (LateStream { inner, tcp: self.channel.tcp() }, far)
    }

    /// Carries bytes until either side ends; the first request waits until the certificate was asked for.
    pub(super) async fn carry(mut self, far: DuplexStream) {
        // However it ends, the other end of `far` is told by its drop.
        if self.exchange(far).await.is_ok() && !self.is_to_be_reset() {
            // The option is missing where the client has gone before.
            let _ = SockRef::from(&*self.channel.tcp()).shutdown(std::net::Shutdown::Write);
            let drain = async { while self.channel.receive().await.is_ok() {} };
            let _ = tokio::time::timeout(GOODBYE_LIMIT, drain).await;
        }
    }

    fn is_to_be_reset(&self) -> bool {
        SockRef::from(&*self.channel.tcp()).linger().is_ok_and(|it| it == Some(Duration::ZERO))
    }

    async fn exchange(&mut self, mut far: DuplexStream) -> io::Result<()> {
        let mut answer = [0; RECORD_BYTES];
        loop {
            tokio::select! {
                record = self.channel.receive() => match record? {
                    (APPLICATION_DATA, request) => {
                        if !self.has_asked {
                            self.has_asked = true;
                            self.ask().await?;
                        }
                        far.write_all(&request).await?;
                    }
                    (ALERT, alert) if alert.first() == Some(&1) && alert.last() != Some(&0) => {}
                    _ => return Ok(()),
                },
                count = far.read(&mut answer) => match answer.get(..count?) {
                    Some(bytes) if !bytes.is_empty() => {
                        self.channel.send(APPLICATION_DATA, bytes).await?;
                    }
                    _ => return Ok(()),
                },
            }
        }
    }

    /// The second handshake, within the first, with a request for a certificate.
    async fn ask(&mut self) -> io::Result<()> {
        self.channel.send(HANDSHAKE, &HELLO_REQUEST).await?;
        let again = handshake::run(&mut self.channel, &self.server, Some(&self.finished)).await;
        if again.is_err() {
            self.channel.send(ALERT, &HANDSHAKE_FAILURE).await?;
        }
        self.finished = again?;
        Ok(())
    }
}

impl Wire for LateStream {
    fn tcp(&self) -> &TcpStream {
        &self.tcp
    }
}

impl AsyncRead for LateStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl AsyncWrite for LateStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
