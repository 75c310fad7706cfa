//! The floor: tonic's own server with one bidirectional stream per agent, the same messages, TLS and HTTP/2 settings as the agent
//! port, and nothing else. No register, no store, no tasks; what an agent says is decoded and counted.
//!
//! It says `ready CONTROL AGENTS`. Whoever connects to the first port and writes a line gets one back when every agent was offered a
//! task and its result has come and was acknowledged.

use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use parallax_controller::authority::Authority;
use parallax_controller::plan::first_round;
use parallax_model::{DiagnosisId, Limits, Target, Task, Vantage, VantageName, Zone};
use parallax_wire::pb::link as wire;
use parallax_wire::pb::link::agent_service_server::{AgentService, AgentServiceServer};
use parallax_wire::pb::link::session_request::Message as Said;
use parallax_wire::pb::link::session_response::Message;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
    ReadBuf,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status, Streaming};

/// Messages on their way to one agent.
const OUTGOING_MAX: usize = 4;
/// Connections that wait for the server.
const READY_MAX: usize = 64;
const MESSAGE_IN_MAX: usize = 1024 * 1024;
const MESSAGE_OUT_MAX: usize = 256 * 1024;

type Sender = mpsc::Sender<Result<wire::SessionResponse, Status>>;

#[derive(Clone, Default)]
struct Bare {
    streams: Arc<Mutex<Vec<Sender>>>,
    results: Arc<AtomicUsize>,
    came: Arc<Notify>,
}

#[tonic::async_trait]
impl AgentService for Bare {
    type SessionStream = ReceiverStream<Result<wire::SessionResponse, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<wire::SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let mut incoming = request.into_inner();
        // Hello.
        let _ = incoming.message().await?;
        let (outgoing, messages) = mpsc::channel(OUTGOING_MAX);
        let welcome = wire::Welcome { session_epoch: 1, credit: 32, ..wire::Welcome::default() };
        let _ = outgoing.try_send(Ok(response(Message::Welcome(welcome))));
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).push(outgoing.clone());
        let Self { results, came, .. } = self.clone();
        tokio::spawn(async move {
            while let Ok(Some(wire::SessionRequest { message })) = incoming.message().await {
                if let Some(Said::Result(wire::Result { task, .. })) = message {
                    let acknowledge = Message::Acknowledge(wire::Acknowledge { task });
                    if outgoing.send(Ok(response(acknowledge))).await.is_err() {
                        return;
                    }
                    results.fetch_add(1, Ordering::Relaxed);
                    came.notify_one();
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(messages)))
    }

    async fn renew(
        &self,
        _: Request<wire::RenewRequest>,
    ) -> Result<Response<wire::RenewResponse>, Status> {
        Err(Status::unimplemented("a bare stream"))
    }
}

impl Bare {
    /// One task to everybody, and back when all results are there.
    async fn fan_out(&self, offer: &wire::Offer) {
        self.results.store(0, Ordering::Relaxed);
        let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for stream in &streams {
            let _ = stream.send(Ok(response(Message::Offer(offer.clone())))).await;
        }
        while self.results.load(Ordering::Relaxed) < streams.len() {
            self.came.notified().await;
        }
    }
}

fn response(message: Message) -> wire::SessionResponse {
    wire::SessionResponse { message: Some(message) }
}

/// FOLDER CONTROL AGENTS: the folder with the authority and the two addresses.
pub(crate) fn run(words: &[String]) -> Result<()> {
    let [folder, control, agents] = words else { bail!("three words: folder, control, agents") };
    super::process::raise_descriptors()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(play(Path::new(folder), control.parse()?, agents.parse()?))
}

#[expect(clippy::print_stdout, reason = "how its owner learns the ports")]
async fn play(folder: &Path, control: SocketAddr, agents: SocketAddr) -> Result<()> {
    let control = TcpListener::bind(control).await?;
    let agents = TcpListener::bind(agents).await?;
    let (control_address, agents_address) = (control.local_addr()?, agents.local_addr()?);
    let tls = acceptor(folder, agents_address)?;
    let bare = Bare::default();
    let (ready, incoming) = mpsc::channel(READY_MAX);
    tokio::spawn(accept(agents, tls, ready));
    let service = AgentServiceServer::new(bare.clone())
        .max_decoding_message_size(MESSAGE_IN_MAX)
        .max_encoding_message_size(MESSAGE_OUT_MAX);
    let serving = Server::builder()
        .initial_stream_window_size(64 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .http2_adaptive_window(Some(false))
        .http2_max_header_list_size(16 * 1024)
        .max_concurrent_streams(8)
        .http2_keepalive_interval(Some(Duration::from_mins(1)))
        .http2_keepalive_timeout(Some(Duration::from_secs(15)))
        .add_service(service)
        .serve_with_incoming(ReceiverStream::new(incoming));
    println!("ready {control_address} {agents_address}");
    let mut said = [0];
    tokio::select! {
        served = serving => Ok(served?),
        served = obey(control, &bare) => served,
        _ = async { tokio::io::stdin().read(&mut said).await } => Ok(()),
    }
}

async fn obey(control: TcpListener, bare: &Bare) -> Result<()> {
    let offer = offer()?;
    loop {
        let (stream, _) = control.accept().await?;
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        while stream.read_line(&mut line).await? > 0 {
            bare.fan_out(&offer).await;
            stream.write_all(b"done\n").await?;
            line.clear();
        }
    }
}

/// What the controller offers for the only endpoint of the target.
fn offer() -> Result<wire::Offer> {
    let target = Target::try_from(&parallax_wire::pb::Target {
        name: "targets/wide".to_owned(),
        ..super::bed::target(Vec::new())
    })?;
    let name = VantageName::new("v00000")?;
    let vantage = Vantage { name, zone: Zone::External, site: String::new() };
    let proposal = first_round(&target, &[], &[vantage]).pop().context("no path")?;
    let endpoint = target.endpoints.into_iter().next().context("no endpoint")?;
    // Both as long as a UUID.
    let id = "01234567-89ab-cdef-0123-456789abcdef";
    let task = Task {
        id: id.to_owned(),
        diagnosis: DiagnosisId::new(id)?,
        endpoint,
        looks: proposal.looks,
        limits: Limits::STANDARD,
        logon: None,
        only_address: None,
        without_sni: false,
    };
    Ok(parallax_wire::encode_offer(&task, wire::Lane::OnDemand, ""))
}

fn acceptor(folder: &Path, address: SocketAddr) -> Result<TlsAcceptor> {
    let authority = Authority::open(folder)?;
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().clone())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider)).build()?;
    let (chain, key) = authority.issue_server(&[address.ip().to_string()])?.into_rustls();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn accept(
    listener: TcpListener,
    tls: TlsAcceptor,
    ready: mpsc::Sender<std::io::Result<Stream>>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, ready) = (tls.clone(), ready.clone());
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            if let Ok(stream) = tls.accept(stream).await {
                let _ = ready.send(Ok(Stream(stream))).await;
            }
        });
    }
}

/// A connection as tonic's server takes it.
struct Stream(TlsStream<TcpStream>);

impl Connected for Stream {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(context, buffer)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(context)
    }
}
