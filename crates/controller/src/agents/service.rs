//! The gRPC server of the agent port: who may have a session, and the limits of the port.
//!
//! Absent on purpose: reflection, health and everything public; people and agents share nothing here, so that neither
//! can starve the other.
//!
//! INVARIANT: no session and no renewal without a client certificate of our authority that is good for a registered agent.
//! INVARIANT: nor with one that has ended, however long ago its connection began.
//! INVARIANT: a session that was cut takes its connection with it, [`CUT_GRACE`] later.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parallax_model::VantageName;
use parallax_store::{Introduction, JoinRefused, Presented, Store, StoreError};
use parallax_wire::pb::link as wire;
use parallax_wire::pb::link::agent_service_server::{AgentService, AgentServiceServer};
use parallax_wire::pb::link::enrollment_service_server::EnrollmentServiceServer;
use parallax_wire::pb::link::session_request::Message as Said;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};
use tracing::{error, warn};

use super::conduct::{Breach, Pace};
use super::enrollment::{Enrollment, into_status};
use super::handle::Joining;
use super::outgoing::{Cut, Outgoing};
use super::session::Session;
use super::{Fleet, OUTGOING_MAX, PROTOCOL};
use crate::connections::{Http2, serve_connections};
use crate::limits::PortLimits;
use crate::listener::{Incoming, Peer, PeerAgent};
use crate::reasons::chain;

/// How long the reason of a cut has to reach the agent before its connection is closed.
const CUT_GRACE: Duration = Duration::from_millis(500);
/// From who joins, in bytes: a request and a certificate fit.
const ENROLLMENT_IN_MAX: usize = 32 * 1024;
/// Longest version and policy hash kept, in characters.
const INTRODUCTION_MAX: usize = 64;
/// No timer is set for later than this.
const FAR_AHEAD: Duration = Duration::from_hours(365 * 24);
/// How long an agent may take to say hello.
const HELLO_LIMIT: Duration = Duration::from_secs(10);

/// From an agent, in bytes: a report with all its bodies and certificates fits.
const MESSAGE_IN_MAX: usize = 1024 * 1024;
/// To an agent, in bytes.
const MESSAGE_OUT_MAX: usize = 256 * 1024;
/// Its pings are only for peers that do not even send heartbeats.
const HTTP2: Http2 = Http2 {
    streams_max: 8,
    ping_interval: Duration::from_mins(1),
    ping_limit: Duration::from_secs(15),
};

/// What the service of the agent port needs.
#[derive(Clone, Debug)]
pub(crate) struct AgentPlane {
    pub fleet: Fleet,
    pub store: Arc<Store>,
    pub enrollment: Enrollment,
    pub pace: Arc<Pace>,
    pub breaches: mpsc::Sender<Breach>,
    /// Owns the tasks of the sessions.
    pub sessions: TaskTracker,
    pub stop: CancellationToken,
}

#[tonic::async_trait]
impl AgentService for AgentPlane {
    type SessionStream = Outgoing;

    async fn session(
        &self,
        request: Request<Streaming<wire::SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let peer = agent_of(&request)?;
        let ticket = self.fleet.ticket();
        let vantage = self.identify(&peer, "a session").await?;
        self.pace.take_session(&vantage).map_err(|wait| too_often("a session", wait))?;
        let mut incoming = request.into_inner();
        let hello = read_hello(&mut incoming).await?;
        self.compare_ledger(&vantage, &hello).await?;
        let begun = self.store.begin_session(&vantage, &introduction(&hello)).await;
        let epoch = begun.map_err(|error| {
            if matches!(error, StoreError::NotFound { .. }) {
                // Banned or removed between the two questions.
                return Status::permission_denied("this agent was shut out");
            }
            warn!(error = chain(&error), "cannot begin an agent's session");
            Status::unavailable("the store does not answer")
        })?;
        let (outgoing, messages) = mpsc::channel(OUTGOING_MAX);
        let (closed, cut) = (self.stop.child_token(), Cut::default());
        let stream = Outgoing::new(messages, &cut);
        let joining = Joining {
            vantage: vantage.clone(),
            ticket,
            epoch,
            certificate_sha256: peer.certificate_sha256,
            outgoing: outgoing.clone(),
            closed: closed.clone(),
            cut: cut.clone(),
        };
        if !self.fleet.join(joining).await {
            let text = "a newer session of this agent began, or it was shut out";
            return Err(Status::aborted(text));
        }
        let session = Session {
            vantage: vantage.clone(),
            epoch,
            fleet: self.fleet.clone(),
            incoming,
            outgoing,
            closed,
            pace: Arc::clone(&self.pace),
            breaches: self.breaches.clone(),
            certificate_ends: at(peer.expires),
        };
        let (plane, connection) = (self.clone(), peer.connection);
        self.sessions.spawn(async move {
            session.run().await;
            if cut.is_done() {
                tokio::time::sleep(CUT_GRACE).await;
                connection.cancel();
            } else if !plane.stop.is_cancelled()
                && let Err(error) = plane.store.end_session(&vantage, epoch).await
            {
                warn!(error = chain(&error), %vantage, "cannot keep when an agent was seen last");
            }
        });
        Ok(Response::new(stream))
    }

    async fn renew(
        &self,
        request: Request<wire::RenewRequest>,
    ) -> Result<Response<wire::RenewResponse>, Status> {
        let peer = agent_of(&request)?;
        let vantage = self.identify(&peer, "a certificate").await?;
        self.pace.take_renewal(&vantage).map_err(|wait| too_often("a certificate", wait))?;
        let request = request.into_inner();
        let renewed = self.enrollment.renew(request, peer.certificate_sha256, vantage).await?;
        Ok(Response::new(renewed))
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
                error!(%vantage, sequence = hello.ledger_sequence, "an agent has seen a logon that the ledger does not know; every account is frozen");
                self.fleet.note_ahead(vantage).await;
                Ok(())
            }
            Err(error) => {
                warn!(error = chain(&error), "cannot compare ledger sequences");
                Err(Status::unavailable("the store does not answer"))
            }
        }
    }

    /// The agent whose certificate this is, as it stands now.
    async fn identify(&self, peer: &PeerAgent, wanted: &str) -> Result<VantageName, Status> {
        let counted = self.pace.take_call(&peer.certificate_sha256);
        counted.map_err(|wait| too_often(wanted, wait))?;
        match self.store.present(&peer.certificate_sha256).await {
            Ok(Presented::Agent(record)) if record.vantage.name == peer.vantage => {
                Ok(record.vantage.name)
            }
            Ok(Presented::Banned { vantage, ban }) => {
                warn!(%vantage, address = %peer.address, wanted, "a banned agent asked");
                Err(into_status(&JoinRefused::Banned { agent: vantage, reason: ban.reason }))
            }
            Ok(Presented::Copied { vantage }) => {
                error!(%vantage, address = %peer.address, wanted, "a certificate was shown whose successor is in use; two machines hold this agent's identity");
                Err(into_status(&JoinRefused::Copied { agent: vantage }))
            }
            Ok(Presented::Agent(_) | Presented::Unknown) => {
                warn!(vantage = %peer.vantage, address = %peer.address, wanted, "a certificate that is not registered asked");
                let text = format!(
                    "this certificate is not registered for vantage `{}`; join anew with a token",
                    peer.vantage
                );
                Err(Status::permission_denied(text))
            }
            Err(error) => {
                warn!(error = chain(&error), "cannot read the registered agents");
                Err(Status::unavailable("the store does not answer"))
            }
        }
    }
}

fn agent_of<T>(request: &Request<T>) -> Result<PeerAgent, Status> {
    let peer = request.extensions().get::<Peer>();
    let agent = peer.and_then(|it| it.agent.clone()).ok_or_else(|| {
        Status::unauthenticated("a client certificate with the SPIFFE id of an agent is required")
    })?;
    // TLS looked at it when the connection began.
    if agent.expires <= SystemTime::now() {
        return Err(Status::unauthenticated("the certificate of this connection has ended"));
    }
    Ok(agent)
}

/// The same moment on the clock that timers go by; far ahead, a year from now.
fn at(end: SystemTime) -> Instant {
    let left = end.duration_since(SystemTime::now()).unwrap_or_default();
    Instant::now() + left.min(FAR_AHEAD)
}

fn too_often(wanted: &str, wait: Duration) -> Status {
    let seconds = wait.as_secs() + 1;
    Status::resource_exhausted(format!("{wanted} is asked for too often; wait {seconds} s"))
}

fn introduction(hello: &wire::Hello) -> Introduction {
    let kept =
        |text: &str| text.chars().filter(char::is_ascii_graphic).take(INTRODUCTION_MAX).collect();
    Introduction { version: kept(&hello.version), policy_sha256: kept(&hello.policy_sha256) }
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
    limits: PortLimits,
    stop: CancellationToken,
) {
    let enrollment = EnrollmentServiceServer::new(plane.enrollment.clone())
        .max_decoding_message_size(ENROLLMENT_IN_MAX)
        .max_encoding_message_size(MESSAGE_OUT_MAX);
    let service = AgentServiceServer::new(plane)
        .max_decoding_message_size(MESSAGE_IN_MAX)
        .max_encoding_message_size(MESSAGE_OUT_MAX);
    let mut routes = Routes::builder();
    routes.add_service(service).add_service(enrollment);
    serve_connections(incoming, routes.routes().prepare(), HTTP2, limits, stop).await;
}
