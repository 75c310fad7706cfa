//! The gRPC server of the agent port: who may have a session, and the limits of the port.
//!
//! Absent on purpose: reflection, health and everything public; people and agents share nothing here, so that neither
//! can starve the other.
//!
//! INVARIANT: no session without a client certificate of our authority whose vantage is registered.

use std::sync::Arc;
use std::time::Duration;

use parallax_model::VantageName;
use parallax_store::Store;
use parallax_wire::pb::link as wire;
use parallax_wire::pb::link::agent_service_server::{AgentService, AgentServiceServer};
use parallax_wire::pb::link::session_request::Message as Said;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};
use tracing::{error, warn};

use super::handle::Joining;
use super::session::Session;
use super::{Fleet, OUTGOING_MAX, PROTOCOL};
use crate::listener::{Incoming, Peer};
use crate::reasons::chain;

/// How long an agent may take to say hello.
const HELLO_LIMIT: Duration = Duration::from_secs(10);

/// From an agent, in bytes: a report with all its bodies and certificates fits.
const MESSAGE_IN_MAX: usize = 1024 * 1024;
/// To an agent, in bytes.
const MESSAGE_OUT_MAX: usize = 256 * 1024;
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
const STREAMS_MAX: u32 = 8;
const HEADER_LIST_MAX: u32 = 16 * 1024;
/// HTTP/2 pings of this port; only for peers that do not even send heartbeats.
const PING_INTERVAL: Duration = Duration::from_mins(1);
const PING_LIMIT: Duration = Duration::from_secs(15);
/// Streams reset by the peer before they were accepted; more end the connection, against floods of resets.
pub(crate) const PENDING_RESETS_MAX: usize = 20;
/// Streams that we reset on errors of the peer.
pub(crate) const ERROR_RESETS_MAX: usize = 128;

/// What the service of the agent port needs.
#[derive(Clone, Debug)]
pub(crate) struct AgentPlane {
    pub fleet: Fleet,
    pub store: Arc<Store>,
    /// Owns the tasks of the sessions.
    pub sessions: TaskTracker,
    pub stop: CancellationToken,
}

#[tonic::async_trait]
impl AgentService for AgentPlane {
    type SessionStream = ReceiverStream<Result<wire::SessionResponse, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<wire::SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let vantage = self.identify(&request).await?;
        let mut incoming = request.into_inner();
        let hello = read_hello(&mut incoming).await?;
        self.compare_ledger(&vantage, &hello).await?;
        let epoch = self.store.next_session_epoch(&vantage).await.map_err(|error| {
            warn!(error = chain(&error), "cannot begin an agent's session");
            Status::unavailable("the store does not answer")
        })?;
        let (outgoing, stream) = mpsc::channel(OUTGOING_MAX);
        let closed = self.stop.child_token();
        let joining = Joining {
            vantage: vantage.clone(),
            epoch,
            outgoing: outgoing.clone(),
            closed: closed.clone(),
        };
        if !self.fleet.join(joining).await {
            return Err(Status::aborted("a newer session of this agent began"));
        }
        let session =
            Session { vantage, epoch, fleet: self.fleet.clone(), incoming, outgoing, closed };
        self.sessions.spawn(session.run());
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn renew(
        &self,
        _request: Request<wire::RenewRequest>,
    ) -> Result<Response<wire::RenewResponse>, Status> {
        Err(Status::unimplemented("renewal comes with joining"))
    }
}

impl AgentPlane {
    /// A start that the agent has seen and the ledger has not means that our data was put back.
    /// Without an answer of the store there is no session: nobody could tell whether logons are still counted right.
    async fn compare_ledger(
        &self,
        vantage: &VantageName,
        hello: &wire::Hello,
    ) -> Result<(), Status> {
        match self.store.agent_saw_sequence(vantage, hello.ledger_sequence).await {
            Ok(false) => Ok(()),
            Ok(true) => {
                error!(%vantage, "an agent has seen a logon that the ledger does not know; every account is frozen");
                Ok(())
            }
            Err(error) => {
                warn!(error = chain(&error), "cannot compare ledger sequences");
                Err(Status::unavailable("the store does not answer"))
            }
        }
    }

    async fn identify<T>(&self, request: &Request<T>) -> Result<VantageName, Status> {
        let peer = request.extensions().get::<Peer>();
        let agent = peer.and_then(|it| it.agent.as_ref()).ok_or_else(|| {
            Status::unauthenticated(
                "a client certificate with the SPIFFE id of an agent is required",
            )
        })?;
        match self.store.agent_by_certificate(&agent.certificate_sha256).await {
            Ok(Some(record)) if record.vantage.name == agent.vantage => Ok(record.vantage.name),
            Ok(Some(_) | None) => {
                warn!(vantage = %agent.vantage, address = ?peer.map(|it| it.address), "a certificate that is not registered asked for a session");
                let text =
                    format!("this certificate is not registered for vantage `{}`", agent.vantage);
                Err(Status::permission_denied(text))
            }
            Err(error) => {
                warn!(error = chain(&error), "cannot read the registered agents");
                Err(Status::unavailable("the store does not answer"))
            }
        }
    }
}

async fn read_hello(incoming: &mut Streaming<wire::SessionRequest>) -> Result<wire::Hello, Status> {
    let first = tokio::time::timeout(HELLO_LIMIT, incoming.message())
        .await
        .map_err(|_| Status::deadline_exceeded("`hello` did not come in time"))??;
    let Some(wire::SessionRequest { message: Some(Said::Hello(hello)) }) = first else {
        return Err(Status::failed_precondition("the first message has to be `hello`"));
    };
    if hello.protocol < PROTOCOL {
        return Err(Status::failed_precondition(format!(
            "`hello.protocol`: {} is too old; this controller speaks {PROTOCOL}",
            hello.protocol
        )));
    }
    Ok(hello)
}

/// Serves the agent port until `stop`.
pub(crate) async fn serve_agents(
    plane: AgentPlane,
    incoming: Incoming,
    stop: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let service = AgentServiceServer::new(plane)
        .max_decoding_message_size(MESSAGE_IN_MAX)
        .max_encoding_message_size(MESSAGE_OUT_MAX);
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS_MAX)
        .http2_adaptive_window(Some(false))
        .http2_max_header_list_size(HEADER_LIST_MAX)
        .http2_keepalive_interval(Some(PING_INTERVAL))
        .http2_keepalive_timeout(Some(PING_LIMIT))
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS_MAX))
        .http2_max_local_error_reset_streams(Some(ERROR_RESETS_MAX))
        .add_service(service)
        .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
        .await
}
