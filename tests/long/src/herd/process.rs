//! A process of this program that is measured from outside: started, killed or let end, and its memory read.
//!
//! INVARIANT: a process ends with its owner, at the latest: it is killed when dropped, and ends by itself when its input does.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// Descriptors that 10,000 agents and the rest of a process need.
const DESCRIPTORS_MIN: u64 = 10_500;

/// Lets this process open as many descriptors as it may.
pub(crate) fn raise_descriptors() -> Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(())
}

/// Whether this process may hold so many connections.
pub(crate) fn check_descriptors(connections: usize) -> Result<()> {
    let may = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let needed = u64::try_from(connections)?.saturating_add(500).min(DESCRIPTORS_MIN);
    ensure!(
        may >= needed,
        "{needed} descriptors are needed and {may} allowed: ulimit -Hn {needed}"
    );
    Ok(())
}

/// Memory of a process, in KiB.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    pub now_kib: u64,
    pub peak_kib: u64,
}

pub(crate) struct Process {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
    input: Option<ChildStdin>,
}

impl Process {
    /// Starts this program with these words.
    pub(crate) fn start(words: &[String]) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let said = BufReader::new(child.stdout.take().context("no output")?).lines();
        let input = child.stdin.take();
        Ok(Self { child, said, input })
    }

    /// What it says next.
    pub(crate) async fn line(&mut self, limit: Duration) -> Result<String> {
        let line = timeout(limit, self.said.next_line()).await.context("it says nothing")??;
        line.context("it ended")
    }

    /// Ends it at once, as a failing machine would.
    pub(crate) async fn kill(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Lets it end by itself.
    pub(crate) async fn end(mut self, limit: Duration) -> Result<()> {
        drop(self.input.take());
        let status = timeout(limit, self.child.wait()).await.context("it does not end")??;
        ensure!(status.success(), "it ended with {status}");
        Ok(())
    }

    pub(crate) fn memory(&self) -> Result<Memory> {
        let id = self.child.id().context("it ended")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let figure = |name: &str| -> Result<u64> {
            let line = status.lines().find_map(|it| it.strip_prefix(name));
            let number = line.and_then(|it| it.trim().strip_suffix("kB"));
            Ok(number.context("not told by the kernel")?.trim().parse()?)
        };
        Ok(Memory { now_kib: figure("VmRSS:")?, peak_kib: figure("VmHWM:")? })
    }
}
