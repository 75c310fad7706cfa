//! HTTP stage: one request over a connection that the stages below made, and what came back.
//!
//! hyper parses and drives; the head is read from the bytes as they came, for its letter case and order. Absent on purpose:
//! redirects, retries, cookies, decompression, and any connection that this stage would open by itself.
//!
//! INVARIANT: an exchange is driven in the caller's own task; dropping it closes the connection.
//! INVARIANT: a head that arrived is kept, whatever happens to its body.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use parallax_auth::ntlm::find_type2;
use parallax_model::{Answer, Body, BodyEnd, Connection, HttpFailure, HttpVersion, LimitBroken};
use sha2::{Digest as _, Sha256};
use tokio::task::unconstrained;
use tokio::time::{Instant, sleep_until, timeout};

use crate::head::{End, Watch, Watched, lock, stalled};
use crate::records::Tally;
use crate::request::Outgoing;
use crate::stream::{Line, Peer};

/// Most bytes of a body that are read.
const BODY_BYTES_MAX: u64 = 64 * 1024;
/// How much of a body is kept, in bytes.
const BODY_KEPT_MAX: usize = 2 * 1024;
/// How long a connection gets to say that it is closed; it needs no network for it.
const CLOSED_LIMIT: Duration = Duration::from_millis(100);

type Driver = http1::Connection<TokioIo<Watched>, Empty<Bytes>>;

/// One connection and the exchanges on it.
#[derive(Debug)]
pub(crate) struct Conversation {
    sender: http1::SendRequest<Empty<Bytes>>,
    /// `None` once hyper is done with the connection.
    driver: Option<Pin<Box<Driver>>>,
    watch: Arc<Mutex<Watch>>,
    tally: Arc<Tally>,
    /// Over plain HTTP the tally's records are bytes of answers.
    is_tls: bool,
    connection: Connection,
    exchanges: u32,
}

/// What one exchange came to.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) sent: bool,
    /// Whether the server asked for another handshake.
    pub(crate) asked_for_certificate: bool,
    pub(crate) outcome: Result<Answer, HttpFailure>,
    /// How reading ended, if it did.
    pub(crate) end: Option<End>,
    /// Whether not one byte came back.
    pub(crate) is_silent: bool,
}

impl Attempt {
    pub(crate) fn unsent(failure: HttpFailure) -> Self {
        Self {
            sent: false,
            asked_for_certificate: false,
            outcome: Err(failure),
            end: None,
            is_silent: true,
        }
    }
}

impl Conversation {
    /// Takes over a fresh connection. Sends nothing.
    pub(crate) async fn open(line: Line, number: u32) -> Result<Self, HttpFailure> {
        let connection = Connection { number, local_port: line.local_port };
        let tally = line.tally();
        let is_tls = line.peer() != Peer::Plain;
        let (watched, watch) = Watched::new(line.stream);
        let (sender, driver) = http1::Builder::new()
            .title_case_headers(true)
            .handshake(TokioIo::new(watched))
            .await
            .map_err(|error| HttpFailure::Other { detail: error.to_string() })?;
        let driver = Some(Box::pin(driver));
        Ok(Self { sender, driver, watch, tally, is_tls, connection, exchanges: 0 })
    }

    pub(crate) fn connection(&self) -> Connection {
        self.connection
    }

    /// Whether an exchange took place here before.
    pub(crate) fn is_used(&self) -> bool {
        self.exchanges > 0
    }

    /// Whether the connection takes a request: the peer did not close it, as far as is known here, and no answer or body on it was
    /// given up half read, upon which hyper drains or closes it.
    pub(crate) async fn is_open(&mut self) -> bool {
        // Driven once whatever the sender says: that is how a close that arrived in the meantime is seen.
        drive(&mut self.driver, std::future::ready(())).await;
        if self.driver.is_none() {
            return false;
        }
        let ready = drive(&mut self.driver, self.sender.ready());
        matches!(timeout(CLOSED_LIMIT, ready).await, Ok(Ok(())))
    }

    /// Sends one request, once, and reads its answer within the limit.
    pub(crate) async fn exchange(&mut self, request: Outgoing, limit: Duration) -> Attempt {
        let (written, handshakes) = (self.tally.written(), self.tally.sealed_handshakes());
        lock(&self.watch).begin();
        self.exchanges += 1;
        let started = Instant::now();
        let ends = started + limit;
        let answering = self.sender.send_request(request.into_request());
        let head = tokio::select! {
            biased;
            head = drive(&mut self.driver, answering) => {
                head.map_err(|error| classify(&error, &lock(&self.watch)))
            }
            // Unconstrained: a peer that keeps the connection busy uses up the task's budget, and would hold these up with it.
            () = unconstrained(stalled(&self.watch, limit)) => {
                Err(HttpFailure::Limit(LimitBroken::Progress))
            }
            () = unconstrained(sleep_until(ends)) => Err(HttpFailure::TimedOut { after: limit }),
        };
        let took = started.elapsed();
        let outcome = match head {
            Err(failure) => Err(failure),
            Ok(response) => Ok(self.read(response, took, limit, ends).await),
        };
        let watch = lock(&self.watch);
        Attempt {
            sent: self.tally.written() > written,
            asked_for_certificate: self.is_tls
                && (watch.has_late_request || self.tally.sealed_handshakes() > handshakes),
            outcome,
            end: watch.end,
            is_silent: watch.received == 0,
        }
    }

    async fn read(
        &mut self,
        response: Response<Incoming>,
        took: Duration,
        limit: Duration,
        ends: Instant,
    ) -> Answer {
        let (parts, incoming) = response.into_parts();
        let head = lock(&self.watch).read();
        let mut reading = BodyReading::default();
        let end = tokio::select! {
            biased;
            end = drive(&mut self.driver, read_body(incoming, &mut reading)) => end,
            () = unconstrained(stalled(&self.watch, limit)) => BodyEnd::TooSlow,
            () = unconstrained(sleep_until(ends)) => BodyEnd::TimedOut,
        };
        let is_endless = lock(&self.watch).is_body_endless;
        let end = if is_endless && end == BodyEnd::Broken { BodyEnd::Bound } else { end };
        let challenges = head.headers.challenges();
        Answer {
            version: version_of(parts.version),
            status: parts.status.as_u16(),
            reason: head.reason,
            type2: find_type2(&challenges),
            challenges,
            headers: head.headers,
            headers_left_out: head.left_out,
            body: reading.finish(end),
            took,
        }
    }
}

fn version_of(version: http::Version) -> HttpVersion {
    if version == http::Version::HTTP_10 { HttpVersion::Http10 } else { HttpVersion::Http11 }
}

/// Runs `future` and the connection that feeds it, until the former is done. What the driver fails with reaches the exchange, so
/// its own result says nothing more.
async fn drive<T>(driver: &mut Option<Pin<Box<Driver>>>, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    poll_fn(|context| {
        if let Some(running) = driver
            && running.as_mut().poll(context).is_ready()
        {
            *driver = None;
        }
        match future.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(value),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// What was read of a body so far; survives a limit that cuts the reading.
#[derive(Default)]
struct BodyReading {
    kept: Vec<u8>,
    length: u64,
    hash: Sha256,
}

impl BodyReading {
    /// Takes the next bytes; `false` when the bound is reached.
    fn take(&mut self, bytes: &[u8]) -> bool {
        let room = usize::try_from(BODY_BYTES_MAX - self.length).unwrap_or(usize::MAX);
        let taken = &bytes[..bytes.len().min(room)];
        self.hash.update(taken);
        self.length += taken.len() as u64;
        let keep = taken.len().min(BODY_KEPT_MAX - self.kept.len());
        self.kept.extend_from_slice(&taken[..keep]);
        taken.len() == bytes.len()
    }

    fn finish(self, end: BodyEnd) -> Body {
        Body {
            beginning: String::from_utf8_lossy(&self.kept).into_owned(),
            length: self.length,
            sha256: self.hash.finalize().into(),
            end,
        }
    }
}

/// Reads to the end or to the bound.
async fn read_body(mut incoming: Incoming, reading: &mut BodyReading) -> BodyEnd {
    while let Some(frame) = incoming.frame().await {
        let Ok(frame) = frame else { return BodyEnd::Broken };
        // Trailers tell nothing that is looked for.
        if let Ok(bytes) = frame.into_data()
            && !reading.take(&bytes)
        {
            return BodyEnd::Bound;
        }
    }
    BodyEnd::Whole
}

/// The failure's name. What the wire showed comes before what the parser thought of it.
fn classify(error: &hyper::Error, watch: &Watch) -> HttpFailure {
    if let Some(limit) = watch.broken {
        return HttpFailure::Limit(limit);
    }
    if error.is_parse() {
        let detail = format!("{error}: {}", watch.excerpt());
        return HttpFailure::Malformed { detail };
    }
    match watch.end {
        Some(End::Reset) => HttpFailure::Reset,
        Some(End::Closed) => HttpFailure::Closed,
        Some(End::Alert(number)) => HttpFailure::Other { detail: format!("TLS alert {number}") },
        None if error.is_incomplete_message() || error.is_canceled() || error.is_closed() => {
            HttpFailure::Closed
        }
        Some(End::Other) | None => {
            HttpFailure::Other { detail: watch.detail.clone().unwrap_or_else(|| error.to_string()) }
        }
    }
}
