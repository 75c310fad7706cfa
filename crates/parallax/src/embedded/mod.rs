//! `parallax diagnose URL`: one controller and one agent inside this process look at one URL, without a service.
//!
//! The ledger is the same as that of a real controller and stays in the user's data folder, so that ten runs in a row
//! cannot lock an account. `request` says what the options describe; here it is run.
//!
//! INVARIANT: only one run at a time; a second one waits for the first.
//! INVARIANT: the agent may probe the URL's host and its Autodiscover name, nothing else.
//! INVARIANT: a secret that was refused is not sent again because its user is spelled or described in another way.
//! INVARIANT: everything listens on loopback, on ports that the system chose, with a token of this run.

mod request;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parallax_agent::{AgentSettings, Identity, Policy};
use parallax_controller::authority::Authority;
use parallax_controller::token::TokenDigest;
use parallax_controller::{ControllerParts, FleetView, serve};
use parallax_model::{AccountId, Vantage, VantageName};
use parallax_probe::{Dial, Instrument};
use parallax_process::ExitCode;
use parallax_store::{Store, StoreError};
use parallax_wire::pb;
use pbjson_types::FieldMask;
use rustls_pki_types::ServerName;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cli::DiagnoseArguments;
use crate::client::{Client, PAGE_SIZE, call, refused};
use crate::commands::start_diagnosis;
use crate::failure::Failure;
use crate::following::Follower;
use crate::outcome::exit_code;
use crate::render::{Afterwards, Screen, words};
use crate::running::until_stopped;
use request::UrlRequest;

/// Where the ledger lies below the user's data folder.
const FOLDER: &str = "parallax/embedded";
/// A diagnosis ends within 15 min; whoever waits longer waits for something else.
const STORE_WAIT: Duration = Duration::from_mins(16);
/// Between agent and controller of one process.
const SESSION_LIMIT: Duration = Duration::from_secs(30);
/// The first wait of an agent whose controller is not there yet.
const RECONNECT_BASE: Duration = Duration::from_millis(50);
/// For a diagnosis that was cancelled to settle what is under way.
const CANCEL_LIMIT: Duration = Duration::from_secs(10);

/// Looks at a URL from this machine.
pub(crate) fn run(arguments: &DiagnoseArguments, screen: &Screen) -> Result<ExitCode, Failure> {
    let request = UrlRequest::read(arguments)?;
    let folder = data_folder()?;
    until_stopped(|stop| async move {
        let opened = stop.run_until_cancelled(open(folder, arguments, screen)).await;
        let Some(store) = opened else { return Ok(ExitCode::Interrupted) };
        let store = Arc::new(store?);
        let mut running = Running::start(&store, &request).await?;
        let done = Box::pin(running.diagnose(&request, arguments, screen, &store, stop)).await;
        running.stop().await;
        if let Some(store) = Arc::into_inner(store) {
            store.close().await;
        }
        done
    })
}

/// The XDG base directory specification: `$XDG_DATA_HOME`, or `~/.local/share`.
fn data_folder() -> Result<PathBuf, Failure> {
    let absolute =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|it| it.is_absolute());
    let base = absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|it| it.join(".local/share")))
        .or_else(|| absolute("LOCALAPPDATA"));
    base.map(|it| it.join(FOLDER)).ok_or_else(|| {
        Failure::usage("there is no folder for the logon ledger")
            .hint("Set XDG_DATA_HOME (or HOME) to an absolute path.")
    })
}

async fn open(
    folder: PathBuf,
    arguments: &DiagnoseArguments,
    screen: &Screen,
) -> Result<Store, Failure> {
    let opened = match Store::open(&folder, Duration::ZERO).await {
        Err(StoreError::InUse { .. }) => {
            screen.narrate(words(arguments.output.language.lang).waiting_for_store);
            Store::open(&folder, STORE_WAIT).await
        }
        opened => opened,
    };
    opened.map_err(|error| {
        Failure::unavailable("the logon ledger in your data folder cannot be used").because(&error)
    })
}

/// Controller and agent of this run.
struct Running {
    client: Client,
    agents: JoinSet<Result<(), Failure>>,
    agents_stop: CancellationToken,
    controller: JoinSet<Result<(), Failure>>,
    controller_stop: CancellationToken,
}

impl Running {
    async fn start(store: &Arc<Store>, request: &UrlRequest) -> Result<Self, Failure> {
        let failed = |error: &dyn std::error::Error| {
            Failure::unavailable("the diagnosis cannot be started on this machine").because(error)
        };
        let listen = async || {
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(|error| failed(&error))
        };
        let local = |listener: &TcpListener| listener.local_addr().map_err(|error| failed(&error));
        let authority = Authority::generate().map_err(|error| failed(&error))?;
        let issued =
            authority.issue_agent(&request.vantage.name).map_err(|error| failed(&error))?;
        let sha256 = issued.certificate_sha256();
        register(store, &request.vantage, sha256).await.map_err(|error| failed(&error))?;
        let (chain, key) = issued.into_rustls();
        let identity = Identity { chain, key, authority: authority.certificate().clone() };

        let token = uuid::Uuid::new_v4().simple().to_string();
        let (api_listener, agent_listener) = (listen().await?, listen().await?);
        let (api, agent_port) = (local(&api_listener)?, local(&agent_listener)?);
        let (fleet_view, fleet) = watch::channel(FleetView::default());
        let parts = ControllerParts {
            store: Arc::clone(store),
            authority,
            agent_names: vec![Ipv4Addr::LOCALHOST.to_string()],
            token: TokenDigest::of(&token),
            api_listener,
            api_identity: None,
            agent_listener,
            fleet_view,
        };
        let (controller_stop, agents_stop) = (CancellationToken::new(), CancellationToken::new());
        let mut controller = JoinSet::new();
        let served = serve(parts, controller_stop.clone());
        controller.spawn(async move {
            served.await.map_err(|error| {
                Failure::unavailable("the controller of this run stopped").because(&error)
            })
        });
        let agents = start_agent(agent_port, identity, request, agents_stop.clone())?;
        let client = Client::connect_here(api, &token).await?;
        let mut running = Self { client, agents, agents_stop, controller, controller_stop };
        running.wait_for_agent(fleet, &request.vantage.name).await?;
        Ok(running)
    }

    async fn wait_for_agent(
        &mut self,
        mut fleet: watch::Receiver<FleetView>,
        vantage: &VantageName,
    ) -> Result<(), Failure> {
        tokio::select! {
            connected = fleet.wait_for(|it| it.connected.contains(vantage)) => {
                if connected.is_ok() {
                    return Ok(());
                }
            }
            Some(Ok(Err(failure))) = self.controller.join_next() => return Err(failure),
            Some(Ok(Err(failure))) = self.agents.join_next() => return Err(failure),
            () = tokio::time::sleep(SESSION_LIMIT) => {}
        }
        Err(Failure::unavailable("the agent of this run did not come up"))
    }

    async fn diagnose(
        &mut self,
        request: &UrlRequest,
        arguments: &DiagnoseArguments,
        screen: &Screen,
        store: &Store,
        stop: CancellationToken,
    ) -> Result<ExitCode, Failure> {
        let starting = Box::pin(async {
            self.register(request, store).await?;
            start_diagnosis(&self.client, arguments, request.target.name.clone()).await
        });
        let Some(started) = stop.run_until_cancelled(starting).await else {
            return Ok(ExitCode::Interrupted);
        };
        let name = started?.name;
        screen.narrate(&name);
        let follower = Follower {
            client: &self.client,
            screen,
            output: arguments.output,
            afterwards: Afterwards::Gone,
        };
        let Some(ended) = stop.run_until_cancelled(follower.follow(&name)).await else {
            self.cancel(name).await;
            return Ok(ExitCode::Interrupted);
        };
        let diagnosis = ended?;
        follower.show_result(&diagnosis)?;
        Ok(exit_code(&diagnosis, arguments.fail_on))
    }

    /// Ends a diagnosis that nobody waits for any more. If it does not end in time, the next run settles what is open.
    async fn cancel(&self, name: String) {
        let mut diagnoses = self.client.diagnoses();
        let cancelling = diagnoses.cancel_diagnosis(call(pb::CancelDiagnosisRequest { name }));
        let _ = tokio::time::timeout(CANCEL_LIMIT, cancelling).await;
    }

    /// Registers target and account as the options describe them now.
    async fn register(&self, request: &UrlRequest, store: &Store) -> Result<(), Failure> {
        if let Some(account) = &request.account {
            self.register_account(account, request.release.is_some(), store).await?;
            if let Some(reason) = &request.release {
                let released = pb::ReleaseAccountRequest {
                    name: account.name.clone(),
                    reason: reason.clone(),
                };
                self.client.accounts().release_account(call(released)).await.map_err(refused)?;
            }
        }
        self.apply(request.target.clone()).await
    }

    async fn apply(&self, target: pb::Target) -> Result<(), Failure> {
        let update = pb::UpdateTargetRequest {
            target: Some(target),
            update_mask: Some(FieldMask { paths: vec!["*".to_owned()] }),
            allow_missing: true,
            ..pb::UpdateTargetRequest::default()
        };
        self.client.targets().update_target(call(update)).await.map_err(refused)?;
        Ok(())
    }

    /// The account keeps its ledger across runs. A secret that was refused stays refused until another one is given.
    async fn register_account(
        &self,
        account: &pb::Account,
        is_released: bool,
        store: &Store,
    ) -> Result<(), Failure> {
        let get = pb::GetAccountRequest { name: account.name.clone() };
        let known = match self.client.accounts().get_account(call(get)).await {
            Ok(known) => known.into_inner(),
            Err(status) if status.code() == tonic::Code::NotFound => {
                return self.create_account(account).await;
            }
            Err(status) => return Err(refused(status)),
        };
        // Before anything is deleted: a secret of its own version has no breaker, and one that cannot be taken changes nothing.
        // The secret that is held already keeps its version.
        let rotate = pb::RotateAccountRequest {
            name: account.name.clone(),
            secret: account.secret.clone(),
            ..pb::RotateAccountRequest::default()
        };
        self.client.accounts().rotate_account(call(rotate)).await.map_err(refused)?;
        let is_described_so = known.user_names == account.user_names
            && known.lockout.unwrap_or_default() == account.lockout.unwrap_or_default();
        if is_described_so {
            return Ok(());
        }
        if !is_released {
            refuse_open_breaker(account, store).await?;
        }
        self.free(&account.name).await?;
        let delete = pb::DeleteAccountRequest { name: account.name.clone() };
        self.client.accounts().delete_account(call(delete)).await.map_err(refused)?;
        self.create_account(account).await
    }

    async fn create_account(&self, account: &pb::Account) -> Result<(), Failure> {
        let create = pb::CreateAccountRequest {
            account_id: account.name.trim_start_matches("accounts/").to_owned(),
            account: Some(account.clone()),
            ..pb::CreateAccountRequest::default()
        };
        self.client.accounts().create_account(call(create)).await.map_err(refused)?;
        Ok(())
    }

    /// Takes the account out of every target of earlier runs.
    async fn free(&self, account: &str) -> Result<(), Failure> {
        let mut page_token = String::new();
        loop {
            let list = pb::ListTargetsRequest { page_size: PAGE_SIZE, page_token };
            let page = self.client.targets().list_targets(call(list)).await;
            let page = page.map_err(refused)?.into_inner();
            for mut target in page.targets {
                if target.accounts.iter().any(|it| it.account == account) {
                    target.accounts.retain(|it| it.account != account);
                    self.apply(target).await?;
                }
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(());
            }
        }
    }

    async fn stop(mut self) {
        self.agents_stop.cancel();
        while self.agents.join_next().await.is_some() {}
        drop(self.client);
        self.controller_stop.cancel();
        while self.controller.join_next().await.is_some() {}
    }
}

/// Registered anew, the account would have a new version of its secret, which no breaker binds.
async fn refuse_open_breaker(account: &pb::Account, store: &Store) -> Result<(), Failure> {
    let failed = |error: &dyn std::error::Error| {
        Failure::unavailable("the logon ledger in your data folder cannot be read").because(error)
    };
    let id = AccountId::new(account.name.trim_start_matches("accounts/"));
    let budget = store.budget(&id.map_err(|error| failed(&error))?).await;
    if budget.map_err(|error| failed(&error))?.breaker.is_none() {
        return Ok(());
    }
    let text = "the secret was refused before, under another name or lockout policy of the same user; nothing is sent";
    Err(Failure::new(ExitCode::NotPermitted, text)
        .hint("Give another secret; or, if somebody looked and it is right, --release REASON."))
}

/// The vantage gets a new certificate with every run.
async fn register(
    store: &Store,
    vantage: &Vantage,
    certificate_sha256: [u8; 32],
) -> Result<(), StoreError> {
    for known in store.agents().await? {
        if known.vantage.name != vantage.name {
            store.remove_agent(&known.vantage.name).await?;
        }
    }
    store.register_agent(vantage, certificate_sha256, true).await.map(|_| ())
}

fn start_agent(
    agent_port: SocketAddr,
    identity: Identity,
    request: &UrlRequest,
    stop: CancellationToken,
) -> Result<JoinSet<Result<(), Failure>>, Failure> {
    let instrument = Instrument::new(Dial::Direct).map_err(|error| {
        Failure::unavailable("this machine cannot be looked from").because(&error)
    })?;
    let server_name = ServerName::from(IpAddr::from(Ipv4Addr::LOCALHOST));
    let mut settings = AgentSettings::new(agent_port.to_string(), server_name);
    settings.timings.reconnect_base = RECONNECT_BASE;
    let policy = Policy::embedded(request.vantage.zone, request.hosts.clone());
    let mut agents = JoinSet::new();
    agents.spawn(async move {
        let ran = parallax_agent::run(settings, identity, instrument, policy, stop).await;
        ran.map_err(|error| Failure::unavailable("the agent of this run stopped").because(&error))
    });
    Ok(agents)
}
