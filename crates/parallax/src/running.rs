//! How a command runs: one runtime, and an end to it when a signal comes.
//!
//! INVARIANT: the process ends within [`SHUTDOWN_LIMIT`] of the end of its command, whatever still hangs.

use std::time::Duration;

use parallax_process::{Ended, ExitCode, run_until_signalled};
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// For what still runs on threads of the runtime when the command has ended.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(2);

/// Runs a command that winds down by itself when the token is cancelled.
pub(crate) fn until_stopped<F>(
    work: impl FnOnce(CancellationToken) -> F,
) -> Result<ExitCode, Failure>
where
    F: Future<Output = Result<ExitCode, Failure>>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime
        .map_err(|error| Failure::unavailable("cannot start the runtime").because(&error))?;
    let ended = runtime.block_on(run_until_signalled(work));
    runtime.shutdown_timeout(SHUTDOWN_LIMIT);
    match ended {
        Ok(Ended::Done(result) | Ended::Stopped(_, result)) => result,
        Ok(Ended::Forced(_)) => Ok(ExitCode::Interrupted),
        Err(error) => Err(Failure::unavailable("cannot listen for signals").because(&error)),
    }
}

/// Runs a command that may be dropped at any point.
#[cfg(feature = "full")]
pub(crate) fn until_interrupted<F>(work: F) -> Result<ExitCode, Failure>
where
    F: Future<Output = Result<ExitCode, Failure>>,
{
    until_stopped(|stop| async move {
        stop.run_until_cancelled(work).await.unwrap_or(Ok(ExitCode::Interrupted))
    })
}
