//! What every run starts from: a data folder with accounts, agents and a target, made once and copied for each seed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use parallax_auth::Secret;
use parallax_model::{Endpoint, EndpointName, TargetId, Vantage, VantageName, Zone};
use parallax_probe::{Dial, Instrument, Mapped, Route};
use parallax_store::simulation::SimulatedTime;
use parallax_store::{NewAccount, Store};
use parallax_wire::pb;
use tempfile::TempDir;

/// When every run begins: 17 March 2030.
pub(super) const START_MS: i64 = 1_900_000_000_000;
pub(super) const TARGET: &str = "shop";
pub(super) const AGENTS_MAX: usize = 5;
pub(super) const DATABASE: &str = "parallax.db";
/// Files of a data folder that a copy needs.
const FILES: [&str; 3] = [DATABASE, "envelope.key", "ledger.generation"];
/// Memory, where the system has a place for it: a commit waits for the disk, and a simulation makes thousands.
const MEMORY: &str = "/dev/shm";

/// An account of the directory `corp`: its name, when it is locked, and its observation window.
pub(super) struct Listed {
    pub id: &'static str,
    pub threshold: u32,
    pub window: Duration,
}

/// K = 4, 2, 1 and 2.
pub(super) const ACCOUNTS: [Listed; 4] = [
    Listed { id: "ten", threshold: 10, window: Duration::from_mins(10) },
    Listed { id: "five", threshold: 5, window: Duration::from_mins(5) },
    Listed { id: "three", threshold: 3, window: Duration::from_mins(2) },
    Listed { id: "six", threshold: 6, window: Duration::from_mins(30) },
];

/// Name, role and host of every endpoint.
pub(super) const ENDPOINTS: [(&str, pb::endpoint::Role, &str); 3] = [
    ("front", pb::endpoint::Role::External, "mail.example.com"),
    ("cas", pb::endpoint::Role::Cas, "cas.corp.example.com"),
    ("newer", pb::endpoint::Role::Cas, "new.corp.example.com"),
];

/// The prepared folder, and room for copies.
pub(super) struct Ground {
    room: TempDir,
    prepared: PathBuf,
}

impl Ground {
    pub(super) async fn prepare() -> anyhow::Result<Self> {
        let memory = Path::new(MEMORY);
        let room =
            if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }?;
        let prepared = room.path().join("prepared");
        let store = Store::open_simulated(&prepared, &SimulatedTime::new(START_MS)).await?;
        for listed in &ACCOUNTS {
            store.create_account(account(listed)?, None).await?;
        }
        for index in 0..AGENTS_MAX {
            let name = VantageName::new(agent_name(index)).map_err(|error| anyhow!("{error}"))?;
            let vantage = Vantage { name, zone: Zone::Internal, site: String::new() };
            let certificate = [u8::try_from(index + 1)?; 32];
            store.register_agent(&vantage, certificate, false).await?;
        }
        let id = TargetId::new(TARGET).map_err(|error| anyhow!("{error}"))?;
        store.create_target(&id, target(), None).await?;
        store.close().await;
        Ok(Self { room, prepared })
    }

    /// A data folder as the prepared one, by this name; one of before is gone.
    pub(super) fn copy(&self, name: &str) -> anyhow::Result<PathBuf> {
        let folder = self.room.path().join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir(&folder)?;
        for file in FILES {
            fs::copy(self.prepared.join(file), folder.join(file))
                .with_context(|| format!("copy {file}"))?;
        }
        Ok(folder)
    }
}

pub(super) fn agent_name(index: usize) -> String {
    format!("agent{}", index + 1)
}

/// The password that the store holds at the beginning.
pub(super) fn first_password(account: &str) -> String {
    format!("first-{account}-4711")
}

/// The endpoints as agents are to know them.
pub(super) fn endpoints() -> anyhow::Result<Vec<Endpoint>> {
    let target =
        parallax_wire::check_target(&pb::Target { name: format!("targets/{TARGET}"), ..target() });
    Ok(target.map_err(|wrong| anyhow!("the target: {wrong:?}"))?.endpoints)
}

/// A probe that never dials.
pub(super) fn instrument() -> anyhow::Result<Instrument> {
    let mapped = Mapped {
        routes: std::collections::BTreeMap::new(),
        otherwise: Route::Unreachable,
        name_servers: Vec::new(),
        public_roots: Vec::new(),
        store_roots: Vec::new(),
    };
    Instrument::new(Dial::Mapped(std::sync::Arc::new(mapped))).context("an instrument")
}

pub(super) fn endpoint_name(index: usize) -> anyhow::Result<EndpointName> {
    EndpointName::new(ENDPOINTS[index].0).map_err(|error| anyhow!("{error}"))
}

fn account(listed: &Listed) -> anyhow::Result<NewAccount> {
    let Listed { id, threshold, window } = listed;
    let body = pb::Account {
        name: format!("accounts/{id}"),
        directory: "corp".to_owned(),
        user_names: vec![pb::UserName {
            form: pb::NameForm::Upn.into(),
            login: format!("{id}@example.com"),
        }],
        mailbox: pb::Generation::Generation2016.into(),
        lockout: Some(pb::LockoutPolicy {
            threshold: Some(pb::lockout_policy::Threshold::Count(i32::try_from(*threshold)?)),
            window: Some(parallax_wire::encode_duration(*window)),
        }),
        secret: first_password(id),
        ..pb::Account::default()
    };
    let checked = parallax_wire::check_account(&body);
    Ok(NewAccount {
        account: checked.map_err(|wrong| anyhow!("the account: {wrong:?}"))?,
        body,
        secret: Some(Secret::new(first_password(id))?),
        principal: "operator".to_owned(),
    })
}

fn target() -> pb::Target {
    let endpoint = |(name, role, host): (&str, pb::endpoint::Role, &str)| pb::Endpoint {
        name: name.to_owned(),
        role: role.into(),
        url: format!("https://{host}"),
        generation: pb::Generation::Generation2016.into(),
        ..pb::Endpoint::default()
    };
    pb::Target {
        endpoints: ENDPOINTS.into_iter().map(endpoint).collect(),
        accounts: ACCOUNTS
            .iter()
            .map(|it| pb::TargetAccount {
                account: format!("accounts/{}", it.id),
                purpose: pb::target_account::Purpose::Subject.into(),
            })
            .collect(),
        ..pb::Target::default()
    }
}
