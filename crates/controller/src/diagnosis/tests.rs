//! The coordinator without ports: callers that hang up, a fleet that does not answer, late results.
//!
//! Absent on purpose: whole diagnoses with agents; those are asked from outside, over the API.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use parallax_model::{AccountId, DiagnosisId, EndpointName, NameForm, Place, TargetId, UserName};
use parallax_model::{PathId, PathReport, Report, Vantage, VantageName, Zone};
use parallax_store::Store;
use parallax_wire::pb;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Coordinator, late, read_filter, steps};
use crate::agents::{Done, FleetTask, FleetView, LateResult, TaskPlace};
use crate::permissions::Principal;
use crate::plan::ProposedLogon;

/// Longer than anything here takes.
const SOON: Duration = Duration::from_secs(10);
/// As many looks at the store take longer than a commit.
const LOOKS: u32 = 100;

struct Bench {
    _folder: TempDir,
    store: Arc<Store>,
    coordinator: Coordinator,
    /// Not run unless a test does so.
    fleet_task: FleetTask,
    tracker: TaskTracker,
    stop: CancellationToken,
    abort: CancellationToken,
}

/// A target with one published endpoint, and a registered agent outside.
async fn bench() -> Bench {
    let folder = tempfile::tempdir().expect("folder");
    let store = Arc::new(Store::open(folder.path(), SOON).await.expect("store"));
    let vantage = Vantage { name: vantage(), zone: Zone::External, site: String::new() };
    store.register_agent(&vantage, [7; 32], false).await.expect("registered");
    let endpoint = pb::Endpoint {
        name: "published".to_owned(),
        role: pb::endpoint::Role::External.into(),
        url: "https://mail.example.com".to_owned(),
        ..pb::Endpoint::default()
    };
    let target = pb::Target { endpoints: vec![endpoint], ..pb::Target::default() };
    let target = pb::Target { name: "targets/shop".to_owned(), ..target };
    let id = TargetId::new("shop").expect("an id");
    store.create_target(&id, target, None).await.expect("created");
    let (late, _) = mpsc::channel(1);
    let (fleet, fleet_task) = FleetTask::new(watch::Sender::new(FleetView::default()), late);
    let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
    let abort = CancellationToken::new();
    let coordinator =
        Coordinator::new(Arc::clone(&store), fleet, tracker.clone(), stop.clone(), abort.clone());
    Bench { _folder: folder, store, coordinator, fleet_task, tracker, stop, abort }
}

/// What a process after this one makes of the same store.
struct NextStart {
    coordinator: Coordinator,
    fleet_task: FleetTask,
    tracker: TaskTracker,
    stop: CancellationToken,
}

fn next_start(store: &Arc<Store>) -> NextStart {
    let (late, _) = mpsc::channel(1);
    let (fleet, fleet_task) = FleetTask::new(watch::Sender::new(FleetView::default()), late);
    let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
    let abort = CancellationToken::new();
    let coordinator =
        Coordinator::new(Arc::clone(store), fleet, tracker.clone(), stop.clone(), abort);
    NextStart { coordinator, fleet_task, tracker, stop }
}

fn vantage() -> VantageName {
    VantageName::new("ext").expect("a name")
}

fn asked(id: &str) -> pb::CreateDiagnosisRequest {
    pb::CreateDiagnosisRequest {
        diagnosis: Some(pb::Diagnosis {
            target: "targets/shop".to_owned(),
            ..pb::Diagnosis::default()
        }),
        diagnosis_id: id.to_owned(),
        ..pb::CreateDiagnosisRequest::default()
    }
}

#[tokio::test]
async fn a_caller_that_hangs_up_after_the_commit_leaves_a_diagnosis_that_runs() {
    let bench = bench().await;
    let fleet = tokio::spawn(bench.fleet_task.run(bench.stop.clone()));
    let id = DiagnosisId::new("hung-up").expect("an id");
    let principal = Principal::token_holder();
    let mut call = Box::pin(bench.coordinator.create(&principal, asked("hung-up")));
    let committed = async {
        // One step of the call, then looks for what it did, so that the call is not there to learn of its commit.
        while call.as_mut().now_or_never().is_none() {
            for _ in 0..LOOKS {
                if bench.store.diagnosis(&id).await.is_ok() {
                    return;
                }
            }
        }
    };
    tokio::time::timeout(SOON, committed).await.expect("it is on disk soon");
    drop(call);
    bench.tracker.close();
    tokio::time::timeout(SOON, bench.tracker.wait()).await.expect("it ends soon");
    let ended = bench.store.diagnosis(&id).await.expect("it is there");
    assert_eq!(ended.state(), pb::diagnosis::State::Succeeded);
    bench.stop.cancel();
    fleet.await.expect("no panic");
}

#[tokio::test]
async fn what_does_not_end_after_stop_is_dropped_and_left_to_the_next_start() {
    let bench = bench().await;
    // Nobody runs the fleet, so nobody ever answers the offer.
    let created = bench.coordinator.create(&Principal::token_holder(), asked("stuck")).await;
    created.expect("accepted");
    bench.stop.cancel();
    bench.tracker.close();
    bench.abort.cancel();
    tokio::time::timeout(SOON, bench.tracker.wait()).await.expect("it is gone soon");
    let id = DiagnosisId::new("stuck").expect("an id");
    let left = bench.store.diagnosis(&id).await.expect("it is there");
    assert_ne!(left.state(), pb::diagnosis::State::Succeeded);
    drop(bench.fleet_task);
    let next = next_start(&bench.store);
    let running = tokio::spawn(next.fleet_task.run(next.stop.clone()));
    next.coordinator.take_up_unfinished().await.expect("the next start");
    next.tracker.close();
    // No agent comes, so its paths are silent, once it has waited for them.
    tokio::time::timeout(SOON * 3, next.tracker.wait()).await.expect("it ends");
    let ended = bench.store.diagnosis(&id).await.expect("it is there");
    assert_eq!(
        ended.state(),
        pb::diagnosis::State::Succeeded,
        "no credential was sent: it goes on"
    );
    assert_eq!(ended.rounds.len(), 1);
    next.stop.cancel();
    running.await.expect("no panic");
}

#[tokio::test]
async fn a_record_that_cannot_be_read_ends_alone_and_keeps_nobody_from_starting() {
    let bench = bench().await;
    let id = DiagnosisId::new("unreadable").expect("an id");
    let diagnosis = pb::Diagnosis { target: "no target".to_owned(), ..pb::Diagnosis::default() };
    bench.store.create_diagnosis(&id, diagnosis, None).await.expect("created");
    let whole = DiagnosisId::new("whole").expect("an id");
    let diagnosis = pb::Diagnosis { target: "targets/shop".to_owned(), ..pb::Diagnosis::default() };
    bench.store.create_diagnosis(&whole, diagnosis, None).await.expect("created");
    let next = next_start(&bench.store);
    next.coordinator.take_up_unfinished().await.expect("it starts");
    next.tracker.close();
    tokio::time::timeout(SOON, next.tracker.wait()).await.expect("they end");
    for (id, reason) in [(id, "cannot be read"), (whole, "was judged")] {
        let ended = bench.store.diagnosis(&id).await.expect("it is there");
        assert_eq!(ended.state(), pb::diagnosis::State::Interrupted);
        assert!(ended.state_reason.contains(reason), "{}", ended.state_reason);
    }
    next.stop.cancel();
}

#[tokio::test]
async fn a_late_report_that_cannot_be_read_is_kept_as_such() {
    let bench = bench().await;
    let id = DiagnosisId::new("late").expect("an id");
    let diagnosis = pb::Diagnosis {
        name: parallax_wire::diagnosis_name(&id),
        target: "targets/shop".to_owned(),
        ..pb::Diagnosis::default()
    };
    bench.store.create_diagnosis(&id, diagnosis, None).await.expect("created");
    let endpoint = EndpointName::new("published").expect("a name");
    let late = |task: &str, report| LateResult {
        task: task.to_owned(),
        place: Some(TaskPlace { diagnosis: id.clone(), round: 1, endpoint: endpoint.clone() }),
        epoch: 1,
        vantage: vantage(),
        done: Box::new(Done { report, attempt: String::new(), nonce: Vec::new() }),
    };
    let unreadable = late("unreadable", Err("`report.path`: is missing".to_owned()));
    late::keep(&bench.store, unreadable).await.expect("kept");
    let stored = bench.store.reports(&id).await.expect("reports");
    let read: Vec<PathReport> =
        stored.into_iter().map(|it| it.report.try_into().expect("a report")).collect();
    let path = PathId { vantage: vantage(), endpoint };
    let [PathReport { path: stored, report: Report::Unable { detail } }] = read.as_slice() else {
        panic!("{read:?}")
    };
    assert_eq!(*stored, path);
    assert!(detail.contains("`report.path`: is missing"), "{detail}");
}

#[test]
fn every_front_of_a_target_shares_its_two_logons_a_minute() {
    let proposed = |reaches_back_end| ProposedLogon {
        account: AccountId::new("legacy").expect("an id"),
        name: UserName { form: NameForm::Upn, login: "a@b.c".to_owned() },
        place: Place::ActiveSync,
        cost: 1,
        has_proof: false,
        reaches_back_end,
    };
    let target = TargetId::new("shop").expect("an id");
    assert_eq!(steps::cas_key(&target, &proposed(true)).as_deref(), Some("shop"));
    assert_eq!(steps::cas_key(&target, &proposed(false)), None);
}

#[test]
fn the_filter_knows_one_form() {
    assert_eq!(read_filter(" ").expect("none"), None);
    let shop = TargetId::new("shop").ok();
    assert_eq!(read_filter("target=\"targets/shop\"").expect("one"), shop);
    assert_eq!(read_filter(" target = \"targets/shop\" ").expect("one"), shop);
    for wrong in [
        "shop",
        "target = targets/shop",
        "state = \"x\"",
        "target = \"shop\"",
        "target = \"targets/a\" AND x",
    ] {
        assert!(read_filter(wrong).is_err(), "{wrong}");
    }
}
