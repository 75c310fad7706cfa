//! The fleet's owner by itself: what happens to a task whose owner goes away without a word.
//!
//! Absent on purpose: the rules of sessions; those are asked from outside, over mutual TLS.

use std::time::Duration;

use parallax_model::{DiagnosisId, EndpointName, VantageName};
use parallax_wire::pb::link as wire;
use parallax_wire::pb::link::session_response::Message;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::handle::{Heard, Joining};
use super::{Done, Fleet, FleetTask, FleetView, LateResult, TaskPlace};

/// Longer than anything here takes.
const SOON: Duration = Duration::from_secs(10);
const EPOCH: i64 = 3;

struct Bench {
    fleet: Fleet,
    task: FleetTask,
    late: mpsc::Receiver<LateResult>,
}

fn bench() -> Bench {
    let (sender, late) = mpsc::channel(4);
    let (fleet, task) = FleetTask::new(watch::Sender::new(FleetView::default()), sender);
    Bench { fleet, task, late }
}

fn vantage() -> VantageName {
    VantageName::new("ext").expect("a name")
}

fn place() -> TaskPlace {
    TaskPlace {
        diagnosis: DiagnosisId::new("d1").expect("an id"),
        round: 1,
        endpoint: EndpointName::new("published").expect("a name"),
    }
}

fn offer(task: &str) -> wire::Offer {
    wire::Offer { task: task.to_owned(), ..wire::Offer::default() }
}

fn joining() -> (Joining, mpsc::Receiver<Result<wire::SessionResponse, Status>>) {
    let (outgoing, told) = mpsc::channel(16);
    let closed = CancellationToken::new();
    (Joining { vantage: vantage(), epoch: EPOCH, outgoing, closed }, told)
}

fn result(task: &str) -> Heard {
    let report = Err("not read here".to_owned());
    let done = Box::new(Done { report, attempt: String::new(), nonce: Vec::new() });
    Heard::Result { task: task.to_owned(), epoch: EPOCH, done }
}

async fn next(told: &mut mpsc::Receiver<Result<wire::SessionResponse, Status>>) -> Message {
    let message = tokio::time::timeout(SOON, told.recv()).await.expect("soon").expect("open");
    message.expect("no status").message.expect("a message")
}

#[tokio::test]
async fn a_task_whose_owner_is_dropped_is_cancelled_and_its_result_is_a_late_one() {
    let Bench { fleet, task, mut late } = bench();
    let stop = CancellationToken::new();
    let running = tokio::spawn(task.run(stop.clone()));
    let (joining, mut told) = joining();
    assert!(fleet.join(joining).await);
    assert!(matches!(next(&mut told).await, Message::Welcome(_)));
    let offered = fleet.offer(&vantage(), offer("t1"), place()).await.expect("offered");
    assert!(matches!(next(&mut told).await, Message::Offer(it) if it.task == "t1"));
    drop(offered);
    assert!(matches!(next(&mut told).await, Message::Cancel(it) if it.task == "t1"));
    fleet.hear(vantage(), EPOCH, result("t1")).await;
    let kept = tokio::time::timeout(SOON, late.recv()).await.expect("soon").expect("open");
    assert_eq!(kept.task, "t1");
    // One that was forgotten properly is not cancelled: the next thing told is the next offer.
    let offered = fleet.offer(&vantage(), offer("t2"), place()).await.expect("offered");
    assert!(matches!(next(&mut told).await, Message::Offer(it) if it.task == "t2"));
    fleet.forget("t2").await;
    drop(offered);
    let offered = fleet.offer(&vantage(), offer("t3"), place()).await.expect("offered");
    assert!(matches!(next(&mut told).await, Message::Offer(it) if it.task == "t3"));
    fleet.forget("t3").await;
    drop(offered);
    stop.cancel();
    running.await.expect("no panic");
}

#[test]
fn a_result_whose_owner_is_gone_unnoticed_is_a_late_one() {
    let Bench { fleet: _fleet, mut task, mut late } = bench();
    let (joining, _told) = joining();
    assert!(task.join(joining));
    let events = task.offer(&vantage(), Box::new(offer("t1")), place()).expect("offered");
    drop(events);
    task.hear(&vantage(), result("t1"));
    assert_eq!(late.try_recv().expect("a late result").task, "t1");
}
