//! The fleet's owner by itself: a task whose owner goes away without a word, an agent that is shut out, drained, sent away.
//!
//! Absent on purpose: the rules of sessions; those are asked from outside, over mutual TLS.

use std::time::Duration;

use parallax_model::{DiagnosisId, EndpointName, VantageName};
use parallax_wire::pb::link as wire;
use parallax_wire::pb::link::session_response::Message;
use tokio::sync::{mpsc, watch};
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::handle::{Command, Heard, Joining};
use super::outgoing::{Cut, Outgoing};
use super::standing::{CUT_MAX, Ticket};
use super::{
    Begin, CREDIT, Done, Fleet, FleetTask, FleetView, LateResult, NotOffered, OUTGOING_MAX,
    TaskEvent, TaskPlace,
};

/// Longer than anything here takes.
const SOON: Duration = Duration::from_secs(10);
const EPOCH: i64 = 3;
const CERTIFICATE: [u8; 32] = [7; 32];

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
    let cut = Cut::default();
    let joining = Joining {
        vantage: vantage(),
        ticket: Ticket(0),
        epoch: EPOCH,
        certificate_sha256: CERTIFICATE,
        outgoing,
        closed,
        cut,
    };
    (joining, told)
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

#[tokio::test]
async fn a_cancel_does_not_reach_into_the_next_session() {
    let Bench { fleet: _fleet, mut task, late: _late } = bench();
    let (first, mut told) = joining();
    assert!(task.join(first));
    let mut events = task.offer(&vantage(), Box::new(offer("t1")), place()).expect("offered");
    let begin = Begin { attempt: "a".to_owned(), nonce: [1; 16], public_key: vec![2; 32] };
    task.hear(&vantage(), Heard::Begin { task: "t1".to_owned(), begin });
    assert!(matches!(events.try_recv(), Ok(TaskEvent::Begun(_))));
    let go = Box::new(Message::Go(wire::Go::default()));
    task.handle(Command::Answer { task: "t1".to_owned(), message: go });
    for _ in 0..3 {
        next(&mut told).await; // Welcome, offer, go.
    }
    let (again, mut told) = joining();
    assert!(task.join(Joining { epoch: EPOCH + 1, ..again }));
    assert!(matches!(next(&mut told).await, Message::Welcome(_)));
    task.handle(Command::Cancel { task: "t1".to_owned() });
    task.handle(Command::Abandon { task: "t1".to_owned() });
    assert!(told.try_recv().is_err(), "the agent would drop a result that nobody has");
}

#[test]
fn only_a_result_of_a_session_of_ours_is_a_strike() {
    let Bench { fleet: _fleet, task, late: _late } = bench();
    let (breaches, mut told) = mpsc::channel(8);
    let mut task = task.telling(breaches);
    let (first, _keep) = joining();
    assert!(task.join(first));
    let other = VantageName::new("dmz").expect("a name");
    let (second, _keep) = joining();
    assert!(task.join(Joining { vantage: other.clone(), ..second }));
    let _events = task.offer(&other, Box::new(offer("t1")), place()).expect("offered");
    let of = |epoch: i64| {
        let report = Err("not read here".to_owned());
        let done = Box::new(Done { report, attempt: String::new(), nonce: Vec::new() });
        Heard::Result { task: "t1".to_owned(), epoch, done }
    };
    // Left behind by the agent that had this folder before: of an epoch before the first, or one that is still to come.
    for epoch in [EPOCH - 1, EPOCH + 1, i64::MIN, i64::MAX] {
        task.hear(&vantage(), of(epoch));
        assert!(told.try_recv().is_err(), "{epoch}");
    }
    task.hear(&vantage(), of(EPOCH));
    assert_eq!(told.try_recv().expect("a strike").vantage, vantage());
}

/// A session of a bench whose owner is not running.
fn seated(task: &mut FleetTask) -> (Outgoing, Cut) {
    let (outgoing, told) = mpsc::channel(OUTGOING_MAX);
    let (closed, cut) = (CancellationToken::new(), Cut::default());
    let stream = Outgoing::new(told, &cut);
    let joining = Joining {
        vantage: vantage(),
        ticket: Ticket(0),
        epoch: EPOCH,
        certificate_sha256: CERTIFICATE,
        outgoing,
        closed,
        cut: cut.clone(),
    };
    assert!(task.join(joining));
    (stream, cut)
}

#[tokio::test]
async fn what_waited_for_an_agent_is_not_told_after_it_was_cut() {
    let Bench { fleet, mut task, late: _late } = bench();
    let (mut stream, cut) = seated(&mut task);
    let events = task.offer(&vantage(), Box::new(offer("t1")), place()).expect("offered");
    assert!(!cut.is_done());
    task.cut(&vantage(), Vec::new(), "agent `ext` is banned: stolen");
    assert!(cut.is_done());
    // Welcome and offer are in the queue already.
    let first = stream.next().await.expect("its last word");
    let status = first.expect_err("not what waited");
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(status.message(), "agent `ext` is banned: stolen");
    assert!(stream.next().await.is_none());
    drop(events);
    let (again, _told) = joining();
    assert!(!task.join(again), "nor does a session begin that was asked for before");
    let (again, _told) = joining();
    let again = Joining { ticket: fleet.ticket(), ..again };
    assert!(task.join(again), "whether a later one may, the store has said");
}

#[test]
fn a_cut_is_of_the_agent_whatever_certificate_its_session_has() {
    let Bench { fleet, mut task, late: _late } = bench();
    let (_stream, cut) = seated(&mut task);
    // Its successor joined, and is there already; the one before is asking.
    task.cut(&vantage(), vec![CERTIFICATE], "replaced");
    assert!(!cut.is_done(), "it was spared");
    let (before, _told) = joining();
    let before = Joining { certificate_sha256: [8; 32], epoch: EPOCH + 1, ..before };
    assert!(!task.join(before));
    task.cut(&VantageName::new("other").expect("a name"), Vec::new(), "banned");
    assert!(!cut.is_done(), "another agent");
    task.cut(&vantage(), vec![[9; 32]], "replaced");
    assert!(cut.is_done() && fleet.view().connected.is_empty());
}

#[test]
fn who_asked_before_a_cut_that_is_forgotten_asks_again() {
    let Bench { fleet, mut task, late: _late } = bench();
    let ticket = fleet.ticket();
    task.cut(&vantage(), Vec::new(), "banned");
    let later = fleet.ticket();
    for _ in 0..CUT_MAX {
        task.cut(&VantageName::new("other").expect("a name"), Vec::new(), "banned");
    }
    let (asked, _told) = joining();
    assert!(!task.join(Joining { ticket, ..asked }));
    let (asked, _told) = joining();
    assert!(task.join(Joining { ticket: later, ..asked }), "all since then are known");
}

#[tokio::test]
async fn a_logon_that_was_begun_gets_no_go_after_the_ban() {
    let Bench { fleet, task, late: _late } = bench();
    let stop = CancellationToken::new();
    let running = tokio::spawn(task.run(stop.clone()));
    let (joining, mut told) = joining();
    assert!(fleet.join(joining).await);
    assert!(matches!(next(&mut told).await, Message::Welcome(_)));
    let mut offered = fleet.offer(&vantage(), offer("t1"), place()).await.expect("offered");
    assert!(matches!(next(&mut told).await, Message::Offer(_)));
    let begin = Begin { attempt: "a".to_owned(), nonce: [1; 16], public_key: vec![2; 32] };
    fleet.hear(vantage(), EPOCH, Heard::Begin { task: "t1".to_owned(), begin }).await;
    let event = tokio::time::timeout(SOON, offered.events.recv()).await.expect("soon");
    assert!(matches!(event, Some(TaskEvent::Begun(_))));
    fleet.cut(&vantage(), "banned").await;
    fleet.answer("t1", Box::new(Message::Go(wire::Go::default()))).await;
    assert!(matches!(offered.events.recv().await, Some(TaskEvent::Lost)));
    // What it says now is not heard: no event, no late result, no answer.
    fleet.hear(vantage(), EPOCH, result("t1")).await;
    let refused = fleet.offer(&vantage(), offer("t2"), place()).await;
    assert_eq!(refused.err(), Some(NotOffered::NoSession));
    assert!(told.recv().await.is_none(), "nothing went out, and the session is over");
    stop.cancel();
    running.await.expect("no panic");
}

#[test]
fn a_drain_gives_back_what_waits_and_leaves_what_is_held() {
    let Bench { fleet, mut task, late: _late } = bench();
    let (_stream, _cut) = seated(&mut task);
    let mut tasks: Vec<_> = (0..=CREDIT)
        .map(|it| task.offer(&vantage(), Box::new(offer(&format!("t{it}"))), place()))
        .map(|it| it.expect("offered"))
        .collect();
    task.drain(&vantage(), true);
    let mut waited = tasks.pop().expect("the last one");
    assert!(
        matches!(waited.try_recv(), Ok(TaskEvent::Refused { reason }) if reason.contains("drained"))
    );
    assert!(fleet.view().connected.is_empty() && fleet.view().draining.contains(&vantage()));
    let refused = task.offer(&vantage(), Box::new(offer("new")), place());
    assert_eq!(refused.err(), Some(NotOffered::Draining));
    task.hear(&vantage(), result("t0"));
    assert!(matches!(tasks[0].try_recv(), Ok(TaskEvent::Done(_))), "what is held is finished");
    task.drain(&vantage(), false);
    assert!(fleet.view().connected.contains(&vantage()));
    assert!(task.offer(&vantage(), Box::new(offer("new")), place()).is_ok());
}

#[tokio::test]
async fn at_a_stop_agents_are_sent_away_for_different_times() {
    const AGENTS: usize = 40;
    let Bench { fleet, task, late: _late } = bench();
    let stop = CancellationToken::new();
    let running = tokio::spawn(task.run(stop.clone()));
    let mut all = Vec::with_capacity(AGENTS);
    for number in 0..AGENTS {
        let (joining, told) = joining();
        let vantage = VantageName::new(format!("ext-{number}")).expect("a name");
        assert!(fleet.join(Joining { vantage, ..joining }).await);
        all.push(told);
    }
    stop.cancel();
    running.await.expect("no panic");
    let mut delays = std::collections::BTreeSet::new();
    for told in &mut all {
        assert!(matches!(next(told).await, Message::Welcome(_)));
        let Message::GoAway(away) = next(told).await else { panic!("no go-away") };
        let delay = parallax_wire::decode_duration(away.reconnect_after, "it").expect("a delay");
        assert!(delay <= Duration::from_secs(5), "{delay:?}");
        delays.insert(delay);
    }
    assert!(delays.len() > AGENTS / 2, "they do not come back in step: {delays:?}");
    let spread = delays.last().zip(delays.first()).map(|(last, first)| last.saturating_sub(*first));
    assert!(spread > Some(Duration::from_secs(2)), "{delays:?}");
}
