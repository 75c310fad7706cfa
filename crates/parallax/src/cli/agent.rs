//! `parallax agent …`: what may be typed.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Run the agent of one vantage until it is stopped
    ///
    /// The agent calls the controller, never the other way round, and probes only what its own policy allows.
    #[command(after_help = "Example:\n  parallax agent run --config /etc/parallax/agent.toml")]
    Run(AgentRunArguments),
}

#[derive(Args, Debug)]
pub(crate) struct AgentRunArguments {
    /// The agent's settings, TOML
    #[arg(long, env = "PARALLAX_AGENT_CONFIG", hide_env_values = true, value_name = "FILE")]
    pub config: PathBuf,
}
