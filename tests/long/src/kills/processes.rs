//! Starting, killing and looking after the processes.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::children::{AGENT, CONTROLLER};
use super::network::Stage;

/// Points of the controller's way.
pub(super) const CONTROLLER_POINTS: [&str; 19] = [
    "store.commit.before",
    "store.commit.after",
    "store.append.before",
    "store.append.after",
    "store.companion.before",
    "store.companion.after",
    "create.committed",
    "round.begun",
    "round.offer.before",
    "round.ended",
    "result.acknowledge.before",
    "late.acknowledge.before",
    "finish.before",
    "finish.after",
    "reserve.after",
    "start.before",
    "go.before",
    "settle.before",
    "settle.after",
];

/// Points of an agent's way.
pub(super) const AGENT_POINTS: [&str; 7] = [
    "task.accepted",
    "begin.before",
    "send.before",
    "send.after",
    "spool.before",
    "spool.after",
    "acknowledge.before",
];

/// A process that may die by itself, at the point it was started with.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    pub(super) started: Instant,
    pub(super) point: Option<&'static str>,
}

impl Process {
    pub(super) fn controller(
        stage: &Stage,
        point: Option<(&'static str, u64)>,
    ) -> anyhow::Result<Self> {
        let data = stage.data();
        let words = [stage.api.to_string(), stage.agent_port.to_string()];
        Self::start(CONTROLLER, &data, &words, point)
    }

    pub(super) fn agent(
        stage: &Stage,
        name: &str,
        point: Option<(&'static str, u64)>,
    ) -> anyhow::Result<Self> {
        Self::start(AGENT, &stage.home(name), &[], point)
    }

    fn start(
        name: &str,
        folder: &Path,
        words: &[String],
        point: Option<(&'static str, u64)>,
    ) -> anyhow::Result<Self> {
        let errors =
            std::fs::OpenOptions::new().create(true).append(true).open(folder.join("stderr"))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("child").arg(name).arg(folder).args(words);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        command.env_remove("FAILPOINTS");
        if let Some((point, passage)) = point {
            command.env("FAILPOINTS", format!("{point}={passage}"));
        }
        let child = command.spawn().context("cannot start a process of this program")?;
        Ok(Self { child, started: Instant::now(), point: point.map(|(point, _)| point) })
    }

    pub(super) fn is_dead(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)) | Err(_))
    }

    /// SIGKILL, and its end.
    pub(super) fn kill(&mut self) {
        // It may be dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// How long until a controller that was just started answers at both ports; `None`: it died, or was too slow.
pub(super) async fn until_ready(
    stage: &Stage,
    process: &mut Process,
    limit: Duration,
) -> Option<Duration> {
    while process.started.elapsed() < limit {
        if process.is_dead() {
            return None;
        }
        let answers = super::calls::answers(stage).await;
        if answers && tokio::net::TcpStream::connect(stage.agent_port).await.is_ok() {
            return Some(process.started.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    None
}
