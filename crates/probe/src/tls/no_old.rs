//! In place of the old stack, in a program that was built without it: a type that has no value, so that no connection can have it.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Seen;
use crate::stream::Wire;

#[derive(Debug)]
pub(crate) struct Old(Infallible);

impl Old {
    #[expect(clippy::unnecessary_wraps, reason = "the old stack may fail to start")]
    pub(super) fn new() -> Result<Option<Self>, Infallible> {
        Ok(None)
    }

    #[expect(clippy::unused_async, reason = "the old stack waits for its peer")]
    pub(super) async fn connect(
        &self,
        _wire: Wire,
        _server_name: Option<&ServerName<'static>>,
    ) -> io::Result<Session> {
        match self.0 {}
    }
}

#[derive(Debug)]
pub(crate) struct Session(Infallible);

pub(super) fn seen(session: &Session) -> Result<Seen, String> {
    match session.0 {}
}

impl AsyncRead for Session {
    fn poll_read(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        _buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.0 {}
    }
}

impl AsyncWrite for Session {
    fn poll_write(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        _bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.0 {}
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0 {}
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0 {}
    }
}
