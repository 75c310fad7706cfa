//! How a process is asked to stop: SIGINT (Ctrl-C) and SIGTERM.
//!
//! The first signal cancels a token, and whoever holds it winds down. The second one does not wait any longer.

use std::io;

use tokio_util::sync::CancellationToken;

/// Which signal came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT, or Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

/// How [`run_until_signalled`] came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended<T> {
    /// The work ended by itself.
    Done(T),
    /// The work wound down after this signal.
    Stopped(Signal, T),
    /// A second signal came before the work had wound down; it was dropped.
    Forced(Signal),
}

/// Runs the work; the first signal cancels its token, the second one drops it. Errors: signals cannot be listened to.
pub async fn run_until_signalled<F: Future>(
    work: impl FnOnce(CancellationToken) -> F,
) -> io::Result<Ended<F::Output>> {
    let mut signals = Signals::listen()?;
    let stop = CancellationToken::new();
    let work = work(stop.clone());
    tokio::pin!(work);
    let first = tokio::select! {
        output = &mut work => return Ok(Ended::Done(output)),
        signal = signals.next() => signal,
    };
    tracing::info!(signal = ?first, "stopping");
    stop.cancel();
    tokio::select! {
        output = &mut work => Ok(Ended::Stopped(first, output)),
        second = signals.next() => Ok(Ended::Forced(second)),
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Cancel-safe.
    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
        }
    }
}

#[cfg(windows)]
struct Signals {
    interrupt: tokio::signal::windows::CtrlC,
    terminate: tokio::signal::windows::CtrlShutdown,
}

#[cfg(windows)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::windows::{ctrl_c, ctrl_shutdown};
        Ok(Self { interrupt: ctrl_c()?, terminate: ctrl_shutdown()? })
    }

    /// Cancel-safe.
    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    fn signal_ourselves(name: &str) {
        let us = std::process::id().to_string();
        let sent = std::process::Command::new("kill").args([name, &us]).status().expect("kill");
        assert!(sent.success());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn the_first_signal_cancels_and_the_second_forces() {
        let ended = run_until_signalled(|_stop| async { 7 }).await.expect("signals");
        assert_eq!(ended, Ended::Done(7));
        let ended = run_until_signalled(|stop| async move {
            signal_ourselves("-TERM");
            stop.cancelled().await;
            7
        });
        assert_eq!(ended.await.expect("signals"), Ended::Stopped(Signal::Terminate, 7));
        let ended = run_until_signalled(|stop| async move {
            signal_ourselves("-INT");
            stop.cancelled().await;
            signal_ourselves("-INT");
            std::future::pending::<()>().await;
        });
        assert_eq!(ended.await.expect("signals"), Ended::Forced(Signal::Interrupt));
    }
}
