//! The controller as a process of its own: what `parallax controller` runs, on this folder and these ports.
//!
//! It says `ready API AGENTS` when it listens, and stops when its standard input ends, so it never outlives who started it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use parallax_controller::authority::Authority;
use parallax_controller::token::TokenDigest;
use parallax_controller::{ControllerParts, FleetView, serve};
use parallax_store::Store;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Who holds it may use the API.
pub(crate) const TOKEN: &str = "campaign-campaign-campaign-campaign";
/// For the process before this one to let the folder go.
const STORE_WAIT: Duration = Duration::from_secs(10);

/// FOLDER API AGENTS: the data folder and the two addresses.
pub(crate) fn run(words: &[String]) -> Result<()> {
    let [folder, api, agents] = words else { bail!("three words: folder, API, agents") };
    super::process::raise_descriptors()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(play(Path::new(folder), api.parse()?, agents.parse()?))
}

#[expect(clippy::print_stdout, reason = "how its owner learns the ports")]
async fn play(folder: &Path, api: SocketAddr, agents: SocketAddr) -> Result<()> {
    let authority = Authority::open(folder)?;
    let store = Arc::new(Store::open(folder, STORE_WAIT).await?);
    let api_listener = TcpListener::bind(api).await.context("API")?;
    let agent_listener = TcpListener::bind(agents).await.context("agents")?;
    let (api, agents) = (api_listener.local_addr()?, agent_listener.local_addr()?);
    let parts = ControllerParts {
        store: Arc::clone(&store),
        authority,
        agent_names: vec![agents.ip().to_string()],
        token: TokenDigest::of(TOKEN),
        api_listener,
        api_identity: None,
        agent_listener,
        fleet_view: watch::channel(FleetView::default()).0,
    };
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(parts, stop.clone()));
    println!("ready {api} {agents}");
    // Nothing is ever said; the end of it is the stop.
    let mut said = [0];
    let _ = tokio::io::stdin().read(&mut said).await;
    stop.cancel();
    serving.await??;
    if let Some(store) = Arc::into_inner(store) {
        store.close().await;
    }
    Ok(())
}
