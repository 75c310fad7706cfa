//! `parallax target …`: what may be typed.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{ConnectionArguments, OutputArgument};

const FILE_EXAMPLE: &str = r#"
A target file is JSON or TOML with the field names of the API (parallax.v1.Target):

  name = "targets/mail"

  [[endpoints]]
  name = "published"
  role = "ROLE_EXTERNAL"
  url = "https://mail.example.org/Microsoft-Server-ActiveSync"

  [[endpoints]]
  name = "cas1"
  role = "ROLE_CAS"
  url = "https://mail.example.org/Microsoft-Server-ActiveSync"
  connect = "10.0.1.20"
  generation = "GENERATION_2010"

  [[accounts]]
  account = "accounts/anna"
  purpose = "PURPOSE_SUBJECT"

Examples:
  parallax target apply -f mail.toml
  parallax target get mail --output json | parallax target apply -f -"#;

#[derive(Debug, Subcommand)]
pub(crate) enum TargetCommand {
    /// Register the targets of files, or change them to what the files say
    #[command(after_help = FILE_EXAMPLE)]
    Apply(TargetApplyArguments),
    /// List all targets
    List {
        #[command(flatten)]
        connection: ConnectionArguments,
        #[command(flatten)]
        output: OutputArgument,
    },
    /// Show one target
    Get(TargetNameArguments),
    /// Delete one target; its diagnoses stay
    Delete(TargetNameArguments),
}

#[derive(Args, Debug)]
pub(crate) struct TargetApplyArguments {
    /// JSON or TOML file with one target; `-` for stdin; several are allowed
    #[arg(short, long = "file", required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Check only; nothing is changed
    #[arg(long)]
    pub validate_only: bool,
    #[command(flatten)]
    pub connection: ConnectionArguments,
    #[command(flatten)]
    pub output: OutputArgument,
}

#[derive(Args, Debug)]
pub(crate) struct TargetNameArguments {
    /// The target, as `mail` or `targets/mail`
    pub target: String,
    #[command(flatten)]
    pub connection: ConnectionArguments,
    #[command(flatten)]
    pub output: OutputArgument,
}
