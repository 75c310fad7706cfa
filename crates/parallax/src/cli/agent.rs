//! `parallax agent …`: what may be typed.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true,
    after_help = "\
Examples:
  parallax agent join --controller parallax.corp.example:7444 --token-file token --folder /etc/parallax
  parallax agent --self-test --config /etc/parallax/agent.toml
  parallax agent run --config /etc/parallax/agent.toml

Exit codes of --self-test:
  0 all good   2 settings, or something else to be put right   5 the controller cannot be reached"
)]
pub(crate) struct AgentArguments {
    #[command(subcommand)]
    pub command: Option<AgentCommand>,
    /// Say what this vantage can see, and end: identity, policy, name servers, clock, the way to the controller, a target
    ///
    /// A running agent is not disturbed. Nothing is asked of the target but one anonymous OPTIONS.
    #[arg(long, requires = "config")]
    pub self_test: bool,
    /// The agent's settings, TOML
    #[arg(long, env = "PARALLAX_AGENT_CONFIG", hide_env_values = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Look at this instead of the policy's first host; the policy has to permit it
    #[arg(long, value_name = "URL", requires = "self_test")]
    pub target: Option<String>,
    /// In which form the self-test comes, on stdout
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    pub output: AgentOutput,
}

impl AgentArguments {
    /// Whether it serves until it is stopped.
    pub(crate) fn is_service(&self) -> bool {
        matches!(self.command, Some(AgentCommand::Run(_)))
    }
}

/// In which form a self-test comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AgentOutput {
    /// For people
    Table,
    /// One JSON document
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Join a controller: get a certificate for a token, and write what the agent needs into a folder
    ///
    /// The token comes from `parallax fleet token` on the controller's side. It is good for one agent and 10 min, and it
    /// names the controller's authority: nothing is sent to anybody else, no proxy that inspects TLS included.
    #[command(after_help = "\
Examples:
  parallax agent join --controller parallax.corp.example:7444 --token-file token --folder /etc/parallax
  parallax agent join --controller parallax.corp.example:7444 --host mail.corp.example < token")]
    Join(AgentJoinArguments),
    /// Run the agent of one vantage until it is stopped
    ///
    /// The agent calls the controller, never the other way round, and probes only what its own policy allows. After
    /// SIGTERM it ends what is in hand, for at most 30 s; after a second one at once.
    #[command(after_help = "Example:\n  parallax agent run --config /etc/parallax/agent.toml")]
    Run(AgentRunArguments),
}

#[derive(Args, Debug)]
pub(crate) struct AgentJoinArguments {
    /// The controller's agent port
    #[arg(long, value_name = "HOST:PORT")]
    pub controller: String,
    /// The token itself; others on this machine may see it here, so better give it in a file or on stdin
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file")]
    pub token: Option<String>,
    /// Read the token from this file, first line; without both, from stdin
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Name in the controller's certificate, if it is not the host of --controller
    #[arg(long, value_name = "NAME")]
    pub server_name: Option<String>,
    /// Where settings, identity and policy are written; made if it is not there
    #[arg(long, value_name = "FOLDER", default_value = "/etc/parallax")]
    pub folder: PathBuf,
    /// The HTTP proxy to the controller, as http://host:port, or `environment` for what `https_proxy` says
    ///
    /// One that wants a password is better named by `environment` here; the settings file is then for its owner alone.
    #[arg(long, value_name = "URL")]
    pub proxy: Option<String>,
    /// A host that may be probed, for the policy that is written; several times for several
    #[arg(long = "host", value_name = "NAME")]
    pub hosts: Vec<String>,
    /// Take the place of the agent that joined in this folder before
    ///
    /// Its policy stays. Its results stay if it is the same agent with the same controller; else they are set aside.
    #[arg(long)]
    pub replace: bool,
}

#[derive(Args, Debug)]
pub(crate) struct AgentRunArguments {
    /// The agent's settings, TOML
    #[arg(long, env = "PARALLAX_AGENT_CONFIG", hide_env_values = true, value_name = "FILE")]
    pub config: PathBuf,
}
