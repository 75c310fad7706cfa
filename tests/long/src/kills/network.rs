//! The stage: a simulated network in this process, and the files from which the other processes start.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use parallax_controller::authority::{AUTHORITY_FILE, Authority};
use parallax_controller::token::{TOKEN_FILE, create_token};
use parallax_model::Zone;
use parallax_probe::{Mapped, Route};
use parallax_store::Store;
use parallax_wire::zone_word;
use parallax_world::format::{Account, World, read_text};
use parallax_world::network::RunningWorld;
use parallax_world::register::{RegisteredVantage, Registration, register};
use parallax_world::simulation::Pace;
use prost::Message as _;
use tempfile::TempDir;

use super::children::{AgentFile, MappedFile};

/// One account with a wrong password, a front end that checks it itself, three vantages.
const WORLD: &str = include_str!("../../../worlds/wrong-password-2016.json");
const WORLD_FILE: &str = "wrong-password-2016.json";

pub(super) struct Stage {
    pub(super) world: RunningWorld,
    pub(super) folder: TempDir,
    pub(super) api: SocketAddr,
    pub(super) agent_port: SocketAddr,
    pub(super) token: String,
    /// Each with one account of its own.
    pub(super) targets: Vec<Registration>,
    /// Names of the agents.
    pub(super) agents: Vec<String>,
}

impl Stage {
    pub(super) async fn set_up(accounts: usize) -> anyhow::Result<Self> {
        let template = read_text(Path::new(WORLD_FILE), WORLD)?;
        let entries: Vec<Account> =
            (1..=accounts).map(|number| numbered(&template, number)).collect::<Result<_, _>>()?;
        let world = World { accounts: entries.clone(), ..template };
        let world = RunningWorld::start(Arc::new(world), Pace::Real).await?;
        let folder = tempfile::Builder::new().prefix("parallax-kills-").tempdir()?;
        let targets: Vec<Registration> =
            (1..).zip(entries).map(|(number, entry)| target(&world, entry, number)).collect();
        let first = targets.first().context("no account")?;
        let data = data(folder.path());
        let authority = {
            std::fs::create_dir(&data)?;
            Authority::create(&data)?
        };
        create_token(&data.join(TOKEN_FILE))?;
        let token = std::fs::read_to_string(data.join(TOKEN_FILE))?.trim_end().to_owned();
        let store = Store::open(&data, Duration::ZERO).await?;
        let (api, agent_port) = (free_port()?, free_port()?);
        let mut agents = Vec::new();
        for vantage in &first.vantages {
            let issued = authority.issue_agent(&vantage.vantage.name)?;
            store.register_agent(&vantage.vantage, issued.certificate_sha256(), false).await?;
            let home = folder.path().join(&vantage.name);
            std::fs::create_dir(&home)?;
            private(&home.join("identity.pem"), &(issued.certificate_pem + &issued.key_pem))?;
            std::fs::copy(data.join(AUTHORITY_FILE), home.join("authority.pem"))?;
            std::fs::write(home.join("target"), first.target.encode_to_vec())?;
            let file = agent_file(&world, vantage, agent_port)?;
            std::fs::write(home.join("agent.json"), serde_json::to_vec(&file)?)?;
            agents.push(vantage.name.clone());
        }
        store.close().await;
        Ok(Self { world, folder, api, agent_port, token, targets, agents })
    }

    pub(super) fn data(&self) -> PathBuf {
        data(self.folder.path())
    }

    pub(super) fn home(&self, agent: &str) -> PathBuf {
        self.folder.path().join(agent)
    }

    /// How far the directory's counter of each account rose, by target.
    pub(super) fn counted(&self) -> BTreeMap<String, u32> {
        let counters = self.world.counters();
        let risen = |entry: &str| {
            let counter = counters.iter().find(|it| it.accounts.iter().any(|it| it == entry));
            counter.map_or(0, |it| it.risen)
        };
        let by_target = |it: &Registration| {
            let entry = it.accounts.first().map_or("", |it| it.entry.as_str());
            (it.target_id.clone(), risen(entry))
        };
        self.targets.iter().map(by_target).collect()
    }
}

fn data(folder: &Path) -> PathBuf {
    folder.join("controller")
}

/// The account of the template, as the one of this number.
fn numbered(template: &World, number: usize) -> anyhow::Result<Account> {
    let mut account = template.accounts.first().context("a world without accounts")?.clone();
    let name = format!("anna{number}");
    let login = format!("{name}@contoso.example");
    account.name = name;
    account.upn = Some(login.clone());
    account.smtp = Some(login.clone());
    account.login = login;
    Ok(account)
}

fn target(world: &RunningWorld, entry: Account, number: usize) -> Registration {
    let id = format!("mail-{number}");
    let known = World { id, accounts: vec![entry], ..World::clone(world.world()) };
    register(&known, world.addresses(), world.secrets(), SystemTime::now())
}

fn agent_file(
    world: &RunningWorld,
    vantage: &RegisteredVantage,
    controller: SocketAddr,
) -> anyhow::Result<AgentFile> {
    let view: &Mapped = world.view(&vantage.name).context("a vantage without a view")?;
    let zone: Zone = vantage.vantage.zone;
    Ok(AgentFile {
        controller: controller.to_string(),
        zone: zone_word(zone).to_owned(),
        network: MappedFile {
            routes: view.routes.iter().map(|(from, to)| (*from, word(*to))).collect(),
            otherwise: word(view.otherwise),
            name_servers: view.name_servers.clone(),
            public_roots: view.public_roots.iter().map(|it| it.to_vec()).collect(),
            store_roots: view.store_roots.iter().map(|it| it.to_vec()).collect(),
        },
    })
}

/// `silent`, `unreachable`, or the address.
fn word(route: Route) -> String {
    match route {
        Route::To(address) => address.to_string(),
        Route::Silent => "silent".to_owned(),
        Route::Unreachable => "unreachable".to_owned(),
    }
}

/// A port that is free now; the same one serves every start of the controller.
fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn private(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}
