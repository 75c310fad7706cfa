//! How does the product stand around a world? One real controller, one real agent per vantage that reports, mTLS between.
//!
//! Everything runs as in the field, but that agents dial through the world. Targets and accounts come in through the
//! public API; only history, which no API takes, goes straight into the store. Absent on purpose: what is asked and what
//! the answer is worth.
//!
//! INVARIANT: every listener is bound to loopback on a port that the system chose.
//! INVARIANT: every task belongs to an [`Installation`]: [`Installation::stop`] waits for all of them, dropping it ends them.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parallax_agent::{AgentError, AgentSettings, Door, Identity, NamedHost, Policy};
use parallax_controller::authority::{Authority, AuthorityError};
use parallax_controller::token::{TOKEN_FILE, TokenDigest, create_token};
use parallax_controller::{ControllerError, ControllerParts, FleetView, serve};
use parallax_model::{Evidence, TargetId, VantageName};
use parallax_probe::{Instrument, ProbeError};
use parallax_store::{Store, StoreError};
use parallax_wire::pb;
use parallax_wire::pb::account_service_client::AccountServiceClient;
use parallax_wire::pb::diagnosis_service_client::DiagnosisServiceClient;
use parallax_wire::pb::target_service_client::TargetServiceClient;
use rustls_pki_types::ServerName;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::metadata::errors::InvalidMetadataValue;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};

use crate::evidence::{EvidenceError, evidence};
use crate::format::World;
use crate::network::{RunningWorld, StartError};
use crate::register::{RegisteredVantage, Registration, register};
use crate::simulation::Pace;

/// How long all agents together may take to get their sessions.
const SESSIONS_LIMIT: Duration = Duration::from_mins(1);
/// A call that registers something.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// The first wait of an agent whose controller is not there yet.
const RECONNECT_BASE: Duration = Duration::from_millis(50);
/// What of a call's deadline is left for its answer.
const ANSWER_MARGIN: Duration = Duration::from_secs(10);

/// Why a world could not be played. What the product says of it is not in here.
#[derive(Debug, thiserror::Error)]
pub enum InstallationError {
    #[error("the world cannot be started")]
    World(#[from] StartError),
    #[error("cannot use a folder or a loopback socket")]
    Io(#[from] io::Error),
    #[error("the store cannot be used")]
    Store(#[from] StoreError),
    #[error("certificates or token cannot be made")]
    Authority(#[from] AuthorityError),
    #[error("the controller stopped")]
    Controller(#[from] ControllerError),
    #[error("the controller's token cannot be sent")]
    Token(#[from] InvalidMetadataValue),
    #[error("an agent cannot run")]
    Agent(#[from] AgentError),
    #[error("an agent cannot look")]
    Instrument(#[from] ProbeError),
    #[error("the world has no vantage or host of the name `{0}`")]
    Name(String),
    #[error("no session of {} within {} s", .0.join(", "), SESSIONS_LIMIT.as_secs())]
    NoSession(Vec<String>),
    #[error("the API cannot be reached")]
    Transport(#[from] tonic::transport::Error),
    #[error("the API refused to {doing}: {}", .status.message())]
    Refused { doing: &'static str, status: Box<tonic::Status> },
}

/// A world with the product around it.
#[derive(Debug)]
pub struct Installation {
    world: RunningWorld,
    registration: Registration,
    store: Arc<Store>,
    api: SocketAddr,
    agent_port: SocketAddr,
    token_file: PathBuf,
    authorization: MetadataValue<Ascii>,
    channel: Channel,
    fleet: watch::Receiver<FleetView>,
    agents: JoinSet<Result<(), AgentError>>,
    agents_stop: CancellationToken,
    controller: JoinSet<Result<(), ControllerError>>,
    controller_stop: CancellationToken,
}

impl Installation {
    /// Starts a world, a controller with its data in `folder`, and the agents; returns once every agent that is to report
    /// has its session. Nothing is registered but the vantages.
    pub async fn start(world: Arc<World>, folder: &Path) -> Result<Self, InstallationError> {
        // Somebody may have been first; there is only one provider in this program.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let running = RunningWorld::start(world, Pace::Real).await?;
        let registration =
            register(running.world(), running.addresses(), running.secrets(), SystemTime::now());
        let store = Arc::new(Store::open(folder, Duration::ZERO).await?);
        let authority = Authority::generate()?;
        let identities = identities(&store, &authority, &registration.vantages).await?;
        let token_file = folder.join(TOKEN_FILE);
        create_token(&token_file)?;
        let token = std::fs::read_to_string(&token_file)?;
        let api_listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let agent_listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (api, agent_port) = (api_listener.local_addr()?, agent_listener.local_addr()?);
        let (fleet_view, fleet) = watch::channel(FleetView::default());
        let parts = ControllerParts {
            store: Arc::clone(&store),
            authority,
            agent_names: vec![Ipv4Addr::LOCALHOST.to_string()],
            token: TokenDigest::read(&token_file)?,
            api_listener,
            api_identity: None,
            agent_listener,
            fleet_view,
        };
        let controller_stop = CancellationToken::new();
        let mut controller = JoinSet::new();
        controller.spawn(serve(parts, controller_stop.clone()));
        let channel = Endpoint::from_shared(format!("http://{api}"))?.connect_lazy();
        let mut installation = Self {
            world: running,
            registration,
            store,
            api,
            agent_port,
            token_file,
            authorization: format!("Bearer {}", token.trim_end()).try_into()?,
            channel,
            fleet,
            agents: JoinSet::new(),
            agents_stop: CancellationToken::new(),
            controller,
            controller_stop,
        };
        installation.start_agents(identities)?;
        installation.wait_for_sessions().await?;
        Ok(installation)
    }

    fn start_agents(
        &mut self,
        identities: Vec<(String, Identity)>,
    ) -> Result<(), InstallationError> {
        let server_name = ServerName::from(std::net::IpAddr::from(Ipv4Addr::LOCALHOST));
        for (name, identity) in identities {
            let dial =
                self.world.dial(&name).ok_or_else(|| InstallationError::Name(name.clone()))?;
            let instrument = Instrument::new(dial)?;
            let zone = self
                .registration
                .vantages
                .iter()
                .find(|it| it.name == name)
                .map(|it| it.vantage.zone);
            let zone = zone.ok_or(InstallationError::Name(name))?;
            let policy = Policy::world(zone, self.hosts());
            let mut settings = AgentSettings::new(self.agent_port.to_string(), server_name.clone());
            settings.timings.reconnect_base = RECONNECT_BASE;
            let stop = self.agents_stop.clone();
            self.agents.spawn(parallax_agent::run(settings, identity, instrument, policy, stop));
        }
        Ok(())
    }

    /// What agents may probe: besides the endpoints' own addresses those that any vantage is given for their names, so that one
    /// vantage can be asked to dial what another one was given.
    fn hosts(&self) -> Vec<NamedHost> {
        let mut hosts = hosts(&self.registration.target);
        let (world, addresses) = (self.world.world(), self.world.addresses());
        for host in &mut hosts {
            for answer in world.vantages.iter().filter_map(|it| it.dns.get(&host.name)) {
                host.addresses.extend(addresses.of_answer(answer));
            }
        }
        hosts
    }

    /// Waits until every agent that is to report has its session, or something ended that must not.
    async fn wait_for_sessions(&mut self) -> Result<(), InstallationError> {
        let wanted: BTreeSet<VantageName> = self
            .registration
            .vantages
            .iter()
            .filter(|it| it.reports)
            .map(|it| it.vantage.name.clone())
            .collect();
        let mut fleet = self.fleet.clone();
        tokio::select! {
            connected = fleet.wait_for(|it| wanted.is_subset(&it.connected)) => {
                if connected.is_ok() {
                    return Ok(());
                }
            }
            Some(Ok(Err(error))) = self.controller.join_next() => return Err(error.into()),
            Some(Ok(Err(error))) = self.agents.join_next() => return Err(error.into()),
            () = tokio::time::sleep(SESSIONS_LIMIT) => {}
        }
        let connected = self.fleet.borrow().connected.clone();
        let missing = wanted.difference(&connected).map(ToString::to_string).collect();
        Err(InstallationError::NoSession(missing))
    }

    /// The world that is played.
    pub fn world(&self) -> &RunningWorld {
        &self.world
    }

    /// What its operator knows.
    pub fn registration(&self) -> &Registration {
        &self.registration
    }

    /// Where the API listens, plain HTTP/2.
    pub fn api(&self) -> SocketAddr {
        self.api
    }

    /// Where agents come in.
    pub fn agent_port(&self) -> SocketAddr {
        self.agent_port
    }

    /// The file with the API's bearer token.
    pub fn token_file(&self) -> &Path {
        &self.token_file
    }

    /// What a finished diagnosis was judged by.
    pub async fn evidence(&self, diagnosis: &pb::Diagnosis) -> Result<Evidence, EvidenceError> {
        evidence(&self.store, diagnosis).await
    }

    /// Registers one target with the accounts that it names, and what is remembered of it.
    pub async fn bring_in(&self, registration: &Registration) -> Result<(), InstallationError> {
        let mut accounts = AccountServiceClient::new(self.channel.clone());
        for it in &registration.accounts {
            let request = pb::CreateAccountRequest {
                account_id: it.id.clone(),
                account: Some(it.account.clone()),
                ..pb::CreateAccountRequest::default()
            };
            let created = accounts.create_account(self.call(request, CALL_LIMIT)).await;
            created.map_err(|status| refused("register an account", status))?;
        }
        let request = pb::CreateTargetRequest {
            target_id: registration.target_id.clone(),
            target: Some(registration.target.clone()),
            ..pb::CreateTargetRequest::default()
        };
        let mut targets = TargetServiceClient::new(self.channel.clone());
        let created = targets.create_target(self.call(request, CALL_LIMIT)).await;
        created.map_err(|status| refused("register the target", status))?;
        if !registration.history.is_empty() {
            let id = TargetId::new(registration.target_id.as_str())
                .map_err(|it| InstallationError::Name(it.0))?;
            self.store.add_past(&id, &registration.history).await?;
        }
        Ok(())
    }

    /// Diagnoses a target and waits for the end, or until `limit` has passed; then what is there was judged.
    pub async fn diagnose(
        &self,
        target: &str,
        limit: Duration,
    ) -> Result<pb::Diagnosis, InstallationError> {
        let request = pb::DiagnoseRequest {
            diagnosis: Some(pb::Diagnosis {
                target: format!("targets/{target}"),
                time_limit: Some(parallax_wire::encode_duration(limit)),
                ..pb::Diagnosis::default()
            }),
            ..pb::DiagnoseRequest::default()
        };
        let mut client = DiagnosisServiceClient::new(self.channel.clone());
        let answer = client.diagnose(self.call(request, limit + ANSWER_MARGIN)).await;
        Ok(answer.map_err(|status| refused("diagnose", status))?.into_inner())
    }

    fn call<T>(&self, message: T, limit: Duration) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        request.set_timeout(limit);
        request.metadata_mut().insert("authorization", self.authorization.clone());
        request
    }

    /// Ends agents, controller and store, in this order, and waits for each. The world still stands and shows what it
    /// counted; whoever takes it stops it.
    pub async fn stop(mut self) -> RunningWorld {
        self.agents_stop.cancel();
        while self.agents.join_next().await.is_some() {}
        self.controller_stop.cancel();
        while self.controller.join_next().await.is_some() {}
        if let Some(store) = Arc::into_inner(self.store) {
            store.close().await;
        }
        self.world
    }
}

fn refused(doing: &'static str, status: tonic::Status) -> InstallationError {
    InstallationError::Refused { doing, status: Box::new(status) }
}

/// Registers every vantage; certificates for those that report.
async fn identities(
    store: &Store,
    authority: &Authority,
    vantages: &[RegisteredVantage],
) -> Result<Vec<(String, Identity)>, InstallationError> {
    let mut identities = Vec::new();
    for it in vantages {
        let issued = authority.issue_agent(&it.vantage.name)?;
        store.register_agent(&it.vantage, issued.certificate_sha256(), false).await?;
        if it.reports {
            let (chain, key) = issued.into_rustls();
            let authority = authority.certificate().clone();
            identities.push((it.name.clone(), Identity { chain, key, authority }));
        }
    }
    Ok(identities)
}

/// What agents may probe: the hosts of the endpoints. Of several endpoints on one host all doors are named.
fn hosts(target: &pb::Target) -> Vec<NamedHost> {
    let mut hosts: Vec<NamedHost> = Vec::new();
    for endpoint in
        target.endpoints.iter().filter_map(|it| parallax_model::Endpoint::try_from(it.clone()).ok())
    {
        let named = NamedHost::of(&endpoint);
        match hosts.iter_mut().find(|it| it.name == named.name) {
            Some(known) => {
                known.doors.extend(named.doors.iter().copied().collect::<Vec<Door>>());
                known.addresses.extend(&named.addresses);
                if endpoint.role != parallax_model::Role::Control {
                    known.active_sync_path = named.active_sync_path;
                }
            }
            None => hosts.push(named),
        }
    }
    hosts
}
