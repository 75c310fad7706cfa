//! The process's log: to stderr, as text or as one JSON object a line, filtered by level and module.
//!
//! INVARIANT: stdout belongs to results. Log lines never go there.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::util::TryInitError;

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    #[error(
        "`{filter}` is no log filter; give a level, as `info`, or levels by module, as `info,parallax_agent=debug`"
    )]
    Filter {
        filter: String,
        #[source]
        source: ParseError,
    },
    #[error("logging was started before")]
    Started(#[source] TryInitError),
}

/// Starts the log of this process; once. The filter is that of `RUST_LOG`, as `info,parallax_agent=debug`.
pub fn start_logging(filter: &str, format: LogFormat) -> Result<(), LoggingError> {
    use tracing_subscriber::util::SubscriberInitExt as _;
    let levels = EnvFilter::try_new(filter)
        .map_err(|source| LoggingError::Filter { filter: filter.to_owned(), source })?;
    let lines = tracing_subscriber::fmt().with_env_filter(levels).with_writer(io::stderr);
    let started = match format {
        LogFormat::Text => {
            let with_colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            lines.with_ansi(with_colour).finish().try_init()
        }
        LogFormat::Json => lines.json().flatten_event(true).finish().try_init(),
    };
    started.map_err(LoggingError::Started)
}
