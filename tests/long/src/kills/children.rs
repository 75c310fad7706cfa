//! What the killed processes are: a controller and an agent as in the field, but that the agent dials a simulated network.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use parallax_agent::{AgentSettings, Home, Identity, NamedHost, Policy};
use parallax_controller::authority::Authority;
use parallax_controller::token::{TOKEN_FILE, TokenDigest};
use parallax_controller::{ControllerParts, FleetView, serve};
use parallax_probe::{Dial, Instrument, Mapped, Route};
use parallax_store::Store;
use parallax_wire::{pb, read_zone};
use prost::Message as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(super) const CONTROLLER: &str = "kills-controller";
pub(super) const AGENT: &str = "kills-agent";

/// How long a controller waits for the killed one's lock; the kernel gives it back at once.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// What an agent has to be told beside its identity and target.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AgentFile {
    pub(super) controller: String,
    pub(super) zone: String,
    pub(super) network: MappedFile,
}

/// A [`Mapped`] network as a file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct MappedFile {
    pub(super) routes: Vec<(SocketAddr, String)>,
    pub(super) otherwise: String,
    pub(super) name_servers: Vec<SocketAddr>,
    pub(super) public_roots: Vec<Vec<u8>>,
    pub(super) store_roots: Vec<Vec<u8>>,
}

impl MappedFile {
    fn into_dial(self) -> anyhow::Result<Dial> {
        let certificates =
            |it: Vec<Vec<u8>>| it.into_iter().map(CertificateDer::from).collect::<Vec<_>>();
        let routes: Result<_, anyhow::Error> =
            self.routes.into_iter().map(|(from, to)| Ok((from, route(&to)?))).collect();
        Ok(Dial::Mapped(Arc::new(Mapped {
            routes: routes?,
            otherwise: route(&self.otherwise)?,
            name_servers: self.name_servers,
            public_roots: certificates(self.public_roots),
            store_roots: certificates(self.store_roots),
        })))
    }
}

fn route(word: &str) -> anyhow::Result<Route> {
    Ok(match word {
        "silent" => Route::Silent,
        "unreachable" => Route::Unreachable,
        address => Route::To(address.parse()?),
    })
}

/// `FOLDER API-ADDRESS AGENT-ADDRESS`.
pub(super) fn run_controller(words: &[String]) -> anyhow::Result<()> {
    let [folder, api, agents] = words else { bail!("give folder, API address, agents' address") };
    let folder = PathBuf::from(folder);
    let (api, agents): (SocketAddr, SocketAddr) = (api.parse()?, agents.parse()?);
    start(&folder)?.block_on(async {
        let parts = ControllerParts {
            store: Arc::new(Store::open(&folder, LOCK_WAIT).await?),
            authority: Authority::open(&folder)?,
            agent_names: vec![Ipv4Addr::LOCALHOST.to_string()],
            token: TokenDigest::read(&folder.join(TOKEN_FILE))?,
            api_listener: TcpListener::bind(api).await?,
            api_identity: None,
            agent_listener: TcpListener::bind(agents).await?,
            fleet_view: watch::channel(FleetView::default()).0,
        };
        Ok(serve(parts, CancellationToken::new()).await?)
    })
}

/// `FOLDER`.
pub(super) fn run_agent(words: &[String]) -> anyhow::Result<()> {
    let [folder] = words else { bail!("give the folder") };
    let folder = Path::new(folder);
    let file: AgentFile = serde_json::from_slice(&std::fs::read(folder.join("agent.json"))?)?;
    let target = pb::Target::decode(std::fs::read(folder.join("target"))?.as_slice())?;
    let identity = folder.join("identity.pem");
    let zone = read_zone(&file.zone).context("no zone")?;
    start(folder)?.block_on(async {
        let server_name = ServerName::from(std::net::IpAddr::from(Ipv4Addr::LOCALHOST));
        let mut settings = AgentSettings::new(file.controller, server_name);
        settings.timings.reconnect_base = Duration::from_millis(50);
        settings.timings.reconnect_cap = Duration::from_millis(500);
        settings.home = Some(Home { identity: identity.clone(), spool: folder.join("spool") });
        let instrument = Instrument::new(file.network.into_dial()?)?;
        let policy = Policy::world(zone, hosts(&target));
        let identity = Identity::read(&identity, &folder.join("authority.pem"))?;
        let stop = CancellationToken::new();
        Ok(parallax_agent::run(settings, identity, instrument, policy, stop).await?)
    })
}

/// The hosts of the endpoints; several endpoints of one host share its doors.
fn hosts(target: &pb::Target) -> Vec<NamedHost> {
    let mut hosts: Vec<NamedHost> = Vec::new();
    let endpoints = target.endpoints.iter().cloned();
    for endpoint in endpoints.filter_map(|it| parallax_model::Endpoint::try_from(it).ok()) {
        let named = NamedHost::of(&endpoint);
        match hosts.iter_mut().find(|it| it.name == named.name) {
            Some(known) => {
                known.doors.extend(named.doors.iter().copied());
                known.addresses.extend(&named.addresses);
            }
            None => hosts.push(named),
        }
    }
    hosts
}

/// Logs into the folder, each line at once, so that a kill loses none; a runtime.
fn start(folder: &Path) -> anyhow::Result<tokio::runtime::Runtime> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("log"))?;
    let filter = "info,parallax_agent::desk=debug";
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
        .with_ansi(false)
        .with_writer(log)
        .init();
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}
