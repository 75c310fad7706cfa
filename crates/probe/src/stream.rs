//! The byte stream of one connection, plain or TLS of either stack, and what is known of the box at its other end.
//!
//! INVARIANT: only the TLS stage and [`Line::plain`] make a [`Line`]; its [`Peer`] cannot be set from outside.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parallax_model::TlsFacts;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::records::{Records, Tally};
use crate::tls::OldSession;

/// A TCP connection that counts what goes over it.
#[derive(Debug)]
pub(crate) struct Wire {
    socket: TcpStream,
    tally: Arc<Tally>,
    records: Records,
    local_port: u16,
}

impl Wire {
    pub(crate) fn new(socket: TcpStream, local_port: u16) -> Self {
        let tally = Arc::new(Tally::default());
        Self { socket, records: Records::new(Arc::clone(&tally)), tally, local_port }
    }

    pub(crate) fn local_port(&self) -> u16 {
        self.local_port
    }

    /// For whoever still wants to know when the connection is in other hands.
    pub(crate) fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.tally)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.socket).poll_read(context, buffer);
        self.records.feed(buffer.filled().get(before..).unwrap_or_default());
        if let Err(broken) = self.tally.check() {
            return Poll::Ready(Err(io::Error::other(broken)));
        }
        polled
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
            self.tally.wrote(*count);
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
    OldTls(Box<OldSession>),
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
            Self::OldTls(session) => Pin::new(session.as_mut()).poll_read(context, buffer),
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
            Self::OldTls(session) => Pin::new(session.as_mut()).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(wire).poll_flush(context),
            Self::Tls(session) => Pin::new(session.as_mut()).poll_flush(context),
            Self::OldTls(session) => Pin::new(session.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(wire).poll_shutdown(context),
            Self::Tls(session) => Pin::new(session.as_mut()).poll_shutdown(context),
            Self::OldTls(session) => Pin::new(session.as_mut()).poll_shutdown(context),
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
    tally: Arc<Tally>,
}

impl Line {
    /// The endpoint's URL says `http`.
    pub(crate) fn plain(wire: Wire) -> Self {
        let (local_port, tally) = (wire.local_port, wire.tally());
        Self { stream: Stream::Plain(wire), peer: Peer::Plain, local_port, tally }
    }

    /// What the TLS stage produced. `facts` has at least one certificate.
    pub(crate) fn secured(
        stream: Stream,
        local_port: u16,
        tally: Arc<Tally>,
        facts: &TlsFacts,
    ) -> Self {
        let peer = Peer::Tls {
            leaf: facts.chain.first().map_or([0; 32], |leaf| leaf.sha256),
            may_carry_a_secret: facts.may_carry_a_secret() && !facts.chain.is_empty(),
            asked_for_certificate: facts.client_certificate_requested,
        };
        Self { stream, peer, local_port, tally }
    }

    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    /// Counts what goes over this connection; goes on counting when the line is used up.
    pub(crate) fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.tally)
    }
}
