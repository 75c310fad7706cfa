//! Serves HTTP/2 on the connections of one port, each in a task of its own, and ends them: by age, by calls, by stalling.
//!
//! tonic's server would do the rest, but its greatest age has no jitter, so that all who came together are sent away together,
//! and with a grace it cuts calls without having asked the connection to end. Absent on purpose: who may call what.
//!
//! INVARIANT: at most [`PortLimits::connections_max`] connections, and of strangers and of each agent what [`Seats`] has; a
//! further one is closed, never queued.
//! INVARIANT: once the port stops, no connection lasts longer than [`STOP_GRACE`], whatever it was doing.
//! INVARIANT: a connection on which an answer makes no progress for [`PortLimits::stall`] is closed.
//! INVARIANT: every connection's task belongs to [`serve_connections`] and ends before it, or is dropped with it.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming as RequestBody;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rand::RngExt as _;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tower::{Service, ServiceExt as _};
use tracing::{debug, info, warn};

use crate::limits::{PortLimits, Seats};
use crate::listener::{Connection, Incoming, Peer};

/// Streams reset by the peer before they were accepted; more end the connection, against floods of resets.
const PENDING_RESETS_MAX: usize = 20;
/// Streams that we reset on errors of the peer (CVE-2025-8671); more end the connection.
const ERROR_RESETS_MAX: usize = 128;
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
const HEADER_LIST_MAX: u32 = 16 * 1024;
/// What waits on our side for a peer's window, per stream.
const SEND_BUFFER_MAX: usize = 64 * 1024;
/// Between two lines of the log about connections that were closed for want of room.
const FULL_TOLD_EVERY: Duration = Duration::from_mins(1);

/// How long calls may go on once the controller has ended its work: long enough for a last answer.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// What HTTP/2 is told on a port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Http2 {
    pub streams_max: u32,
    pub ping_interval: Duration,
    pub ping_limit: Duration,
}

impl Http2 {
    fn builder(self) -> http2::Builder<TokioExecutor> {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .adaptive_window(false)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_concurrent_streams(self.streams_max)
            .max_header_list_size(HEADER_LIST_MAX)
            .max_send_buf_size(SEND_BUFFER_MAX)
            .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
            .max_local_error_reset_streams(ERROR_RESETS_MAX)
            .keep_alive_interval(self.ping_interval)
            .keep_alive_timeout(self.ping_limit);
        builder
    }
}

/// Serves connections until `stop`; then lets each finish its calls, within [`STOP_GRACE`].
pub(crate) async fn serve_connections<S>(
    mut incoming: Incoming,
    service: S,
    http2: Http2,
    limits: PortLimits,
    stop: CancellationToken,
) where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    let mut connections = JoinSet::new();
    let seats = Seats::new(&limits);
    let mut full_told: Option<Instant> = None;
    loop {
        let connection = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            connection = incoming.next() => connection,
        };
        let Some(Ok(connection)) = connection else { break };
        let is_room = connections.len() < limits.connections_max;
        let seat = if is_room { seats.take(connection.peer()) } else { None };
        let Some(seat) = seat else {
            if full_told.is_none_or(|it| it.elapsed() >= FULL_TOLD_EVERY) {
                full_told = Some(Instant::now());
                warn!(
                    address = %connection.peer().address,
                    connections = connections.len(),
                    max = limits.connections_max,
                    strangers_max = limits.strangers_max,
                    strangers_per_source = limits.strangers_per_source,
                    "a port has no room for this peer; further connections are closed"
                );
            }
            continue;
        };
        let served = serve_one(connection, service.clone(), http2, limits, stop.clone());
        connections.spawn(async move {
            let _seat = seat;
            served.await;
        });
    }
    drop(incoming);
    while connections.join_next().await.is_some() {}
}

async fn serve_one<S>(
    connection: Connection,
    service: S,
    http2: Http2,
    limits: PortLimits,
    stop: CancellationToken,
) where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    let (peer, was_heard) = (connection.peer().clone(), connection.was_heard());
    let (address, is_known) = (peer.address, peer.agent.is_some());
    let mut silent_until = Some(Instant::now() + limits.handshake);
    let calls = Arc::new(Calls { max: limits.calls_max, ..Calls::default() });
    let counted = Arc::clone(&calls);
    let handler = hyper::service::service_fn(move |request: Request<RequestBody>| {
        answer(service.clone(), request.map(Body::new), peer.clone(), Arc::clone(&counted))
    });
    let mut served = pin!(http2.builder().serve_connection(TokioIo::new(connection), handler));
    let age = if is_known { limits.age } else { limits.stranger_age };
    let mut until = age.map(|age| Instant::now() + jittered(age));
    let (mut is_ending, mut is_stopping) = (false, false);
    let shortest = limits.idle.map_or(limits.stall, |idle| idle.min(limits.stall));
    let mut look = tokio::time::interval(shortest / 4);
    loop {
        tokio::select! {
            ended = served.as_mut() => {
                if let Err(error) = ended {
                    debug!(%address, %error, "a connection broke");
                }
                return;
            }
            () = stop.cancelled(), if !is_stopping => {
                let end = Instant::now() + STOP_GRACE;
                // One that is ending already ends no later than the others.
                until = Some(if is_ending { until.map_or(end, |it| it.min(end)) } else { end });
                (is_ending, is_stopping) = (true, true);
                served.as_mut().graceful_shutdown();
            }
            () = sleep_until(until) => {
                if is_ending {
                    debug!(%address, "the calls of an old connection are cut");
                    return;
                }
                is_ending = true;
                until = Some(Instant::now() + limits.grace);
                served.as_mut().graceful_shutdown();
            }
            () = calls.spent.cancelled(), if !is_ending => {
                is_ending = true;
                until = Some(Instant::now() + limits.grace);
                served.as_mut().graceful_shutdown();
            }
            () = sleep_until(silent_until) => {
                if !was_heard.load(Ordering::Relaxed) {
                    debug!(%address, "a connection said nothing");
                    return;
                }
                silent_until = None;
            }
            _ = look.tick() => {
                if calls.has_stalled(limits.stall) {
                    info!(%address, "a reader takes nothing of its answer; its connection is closed");
                    return;
                }
                if !is_ending && limits.idle.is_some_and(|it| calls.are_none_since(it)) {
                    debug!(%address, "a connection without a call is asked to end");
                    is_ending = true;
                    until = Some(Instant::now() + limits.grace);
                    served.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

async fn answer<S>(
    service: S,
    mut request: Request<Body>,
    peer: Peer,
    calls: Arc<Calls>,
) -> Result<Response<Body>, Infallible>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let call = Call::begin(calls);
    request.extensions_mut().insert(peer);
    let response = service.oneshot(request).await?;
    // Without a window the transport never asks for the first part.
    call.calls.handed(call.number, Instant::now());
    Ok(response.map(|body| Body::new(Watched { body, call })))
}

async fn sleep_until(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

fn jittered(age: Duration) -> Duration {
    age.mul_f64(rand::rng().random_range(0.9..1.1))
}

/// The calls of one connection.
#[derive(Debug, Default)]
struct Calls {
    begun: AtomicU64,
    /// `None`: any number.
    max: Option<u64>,
    /// Cancelled with the last call that this connection may make.
    spent: CancellationToken,
    /// How many are under way, and since when there are that many. Never held across an await.
    under_way: Mutex<UnderWay>,
    /// Answers of which a part waits to be taken, and since when. Never held across an await.
    waiting: Mutex<std::collections::BTreeMap<u64, Instant>>,
}

#[derive(Debug)]
struct UnderWay {
    count: usize,
    since: Instant,
}

impl Default for UnderWay {
    fn default() -> Self {
        Self { count: 0, since: Instant::now() }
    }
}

/// One call, from its first byte until its answer has gone out or nobody wants it any more.
struct Call {
    calls: Arc<Calls>,
    number: u64,
}

impl Call {
    fn begin(calls: Arc<Calls>) -> Self {
        let number = calls.begin();
        Self { calls, number }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.calls.is_back(self.number);
        self.calls.change_count(|count| count.saturating_sub(1));
    }
}

impl Calls {
    fn change_count(&self, change: impl FnOnce(usize) -> usize) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        *under_way = UnderWay { count: change(under_way.count), since: Instant::now() };
    }

    /// Whether no call was under way for so long.
    fn are_none_since(&self, limit: Duration) -> bool {
        let under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.count == 0 && under_way.since.elapsed() >= limit
    }

    fn begin(&self) -> u64 {
        self.change_count(|count| count + 1);
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        if self.max.is_some_and(|max| number + 1 >= max) {
            self.spent.cancel();
        }
        number
    }

    /// The transport was handed a part, and comes back for the next when the peer has taken enough of it.
    fn handed(&self, number: u64, at: Instant) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(number, at);
    }

    fn is_back(&self, number: u64) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }

    fn has_stalled(&self, limit: Duration) -> bool {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.values().any(|since| since.elapsed() >= limit)
    }
}

/// The body of an answer, watched for a reader that takes nothing.
struct Watched {
    body: Body,
    call: Call,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        match &frame {
            Poll::Ready(Some(Ok(frame))) if frame.is_data() => {
                self.call.calls.handed(self.call.number, Instant::now());
            }
            Poll::Ready(_) | Poll::Pending => self.call.calls.is_back(self.call.number),
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
