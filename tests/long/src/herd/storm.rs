//! One restart as it is seen from outside: who is back when, what calls of the API take meanwhile, and what it costs.
//!
//! Calls go out at fixed times, whether those before were answered or not, so that a stall is not hidden by waiting for it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use parallax_wire::pb;
use parallax_wire::pb::diagnosis_service_client::DiagnosisServiceClient;
use parallax_wire::pb::target_service_client::TargetServiceClient;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::bed::call;
use super::light::Watch;
use super::process::{Memory, Process};

/// Longest time that a storm is watched.
const WATCH_LIMIT: Duration = Duration::from_mins(5);
/// Calls go on for at least so long.
const CALLS_MIN: Duration = Duration::from_secs(3);
const CALL_EVERY: Duration = Duration::from_millis(100);
/// An answer that takes longer is none.
const CALL_LIMIT: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Kinds of failed attempts that are told.
const TOLD_MAX: usize = 5;

/// Who has a session now, and what happened since [`Roll::begin`].
pub(super) struct Roll {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    present: Vec<bool>,
    count: usize,
    /// When sessions began.
    began: Vec<Instant>,
    failed: BTreeMap<String, usize>,
}

impl Roll {
    pub(super) fn of(agents: usize) -> Self {
        let state = State { present: vec![false; agents], ..State::default() };
        Self { state: Mutex::new(state) }
    }

    /// Counts from now on.
    pub(super) fn begin(&self) {
        self.with(|it| {
            it.began.clear();
            it.failed.clear();
        });
    }

    /// Waits until everybody has a session.
    pub(super) async fn complete(&self, limit: Duration) -> Result<()> {
        let mut look = interval(LOOK_EVERY);
        let begun = Instant::now();
        loop {
            look.tick().await;
            let (count, all) = self.with(|it| (it.count, it.present.len()));
            if count == all {
                return Ok(());
            }
            ensure!(begun.elapsed() < limit, "{count} of {all} after {limit:?}");
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Watch for Roll {
    fn welcomed(&self, agent: usize) {
        self.with(|it| {
            it.present[agent] = true;
            it.count += 1;
            it.began.push(Instant::now());
        });
    }

    fn lost(&self, agent: usize) {
        self.with(|it| {
            it.present[agent] = false;
            it.count -= 1;
        });
    }

    fn failed(&self, _: usize, why: &str) {
        self.with(|it| *it.failed.entry(why.to_owned()).or_default() += 1);
    }

    fn offered(&self, _: usize) -> Duration {
        Duration::ZERO
    }

    fn reported(&self, _: usize) {}

    fn acknowledged(&self, _: usize) {}
}

/// What a restart came to.
pub(super) struct Storm {
    agents: usize,
    /// From the end of the controller before until this one listens.
    down: Duration,
    /// From the end of the controller before until everybody was there.
    all: Option<Duration>,
    /// From there until each session began, sorted.
    began: Vec<Duration>,
    calls: Calls,
    failed: BTreeMap<String, usize>,
    memory: Memory,
}

impl Storm {
    pub(super) async fn watch(
        roll: &Roll,
        api: SocketAddr,
        diagnosis: &str,
        process: &Process,
        ended: Instant,
    ) -> Result<Self> {
        let down = ended.elapsed();
        let complete = async {
            let complete = roll.complete(WATCH_LIMIT).await;
            complete.is_ok().then(|| ended.elapsed())
        };
        // A thread of their own, or they would wait behind the handshakes of thousands of agents on our side.
        let done = CancellationToken::new();
        let making = {
            let (diagnosis, done) = (diagnosis.to_owned(), done.clone());
            tokio::task::spawn_blocking(move || Calls::make_until(api, &diagnosis, done))
        };
        let all = complete.await;
        done.cancel();
        let calls = making.await??;
        let (agents, began, failed) = roll.with(|it| {
            let began = it.began.iter().map(|at| at.duration_since(ended)).collect::<Vec<_>>();
            (it.present.len(), began, it.failed.clone())
        });
        Ok(Self { agents, down, all, began, calls, failed, memory: process.memory()? })
    }

    pub(super) fn is_back(&self, limit: Duration) -> bool {
        self.all.is_some_and(|it| it <= limit)
    }

    pub(super) fn has_answered(&self, limit: Duration) -> bool {
        self.calls.failed.is_empty() && part(&self.calls.took, 99).is_some_and(|it| it <= limit)
    }

    /// Most sessions that began within one second.
    fn peak(&self) -> usize {
        let within = |from: usize| {
            let end = self.began[from] + Duration::from_secs(1);
            self.began[from..].partition_point(|it| *it < end)
        };
        (0..self.began.len()).map(within).max().unwrap_or(0)
    }
}

impl fmt::Display for Storm {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { agents, down, all, began, calls, failed, memory } = self;
        writeln!(out, "restart: nobody listens for {down:.1?}; from the end of the one before:")?;
        let back = |percent| part(began, percent).unwrap_or_default();
        let Some(all) = all else {
            return write!(out, "  only {} of {agents} agents came back", began.len());
        };
        write!(out, "  50 % of {agents} agents back after {:.1?}", back(50))?;
        write!(out, ", 99 % after {:.1?}, all after {all:.1?}", back(99))?;
        writeln!(out, "; at most {} sessions begun in a second", self.peak())?;
        let took = |percent| part(&calls.took, percent).unwrap_or_default();
        write!(out, "  {} calls of the API: p50 {:.1?}", calls.took.len(), took(50))?;
        write!(out, ", p99 {:.1?}, longest {:.1?}", took(99), took(100))?;
        writeln!(out, "; {} failed {:?}", calls.failed.len(), calls.failed.first())?;
        let (now, peak) = (memory.now_kib / 1024, memory.peak_kib / 1024);
        write!(out, "  controller: {now} MiB resident, at the peak {peak} MiB")?;
        let mut failed: Vec<_> = failed.iter().collect();
        failed.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (why, count) in failed.into_iter().take(TOLD_MAX) {
            write!(out, "\n  {count} attempts without a session: {why}")?;
        }
        Ok(())
    }
}

/// The figure that so many in a hundred do not exceed.
fn part(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let place = (sorted.len() * percent).div_ceil(100);
    sorted.get(place.checked_sub(1)?).copied()
}

#[derive(Default)]
struct Calls {
    /// Sorted.
    took: Vec<Duration>,
    failed: Vec<String>,
}

impl Calls {
    /// Lists targets, reads a diagnosis and asks for the health, again and again until `done`, and for [`CALLS_MIN`].
    fn make_until(api: SocketAddr, diagnosis: &str, done: CancellationToken) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let channel = Endpoint::from_shared(format!("http://{api}"))?.connect_lazy();
            Ok(Self::make(channel, diagnosis, done).await)
        })
    }

    async fn make(channel: Channel, diagnosis: &str, done: CancellationToken) -> Self {
        let least = tokio::time::sleep(CALLS_MIN);
        let done = async { tokio::join!(done.cancelled(), least) };
        tokio::pin!(done);
        let mut tick = interval(CALL_EVERY);
        let mut under_way = JoinSet::new();
        loop {
            tokio::select! {
                _ = &mut done => break,
                _ = tick.tick() => {
                    for kind in [Kind::List, Kind::Get, Kind::Health] {
                        under_way.spawn(make(kind, channel.clone(), diagnosis.to_owned()));
                    }
                }
            }
        }
        let mut calls = Self::default();
        while let Some(made) = under_way.join_next().await {
            match made {
                Ok(Ok(took)) => calls.took.push(took),
                Ok(Err(error)) => calls.failed.push(format!("{error:#}")),
                Err(panic) => calls.failed.push(panic.to_string()),
            }
        }
        calls.took.sort();
        calls
    }
}

#[derive(Clone, Copy)]
enum Kind {
    List,
    Get,
    Health,
}

async fn make(kind: Kind, channel: Channel, diagnosis: String) -> Result<Duration> {
    let begun = Instant::now();
    let answered = async {
        match kind {
            Kind::List => {
                let request = call(pb::ListTargetsRequest::default(), CALL_LIMIT)?;
                TargetServiceClient::new(channel).list_targets(request).await?;
            }
            Kind::Get => {
                let request = pb::GetDiagnosisRequest { name: diagnosis, ..Default::default() };
                let request = call(request, CALL_LIMIT)?;
                DiagnosisServiceClient::new(channel).get_diagnosis(request).await?;
            }
            Kind::Health => {
                let request = tonic::Request::new(HealthCheckRequest::default());
                HealthClient::new(channel).check(request).await?;
            }
        }
        anyhow::Ok(())
    };
    timeout(CALL_LIMIT, answered).await??;
    Ok(begun.elapsed())
}
