//! One real agent with a policy from a file, dialling for real; its name server is the campaign's.

use std::path::Path;

use anyhow::Context as _;
use parallax_agent::{AgentError, AgentSettings, Policy, run};
use parallax_probe::{Dial, Instrument};
use rustls_pki_types::ServerName;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::controller::{Authority, Controller, SERVER_NAME, Session};
use super::watch::{CONTROLLER, NAME_SERVER};

/// A running agent and its session with the controller.
pub(super) struct Bed {
    pub(super) session: Session,
    stop: CancellationToken,
    agent: JoinSet<Result<(), AgentError>>,
}

impl Bed {
    pub(super) async fn start(
        controller: &mut Controller,
        authority: &Authority,
        policy: &Path,
        epoch: i64,
    ) -> anyhow::Result<Self> {
        let policy = Policy::read(policy)?;
        let instrument = Instrument::new(Dial::Direct)?.with_name_servers(vec![NAME_SERVER]);
        let settings =
            AgentSettings::new(CONTROLLER.to_string(), ServerName::try_from(SERVER_NAME)?);
        let stop = CancellationToken::new();
        let mut agent = JoinSet::new();
        agent.spawn(run(settings, authority.agent()?, instrument, policy, stop.clone()));
        let session = controller.session(epoch).await?;
        Ok(Self { session, stop, agent })
    }

    /// Stops the agent; it has to end by itself.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        drop(self.session);
        self.agent.join_next().await.context("no agent")??.map_err(Into::into)
    }
}
