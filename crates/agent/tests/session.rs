//! An agent's session against a controller that follows a script: what it takes, what it refuses, and that a secret
//! leaves at most once and only after a go. Every wait is for an event.

mod bed;
mod joining;
mod life;
mod troubles;

use std::time::Duration;

use bed::{
    Authority, Bed, Controller, SECRET, endless_look, forbidden_look, go, logon, look, quick,
};
use parallax_agent::Timings;
use parallax_model::{HttpFailure, Outcome, PathReport, Report, Silence};
use parallax_wire::pb::link as wire;
use parallax_wire::pb::link::session_request::Message as Said;
use parallax_wire::pb::link::session_response::Message as Tell;

pub(crate) fn report(result: wire::Result) -> Report {
    let report = result.report.expect("a report");
    let report = PathReport::try_from(report).expect("a report that can be read");
    assert_eq!(report.path.to_string(), "hq -> be03");
    report.report
}

/// Per exchange: whether it was sent, and its status or failure.
fn exchanges(result: wire::Result) -> Vec<(bool, String)> {
    let report = report(result);
    let sight = report.seen().expect("a sight");
    let exchanges = sight.observations.iter().flat_map(|it| &it.exchanges);
    exchanges
        .map(|it| match &it.outcome {
            Outcome::Done(answer) => (it.sent, answer.status.to_string()),
            Outcome::Failed(HttpFailure::NotPermitted { reason }) => (it.sent, reason.clone()),
            Outcome::Failed(failure) => (it.sent, format!("{failure:?}")),
            Outcome::NotReached => (it.sent, "not reached".to_owned()),
        })
        .collect()
}

fn held(reason: &str) -> Vec<(bool, String)> {
    vec![(true, "401".to_owned()), (false, reason.to_owned())]
}

#[tokio::test]
async fn takes_a_task_and_keeps_its_result_until_it_is_acknowledged() {
    let mut bed = Bed::start().await;
    let (mut session, hello) = bed.controller.session().await;
    assert_eq!((hello.protocol, hello.ledger_sequence), (1, 0));
    assert_eq!((hello.policy_sha256.len(), hello.unacknowledged_tasks.len()), (64, 0));
    session.welcome(1, Duration::from_secs(20)).await;
    session.offers(look("t1")).await;
    let result = session.hears_result().await;
    assert_eq!((result.task.as_str(), result.session_epoch), ("t1", 1));
    assert_eq!(exchanges(result), [(true, "401".to_owned())]);
    // The session breaks before the acknowledgement.
    drop(session);
    let (mut session, hello) = bed.controller.session().await;
    assert_eq!(hello.unacknowledged_tasks, ["t1"]);
    session.welcome(2, Duration::from_secs(20)).await;
    let result = session.hears_result().await;
    assert_eq!((result.task.as_str(), result.session_epoch), ("t1", 1));
    session.acknowledges("t1").await;
    let go_away = wire::GoAway { reconnect_after: None, reason: "drain".to_owned() };
    session.tell(Tell::GoAway(go_away)).await;
    let (_, hello) = bed.controller.session().await;
    assert_eq!(hello.unacknowledged_tasks, Vec::<String>::new());
    bed.stop().await;
}

#[tokio::test]
async fn tells_how_a_task_goes_on() {
    let mut bed = Bed::start().await;
    let mut session = bed.controller.welcomed(1).await;
    session.offers(look("t1")).await;
    let mut told = Vec::new();
    while let Some(said) = session.hears_anything().await {
        if let Said::Progress(progress) = said {
            told.push(progress.stage);
        } else if let Said::Result(_) = said {
            break;
        }
    }
    assert_eq!(told, ["dns", "tcp", "http"]);
    session.acknowledges("t1").await;
    bed.stop().await;
}

#[tokio::test]
async fn refuses_what_its_policy_forbids_and_what_it_has_already() {
    let mut bed = Bed::start().await;
    let mut session = bed.controller.welcomed(1).await;
    session.tell(Tell::Offer(forbidden_look("t1"))).await;
    let refuse = session.hears_refuse().await;
    assert_eq!(refuse.task, "t1");
    assert_eq!(refuse.reason, "hosts.name: host `dc1.corp.example` is not named in the policy");
    session.offers(endless_look("t2")).await;
    session.tell(Tell::Offer(endless_look("t2"))).await;
    let refuse = session.hears_refuse().await;
    assert_eq!(refuse.reason, "this task was taken before");
    let unreadable = wire::Offer { endpoint: None, ..look("t3") };
    session.tell(Tell::Offer(unreadable)).await;
    let refuse = session.hears_refuse().await;
    assert_eq!(refuse.reason, "the offer cannot be read: `endpoint`: is missing");
    bed.stop().await;
}

#[tokio::test]
async fn holds_no_more_than_its_credit() {
    let mut bed = Bed::start().await;
    let mut session = bed.controller.welcomed(1).await;
    for number in 0..8 {
        session.offers(endless_look(&format!("t{number}"))).await;
    }
    session.tell(Tell::Offer(endless_look("t8"))).await;
    let refuse = session.hears_refuse().await;
    assert_eq!(refuse.reason, "no room: 8 tasks are in hand");
    bed.stop().await;
}

#[tokio::test]
async fn sends_one_credential_for_one_go() {
    let mut bed = Bed::start().await;
    let mut session = bed.controller.welcomed(1).await;
    session.offers(logon("t1")).await;
    let begin = session.hears_begin().await;
    assert_eq!((begin.task.as_str(), begin.attempt.as_str()), ("t1", "a-t1"));
    assert_eq!((begin.nonce.len(), begin.public_key.len()), (16, 32));
    assert_eq!(bed.target.credentials(), Vec::<String>::new());
    let go = go(&begin, 41);
    session.tell(Tell::Go(go.clone())).await;
    session.tell(Tell::Go(go.clone())).await;
    let result = session.hears_result().await;
    assert_eq!((&result.attempt, &result.nonce), (&begin.attempt, &begin.nonce));
    assert!(!format!("{result:?}").contains(SECRET));
    assert_eq!(exchanges(result), [(true, "401".to_owned()), (true, "200".to_owned())]);
    // Once more after the end, and something else to see that it was heard.
    session.tell(Tell::Go(go)).await;
    session.offers(look("t2")).await;
    session.hears_result().await;
    assert_eq!(bed.target.credentials(), ["Basic Q09SUFxhbm5hOlBsYW50ZWQtMTIzNDU="]);
    bed.stop().await;
}

#[tokio::test]
async fn sends_nothing_after_a_deny() {
    let mut bed = Bed::start().await;
    let mut session = bed.controller.welcomed(1).await;
    session.offers(logon("t1")).await;
    let wire::Begin { attempt, nonce, .. } = session.hears_begin().await;
    session.tell(Tell::Deny(wire::Deny { attempt, nonce, reason: "budget".to_owned() })).await;
    let result = session.hears_result().await;
    assert_eq!(exchanges(result), held("the controller denied it: budget"));
    assert_eq!(bed.target.credentials(), Vec::<String>::new());
    bed.stop().await;
}

#[tokio::test]
async fn sends_nothing_after_a_late_go() {
    let mut bed = Bed::with(Timings { go_wait: Duration::from_millis(50), ..quick() }).await;
    let mut session = bed.controller.welcomed(1).await;
    session.offers(logon("t1")).await;
    let begin = session.hears_begin().await;
    let result = session.hears_result().await;
    assert_eq!(exchanges(result), held("no go came in time"));
    session.tell(Tell::Go(go(&begin, 41))).await;
    session.offers(look("t2")).await;
    session.hears_result().await;
    assert_eq!(bed.target.credentials(), Vec::<String>::new());
    bed.stop().await;
}

#[tokio::test]
async fn a_begin_ends_with_its_session() {
    let mut bed = Bed::start().await;
    let mut session = bed.controller.welcomed(1).await;
    session.offers(logon("t1")).await;
    let begin = session.hears_begin().await;
    drop(session);
    let mut session = bed.controller.welcomed(2).await;
    session.tell(Tell::Go(go(&begin, 41))).await;
    let result = session.hears_result().await;
    assert_eq!(result.session_epoch, 1);
    assert_eq!(exchanges(result), held("the session with the controller ended"));
    session.offers(look("t2")).await;
    session.hears_result().await;
    assert_eq!(bed.target.credentials(), Vec::<String>::new());
    bed.stop().await;
}

#[tokio::test]
async fn a_ledger_that_went_back_gets_nothing_sent() {
    let mut bed = Bed::start().await;
    let mut session = bed.controller.welcomed(1).await;
    session.offers(logon("t1")).await;
    let begin = session.hears_begin().await;
    session.tell(Tell::Go(go(&begin, 41))).await;
    session.hears_result().await;
    session.offers(logon("t2")).await;
    let begin = session.hears_begin().await;
    session.tell(Tell::Go(go(&begin, 40))).await;
    let result = session.hears_result().await;
    assert_eq!(exchanges(result), held("the controller's ledger has gone back from 41 to 40"));
    assert_eq!(bed.target.credentials().len(), 1);
    drop(session);
    let (_, hello) = bed.controller.session().await;
    assert_eq!(hello.ledger_sequence, 41);
    bed.stop().await;
}

#[tokio::test]
async fn a_cancel_ends_a_look_and_a_begin() {
    let mut bed = Bed::start().await;
    let mut session = bed.controller.welcomed(1).await;
    session.offers(endless_look("t1")).await;
    session.tell(Tell::Cancel(wire::Cancel { task: "t1".to_owned() })).await;
    let result = session.hears_result().await;
    assert_eq!(report(result), Report::Silent(Silence::Cancelled));
    session.offers(logon("t2")).await;
    let begin = session.hears_begin().await;
    session.tell(Tell::Cancel(wire::Cancel { task: "t2".to_owned() })).await;
    session.tell(Tell::Go(go(&begin, 41))).await;
    let result = session.hears_result().await;
    assert_eq!(exchanges(result), held("cancelled before its go"));
    assert_eq!(bed.target.credentials(), Vec::<String>::new());
    bed.stop().await;
}

#[tokio::test]
async fn leaves_a_controller_that_fell_silent() {
    let mut bed = Bed::start().await;
    let (mut session, _) = bed.controller.session().await;
    session.welcome(1, Duration::from_millis(500)).await;
    let mut beats = 0;
    while let Some(said) = session.hears_anything().await {
        assert!(matches!(said, Said::Heartbeat(_)), "{said:?}");
        beats += 1;
    }
    assert!((1..=2).contains(&beats), "{beats}");
    bed.controller.welcomed(2).await;
    bed.stop().await;
}

#[tokio::test]
async fn gives_nobody_a_session_but_its_own_controller() {
    let ours = Authority::new();
    let controller = Controller::start(&Authority::new()).await;
    let mut bed = Bed::between(controller, &ours, quick()).await;
    let failure = bed.controller.failed_handshake().await.to_string();
    assert!(failure.contains("fatal alert"), "{failure}");
    bed.stop().await;
}

#[tokio::test]
async fn a_stop_ends_tasks_and_waits_for_their_acknowledgement() {
    let mut bed = Bed::with(Timings { farewell: Duration::from_mins(1), ..quick() }).await;
    let mut session = bed.controller.welcomed(1).await;
    session.offers(endless_look("t1")).await;
    session.offers(logon("t2")).await;
    let begin = session.hears_begin().await;
    bed.stop.cancel();
    let mut results = [session.hears_result().await, session.hears_result().await];
    results.sort_by(|left, right| left.task.cmp(&right.task));
    let [first, second] = results;
    assert_eq!(report(first), Report::Silent(Silence::Cancelled));
    let reason =
        exchanges(second).pop().map(|(sent, reason)| (sent, reason == "cancelled before its go"));
    assert_eq!(reason, Some((false, true)));
    session.tell(Tell::Go(go(&begin, 41))).await;
    session.tell(Tell::Offer(look("t3"))).await;
    assert_eq!(session.hears_refuse().await.reason, "the agent stops");
    session.acknowledges("t1").await;
    session.acknowledges("t2").await;
    assert_eq!(bed.target.credentials(), Vec::<String>::new());
    bed.stop().await;
}
