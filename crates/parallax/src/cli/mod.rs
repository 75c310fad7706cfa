//! What may be typed: commands, options and their help.
//!
//! Absent on purpose: doing anything. Names, numbers and durations are read here; whether they fit together is for the
//! command to say.
//!
//! INVARIANT: no option takes a secret, save a join token, which is good once and for 10 min.

#[cfg(feature = "full")]
mod account;
mod agent;
#[cfg(feature = "full")]
mod connection;
#[cfg(feature = "full")]
mod controller;
#[cfg(feature = "full")]
mod diagnose;
#[cfg(feature = "full")]
mod duration;
#[cfg(feature = "full")]
mod fleet;
#[cfg(feature = "full")]
mod reading;
#[cfg(feature = "full")]
mod target;
#[cfg(feature = "full")]
mod world;

#[cfg(feature = "full")]
pub(crate) use self::{
    account::{
        AccountAddArguments, AccountCommand, AccountRotateArguments, MailboxChoice,
        SecretArguments, ThresholdChoice,
    },
    connection::{ConnectionArguments, LanguageArgument, OutputArgument, OutputFormat},
    controller::{ControllerCommand, ControllerInitArguments, ControllerRunArguments},
    diagnose::{DiagnoseArguments, FailOn, TrustChoice, UrlArguments, ZoneChoice},
    fleet::{FleetAgentArguments, FleetCommand, FleetTokenArguments},
    reading::{
        CancelArguments, DemoArguments, ExplainArguments, GetArguments, ListArguments,
        PlanArguments, WatchArguments,
    },
    target::{TargetApplyArguments, TargetCommand, TargetNameArguments},
    world::{WorldCheckArguments, WorldCommand, WorldOutput},
};
pub(crate) use agent::{AgentArguments, AgentCommand, AgentJoinArguments, AgentOutput};

use clap::{Args, Parser, Subcommand, ValueEnum};

/// A language of headings and texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// English
    #[default]
    En,
    /// Japanese (日本語)
    Ja,
}

const LONG_ABOUT: &str = "\
Parallax tells why Exchange ActiveSync OPTIONS fails, and whose box to fix, by looking at the same service from several
places at once. Agents in several network locations probe it, a controller compares what they saw, and one diagnosis
comes back: the cause, the evidence, what was ruled out, the steps that fix it, and how to verify them.";

#[cfg(feature = "full")]
const EXAMPLES: &str = "\
Examples:
  parallax demo --once                          the whole product on a simulated network, no server needed
  parallax diagnose https://mail.example.org    look at one URL from this machine, without credentials
  parallax controller init --data-folder /var/lib/parallax
  parallax controller --config /etc/parallax/controller.toml
  parallax fleet token ext --zone external      what to run on the machine of a new agent
  parallax target apply -f mail.toml
  parallax account add anna --directory corp --upn anna@example.org --lockout-threshold 10 --lockout-window 30m
  parallax diagnose mail                        diagnose a registered target from every vantage
  parallax explain e2003_be_iwa_missing --lang ja

Exit codes:
  0 healthy   1 a fault   2 usage or settings   3 undetermined   4 not permitted   5 service unavailable   130 Ctrl-C";

#[cfg(not(feature = "full"))]
const EXAMPLES: &str = "\
Examples:
  parallax agent join --controller parallax.corp.example:7444 --token-file token --folder /etc/parallax
  parallax agent run --config /etc/parallax/agent.toml

Exit codes:
  0 stopped as asked   2 usage or settings   5 failed   130 Ctrl-C twice";

/// Why Exchange ActiveSync OPTIONS fails, and whose box to fix
#[derive(Debug, Parser)]
#[command(
    name = "parallax",
    version,
    long_about = LONG_ABOUT,
    after_help = EXAMPLES,
    propagate_version = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub log: LogArguments,
    #[command(subcommand)]
    pub command: Command,
}

/// Options of the process's own log, which goes to stderr.
#[derive(Args, Clone, Debug)]
pub(crate) struct LogArguments {
    /// What is logged to stderr: a level, or levels by module
    ///
    /// As `info` or `warn,parallax_agent=debug`. Services log `info` if nothing is said, other commands `error`.
    #[arg(
        long,
        global = true,
        env = "PARALLAX_LOG",
        hide_env_values = true,
        value_name = "FILTER",
        help_heading = "Log"
    )]
    pub log: Option<String>,
    /// How a log line looks
    #[arg(
        long,
        global = true,
        env = "PARALLAX_LOG_FORMAT",
        hide_env_values = true,
        value_name = "FORMAT",
        default_value = "text",
        help_heading = "Log"
    )]
    pub log_format: LogFormatChoice,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormatChoice {
    /// One readable line
    Text,
    /// One JSON object a line
    Json,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the product at work on a simulated network, on this machine alone
    #[cfg(feature = "full")]
    Demo(DemoArguments),
    /// Run the controller, or set one up
    #[cfg(feature = "full")]
    Controller(ControllerRunArguments),
    /// Have an agent join a controller, run it, or see what it can see
    Agent(AgentArguments),
    /// Let agents join, list them, drain them and shut them out
    #[cfg(feature = "full")]
    Fleet {
        #[command(subcommand)]
        command: FleetCommand,
    },
    /// Register, list and delete targets: the services to be diagnosed
    #[cfg(feature = "full")]
    Target {
        #[command(subcommand)]
        command: TargetCommand,
    },
    /// Register, rotate, release, list and delete test accounts
    #[cfg(feature = "full")]
    Account {
        #[command(subcommand)]
        command: AccountCommand,
    },
    /// Show what a diagnosis would ask and what it may cost, and ask nothing
    #[cfg(feature = "full")]
    Plan(PlanArguments),
    /// Find out why OPTIONS fails, and whose box to fix
    #[cfg(feature = "full")]
    Diagnose(DiagnoseArguments),
    /// Follow a diagnosis that runs, then show its result
    #[cfg(feature = "full")]
    Watch(WatchArguments),
    /// Show a diagnosis as it stands
    #[cfg(feature = "full")]
    Get(GetArguments),
    /// List diagnoses, newest first
    #[cfg(feature = "full")]
    List(ListArguments),
    /// End a diagnosis; its agents stop
    #[cfg(feature = "full")]
    Cancel(CancelArguments),
    /// Show the manual page of a fault, or list all faults; works offline
    #[cfg(feature = "full")]
    Explain(ExplainArguments),
    /// Play simulated networks from data files
    #[cfg(feature = "full")]
    World {
        #[command(subcommand)]
        command: WorldCommand,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    /// Every command and option has a help text, so that the long help is complete.
    #[test]
    fn everything_is_explained() {
        fn walk(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            assert!(command.get_about().is_some(), "{path} has no text");
            for argument in command.get_arguments().filter(|it| !it.is_hide_set()) {
                assert!(argument.get_help().is_some(), "{path} {} has no text", argument.get_id());
            }
            for inner in command.get_subcommands() {
                walk(inner, &path);
            }
        }
        walk(&Cli::command(), "");
    }

    #[cfg(feature = "full")]
    #[test]
    fn no_option_takes_a_secret() {
        for wrong in ["--secret", "--password", "--token"] {
            let tried = Cli::try_parse_from([
                "parallax",
                "account",
                "add",
                "anna",
                "--directory",
                "corp",
                "--upn",
                "a@b",
                wrong,
                "x",
            ]);
            assert!(tried.is_err(), "{wrong}");
        }
    }
}
