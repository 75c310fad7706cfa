//! Tasks that were granted: known after a restart, to their own agent alone, until their report is kept.

use std::time::Duration;

use parallax_model::{EndpointName, PathId, Vantage, VantageName, Zone};
use parallax_wire::pb;

use super::{Fixture, diagnosis_id};
use crate::{DiagnosisStart, Introduction, NewReport, OfferedTask, Recorded};

fn vantage(name: &str) -> VantageName {
    VantageName::new(name).expect("a name")
}

fn path(name: &str) -> PathId {
    PathId { vantage: vantage(name), endpoint: EndpointName::new("cas").expect("a name") }
}

fn offered(task: &str, vantage: &str) -> OfferedTask {
    OfferedTask { task: task.to_owned(), path: path(vantage) }
}

fn report(task: &str, report: pb::path_report::Report) -> NewReport {
    NewReport {
        diagnosis: diagnosis_id("d1"),
        round: 1,
        task: task.to_owned(),
        report: pb::PathReport { path: Some((&path("hq")).into()), report: Some(report) },
        event: None,
    }
}

fn refused() -> pb::path_report::Report {
    pb::path_report::Report::Refused(pb::Refusal { rule: "host".to_owned() })
}

/// Two agents with a session each, a diagnosis, and a round with a task for `hq`, one for `dc` and one for nobody.
async fn fixture() -> Fixture {
    let it = Fixture::new().await;
    for (name, byte) in [("hq", 1), ("dc", 2)] {
        let vantage = Vantage { name: vantage(name), zone: Zone::Internal, site: String::new() };
        it.store.register_agent(&vantage, [byte; 32], false).await.expect("registered");
        begin_session(&it, name).await;
    }
    let id = diagnosis_id("d1");
    it.store.create_diagnosis(&id, pb::Diagnosis::default(), None).await.expect("made");
    let tasks = vec![offered("t-hq", "hq"), offered("t-dc", "dc"), offered("t-gone", "gone")];
    let event = pb::WatchDiagnosisResponse::default();
    assert_eq!(it.store.begin_round(&id, 1, event, tasks).await.expect("begun"), 1);
    it
}

async fn begin_session(it: &Fixture, name: &str) -> i64 {
    let introduction = Introduction::default();
    it.store.begin_session(&vantage(name), &introduction).await.expect("a session")
}

async fn is_granted(it: &Fixture, task: &str, agent: &str, epoch: i64) -> bool {
    let found = it.store.granted_task(task, &vantage(agent), epoch).await.expect("answers");
    found.is_some_and(|it| it.diagnosis == diagnosis_id("d1") && it.round == 1)
}

#[tokio::test]
async fn a_task_is_known_after_a_restart_to_its_own_agent_alone() {
    let it = fixture().await.reopen().await;
    assert!(is_granted(&it, "t-hq", "hq", 1).await);
    assert!(!is_granted(&it, "t-hq", "dc", 1).await, "granted to another");
    assert!(!is_granted(&it, "t-hq", "hq", 0).await, "a session before it was granted");
    assert!(!is_granted(&it, "t-hq", "hq", 2).await, "a session that there never was");
    assert!(!is_granted(&it, "t-gone", "gone", 1).await, "nobody was asked");
    assert!(!is_granted(&it, "t-none", "hq", 1).await);
    begin_session(&it, "hq").await;
    assert!(is_granted(&it, "t-hq", "hq", 1).await, "its result may come with a later session");
    it.store.remove_agent(&vantage("dc")).await.expect("removed");
    let again = Vantage { name: vantage("dc"), zone: Zone::Internal, site: String::new() };
    it.store.register_agent(&again, [3; 32], false).await.expect("registered");
    begin_session(&it, "dc").await;
    assert!(!is_granted(&it, "t-dc", "dc", 1).await, "another machine of the same name");
}

#[tokio::test]
async fn a_second_copy_is_known_for_ours_after_the_first_was_kept() {
    let it = fixture().await;
    let first = it.store.record_report(report("t-hq", refused())).await.expect("kept");
    assert_eq!(first, Recorded::New(None));
    let it = it.reopen().await;
    let found = it.store.granted_task("t-hq", &vantage("hq"), 1).await.expect("answers");
    assert!(found.expect("ours").is_reported);
    assert!(!is_granted(&it, "t-hq", "dc", 1).await);
    let second = it.store.record_report(report("t-hq", refused())).await.expect("answers");
    assert_eq!(second, Recorded::Duplicate);
}

#[tokio::test]
async fn a_silence_gives_way_to_the_agents_own_word_and_nothing_else_does() {
    let it = fixture().await;
    let silent = pb::path_report::Report::Silent(pb::Silence::default());
    it.store.record_report(report("t-hq", silent.clone())).await.expect("kept");
    let late = it.store.record_report(report("t-hq", refused())).await.expect("kept");
    assert_eq!(late, Recorded::New(None));
    for again in [silent, pb::path_report::Report::Unable(pb::Inability::default())] {
        let again = it.store.record_report(report("t-hq", again)).await.expect("answers");
        assert_eq!(again, Recorded::Duplicate);
    }
    let kept = it.store.reports(&diagnosis_id("d1")).await.expect("read");
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].report.report, Some(refused()));
}

#[tokio::test]
async fn what_never_came_is_forgotten_after_a_week() {
    let it = fixture().await;
    assert_eq!(it.store.sweep_offers().await.expect("swept"), 0);
    it.pass(Duration::from_hours(7 * 24 - 1));
    assert_eq!(it.store.sweep_offers().await.expect("swept"), 0);
    it.pass(Duration::from_hours(2));
    assert_eq!(it.store.sweep_offers().await.expect("swept"), 2);
    assert!(!is_granted(&it, "t-hq", "hq", 1).await);
}

#[tokio::test]
async fn the_start_of_a_diagnosis_is_kept_until_it_ends() {
    let it = Fixture::new().await;
    let vantage = Vantage { name: vantage("hq"), zone: Zone::Dmz, site: "Tokyo".to_owned() };
    let start = DiagnosisStart {
        target: pb::Target { name: "targets/mail".to_owned(), ..pb::Target::default() },
        accounts: vec![pb::Account { name: "accounts/a".to_owned(), ..pb::Account::default() }],
        vantages: vec![vantage],
    };
    let id = diagnosis_id("d1");
    let accepted =
        it.store.accept_diagnosis(&id, pb::Diagnosis::default(), Some(&start), None).await;
    accepted.expect("accepted");
    let it = it.reopen().await;
    let (_, kept) = it.store.diagnosis_start(&id).await.expect("read").expect("kept");
    assert_eq!(kept, start);
    let mut ended = it.store.diagnosis(&id).await.expect("there");
    ended.set_state(pb::diagnosis::State::Succeeded);
    it.store.finish_diagnosis(ended).await.expect("ended");
    assert_eq!(it.store.diagnosis_start(&id).await.expect("read"), None);
}
