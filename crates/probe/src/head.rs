//! Watches the head of an answer on the wire, below the parser: bounds it, and keeps it as it came.
//!
//! hyper has no bound on one header's length and lower-cases names; both are needed here, so the bytes are seen before it does.
//!
//! INVARIANT: over one exchange at most [`HEAD_BYTES_MAX`] bytes of heads, [`FIELDS_MAX`] fields per head, [`INTERIM_MAX`]
//! interim answers and [`AFTER_HEAD_BYTES_MAX`] bytes of everything else reach the parser; the breach is kept by name.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use parallax_model::{Headers, LimitBroken};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Duration, Instant, sleep_until};

use crate::stream::Stream;
use crate::tls::{alert_of, is_end, is_late_certificate_request};

/// Most bytes of head taken in one exchange, interim answers included.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Most header fields of one head.
const FIELDS_MAX: usize = 100;
/// Most interim (1xx) answers before the final one.
const INTERIM_MAX: u32 = 10;
/// Most bytes after the final head: twice the bound of a body, for what frames it. hyper has no bound on the digits of a chunk's
/// size, so that a flood of them would be read for as long as the limit lasts.
const AFTER_HEAD_BYTES_MAX: usize = 128 * 1024;
/// Most bytes of one read. More of them in hyper's hands would keep it busy while the window of progress runs.
const READ_BYTES_MAX: usize = 16 * 1024;
/// How much of the final head is kept, in bytes.
const KEPT_BYTES_MAX: usize = 16 * 1024;
/// How much of a reason phrase is kept, in bytes.
const REASON_BYTES_MAX: usize = 1024;
/// The least that has to come in [`PROGRESS_WINDOW`] once an answer has begun, in bytes.
const PROGRESS_BYTES_MIN: u64 = 1024;
const PROGRESS_WINDOW: Duration = Duration::from_secs(5);

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
    /// The head being read, or the final one once it is complete.
    head: Vec<u8>,
    /// Bytes of all heads so far.
    bytes: usize,
    /// Bytes of the line being read, its end excluded.
    line: usize,
    /// Complete lines of the head being read.
    lines: usize,
    interim: u32,
    is_complete: bool,
    /// Bytes after the final head.
    after_head: usize,
    /// Whether these were too many.
    pub(crate) is_body_endless: bool,
    pub(crate) received: u64,
    pub(crate) broken: Option<LimitBroken>,
    pub(crate) end: Option<End>,
    /// Whether reading ended because the peer asked for a certificate after a handshake of TLS 1.3.
    pub(crate) has_late_request: bool,
    /// What the error said, for [`End::Other`].
    pub(crate) detail: Option<String>,
    /// When the present window of progress began, and the bytes in it; `None` while an answer is waited for.
    window: Option<(Instant, u64)>,
}

impl Watch {
    /// Forgets the exchange before.
    pub(crate) fn begin(&mut self) {
        *self = Self::default();
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<(), LimitBroken> {
        self.received += bytes.len() as u64;
        self.advance(bytes.len() as u64);
        for (at, &byte) in bytes.iter().enumerate() {
            if self.is_complete {
                self.after_head += bytes.len() - at;
                self.is_body_endless = self.after_head > AFTER_HEAD_BYTES_MAX;
                return Ok(());
            }
            self.take(byte)?;
        }
        Ok(())
    }

    fn advance(&mut self, count: u64) {
        if count == 0 {
            return;
        }
        let now = Instant::now();
        let (began, before) = self.window.unwrap_or((now, 0));
        let is_enough = before + count >= PROGRESS_BYTES_MIN;
        self.window = Some(if is_enough { (now, 0) } else { (began, before + count) });
    }

    fn take(&mut self, byte: u8) -> Result<(), LimitBroken> {
        self.bytes += 1;
        if self.bytes > HEAD_BYTES_MAX {
            return Err(LimitBroken::HeadBytes);
        }
        self.head.push(byte);
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
        if !is_interim(&self.head) {
            self.is_complete = true;
            return Ok(());
        }
        self.interim += 1;
        if self.interim > INTERIM_MAX {
            return Err(LimitBroken::InterimResponses);
        }
        self.head.clear();
        self.lines = 0;
        // The final answer may take its time.
        self.window = None;
        Ok(())
    }

    /// Reason phrase and fields of the final head, in order and letter case as received; bytes outside UTF-8 replaced.
    pub(crate) fn read(&self) -> Head {
        let text = String::from_utf8_lossy(&self.head);
        // What follows the last line end is a cut line, or nothing.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let mut lines = whole.split('\n').map(|line| line.trim_end_matches('\r'));
        let status = lines.find(|line| !line.is_empty()).unwrap_or_default();
        let reason = status.splitn(3, ' ').nth(2).unwrap_or_default().trim();
        let reason = reason[..reason.floor_char_boundary(REASON_BYTES_MAX)].to_owned();
        let fields: Vec<(&str, &str)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name, value.trim_matches([' ', '\t'])))
            .collect();
        let (headers, left_out) = keep(&fields, KEPT_BYTES_MAX);
        Head { reason, headers, left_out }
    }

    /// The beginning of what was received, escaped, for a report on what is not HTTP.
    pub(crate) fn excerpt(&self) -> String {
        const EXCERPT_BYTES: usize = 80;
        self.head[..self.head.len().min(EXCERPT_BYTES)].escape_ascii().to_string()
    }
}

/// What is kept of a head.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) reason: String,
    pub(crate) headers: Headers,
    /// Fields that found no room.
    pub(crate) left_out: u32,
}

/// The fields that fit into so many bytes, in their order. Challenges come before all others: a missing one would be taken for
/// one that the server did not send.
pub(crate) fn keep<Text: AsRef<str>>(fields: &[(Text, Text)], most: usize) -> (Headers, u32) {
    let is_challenge = |name: &str| name.eq_ignore_ascii_case("www-authenticate");
    let mut room = most;
    let mut is_kept = vec![false; fields.len()];
    for wants_challenges in [true, false] {
        for (at, (name, value)) in fields.iter().enumerate() {
            let size = name.as_ref().len() + value.as_ref().len();
            if is_challenge(name.as_ref()) == wants_challenges && size <= room {
                room -= size;
                is_kept[at] = true;
            }
        }
    }
    let kept: Vec<(String, String)> = fields
        .iter()
        .zip(&is_kept)
        .filter(|(_, is_kept)| **is_kept)
        .map(|((name, value), _)| (name.as_ref().to_owned(), value.as_ref().to_owned()))
        .collect();
    let left_out = u32::try_from(fields.len() - kept.len()).unwrap_or(u32::MAX);
    (Headers(kept), left_out)
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

/// Returns when an answer that had begun came on too slowly: less than [`PROGRESS_BYTES_MIN`] in five seconds, or in half of a
/// `limit` that is shorter than ten. How long the answer takes to begin is the limit's matter.
pub(crate) async fn stalled(watch: &Mutex<Watch>, limit: Duration) {
    let window = PROGRESS_WINDOW.min(limit / 2);
    loop {
        let began = lock(watch).window.map(|(began, _)| began);
        let now = Instant::now();
        match began.map(|began| began + window) {
            Some(ends) if ends <= now => return,
            Some(ends) => sleep_until(ends).await,
            None => sleep_until(now + window / 8).await,
        }
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
        let room = buffer.remaining().min(READ_BYTES_MAX);
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room));
        let polled = Pin::new(&mut this.stream).poll_read(context, &mut part);
        let count = part.filled().len();
        buffer.advance(count);
        let mut watch = lock(&this.watch);
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => {
                watch.end = Some(end_of(&error));
                watch.has_late_request = is_late_certificate_request(&error);
                watch.detail = Some(error.to_string());
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
                if watch.is_body_endless {
                    return Poll::Ready(Err(io::Error::other("a bound of the body is broken")));
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
    if let Some(alert) = alert_of(error) {
        return End::Alert(alert);
    }
    // Both stacks call it an error when the peer closes without `close_notify`.
    if is_end(error) {
        return End::Closed;
    }
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => End::Reset,
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
        let Head { reason, headers, .. } = watch.read();
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
        assert_eq!(watch.read().headers.0, [("A".to_owned(), "b".to_owned())]);
        let watch = fed(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")
            .expect("fine");
        assert_eq!(watch.read().reason, "Switching");
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
    fn of_a_long_head_the_challenges_are_kept_and_the_rest_is_counted() {
        let long = "x".repeat(KEPT_BYTES_MAX - 100);
        let head = format!(
            "HTTP/1.1 200 OK\r\nA: b\r\nB: {long}\r\nC: {long}\r\nD: e\r\nWWW-Authenticate: NTLM\r\n\r\n"
        );
        let head = fed(head.as_bytes()).expect("within bounds").read();
        let names: Vec<_> = head.headers.0.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((names, head.left_out), (vec!["A", "B", "D", "WWW-Authenticate"], 1));
        let reason = format!("HTTP/1.1 200 {long}\r\n\r\n");
        let head = fed(reason.as_bytes()).expect("within bounds").read();
        assert_eq!(head.reason.len(), REASON_BYTES_MAX);
    }

    #[test]
    fn what_is_no_head_reads_as_nothing() {
        for bytes in
            [b"".as_slice(), b"\n", b"SSH-2.0-x", b"\xff\xfe\r\n\r\n", b"HTTP/1.", b"HTTP/1.1\n\n"]
        {
            let watch = fed(bytes).expect("within bounds");
            assert_eq!(watch.read().headers.0.len(), 0, "{bytes:?}");
        }
    }
}
