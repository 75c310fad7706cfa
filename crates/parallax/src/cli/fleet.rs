//! `parallax fleet …`: what may be typed.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::duration::read_duration;
use super::{ConnectionArguments, OutputArgument, ZoneChoice};

#[derive(Debug, Subcommand)]
pub(crate) enum FleetCommand {
    /// Make a token with which one agent joins once, and show what to run on its machine
    #[command(after_help = "\
Examples:
  parallax fleet token ext --zone external --site berlin
  parallax fleet token hq-dmz --zone dmz --ttl 1h --agent-address parallax.example.org:7444

The token is shown once and kept nowhere: whoever has it first becomes the agent. It is good for one machine.")]
    Token(FleetTokenArguments),
    /// List all agents: where they stand, whether they are connected, what to know of them
    List {
        #[command(flatten)]
        connection: ConnectionArguments,
        #[command(flatten)]
        output: OutputArgument,
    },
    /// Give an agent nothing new, as before maintenance; what it holds it finishes
    Drain(FleetAgentArguments),
    /// End a drain
    Resume(FleetAgentArguments),
    /// Shut an agent out at once: its stream is cut, its certificate and key are worth nothing any more
    #[command(
        after_help = "Example:\n  parallax fleet ban ext --reason 'the machine was stolen'\n\nTo let a machine back in, \
                      remove the agent and make a new token."
    )]
    Ban {
        /// Why, for those who come after; kept in the audit and told to the agent
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        agent: FleetAgentArguments,
    },
    /// Take an agent off the register; its stream is cut
    Remove(FleetAgentArguments),
}

#[derive(Args, Debug)]
pub(crate) struct FleetAgentArguments {
    /// The agent, as `ext` or `agents/ext`
    pub agent: String,
    #[command(flatten)]
    pub connection: ConnectionArguments,
    #[command(flatten)]
    pub output: OutputArgument,
}

#[derive(Args, Debug)]
pub(crate) struct FleetTokenArguments {
    /// The agent's name, which is its vantage's: 1 to 63 of a-z, 0-9 and -
    pub agent: String,
    /// Where it stands
    #[arg(long, value_name = "ZONE")]
    pub zone: ZoneChoice,
    /// The site, in your own words
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub site: String,
    /// How long the token holds: 1m to 24h
    #[arg(long, value_name = "DURATION", value_parser = read_duration, default_value = "10m")]
    pub ttl: Duration,
    /// Let it take the place of an agent that is registered under this name
    #[arg(long)]
    pub replace: bool,
    /// `host:port` under which the agent reaches the controller; if nothing is said, the host of --server and port 7444
    #[arg(long, value_name = "HOST:PORT")]
    pub agent_address: Option<String>,
    /// Check only; no token is made
    #[arg(long)]
    pub validate_only: bool,
    #[command(flatten)]
    pub connection: ConnectionArguments,
    #[command(flatten)]
    pub output: OutputArgument,
}
