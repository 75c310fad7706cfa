//! What does the controller add to the slowest probe, with 100 agents in one process?
//!
//!     cargo bench -p parallax --bench overhead
//!
//! One real controller and 100 real agents over mTLS. The slowest probe has a length that is known exactly: one agent's
//! way is a black hole, so its TCP stage ends at its limit. What a diagnosis takes beyond that has three parts: from being
//! accepted to its first offer, from there until the slowest probe begins, and from that probe's report to the end on
//! disk. The middle one belongs mostly to the 99 other agents, which begin on the same cores in the same moment; on
//! machines of their own they would not. So all three are printed, and the goal is for the first and the last. Twice: the
//! others are refused at once, and the others see an Exchange 2016 over TLS and report all of it. Exit 1 above the goal.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parallax_model::Limits;
use parallax_wire::pb::diagnosis_service_client::DiagnosisServiceClient;
use parallax_wire::pb::watch_diagnosis_response::Event;
use parallax_wire::{decode_time, pb};
use parallax_world::format::{World, read_text};
use parallax_world::installation::Installation;
use serde_json::{Value, json};
use tonic::Request;
use tonic::transport::Endpoint;

const AGENTS: usize = 100;
const RUNS: usize = 5;
/// For the controller's parts of the median run.
const GOAL: Duration = Duration::from_millis(10);
const DIAGNOSIS_LIMIT: Duration = Duration::from_mins(2);
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
const WORLD: &str = include_str!("../worlds/tcp-filtered-outside.json");

type Failure = Box<dyn std::error::Error>;

/// The world with 100 vantages outside, of which the last one gets no answer and the others meet `rest`.
fn world(rest: &str) -> Result<World, Failure> {
    let mut world: Value = serde_json::from_str(WORLD)?;
    let vantages = (0..AGENTS).map(|number| {
        let reach = if number + 1 == AGENTS { "blackhole" } else { rest };
        json!({
            "name": format!("v{number:03}"), "zone": "external", "site": "bench", "agent": "up",
            "dns": {}, "dns_default": "nxdomain", "reach": {"ex1": reach}, "reach_default": "blackhole",
        })
    });
    world["vantages"] = vantages.collect();
    // A declared address: no time goes into names.
    let endpoint = &mut world["target"]["endpoints"][0];
    endpoint["connect"] = json!("ex1");
    world["target"]["endpoints"] = json!([endpoint]);
    world["accounts"] = json!([]);
    world["shows"] = json!([]);
    Ok(read_text(Path::new("overhead.json"), &world.to_string())?)
}

/// Where the time went that a diagnosis took beyond its slowest probe.
#[derive(Clone, Copy, Debug)]
struct Overhead {
    /// Accepted, stored, planned.
    before: Duration,
    /// All agents take their tasks.
    starting: Duration,
    /// Judged, rendered, stored.
    after: Duration,
    /// What the caller of the API waited in all, beyond the slowest probe: this adds reading target and history before it
    /// is accepted, storing history, and the answer's way back.
    caller: Duration,
}

impl Overhead {
    fn of_controller(self) -> Duration {
        self.before + self.after
    }
}

/// When the first round began and when its last report came, by the controller's clock.
async fn moments(
    installation: &Installation,
    name: &str,
) -> Result<(SystemTime, SystemTime), Failure> {
    let api = Endpoint::from_shared(format!("http://{}", installation.api()))?.connect().await?;
    let mut client = DiagnosisServiceClient::new(api).max_decoding_message_size(ANSWER_BYTES_MAX);
    let token = std::fs::read_to_string(installation.token_file())?;
    let mut request = Request::new(pb::WatchDiagnosisRequest {
        name: name.to_owned(),
        ..pb::WatchDiagnosisRequest::default()
    });
    request.metadata_mut().insert("authorization", format!("Bearer {}", token.trim()).parse()?);
    request.set_timeout(DIAGNOSIS_LIMIT);
    let mut events = client.watch_diagnosis(request).await?.into_inner();
    let (mut begun, mut reported) = (None, None);
    while let Some(event) = events.message().await? {
        let at = decode_time(event.event_time, "event_time")?;
        if matches!(event.event, Some(Event::RoundBegun(_))) && begun.replace(at).is_some() {
            return Err("more than one round".into());
        }
        if matches!(event.event, Some(Event::PathReported(_))) {
            reported = Some(at);
        }
    }
    Ok((begun.ok_or("no round")?, reported.ok_or("no report")?))
}

async fn measure(installation: &Installation, target: &str) -> Result<Overhead, Failure> {
    let asked = Instant::now();
    let diagnosis = installation.diagnose(target, DIAGNOSIS_LIMIT).await?;
    let answered = asked.elapsed();
    let state = diagnosis.state();
    if state != pb::diagnosis::State::Succeeded {
        return Err(format!("{state:?}: {}", diagnosis.state_reason).into());
    }
    let reports: usize = diagnosis.rounds.iter().map(|it| it.reports.len()).sum();
    if reports != AGENTS {
        return Err(format!("{reports} reports of {AGENTS} agents").into());
    }
    let accepted = decode_time(diagnosis.create_time, "create_time")?;
    let ended = decode_time(diagnosis.end_time, "end_time")?;
    let (begun, reported) = moments(installation, &diagnosis.name).await?;
    Ok(Overhead {
        before: begun.duration_since(accepted)?,
        starting: reported.duration_since(begun)?.saturating_sub(Limits::STANDARD.tcp),
        after: ended.duration_since(reported)?,
        caller: answered.saturating_sub(Limits::STANDARD.tcp),
    })
}

/// All runs, the one with the least overhead first.
async fn overheads(rest: &str) -> Result<Vec<Overhead>, Failure> {
    let folder = tempfile::tempdir()?;
    let installation = Installation::start(Arc::new(world(rest)?), folder.path()).await?;
    installation.bring_in(installation.registration()).await?;
    let target = installation.registration().target_id.clone();
    let mut overheads = Vec::new();
    for _ in 0..RUNS {
        overheads.push(measure(&installation, &target).await?);
    }
    installation.stop().await.stop().await;
    overheads.sort_by_key(|it| it.of_controller());
    Ok(overheads)
}

#[expect(clippy::print_stdout, reason = "the figure is what this program is for")]
fn main() -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut is_within = true;
    for (rest, what) in [("refused", "are refused at once"), ("open", "see an Exchange 2016")] {
        let overheads = runtime.block_on(overheads(rest))?;
        let median = overheads[RUNS / 2];
        let Overhead { before, starting, after, caller } = median;
        println!(
            "{AGENTS} agents, of which 99 {what}: controller {:?} (before {before:?}, after {after:?}), goal {GOAL:?}; \
             {AGENTS} agents starting on these cores {starting:?}; the caller waits {caller:.1?} beyond the slowest probe",
            median.of_controller()
        );
        is_within &= median.of_controller() <= GOAL;
    }
    Ok(if is_within { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
