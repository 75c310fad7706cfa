//! `parallax controller …`: what may be typed.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use parallax_controller::authority::read_vantage;
use parallax_model::Vantage;

#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  parallax controller init --data-folder /var/lib/parallax --vantage ext:external:berlin --vantage hq:internal:hq
  parallax controller --config /etc/parallax/controller.toml

Every setting may also stand in the environment, as PARALLAX_CONTROLLER_DATA_FOLDER."
)]
pub(crate) struct ControllerRunArguments {
    #[command(subcommand)]
    pub command: Option<ControllerCommand>,
    /// The controller's settings, TOML
    #[arg(long, env = "PARALLAX_CONTROLLER_CONFIG", hide_env_values = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where everything that lasts is kept; wins over the settings file
    #[arg(long, value_name = "FOLDER")]
    pub data_folder: Option<PathBuf>,
    /// `address:port` of the API; wins over the settings file
    #[arg(long, value_name = "ADDRESS")]
    pub api_listen: Option<String>,
    /// `address:port` of the agent port; wins over the settings file
    #[arg(long, value_name = "ADDRESS")]
    pub agent_listen: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ControllerCommand {
    /// Make what a controller needs: authority, API token, and a certificate per agent
    ///
    /// Run again, it keeps authority and token, and adds the vantages named. The controller must not be running.
    #[command(after_help = "\
Example:
  parallax controller init --data-folder /var/lib/parallax \\
      --vantage ext:external:berlin --vantage dmz:dmz:hq --vantage hq:internal:hq --vantage be:backend:hq

Carry each agent's files from FOLDER/agents, and FOLDER/agent-ca.pem, to its machine.")]
    Init(ControllerInitArguments),
}

#[derive(Args, Debug)]
pub(crate) struct ControllerInitArguments {
    /// The controller's data folder; made if it is not there
    #[arg(long, value_name = "FOLDER")]
    pub data_folder: PathBuf,
    /// A vantage that gets an agent: its name, its zone (external, dmz, internal, backend) and its site
    #[arg(long = "vantage", value_name = "NAME:ZONE:SITE", value_parser = read_vantage)]
    pub vantages: Vec<Vantage>,
    /// Give agents that are registered already a new certificate; the one before is worth nothing then
    #[arg(long)]
    pub replace: bool,
    /// Where the API's token is written; `token` in the data folder if nothing is said
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}
