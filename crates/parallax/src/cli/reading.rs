//! Commands that look at what is there: `plan`, `watch`, `get`, `list`, `cancel`, `explain`, `demo`.

use clap::Args;

use super::{ConnectionArguments, FailOn, LanguageArgument, OutputArgument};

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  parallax demo --once               print the result and end with its exit code
  parallax demo                      keep running and print what to try")]
pub(crate) struct DemoArguments {
    /// Print the result and end with its exit code
    #[arg(long)]
    pub once: bool,
    #[command(flatten)]
    pub output: OutputArgument,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  parallax plan mail")]
pub(crate) struct PlanArguments {
    /// The target, as `mail` or `targets/mail`
    pub target: String,
    /// Plan without any credential
    #[arg(long)]
    pub anonymous_only: bool,
    #[command(flatten)]
    pub connection: ConnectionArguments,
    #[command(flatten)]
    pub output: OutputArgument,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  parallax watch diagnoses/01890a5d-ac96-774b-bcce-b302099a8057")]
pub(crate) struct WatchArguments {
    /// The diagnosis, as `diagnoses/{id}` or its id
    pub diagnosis: String,
    /// From which standing on a fault makes exit code 1; one below makes 3
    #[arg(long, value_name = "STANDING", default_value = "likely")]
    pub fail_on: FailOn,
    #[command(flatten)]
    pub connection: ConnectionArguments,
    #[command(flatten)]
    pub output: OutputArgument,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  parallax get diagnoses/01890a5d-ac96-774b-bcce-b302099a8057 --lang ja"
)]
pub(crate) struct GetArguments {
    /// The diagnosis, as `diagnoses/{id}` or its id
    pub diagnosis: String,
    #[command(flatten)]
    pub connection: ConnectionArguments,
    #[command(flatten)]
    pub output: OutputArgument,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  parallax list\n  parallax list --target mail --limit 5 --output ndjson"
)]
pub(crate) struct ListArguments {
    /// Only those of this target
    #[arg(long, value_name = "TARGET")]
    pub target: Option<String>,
    /// At most this many, newest first
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    pub limit: u16,
    #[command(flatten)]
    pub connection: ConnectionArguments,
    #[command(flatten)]
    pub output: OutputArgument,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  parallax cancel diagnoses/01890a5d-ac96-774b-bcce-b302099a8057"
)]
pub(crate) struct CancelArguments {
    /// The diagnosis, as `diagnoses/{id}` or its id
    pub diagnosis: String,
    #[command(flatten)]
    pub connection: ConnectionArguments,
    #[command(flatten)]
    pub language: LanguageArgument,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  parallax explain\n  parallax explain e2003_be_iwa_missing --lang ja"
)]
pub(crate) struct ExplainArguments {
    /// The fault's id, as a diagnosis names it; nothing: list all
    pub fault: Option<String>,
    #[command(flatten)]
    pub output: OutputArgument,
}
