//! Puts the controller together and runs it until it is told to stop.
//!
//! Takes bound listeners and an opened store, so that the demo, worlds and tests run exactly what `parallax controller`
//! runs. Absent on purpose: settings, signals, logging.
//!
//! INVARIANT: after `stop`, no new work is accepted, a logon under way is settled, and everything ends within
//! [`DRAIN_MAX`] or is dropped.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parallax_model::VantageName;
use parallax_store::{Store, StoreError};
use parallax_wire::pb;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic_health::server::HealthReporter;
use tracing::{error, info, warn};

use crate::agents::conduct::{BREACHES_MAX, Breach, Pace, judge_conduct};
use crate::agents::{
    AgentPlane, Enrollment, Fleet, FleetTask, FleetView, Gate, LateResult, serve_agents,
};
use crate::authority::{Authority, AuthorityError};
use crate::diagnosis::{Coordinator, LATE_MAX, settle_late_results};
use crate::limits::{AgentLimits, Limits};
use crate::listener::{Security, accept, agent_tls, api_tls};
use crate::permissions::{Principal, Role};
use crate::reasons::chain;
use crate::registry::{FleetRegistry, Registry};
use crate::rpc::{Api, ApiError, begin_health, serve_api, watch_health};
use crate::token::TokenDigest;

/// How long everything may take to end after `stop`: the 40 s that a logon has from go to its result, and its way into
/// the ledger.
const DRAIN_MAX: Duration = Duration::from_secs(45);
/// How long what is dropped after that may take to be gone.
const ABORT_MAX: Duration = Duration::from_secs(1);
/// Between two sweeps of the ledger.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
/// When the whole database file is looked at first, since a start has to be quick, and how often.
const LOOK_FIRST: Duration = Duration::from_mins(1);
const LOOK_INTERVAL: Duration = Duration::from_hours(24);

/// What the API's clients are shown. `None` in [`ControllerParts`]: plain HTTP/2, on loopback only.
#[derive(Debug)]
pub struct ApiIdentity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

/// What a controller is made of.
#[derive(Debug)]
pub struct ControllerParts {
    pub store: Arc<Store>,
    pub authority: Authority,
    /// Host names and addresses under which agents reach the agent port.
    pub agent_names: Vec<String>,
    pub token: TokenDigest,
    pub api_listener: TcpListener,
    /// `None`: plain HTTP/2.
    pub api_identity: Option<ApiIdentity>,
    pub agent_listener: TcpListener,
    /// Shows who is connected; whoever holds a receiver can wait for agents.
    pub fleet_view: watch::Sender<FleetView>,
}

/// Why a controller could not run, or stopped. A target that nobody reaches is not in here: that is a diagnosis.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    #[error("the API would be served in the clear on {address}, which is not loopback")]
    ApiInTheClear { address: SocketAddr },
    #[error("cannot read the address of a listener")]
    Listener(#[source] std::io::Error),
    #[error("cannot make the certificate of the agent port")]
    Authority(#[from] AuthorityError),
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    #[error("the store cannot be used")]
    Store(#[from] StoreError),
    #[error("the API cannot be served")]
    Api(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<ApiError> for ControllerError {
    fn from(error: ApiError) -> Self {
        Self::Api(Box::new(error))
    }
}

/// Who may call besides the holder of the token, and how much. The default: nobody, and what is usual.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    pub limits: Limits,
    pub callers: Vec<(TokenDigest, Principal)>,
}

/// Runs a controller until `stop`, or until something that it cannot do without fails.
pub async fn serve(parts: ControllerParts, stop: CancellationToken) -> Result<(), ControllerError> {
    serve_with(parts, Terms::default(), stop).await
}

/// The same on other terms.
pub async fn serve_with(
    parts: ControllerParts,
    terms: Terms,
    stop: CancellationToken,
) -> Result<(), ControllerError> {
    let api_address = parts.api_listener.local_addr().map_err(ControllerError::Listener)?;
    let agent_address = parts.agent_listener.local_addr().map_err(ControllerError::Listener)?;
    let api_security = api_security(parts.api_identity, api_address)?;
    let limits = terms.limits;
    let authority = Arc::new(parts.authority);
    let agent_identity = authority.issue_server(&parts.agent_names)?;
    let agent_security = agent_tls(&authority, agent_identity)?;
    let store = parts.store;

    // Work ends first, then the ports: whoever waits for a diagnosis still gets its answer.
    let (closing, tracker) = (CancellationToken::new(), TaskTracker::new());
    let (late_sender, late) = mpsc::channel(LATE_MAX);
    let (breaches, judged) = mpsc::channel(BREACHES_MAX);
    let (fleet, fleet_task) = begin_fleet(&store, parts.fleet_view, late_sender).await?;
    let fleet_task = fleet_task.telling(breaches.clone());
    let abort = CancellationToken::new();
    let coordinator = Coordinator::new(
        Arc::clone(&store),
        fleet.clone(),
        tracker.clone(),
        stop.clone(),
        abort.clone(),
    );
    coordinator.take_up_unfinished().await?;
    let health = HealthReporter::new();
    begin_health(&health).await;
    let sessions = TaskTracker::new();
    let conduct = (Pace::new(&limits.agents), breaches);
    let plane = agent_plane(&authority, &store, &fleet, conduct, sessions.clone(), closing.clone());
    let agents =
        FleetRegistry::new(Arc::clone(&store), fleet.clone(), authority.pin(), sessions.clone());
    let conduct = watch_conduct(limits.agents, agents.clone(), judged, closing.clone());
    let services = Api {
        coordinator,
        registry: Registry::new(Arc::clone(&store)),
        fleet: agents,
        token: parts.token,
        callers: terms.callers,
        limits,
        health: health.clone(),
    };
    let (agent_incoming, agent_accept) =
        accept(parts.agent_listener, agent_security, limits.agent_port, closing.clone());
    let (api_incoming, api_accept) =
        accept(parts.api_listener, api_security, limits.api_port, closing.clone());

    let mut tasks: JoinSet<Result<(), ControllerError>> = JoinSet::new();
    tasks.spawn(endless(agent_accept));
    tasks.spawn(endless(api_accept));
    tasks.spawn(endless(fleet_task.run(closing.clone())));
    tasks.spawn(endless(settle_late_results(Arc::clone(&store), fleet, late, closing.clone())));
    tasks.spawn(endless(conduct));
    watch_store(&mut tasks, &store, health, (&stop, &closing));
    let agent_stop = closing.clone();
    tasks.spawn(endless(serve_agents(plane, agent_incoming, limits.agent_port, agent_stop)));
    let api_stop = closing.clone();
    tasks.spawn(async move { Ok(serve_api(services, api_incoming, api_stop).await?) });
    info!(%api_address, %agent_address, "the controller serves");

    let failure = tokio::select! {
        () = stop.cancelled() => None,
        failure = first_failure(&mut tasks) => failure,
    };
    stop.cancel();
    Ending { tracker, abort, closing, sessions, tasks }.drain().await;
    failure.map_or(Ok(()), Err)
}

/// In the clear on loopback only.
fn api_security(
    identity: Option<ApiIdentity>,
    address: SocketAddr,
) -> Result<Security, ControllerError> {
    match identity {
        Some(ApiIdentity { chain, key }) => Ok(api_tls(chain, key)?),
        None if address.ip().is_loopback() => Ok(Security::Plain),
        None => Err(ControllerError::ApiInTheClear { address }),
    }
}

/// Looks after what is stored, and says how it is.
fn watch_store(
    tasks: &mut JoinSet<Result<(), ControllerError>>,
    store: &Arc<Store>,
    health: HealthReporter,
    (stop, closing): (&CancellationToken, &CancellationToken),
) {
    tasks.spawn(endless(sweep(Arc::clone(store), closing.clone())));
    tasks.spawn(endless(look_after(Arc::clone(store), closing.clone())));
    tasks.spawn(endless(watch_health(Arc::clone(store), health, stop.clone())));
}

fn agent_plane(
    authority: &Arc<Authority>,
    store: &Arc<Store>,
    fleet: &Fleet,
    (pace, breaches): (Pace, mpsc::Sender<Breach>),
    sessions: TaskTracker,
    stop: CancellationToken,
) -> AgentPlane {
    let enrollment = Enrollment {
        authority: Arc::clone(authority),
        store: Arc::clone(store),
        fleet: fleet.clone(),
        tracker: sessions.clone(),
        gate: Arc::new(Gate::default()),
    };
    let (fleet, store, pace) = (fleet.clone(), Arc::clone(store), Arc::new(pace));
    AgentPlane { fleet, store, enrollment, pace, breaches, sessions, stop }
}

/// Bans agents that break the rules too often.
async fn watch_conduct(
    limits: AgentLimits,
    agents: FleetRegistry,
    breaches: mpsc::Receiver<Breach>,
    stop: CancellationToken,
) {
    let principal = Principal { name: "controller".to_owned(), role: Role::Admin };
    let ban = |vantage: VantageName, reason: String| {
        let request = pb::BanAgentRequest { name: format!("agents/{vantage}"), reason };
        let (agents, principal) = (&agents, &principal);
        async move {
            if let Err(refusal) = agents.ban(principal, request).await {
                let reason = refusal.reason();
                error!(?reason, %vantage, "an agent that broke the rules cannot be banned");
            }
        }
    };
    judge_conduct(limits, breaches, ban, stop).await;
}

/// The fleet as it was left: who was drained is still.
async fn begin_fleet(
    store: &Store,
    view: watch::Sender<FleetView>,
    late: mpsc::Sender<LateResult>,
) -> Result<(Fleet, FleetTask), StoreError> {
    let drained = store.agents().await?.into_iter().filter(|it| it.drained.is_some());
    let drained = drained.map(|it| it.vantage.name).collect();
    let (fleet, task) = FleetTask::new(view, late);
    Ok((fleet, task.with_drained(drained)))
}

/// What has to end after `stop`, in this order.
struct Ending {
    /// Diagnoses.
    tracker: TaskTracker,
    /// Drops them.
    abort: CancellationToken,
    /// Ends everything else.
    closing: CancellationToken,
    sessions: TaskTracker,
    tasks: JoinSet<Result<(), ControllerError>>,
}

impl Ending {
    async fn drain(mut self) {
        self.tracker.close();
        self.sessions.close();
        let drained = tokio::time::timeout(DRAIN_MAX, async {
            self.tracker.wait().await;
            self.closing.cancel();
            self.sessions.wait().await;
            while self.tasks.join_next().await.is_some() {}
        });
        if drained.await.is_ok() {
            return;
        }
        warn!("not everything ended in time; the rest is dropped");
        self.abort.cancel();
        self.closing.cancel();
        let dropped = tokio::time::timeout(ABORT_MAX, async {
            self.tracker.wait().await;
            self.sessions.wait().await;
            self.tasks.shutdown().await;
        });
        if dropped.await.is_err() {
            warn!("something does not end even so");
        }
    }
}

async fn endless(task: impl Future<Output = ()>) -> Result<(), ControllerError> {
    task.await;
    Ok(())
}

/// The first task that fails; nothing while all go on. A task that ends by itself before `stop` has said why.
async fn first_failure(
    tasks: &mut JoinSet<Result<(), ControllerError>>,
) -> Option<ControllerError> {
    while let Some(joined) = tasks.join_next().await {
        match joined {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Some(error),
            Err(panic) => return Some(ControllerError::Api(Box::new(panic))),
        }
    }
    None
}

/// Voids reservations that nobody started and charges starts whose result never came.
async fn sweep(store: Arc<Store>, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(SWEEP_INTERVAL)).await.is_some() {
        match store.sweep().await {
            Ok(swept) if swept.voided + swept.charged > 0 => info!(?swept, "the ledger was swept"),
            Ok(_) => {}
            Err(error) => warn!(error = chain(&error), "cannot sweep the ledger"),
        }
    }
}

/// Forgets tasks whose result never came, and looks at the whole database file: soon after the start, then once a day.
async fn look_after(store: Arc<Store>, stop: CancellationToken) {
    let mut pause = LOOK_FIRST;
    while stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        pause = LOOK_INTERVAL;
        if let Err(error) = store.sweep_offers().await {
            warn!(error = chain(&error), "cannot forget old tasks");
        }
        if let Err(error) = store.check().await {
            error!(error = chain(&error), "the database file is not sound, or cannot be looked at");
        }
    }
}
