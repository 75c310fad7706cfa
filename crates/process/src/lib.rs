//! What every process does at start and stop: settings, logging, signals, exit codes, and what is said of a panic.
//!
//! Absent on purpose: any particular setting. Each program owns its own; here they are only layered, read and refused.
//!
//! INVARIANT: a mistake in the settings ends the process before it does anything, and all mistakes are told at once.
//! INVARIANT: nothing here prints a value that a program did not ask to print; a panic's formatted text least of all.

mod exit;
mod logging;
mod panics;
mod settings;
mod signals;

pub use exit::ExitCode;
pub use logging::{LogFormat, LoggingError, start_logging};
pub use panics::report_panics;
pub use settings::{Layers, Mistake, Mistakes, SettingsError, read_settings};
pub use signals::{Ended, Signal, run_until_signalled};
