//! `parallax world …`: what may be typed.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub(crate) enum WorldCommand {
    /// Play worlds with real listeners and agents, and grade what the product says of them
    #[command(after_help = "\
Examples:
  parallax world check tests/worlds
  parallax world check tests/worlds/x01-seed.json --output json
  parallax world check tests/worlds --output faults

Exit codes:
  0 all right   1 not all right   2 a file cannot be read")]
    Check(WorldCheckArguments),
}

#[derive(Args, Debug)]
pub(crate) struct WorldCheckArguments {
    /// World files, or folders with them
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// In which form the grades come, on stdout
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    pub output: WorldOutput,
}

/// In which form the grades come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WorldOutput {
    /// For people
    Table,
    /// One JSON object
    Json,
    /// Every fault of the catalogue with its worlds, its look-alikes and the standing it was reached with
    Faults,
}
