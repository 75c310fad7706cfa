//! `parallax agent`: joining a controller, running one vantage until it is stopped, and what that vantage can see.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::Path;

use parallax_agent::{
    AgentConfig, Identity, JoinError, JoinRequest, Policy, PolicyError, ProxyChoice,
    WrittenAgentSettings, join, self_test,
};
use parallax_auth::JoinToken;
use parallax_probe::{Dial, Instrument};
use parallax_process::{ExitCode, Layers, read_settings};

use crate::cli::{AgentArguments, AgentCommand, AgentJoinArguments, AgentOutput};
use crate::failure::Failure;
use crate::render::{Screen, joined_page, self_test_json, self_test_page};
use crate::running::until_stopped;

/// Settings in the environment begin with this, as `PARALLAX_AGENT_CONTROLLER`.
const ENVIRONMENT_PREFIX: &str = "PARALLAX_AGENT";
/// Names with this prefix that are no settings: they stand for options of the command line.
const NO_SETTINGS: [&str; 1] = ["PARALLAX_AGENT_CONFIG"];
/// A token has at most 164 characters.
const TOKEN_BYTES_MAX: u64 = 4096;

pub(super) fn run(arguments: AgentArguments, screen: &Screen) -> Result<ExitCode, Failure> {
    match (&arguments.command, &arguments.config) {
        (Some(AgentCommand::Run(run)), _) => run_agent(&run.config),
        (Some(AgentCommand::Join(join)), _) => join_controller(join, screen),
        (None, Some(config)) if arguments.self_test => test(config, &arguments, screen),
        (None, _) => Err(Failure::usage("nothing to do: say run, join or --self-test")),
    }
}

/// What an agent needs to start.
struct Parts {
    config: AgentConfig,
    identity: Identity,
    policy: Policy,
    instrument: Instrument,
}

fn read(path: &Path) -> Result<Parts, Failure> {
    let layers = Layers::default()
        .with_file(path)
        .with_variables(ENVIRONMENT_PREFIX, super::environment_without(&NO_SETTINGS));
    let config = read_settings::<WrittenAgentSettings, _>(&layers, |written, mistakes| {
        AgentConfig::check(written, &variable, mistakes)
    })
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
        PolicyError::Unreadable { .. } | PolicyError::Writable { .. } => unusable(&error),
    })?;
    let instrument = Instrument::new(Dial::Direct).map_err(|error| {
        Failure::unavailable("this machine cannot be looked from").because(&error)
    })?;
    Ok(Parts { config, identity, policy, instrument })
}

fn variable(name: &str) -> Option<String> {
    std::env::var_os(name)?.into_string().ok()
}

fn run_agent(config: &Path) -> Result<ExitCode, Failure> {
    let Parts { config, identity, policy, instrument } = read(config)?;
    until_stopped(|stop| async move {
        parallax_agent::run(config.settings, identity, instrument, policy, stop)
            .await
            .map_err(|error| Failure::usage("the agent cannot start").because(&error))?;
        Ok(ExitCode::Healthy)
    })
}

fn test(path: &Path, arguments: &AgentArguments, screen: &Screen) -> Result<ExitCode, Failure> {
    let Parts { config, identity, policy, instrument } = read(path)?;
    let (target, output) = (arguments.target.clone(), arguments.output);
    until_stopped(|stop| async move {
        let testing = Box::pin(self_test(&config, identity, policy, instrument, target.as_deref()));
        let Some(seen) = stop.run_until_cancelled(testing).await else {
            return Ok(ExitCode::Interrupted);
        };
        screen.result(&match output {
            AgentOutput::Table => self_test_page(&seen, screen.paint()),
            AgentOutput::Json => self_test_json(&seen),
        })?;
        Ok(if seen.trouble.is_some() {
            ExitCode::Unavailable
        } else if seen.is_good() {
            ExitCode::Healthy
        } else {
            ExitCode::Usage
        })
    })
}

fn join_controller(arguments: &AgentJoinArguments, screen: &Screen) -> Result<ExitCode, Failure> {
    let text = read_token(arguments)?;
    let token = JoinToken::read(&text).map_err(|error| Failure::usage(error.to_string()))?;
    let host = arguments.controller.rsplit_once(':').map_or("", |it| it.0);
    let proxy = arguments.proxy.as_deref().map(|it| ProxyChoice::read(it, host, &variable));
    let request = JoinRequest {
        controller: arguments.controller.clone(),
        server_name: arguments.server_name.clone(),
        token,
        folder: arguments.folder.clone(),
        proxy: proxy.transpose().map_err(|error| Failure::usage(format!("`--proxy`: {error}")))?,
        hosts: arguments.hosts.clone(),
        replace: arguments.replace,
    };
    until_stopped(|stop| async move {
        let Some(joined) = stop.run_until_cancelled(Box::pin(join(&request))).await else {
            return Ok(ExitCode::Interrupted);
        };
        let joined = joined.map_err(|error| not_joined(&error))?;
        screen.result(&joined_page(&joined, &request.folder, screen.paint()))?;
        Ok(ExitCode::Healthy)
    })
}

fn not_joined(error: &JoinError) -> Failure {
    match error {
        JoinError::Trouble(_) | JoinError::Key(_) => {
            Failure::unavailable("this agent did not join; nothing was written").because(error)
        }
        JoinError::Wrong { .. } | JoinError::Used { .. } | JoinError::Running { .. } => {
            Failure::usage("this agent did not join; nothing was written").because(error)
        }
        // Perhaps in the middle; then the agent says so when it starts.
        JoinError::Folder { .. } => Failure::usage("this agent did not join").because(error),
    }
}

fn read_token(arguments: &AgentJoinArguments) -> Result<String, Failure> {
    let first_line = |reader: &mut dyn Read, from: &str| {
        let mut bytes = Vec::new();
        reader.take(TOKEN_BYTES_MAX).read_to_end(&mut bytes).map_err(|error| {
            Failure::usage(format!("cannot read the token from {from}")).because(&error)
        })?;
        let line = bytes.split(|it| matches!(it, b'\n' | b'\r')).next().unwrap_or_default();
        Ok(String::from_utf8_lossy(line).into_owned())
    };
    match (&arguments.token, &arguments.token_file) {
        (Some(token), _) => Ok(token.clone()),
        (None, Some(path)) => {
            let shown = path.display().to_string();
            let mut file = File::open(path).map_err(|error| {
                Failure::usage(format!("cannot read the token from {shown}")).because(&error)
            })?;
            first_line(&mut file, &shown)
        }
        (None, None) if io::stdin().is_terminal() => Err(Failure::usage("there is no token")
            .hint("Give --token-file FILE, or the token on stdin.")),
        (None, None) => first_line(&mut io::stdin().lock(), "stdin"),
    }
}
