//! `parallax controller …`: what may be typed.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  parallax controller init --data-folder /var/lib/parallax
  parallax controller --config /etc/parallax/controller.toml --check-config
  parallax controller --config /etc/parallax/controller.toml

Every setting may also stand in the environment, as PARALLAX_CONTROLLER_DATA_FOLDER."
)]
pub(crate) struct ControllerRunArguments {
    #[command(subcommand)]
    pub command: Option<ControllerCommand>,
    /// Look at settings, keys, certificates, token, modes and schema, say everything that is wrong, and end: 0 right, 2 not
    ///
    /// Changes nothing and opens no port; may be asked while a controller runs. Ask as the user that will run it.
    #[arg(long)]
    pub check_config: bool,
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
    /// Make what a controller needs: its data folder, the authority of the agent port, and the API's token
    ///
    /// Run again, it keeps what is there. Agents join later: see `parallax fleet token --help`.
    #[command(after_help = "Example:\n  parallax controller init --data-folder /var/lib/parallax")]
    Init(ControllerInitArguments),
}

#[derive(Args, Debug)]
pub(crate) struct ControllerInitArguments {
    /// The controller's data folder; made if it is not there
    #[arg(long, value_name = "FOLDER")]
    pub data_folder: PathBuf,
    /// Where the API's token is written; `token` in the data folder if nothing is said
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}
