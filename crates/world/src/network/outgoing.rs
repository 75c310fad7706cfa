//! A TCP connection under a TLS listener: its hello was read before, and which alert ends a TLS 1.2
//! handshake that lacks the client certificate?
//!
//! `handshake_failure`, for `certificate_required` came with TLS 1.3 (RFC 5246 section 7.4.6, RFC 8446
//! section 6.2); our TLS library sends the new one in both. Absent on purpose: any other change.
//!
//! INVARIANT: only a record that is exactly this alert, in clear, is changed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A fatal `certificate_required` in clear, in the record version of TLS 1.2.
const CERTIFICATE_REQUIRED: [u8; 7] = [21, 3, 3, 0, 2, 2, 116];

/// A fatal `handshake_failure`.
const HANDSHAKE_FAILURE: [u8; 7] = [21, 3, 3, 0, 2, 2, 40];

/// A TCP connection on which that alert goes out as an old server means it.
#[derive(Debug)]
pub(super) struct Outgoing {
    tcp: TcpStream,
    /// Read already, and to be read again.
    hello: Vec<u8>,
}

impl Outgoing {
    pub(super) fn new(tcp: TcpStream, hello: Vec<u8>) -> Self {
        Self { tcp, hello }
    }

    pub(super) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }
}

impl AsyncRead for Outgoing {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.hello.is_empty() {
            let count = self.hello.len().min(buffer.remaining());
            buffer.put_slice(&self.hello[..count]);
            self.hello.drain(..count);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.tcp).poll_read(context, buffer)
    }
}

impl AsyncWrite for Outgoing {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let bytes = if bytes == CERTIFICATE_REQUIRED { &HANDSHAKE_FAILURE[..] } else { bytes };
        Pin::new(&mut self.tcp).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}
