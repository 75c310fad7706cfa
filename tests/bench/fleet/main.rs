//! What does an agent cost the controller, beside a bare tonic stream of the same messages?
//!
//!     cargo bench -p parallax-long --bench fleet
//!
//! Real controller, real mutual TLS, agents without a probe; `bare` is the floor: the same proto, TLS and HTTP/2 settings, no logic, no
//! store. Each server is a process of its own, all agents are in this one, and both kinds take turns in one run. Three figures:
//! resident memory per agent at 2,000, idle and after ten fan-outs; one diagnosis of 1,000 paths that are answered at once, beside an
//! echo of the same bytes; and what a diagnosis takes beyond its slowest probe, at 100 and 1,000 agents. Exit 1 above a goal.
//! How to read them: `tests/bench/README.md`.

mod bare;
mod timeline;

#[path = "../../long/src/herd/bed.rs"]
mod bed;
#[path = "../../long/src/herd/controller.rs"]
mod controller;
#[path = "../../long/src/herd/light.rs"]
mod light;
#[expect(dead_code, reason = "the campaign kills its process")]
#[path = "../../long/src/herd/process.rs"]
mod process;

use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use parallax_wire::pb;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use bed::{Api, Bed};
use light::{Watch, live};
use process::Process;
use timeline::{Parts, Timeline};

const MEMORY_AGENTS: usize = 2000;
const FAN_OUTS: usize = 10;
const FAN_OUT_AGENTS: usize = 1000;
/// Turns of each kind.
const TURNS: usize = 3;
/// Diagnoses of a turn; the first warms up.
const RUNS: usize = 6;
/// Times of the slowest probe.
const SLOW: Duration = Duration::from_secs(1);
/// For memory to settle.
const QUIET: Duration = Duration::from_secs(2);
const LIMIT: Duration = Duration::from_mins(2);
/// Between two agents that begin.
const PACE: Duration = Duration::from_micros(500);
const TARGET: &str = "wide";

/// Goals.
const MEMORY_GOAL: f64 = 1.2;
const FAN_OUT_GOAL: f64 = 1.5;
const OVERHEAD_GOALS: [(usize, Duration); 2] =
    [(100, Duration::from_millis(10)), (1000, Duration::from_millis(50))];

/// Who serves the agents.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bare,
    Controller,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Controller => "controller",
        }
    }
}

/// How a fan-out is asked for.
enum Asker {
    Bare(BufReader<TcpStream>),
    Controller(Api),
}

/// A server with all its agents.
struct Scene {
    process: Process,
    asker: Asker,
    timeline: Arc<Timeline>,
    count: usize,
    herd: JoinSet<()>,
    /// Resident before the first agent came, in KiB.
    empty_kib: u64,
}

impl Scene {
    async fn begin(kind: Kind, bed: &mut Bed, is_first: bool) -> Result<Self> {
        let (process, api) = bed.start(&["child", kind.word()]).await?;
        let asker = match kind {
            Kind::Bare => Asker::Bare(BufReader::new(TcpStream::connect(bed.api).await?)),
            Kind::Controller => Asker::Controller(api.clone()),
        };
        if kind == Kind::Controller && is_first {
            api.create_target(TARGET, Vec::new()).await?;
        }
        sleep(QUIET).await;
        let empty_kib = process.memory()?.now_kib;
        let count = bed.agents.len();
        let timeline = Arc::new(Timeline::of(count));
        let mut herd = JoinSet::new();
        for agent in &bed.agents {
            let watch: Arc<dyn Watch> = Arc::<Timeline>::clone(&timeline);
            herd.spawn(live(agent.clone(), bed.port, watch));
            sleep(PACE).await;
        }
        timeline.present(count, LIMIT).await.context("not every agent has a session")?;
        Ok(Self { process, asker, timeline, count, herd, empty_kib })
    }

    async fn fan_out(&mut self, slow: Duration) -> Result<Parts> {
        self.timeline.begin(slow);
        let asked = Instant::now();
        match &mut self.asker {
            Asker::Bare(stream) => {
                stream.write_all(b"go\n").await?;
                let mut line = String::new();
                timeout(LIMIT, stream.read_line(&mut line)).await.context("no answer")??;
                ensure!(line == "done\n", "the bare server ended");
            }
            Asker::Controller(api) => {
                let diagnosis = api.diagnose(TARGET, LIMIT).await?;
                check(&diagnosis, self.count)?;
            }
        }
        let answered = Instant::now();
        self.timeline.parts(self.count, asked, answered, LIMIT).await
    }

    /// Resident per agent, in KiB.
    fn kib_per_agent(&self) -> Result<f64> {
        let grown = self.process.memory()?.now_kib.saturating_sub(self.empty_kib);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        Ok(grown as f64 / self.count as f64)
    }

    async fn end(mut self) -> Result<()> {
        self.herd.shutdown().await;
        self.process.end(LIMIT).await
    }
}

/// Every path was answered, in one round.
fn check(diagnosis: &pb::Diagnosis, agents: usize) -> Result<()> {
    let state = diagnosis.state();
    ensure!(state == pb::diagnosis::State::Succeeded, "{state:?}: {}", diagnosis.state_reason);
    let [round] = diagnosis.rounds.as_slice() else {
        bail!("{} rounds", diagnosis.rounds.len());
    };
    let seen = |it: &&pb::PathReport| matches!(it.report, Some(pb::path_report::Report::Seen(_)));
    let reports = round.reports.iter().filter(seen).count();
    ensure!(reports == agents, "{reports} reports of {agents} agents");
    ensure!(diagnosis.verdict.is_some(), "no verdict");
    Ok(())
}

/// What was compared, and whether it is good enough.
struct Figure {
    text: String,
    is_good: bool,
}

impl fmt::Display for Figure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.text, if self.is_good { "met" } else { "MISSED" })
    }
}

/// Memory per agent, idle and after ten fan-outs.
async fn memory() -> Result<Vec<Figure>> {
    let mut bed = Bed::make(MEMORY_AGENTS).await?;
    let mut found = Vec::new();
    for kind in [Kind::Bare, Kind::Controller] {
        let mut scene = Scene::begin(kind, &mut bed, true).await?;
        sleep(QUIET).await;
        let idle = scene.kib_per_agent()?;
        for _ in 0..FAN_OUTS {
            scene.fan_out(Duration::ZERO).await?;
        }
        sleep(QUIET).await;
        found.push((idle, scene.kib_per_agent()?));
        scene.end().await?;
    }
    let [bare, ours] = found.as_slice() else { bail!("two kinds") };
    let figure = |what: &str, bare: f64, ours: f64| {
        let ratio = ours / bare;
        let text = format!(
            "memory per agent {what} at {MEMORY_AGENTS}: {ours:.1} KiB, bare {bare:.1} KiB, {ratio:.2} x (goal {MEMORY_GOAL} x)"
        );
        Figure { text, is_good: ratio <= MEMORY_GOAL }
    };
    Ok(vec![
        figure("idle", bare.0, ours.0),
        figure(&format!("after {FAN_OUTS} fan-outs"), bare.1, ours.1),
    ])
}

/// One diagnosis of 1,000 paths beside the echo.
async fn fan_out() -> Result<Vec<Figure>> {
    let mut bed = Bed::make(FAN_OUT_AGENTS).await?;
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    for turn in 0..TURNS {
        for (kind, parts) in [(Kind::Bare, &mut bare), (Kind::Controller, &mut ours)] {
            let mut scene = Scene::begin(kind, &mut bed, turn == 0).await?;
            for run in 0..RUNS {
                let found = scene.fan_out(Duration::ZERO).await?;
                if run > 0 {
                    parts.push(found);
                }
            }
            scene.end().await?;
        }
    }
    let mut figures = Vec::new();
    for (what, part) in [
        ("offers out and results in", (|it| it.messages) as fn(&Parts) -> Duration),
        ("from the call to the answer", |it| it.whole),
    ] {
        let (bare, ours) = (median(&bare, part), median(&ours, part));
        let ratio = ours.as_secs_f64() / bare.as_secs_f64();
        let text = format!(
            "fan-out to {FAN_OUT_AGENTS}, {what}: {ours:.1?}, bare {bare:.1?}, {ratio:.2} x (goal {FAN_OUT_GOAL} x)"
        );
        figures.push(Figure { text, is_good: ratio <= FAN_OUT_GOAL });
    }
    let of = |part: fn(&Parts) -> Duration| median(&ours, part);
    let text = format!(
        "  of it: accepted, planned, tasks on disk {:.1?}; messages {:.1?}; last result to the answer (judged, all on disk) {:.1?}; last result to its acknowledgement {:.1?}",
        of(|it| it.before),
        of(|it| it.messages),
        of(|it| it.after),
        of(|it| it.acknowledged)
    );
    figures.push(Figure { text, is_good: true });
    Ok(figures)
}

/// What a diagnosis takes beyond its slowest probe.
async fn overhead(agents: usize, goal: Duration) -> Result<Figure> {
    let mut bed = Bed::make(agents).await?;
    let mut scene = Scene::begin(Kind::Controller, &mut bed, true).await?;
    let mut parts = Vec::new();
    for run in 0..RUNS {
        let found = scene.fan_out(SLOW).await?;
        if run > 0 {
            parts.push(found);
        }
    }
    scene.end().await?;
    let beyond = median(&parts, |it| it.whole.saturating_sub(it.slow_probe));
    let (before, after) = (median(&parts, |it| it.before_slow), median(&parts, |it| it.after));
    let text = format!(
        "overhead over the slowest probe, {agents} agents: {beyond:.1?} (until it has its task {before:.1?}, from its result to the answer {after:.1?}; goal {goal:?})"
    );
    Ok(Figure { text, is_good: beyond <= goal })
}

fn median(parts: &[Parts], of: impl Fn(&Parts) -> Duration) -> Duration {
    let mut all: Vec<Duration> = parts.iter().map(of).collect();
    all.sort();
    all.get(all.len() / 2).copied().unwrap_or_default()
}

#[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
async fn measure() -> Result<bool> {
    let mut is_good = true;
    let mut tell = |figures: Vec<Figure>| {
        for figure in figures {
            println!("{figure}");
            is_good &= figure.is_good;
        }
    };
    println!("allocator: the system's (glibc); memory is VmRSS of the server's process");
    tell(memory().await?);
    tell(fan_out().await?);
    for (agents, goal) in OVERHEAD_GOALS {
        tell(vec![overhead(agents, goal).await?]);
    }
    Ok(is_good)
}

fn main() -> Result<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [child, kind, words @ ..] = words.as_slice()
        && child == "child"
    {
        if kind == Kind::Bare.word() {
            bare::run(words)?;
        } else {
            controller::run(words)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    process::raise_descriptors()?;
    process::check_descriptors(MEMORY_AGENTS)?;
    let is_good = tokio::runtime::Runtime::new()?.block_on(measure())?;
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
