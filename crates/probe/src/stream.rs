//! The byte stream of one connection, plain or TLS, and what is known of the box at its other end.
//!
//! INVARIANT: only the TLS stage and [`Line::plain`] make a [`Line`]; its [`Peer`] cannot be set from outside.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use parallax_model::TlsFacts;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// A TCP connection that counts the bytes the kernel took from us.
#[derive(Debug)]
pub(crate) struct Wire {
    socket: TcpStream,
    written: Arc<AtomicU64>,
    local_port: u16,
}

impl Wire {
    pub(crate) fn new(socket: TcpStream, local_port: u16) -> Self {
        Self { socket, written: Arc::new(AtomicU64::new(0)), local_port }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write(context, bytes);
        if let Poll::Ready(Ok(count)) = &polled {
            self.written.fetch_add(*count as u64, Ordering::Relaxed);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

/// What the stages below HTTP produced.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(Wire),
    Tls(Box<TlsStream<Wire>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(wire).poll_read(context, buffer),
            Self::Tls(session) => Pin::new(session.as_mut()).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(wire).poll_write(context, bytes),
            Self::Tls(session) => Pin::new(session.as_mut()).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(wire).poll_flush(context),
            Self::Tls(session) => Pin::new(session.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(wire).poll_shutdown(context),
            Self::Tls(session) => Pin::new(session.as_mut()).poll_shutdown(context),
        }
    }
}

/// Who is at the other end, as far as a secret is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Nobody proved anything: plain HTTP.
    Plain,
    Tls {
        /// SHA-256 of the certificate it showed.
        leaf: [u8; 32],
        /// [`TlsFacts::may_carry_a_secret`].
        may_carry_a_secret: bool,
        /// Whether it asked for a certificate of ours.
        asked_for_certificate: bool,
    },
}

/// A connection ready for HTTP.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) stream: Stream,
    peer: Peer,
    pub(crate) local_port: u16,
    written: Arc<AtomicU64>,
}

impl Line {
    /// The endpoint's URL says `http`.
    pub(crate) fn plain(wire: Wire) -> Self {
        let (local_port, written) = (wire.local_port, Arc::clone(&wire.written));
        Self { stream: Stream::Plain(wire), peer: Peer::Plain, local_port, written }
    }

    /// What the TLS stage produced. `facts` has at least one certificate.
    pub(crate) fn secured(session: TlsStream<Wire>, facts: &TlsFacts) -> Self {
        let wire = session.get_ref().0;
        let (local_port, written) = (wire.local_port, Arc::clone(&wire.written));
        let peer = Peer::Tls {
            leaf: facts.chain.first().map_or([0; 32], |leaf| leaf.sha256),
            may_carry_a_secret: facts.may_carry_a_secret() && !facts.chain.is_empty(),
            asked_for_certificate: facts.client_certificate_requested,
        };
        Self { stream: Stream::Tls(Box::new(session)), peer, local_port, written }
    }

    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    /// Counts the bytes that the kernel took on this connection; goes on counting when the line is used up.
    pub(crate) fn written(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.written)
    }
}
