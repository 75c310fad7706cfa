//! Agents without a probe: real sessions over real mutual TLS, one task each, so that thousands fit into one process.
//!
//! They come back by the rule of the real agent (`Backoff` and `away`). Absent on purpose: policy, spool, logons; an offer is
//! answered with a report that was made beforehand.
//!
//! INVARIANT: every wait of a session has a limit, as the real agent's has.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use parallax_agent::{Backoff, Timings, away};
use parallax_wire::pb;
use parallax_wire::pb::link as wire;
use parallax_wire::pb::link::agent_service_client::AgentServiceClient;
use parallax_wire::pb::link::session_request::Message as Say;
use parallax_wire::pb::link::session_response::Message as Told;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::TlsConnector;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Streaming};

/// Each stage up to the welcome.
const STAGE_LIMIT: Duration = Duration::from_secs(10);
const HEARTBEAT: Duration = Duration::from_secs(20);
/// Nothing heard for so long, the session is over.
const DEAD_AFTER: Duration = Duration::from_secs(45);
/// Messages on their way out.
const OUTGOING_MAX: usize = 64;
/// Settings of HTTP/2, as the real agent has them.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
const HEADER_LIST_MAX: u32 = 16 * 1024;
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_LIMIT: Duration = Duration::from_secs(15);

/// One agent: its place in the herd, its certificate, and what it answers.
#[derive(Clone)]
pub(crate) struct Agent {
    pub number: usize,
    /// Of this agent alone: it shows the agent's certificate.
    pub tls: Arc<ClientConfig>,
    /// About whatever is asked.
    pub report: pb::PathReport,
}

/// Learns what happens to agents, by their number.
pub(crate) trait Watch: Send + Sync + 'static {
    /// A session began.
    fn welcomed(&self, agent: usize);
    /// It ended.
    fn lost(&self, agent: usize);
    /// No session came about.
    fn failed(&self, agent: usize, why: &str);
    /// A task came; how long its probe takes.
    fn offered(&self, agent: usize) -> Duration;
    /// The result is on its way.
    fn reported(&self, agent: usize);
    /// The result is on disk.
    fn acknowledged(&self, agent: usize);
}

/// How a session ended.
enum Ending {
    Lost,
    GoAway(Duration),
}

/// One session after another, until dropped.
pub(crate) async fn live(agent: Agent, controller: SocketAddr, watch: Arc<dyn Watch>) {
    let timings = Timings::default();
    let mut backoff = Backoff::new(timings.reconnect_base, timings.reconnect_cap);
    loop {
        let wait = match Box::pin(begin(&agent, controller)).await {
            Err(Failed { why, is_lasting }) => {
                watch.failed(agent.number, &why);
                if is_lasting { timings.reconnect_cap } else { backoff.next() }
            }
            Ok(session) => {
                let since = Instant::now();
                watch.welcomed(agent.number);
                let ending = session.serve(&agent, &*watch).await;
                watch.lost(agent.number);
                if since.elapsed() >= timings.healthy_after {
                    backoff.reset();
                }
                match ending {
                    Ending::Lost => backoff.next(),
                    Ending::GoAway(asked) => away(asked),
                }
            }
        };
        sleep(wait).await;
    }
}

/// Why no session came about.
struct Failed {
    why: String,
    /// Only a person helps; the real agent asks again as seldom as ever.
    is_lasting: bool,
}

impl Failed {
    fn at(stage: &str, error: impl std::fmt::Display) -> Self {
        Self { why: format!("{stage}: {error}"), is_lasting: false }
    }
}

struct Session {
    say: mpsc::Sender<wire::SessionRequest>,
    told: Streaming<wire::SessionResponse>,
    epoch: i64,
}

async fn within<T, E: std::fmt::Display>(
    stage: &str,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, Failed> {
    match timeout(STAGE_LIMIT, work).await {
        Ok(done) => done.map_err(|error| Failed::at(stage, error)),
        Err(_) => Err(Failed::at(stage, "too slow")),
    }
}

async fn begin(agent: &Agent, controller: SocketAddr) -> Result<Session, Failed> {
    let tcp = within("TCP", TcpStream::connect(controller)).await?;
    tcp.set_nodelay(true).map_err(|error| Failed::at("TCP", error))?;
    let name = ServerName::from(controller.ip());
    let tls = TlsConnector::from(Arc::clone(&agent.tls)).connect(name, tcp);
    let stream = TokioIo::new(within("TLS", tls).await?);
    let channel = Box::pin(within("HTTP/2", http2(stream))).await?;
    let (say, requests) = mpsc::channel(OUTGOING_MAX);
    let hello = Say::Hello(wire::Hello { protocol: 1, ..wire::Hello::default() });
    // The queue is new and empty; there is room.
    let _ = say.try_send(wire::SessionRequest { message: Some(hello) });
    let opening = async {
        let mut client = AgentServiceClient::new(channel);
        let mut told = client.session(ReceiverStream::new(requests)).await?.into_inner();
        let first = told.message().await?;
        Ok::<_, tonic::Status>((told, first))
    };
    let opened =
        timeout(STAGE_LIMIT, opening).await.map_err(|_| Failed::at("hello", "too slow"))?;
    let (told, first) = opened.map_err(|status| Failed {
        why: format!("hello: {:?}", status.code()),
        is_lasting: matches!(status.code(), Code::PermissionDenied | Code::Unauthenticated),
    })?;
    match first.and_then(|it| it.message) {
        Some(Told::Welcome(welcome)) => Ok(Session { say, told, epoch: welcome.session_epoch }),
        Some(_) | None => Err(Failed::at("hello", "no welcome")),
    }
}

async fn http2<S>(stream: TokioIo<S>) -> Result<Channel, tonic::transport::Error>
where
    TokioIo<S>: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let mut stream = Some(stream);
    let connector = tower::service_fn(move |_| {
        let stream = stream.take();
        async move { stream.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)) }
    });
    Endpoint::from_static("http://controller")
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_adaptive_window(false)
        .http2_max_header_list_size(HEADER_LIST_MAX)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_LIMIT)
        .keep_alive_while_idle(true)
        .connect_with_connector(connector)
        .await
}

impl Session {
    async fn serve(mut self, agent: &Agent, watch: &dyn Watch) -> Ending {
        let mut heard_at = Instant::now();
        let mut beat_at = heard_at + jittered();
        // The probe that is under way, and its end.
        let mut probing: Option<(Instant, String)> = None;
        loop {
            let probed_at = probing.as_ref().map(|(at, _)| *at);
            tokio::select! {
                told = self.told.message() => {
                    heard_at = Instant::now();
                    let Ok(Some(wire::SessionResponse { message })) = told else {
                        return Ending::Lost;
                    };
                    match message {
                        Some(Told::Offer(offer)) => {
                            let took = watch.offered(agent.number);
                            let accept = wire::Accept { task: offer.task.clone() };
                            if !self.say(Say::Accept(accept)).await {
                                return Ending::Lost;
                            }
                            probing = Some((Instant::now() + took, offer.task));
                        }
                        Some(Told::Acknowledge(_)) => watch.acknowledged(agent.number),
                        Some(Told::GoAway(go_away)) => {
                            let asked = go_away.reconnect_after;
                            let asked = parallax_wire::decode_duration(asked, "reconnect_after");
                            return asked.map_or(Ending::Lost, Ending::GoAway);
                        }
                        Some(
                            Told::Welcome(_)
                            | Told::Go(_)
                            | Told::Deny(_)
                            | Told::Cancel(_)
                            | Told::Heartbeat(_),
                        )
                        | None => {}
                    }
                }
                () = sleep_until(probed_at.unwrap_or(heard_at)), if probed_at.is_some() => {
                    let Some((_, task)) = probing.take() else { continue };
                    let result = wire::Result {
                        task,
                        session_epoch: self.epoch,
                        report: Some(agent.report.clone()),
                        ..wire::Result::default()
                    };
                    watch.reported(agent.number);
                    if !self.say(Say::Result(result)).await {
                        return Ending::Lost;
                    }
                }
                () = sleep_until(beat_at) => {
                    beat_at = Instant::now() + jittered();
                    if !self.say(Say::Heartbeat(wire::Heartbeat {})).await {
                        return Ending::Lost;
                    }
                }
                () = sleep_until(heard_at + DEAD_AFTER) => return Ending::Lost,
            }
        }
    }

    /// False: the stream is over.
    async fn say(&self, message: Say) -> bool {
        let sent = self.say.send(wire::SessionRequest { message: Some(message) });
        matches!(timeout(STAGE_LIMIT, sent).await, Ok(Ok(())))
    }
}

fn jittered() -> Duration {
    HEARTBEAT.mul_f64(rand::random_range(0.8..1.2))
}
