//! `parallax agent run`: the agent of one vantage, until it is stopped.

use parallax_agent::{AgentConfig, Policy, PolicyError, WrittenAgentSettings};
use parallax_probe::{Dial, Instrument};
use parallax_process::{ExitCode, Layers, read_settings};

use crate::cli::{AgentCommand, AgentRunArguments};
use crate::failure::Failure;
use crate::running::until_stopped;

/// Settings in the environment begin with this, as `PARALLAX_AGENT_CONTROLLER`.
const ENVIRONMENT_PREFIX: &str = "PARALLAX_AGENT";
/// Names with this prefix that are no settings: they stand for options of the command line.
const NO_SETTINGS: [&str; 1] = ["PARALLAX_AGENT_CONFIG"];

pub(super) fn run(command: AgentCommand) -> Result<ExitCode, Failure> {
    match command {
        AgentCommand::Run(arguments) => run_agent(&arguments),
    }
}

fn run_agent(arguments: &AgentRunArguments) -> Result<ExitCode, Failure> {
    let layers = Layers::default()
        .with_file(&arguments.config)
        .with_variables(ENVIRONMENT_PREFIX, super::environment_without(&NO_SETTINGS));
    let config = read_settings::<WrittenAgentSettings, _>(&layers, AgentConfig::check)
        .map_err(|error| super::wrong_settings(&error))?;
    let unusable =
        |error: &dyn std::error::Error| Failure::usage("the agent cannot start").because(error);
    let identity = config.read_identity().map_err(|error| unusable(&error))?;
    let policy = Policy::read(&config.policy).map_err(|error| match &error {
        PolicyError::Wrong(wrong) => {
            let mut failure = super::wrong_settings(wrong);
            if !failure.fields.is_empty() {
                let path = config.policy.display();
                failure.text = format!("the policy {path} has mistakes; nothing was started");
            }
            failure
        }
        PolicyError::Unreadable { .. } => unusable(&error),
    })?;
    let instrument = Instrument::new(Dial::Direct).map_err(|error| {
        Failure::unavailable("this machine cannot be looked from").because(&error)
    })?;
    until_stopped(|stop| async move {
        parallax_agent::run(config.settings, identity, instrument, policy, stop)
            .await
            .map_err(|error| Failure::usage("the agent cannot start").because(&error))?;
        Ok(ExitCode::Healthy)
    })
}
