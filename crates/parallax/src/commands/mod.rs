//! What each command does, one file per command.
//!
//! A command returns the code the process ends with, or a [`Failure`] that is told here, once. Absent on purpose:
//! printing (`render` does) and what may be typed (`cli`).

mod agent;

#[cfg(feature = "full")]
mod account;
#[cfg(feature = "full")]
mod cancel;
#[cfg(feature = "full")]
mod controller;
#[cfg(feature = "full")]
mod demo;
#[cfg(feature = "full")]
mod diagnose;
#[cfg(feature = "full")]
mod explain;
#[cfg(feature = "full")]
mod fleet;
#[cfg(feature = "full")]
mod get;
#[cfg(feature = "full")]
mod list;
#[cfg(feature = "full")]
mod plan;
#[cfg(feature = "full")]
mod target;
#[cfg(feature = "full")]
mod watch;
#[cfg(feature = "full")]
mod world;

#[cfg(feature = "full")]
pub(crate) use account::lockout_policy;
#[cfg(feature = "full")]
pub(crate) use diagnose::start as start_diagnosis;
use parallax_process::{ExitCode, LogFormat, SettingsError, start_logging};

use crate::cli::{Cli, Command, LogArguments, LogFormatChoice};
use crate::failure::{Failure, WrongField};
use crate::render::Screen;

/// Does what was typed and tells why not, if not.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let screen = Screen::detect();
    let done = log(&cli.log, &cli.command).and_then(|()| dispatch(cli.command, &screen));
    done.unwrap_or_else(|failure| {
        screen.failure(&failure);
        failure.code
    })
}

fn log(arguments: &LogArguments, command: &Command) -> Result<(), Failure> {
    let filter =
        arguments.log.as_deref().unwrap_or(if is_service(command) { "info" } else { "error" });
    let format = match arguments.log_format {
        LogFormatChoice::Text => LogFormat::Text,
        LogFormatChoice::Json => LogFormat::Json,
    };
    start_logging(filter, format).map_err(|error| Failure::usage(error.to_string()))
}

/// Whether a command serves until it is stopped, so that its log is what people read.
fn is_service(command: &Command) -> bool {
    match command {
        Command::Agent(arguments) => arguments.is_service(),
        #[cfg(feature = "full")]
        Command::Controller(arguments) => arguments.command.is_none(),
        #[cfg(feature = "full")]
        Command::Demo(_)
        | Command::Fleet { .. }
        | Command::Target { .. }
        | Command::Account { .. }
        | Command::Plan(_)
        | Command::Diagnose(_)
        | Command::Watch(_)
        | Command::Get(_)
        | Command::List(_)
        | Command::Cancel(_)
        | Command::Explain(_)
        | Command::World { .. } => false,
    }
}

fn dispatch(command: Command, screen: &Screen) -> Result<ExitCode, Failure> {
    match command {
        Command::Agent(arguments) => agent::run(arguments, screen),
        #[cfg(feature = "full")]
        Command::Demo(arguments) => demo::run(&arguments, screen),
        #[cfg(feature = "full")]
        Command::Controller(arguments) => controller::run(arguments, screen),
        #[cfg(feature = "full")]
        Command::Fleet { command } => fleet::run(command, screen),
        #[cfg(feature = "full")]
        Command::Target { command } => target::run(command, screen),
        #[cfg(feature = "full")]
        Command::Account { command } => account::run(command, screen),
        #[cfg(feature = "full")]
        Command::Plan(arguments) => plan::run(&arguments, screen),
        #[cfg(feature = "full")]
        Command::Diagnose(arguments) => diagnose::run(&arguments, screen),
        #[cfg(feature = "full")]
        Command::Watch(arguments) => watch::run(&arguments, screen),
        #[cfg(feature = "full")]
        Command::Get(arguments) => get::run(&arguments, screen),
        #[cfg(feature = "full")]
        Command::List(arguments) => list::run(&arguments, screen),
        #[cfg(feature = "full")]
        Command::Cancel(arguments) => cancel::run(&arguments, screen),
        #[cfg(feature = "full")]
        Command::Explain(arguments) => explain::run(&arguments, screen),
        #[cfg(feature = "full")]
        Command::World { command } => world::run(command, screen),
    }
}

/// The environment without variables that stand for options of the command line.
fn environment_without(names: &[&str]) -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| !names.contains(&name.as_str()))
        .collect()
}

/// All mistakes of the settings at once, each with its field.
fn wrong_settings(error: &SettingsError) -> Failure {
    match error {
        SettingsError::Mistakes(mistakes) => {
            let fields = mistakes
                .clone()
                .into_iter()
                .map(|it| WrongField { field: it.field, text: it.description })
                .collect();
            Failure::usage("the settings have mistakes; nothing was started").fields(fields)
        }
        SettingsError::Unreadable { .. } | SettingsError::NotToml { .. } => {
            let mut failure = Failure::usage(error.to_string());
            if let Some(cause) = std::error::Error::source(error) {
                failure = failure.because(cause);
            }
            failure
        }
    }
}

/// The API's tag of a language.
#[cfg(feature = "full")]
pub(crate) fn language_tag(language: crate::cli::Language) -> &'static str {
    match language {
        crate::cli::Language::En => "en",
        crate::cli::Language::Ja => "ja",
    }
}

/// Shows messages of a list: as a table, as one JSON array, or one a line.
#[cfg(feature = "full")]
fn show_list<T: serde::Serialize>(
    screen: &Screen,
    output: crate::cli::OutputFormat,
    messages: &[T],
    table: impl FnOnce(&[T]) -> String,
) -> Result<(), Failure> {
    use crate::cli::OutputFormat;
    use crate::render::{compact, pretty};
    match output {
        OutputFormat::Table => screen.result(&table(messages)),
        OutputFormat::Json => screen.result(&pretty(&messages)?),
        OutputFormat::Ndjson => {
            messages.iter().try_for_each(|message| screen.result(&compact(message)?))
        }
    }
}

/// Shows one message: as a page, or as JSON.
#[cfg(feature = "full")]
fn show_one<T: serde::Serialize>(
    screen: &Screen,
    output: crate::cli::OutputFormat,
    message: &T,
    page: impl FnOnce(&T) -> String,
) -> Result<(), Failure> {
    use crate::cli::OutputFormat;
    use crate::render::{compact, pretty};
    match output {
        OutputFormat::Table => screen.result(&page(message)),
        OutputFormat::Json => screen.result(&pretty(message)?),
        OutputFormat::Ndjson => screen.result(&compact(message)?),
    }
}
