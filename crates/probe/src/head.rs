//! Watches the head of an answer on the wire, below the parser: bounds it, and keeps it as it came.
//!
//! hyper has no bound on one header's length and lower-cases names; both are needed here, so the bytes are seen before it does.
//!
//! INVARIANT: over one exchange at most [`HEAD_BYTES_MAX`] bytes of heads, [`FIELDS_MAX`] fields per head and [`INTERIM_MAX`]
//! interim answers reach the parser; the breach is kept by name.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use parallax_model::{Headers, LimitBroken};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::stream::Stream;

/// Most bytes of head taken in one exchange, interim answers included.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Most header fields of one head.
const FIELDS_MAX: usize = 100;
/// Most interim (1xx) answers before the final one.
const INTERIM_MAX: u32 = 10;
/// How much of the final head is kept, in bytes.
const KEPT_BYTES_MAX: usize = 16 * 1024;

/// How reading from the peer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The peer closed, properly or not.
    Closed,
    Reset,
    /// The peer sent this fatal TLS alert.
    Alert(u8),
    /// Anything else, told by the error of the exchange.
    Other,
}

/// What was seen of the answer to the request in flight.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// The beginning of the head being read, or of the final one once it is complete.
    kept: Vec<u8>,
    /// Bytes of all heads so far.
    bytes: usize,
    /// Bytes of the line being read, its end excluded.
    line: usize,
    /// Complete lines of the head being read.
    lines: usize,
    interim: u32,
    is_complete: bool,
    pub(crate) received: u64,
    pub(crate) broken: Option<LimitBroken>,
    pub(crate) end: Option<End>,
}

impl Watch {
    /// Forgets the exchange before.
    pub(crate) fn begin(&mut self) {
        *self = Self::default();
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<(), LimitBroken> {
        self.received += bytes.len() as u64;
        for &byte in bytes {
            if self.is_complete {
                return Ok(());
            }
            self.take(byte)?;
        }
        Ok(())
    }

    fn take(&mut self, byte: u8) -> Result<(), LimitBroken> {
        self.bytes += 1;
        if self.bytes > HEAD_BYTES_MAX {
            return Err(LimitBroken::HeadBytes);
        }
        if self.kept.len() < KEPT_BYTES_MAX {
            self.kept.push(byte);
        }
        match byte {
            b'\n' if self.line > 0 => {
                self.line = 0;
                self.lines += 1;
                // The status line is none.
                if self.lines > FIELDS_MAX + 1 { Err(LimitBroken::HeaderCount) } else { Ok(()) }
            }
            // The empty line; those before a status line count for nothing (RFC 9112 section 2.2).
            b'\n' if self.lines > 0 => self.end_head(),
            b'\n' | b'\r' => Ok(()),
            _ => {
                self.line += 1;
                Ok(())
            }
        }
    }

    fn end_head(&mut self) -> Result<(), LimitBroken> {
        if !is_interim(&self.kept) {
            self.is_complete = true;
            return Ok(());
        }
        self.interim += 1;
        if self.interim > INTERIM_MAX {
            return Err(LimitBroken::InterimResponses);
        }
        self.kept.clear();
        self.lines = 0;
        Ok(())
    }

    /// Reason phrase and fields of the final head, in order and letter case as received; bytes outside UTF-8 replaced.
    /// Fields that begin beyond the kept part are left out, and so is one that it cuts.
    pub(crate) fn read(&self) -> (String, Headers) {
        let text = String::from_utf8_lossy(&self.kept);
        // What follows the last line end is a cut line, or nothing.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let mut lines = whole.split('\n').map(|line| line.trim_end_matches('\r'));
        let status = lines.find(|line| !line.is_empty()).unwrap_or_default();
        let reason = status.splitn(3, ' ').nth(2).unwrap_or_default().trim().to_owned();
        let fields = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
            .collect();
        (reason, Headers(fields))
    }

    /// The beginning of what was received, escaped, for a report on what is not HTTP.
    pub(crate) fn excerpt(&self) -> String {
        const EXCERPT_BYTES: usize = 80;
        self.kept[..self.kept.len().min(EXCERPT_BYTES)].escape_ascii().to_string()
    }
}

/// Whether the head announces an interim answer. 101 is final: nobody asked for another protocol.
fn is_interim(head: &[u8]) -> bool {
    let start = head.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(0);
    let status = head[start..]
        .strip_prefix(b"HTTP/1.")
        .and_then(|rest| rest.get(1..))
        .map_or(&[] as &[u8], |rest| rest.trim_ascii_start());
    matches!(status, [b'1', tens, ones, ..]
        if tens.is_ascii_digit() && ones.is_ascii_digit() && (*tens, *ones) != (b'0', b'1'))
}

/// A stream with a [`Watch`] on what it reads.
#[derive(Debug)]
pub(crate) struct Watched {
    stream: Stream,
    watch: Arc<Mutex<Watch>>,
}

impl Watched {
    pub(crate) fn new(stream: Stream) -> (Self, Arc<Mutex<Watch>>) {
        let watch = Arc::new(Mutex::new(Watch::default()));
        (Self { stream, watch: Arc::clone(&watch) }, watch)
    }
}

/// Nothing panics while it holds the lock; a poisoned one would still hold what was seen.
pub(crate) fn lock(watch: &Mutex<Watch>) -> MutexGuard<'_, Watch> {
    watch.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AsyncRead for Watched {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(context, buffer);
        let mut watch = lock(&this.watch);
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => {
                watch.end = Some(end_of(&error));
                Poll::Ready(Err(error))
            }
            Poll::Ready(Ok(())) => {
                let new = &buffer.filled()[before..];
                if new.is_empty() && buffer.remaining() > 0 {
                    watch.end = Some(End::Closed);
                }
                if let Err(broken) = watch.feed(new) {
                    watch.broken = Some(broken);
                    return Poll::Ready(Err(io::Error::other("a bound of the answer is broken")));
                }
                Poll::Ready(Ok(()))
            }
        }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the list of `ErrorKind` grows; the rest has no name of its own here"
)]
fn end_of(error: &io::Error) -> End {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if let Some(rustls::Error::AlertReceived(alert)) = tls {
        return End::Alert(u8::from(*alert));
    }
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => End::Reset,
        // rustls says so when the peer closes without `close_notify`.
        io::ErrorKind::UnexpectedEof => End::Closed,
        _ => End::Other,
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Err(error)) = &polled {
            let is_reset = error.kind() == io::ErrorKind::BrokenPipe;
            let end = if is_reset { End::Reset } else { end_of(error) };
            lock(&self.watch).end.get_or_insert(end);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(bytes: &[u8]) -> Result<Watch, LimitBroken> {
        let mut watch = Watch::default();
        watch.feed(bytes).map(|()| watch)
    }

    #[test]
    fn letter_case_order_and_odd_bytes_are_kept() {
        let watch = fed(b"\r\nHTTP/1.1 401 Access  Denied!\r\nWWW-Authenticate: Negotiate\r\nserver:x\nX-A:\t\xff \r\n\
            www-authenticate: NTLM\r\n\r\nX-Body: no\r\n")
        .expect("within bounds");
        let (reason, headers) = watch.read();
        assert_eq!(reason, "Access  Denied!");
        let pairs: Vec<_> =
            headers.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            pairs,
            [
                ("WWW-Authenticate", "Negotiate"),
                ("server", "x"),
                ("X-A", "\u{fffd}"),
                ("www-authenticate", "NTLM"),
            ]
        );
    }

    #[test]
    fn an_interim_head_is_passed_over_and_101_is_not() {
        let watch =
            fed(b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\n")
                .expect("fine");
        assert_eq!(watch.read().1.0, [("A".to_owned(), "b".to_owned())]);
        let watch = fed(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")
            .expect("fine");
        assert_eq!(watch.read().0, "Switching");
    }

    #[test]
    fn every_bound_has_its_name() {
        let endless = [b"HTTP/1.1 200 OK\r\nA: ".as_slice(), &vec![b'a'; HEAD_BYTES_MAX]].concat();
        assert_eq!(fed(&endless).err(), Some(LimitBroken::HeadBytes));
        let many = |count: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(count));
        assert!(fed(many(FIELDS_MAX).as_bytes()).is_ok());
        assert_eq!(fed(many(FIELDS_MAX + 1).as_bytes()).err(), Some(LimitBroken::HeaderCount));
        let flood = |count: usize| "HTTP/1.1 103 \r\n\r\n".repeat(count);
        assert!(fed(flood(10).as_bytes()).is_ok());
        assert_eq!(fed(flood(11).as_bytes()).err(), Some(LimitBroken::InterimResponses));
        assert_eq!(fed(&vec![b'\n'; HEAD_BYTES_MAX + 1]).err(), Some(LimitBroken::HeadBytes));
    }

    #[test]
    fn a_long_head_is_cut_at_a_line() {
        let long =
            format!("HTTP/1.1 200 OK\r\nA: b\r\nB: {}\r\nC: d\r\n\r\n", "x".repeat(KEPT_BYTES_MAX));
        let watch = fed(long.as_bytes()).expect("within bounds");
        assert_eq!(watch.read().1.0, [("A".to_owned(), "b".to_owned())]);
    }

    #[test]
    fn what_is_no_head_reads_as_nothing() {
        for bytes in
            [b"".as_slice(), b"\n", b"SSH-2.0-x", b"\xff\xfe\r\n\r\n", b"HTTP/1.", b"HTTP/1.1\n\n"]
        {
            let watch = fed(bytes).expect("within bounds");
            assert_eq!(watch.read().1.0.len(), 0, "{bytes:?}");
        }
    }
}
