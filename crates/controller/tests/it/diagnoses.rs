//! The coordinator with a scripted fleet: silence, cancel, deadline, restart, watching.

use std::time::{Duration, Instant};

use parallax_model::Zone;
use parallax_wire::pb;
use parallax_wire::pb::diagnosis::State;
use parallax_wire::pb::link::session_response::Message as Told;
use parallax_wire::pb::watch_diagnosis_response::Event;
use tonic::{Code, Request};

use crate::agent::nothing_resolves;
use crate::bed::{Bed, published};

fn reasons(diagnosis: &pb::Diagnosis) -> Vec<pb::silence::Reason> {
    let reports = diagnosis.rounds.iter().flat_map(|it| &it.reports);
    reports
        .filter_map(|it| match &it.report {
            Some(pb::path_report::Report::Silent(silence)) => Some(silence.reason()),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn an_agent_without_a_session_is_silent_at_once() {
    let bed = Bed::start(&[("ext", Zone::External), ("dmz", Zone::Dmz)]).await;
    bed.target("shop", published(), Vec::new()).await;
    let mut agent = bed.agent("ext").await;
    let began = Instant::now();
    let diagnosis = bed.begin("shop").await;
    let plan = diagnosis.plan.as_ref().expect("a plan");
    let connected: Vec<bool> = plan.paths.iter().map(|it| it.connected).collect();
    assert_eq!(connected, [false, true], "dmz, ext");
    let offer = agent.accept().await;
    agent.report(&offer, nothing_resolves()).await;
    let end = bed.end(&diagnosis.name).await;
    assert!(began.elapsed() < Duration::from_secs(5), "nothing was waited for");
    assert_eq!(end.state(), State::Succeeded);
    assert_eq!(reasons(&end), [pb::silence::Reason::NoSession]);
    assert_eq!(end.rounds[0].reports.len(), 2, "silence is a report too");
    let verdict = end.verdict.expect("a verdict");
    assert!(!verdict.title.is_empty());
    assert_eq!(end.text.expect("a page").language, "en");
}

#[tokio::test]
async fn a_cancel_reaches_the_agent_and_what_is_there_is_judged() {
    let bed = Bed::start(&[("ext", Zone::External), ("dmz", Zone::Dmz)]).await;
    bed.target("shop", published(), Vec::new()).await;
    let (mut ext, mut dmz) = (bed.agent("ext").await, bed.agent("dmz").await);
    let diagnosis = bed.begin("shop").await;
    let (answered, unanswered) = (ext.accept().await, dmz.accept().await);
    ext.report(&answered, nothing_resolves()).await;
    ext.acknowledged(&answered.task).await;
    let request = pb::CancelDiagnosisRequest { name: diagnosis.name.clone() };
    let end = bed
        .diagnoses()
        .await
        .cancel_diagnosis(request.clone())
        .await
        .expect("cancelled")
        .into_inner();
    assert!(matches!(dmz.next().await, Some(Told::Cancel(it)) if it.task == unanswered.task));
    assert_eq!(end.state(), State::Cancelled);
    assert_eq!(reasons(&end), [pb::silence::Reason::Cancelled]);
    assert!(end.verdict.is_some_and(|it| !it.fault.is_empty()));
    // Once more is no error and changes nothing.
    let again =
        bed.diagnoses().await.cancel_diagnosis(request).await.expect("as it is").into_inner();
    assert_eq!(again.state(), State::Cancelled);
    // What comes after all is kept out of the diagnosis, and acknowledged.
    dmz.report(&unanswered, nothing_resolves()).await;
    dmz.acknowledged(&unanswered.task).await;
}

#[tokio::test]
async fn at_its_deadline_a_diagnosis_is_judged_by_what_is_there() {
    let bed = Bed::start(&[("ext", Zone::External)]).await;
    bed.target("shop", published(), Vec::new()).await;
    let mut agent = bed.agent("ext").await;
    let asked = pb::Diagnosis {
        target: "targets/shop".to_owned(),
        time_limit: Some(pbjson_types::Duration { seconds: 10, nanos: 0 }),
        language: "ja".to_owned(),
        ..pb::Diagnosis::default()
    };
    let request = pb::DiagnoseRequest { diagnosis: Some(asked), ..pb::DiagnoseRequest::default() };
    let mut client = bed.diagnoses().await;
    let waiting = tokio::spawn(async move { client.diagnose(request).await });
    agent.accept().await;
    let end = waiting.await.expect("no panic").expect("an answer").into_inner();
    assert_eq!(end.state(), State::Expired);
    assert_eq!(reasons(&end), [pb::silence::Reason::Late]);
    assert_eq!(end.language, "ja");
}

#[tokio::test]
async fn diagnose_returns_the_resource_at_its_callers_deadline() {
    let bed = Bed::start(&[("ext", Zone::External)]).await;
    bed.target("shop", published(), Vec::new()).await;
    let mut agent = bed.agent("ext").await;
    let asked = pb::Diagnosis { target: "targets/shop".to_owned(), ..pb::Diagnosis::default() };
    let ask = pb::DiagnoseRequest { diagnosis: Some(asked), ..pb::DiagnoseRequest::default() };
    let with_time = |time| {
        let mut request = Request::new(ask.clone());
        request.set_timeout(time);
        request
    };
    let short = bed.diagnoses().await.diagnose(with_time(Duration::from_millis(1500))).await;
    assert_eq!(short.expect_err("too short").code(), Code::DeadlineExceeded);
    let mut client = bed.diagnoses().await;
    let request = with_time(Duration::from_millis(2500));
    let waiting = tokio::spawn(async move { client.diagnose(request).await });
    let offer = agent.accept().await;
    let running = waiting.await.expect("no panic").expect("the resource").into_inner();
    assert_eq!(running.state(), State::Running);
    // It goes on without its caller.
    agent.report(&offer, nothing_resolves()).await;
    assert_eq!(bed.end(&running.name).await.state(), State::Succeeded);
}

#[tokio::test]
async fn watchers_see_every_event_once_and_may_resume() {
    let bed = Bed::start(&[("ext", Zone::External)]).await;
    bed.target("shop", published(), Vec::new()).await;
    let mut agent = bed.agent("ext").await;
    let diagnosis = bed.begin("shop").await;
    let offer = agent.accept().await;
    let progress = pb::link::Progress {
        task: offer.task.clone(),
        stage: "dns".to_owned(),
        text: "NXDOMAIN".to_owned(),
    };
    agent.say(pb::link::session_request::Message::Progress(progress)).await;
    agent.report(&offer, nothing_resolves()).await;
    let events = bed.events(&diagnosis.name, 0).await;
    let numbers: Vec<i32> = events.iter().map(|it| it.sequence).collect();
    assert_eq!(numbers, (1..=i32::try_from(events.len()).expect("few")).collect::<Vec<_>>());
    let words: Vec<&str> = events
        .iter()
        .map(|it| match it.event.as_ref().expect("an event") {
            Event::State(_) => "state",
            Event::RoundBegun(_) => "round",
            Event::StageEnded(_) => "stage",
            Event::PathReported(_) => "path",
            Event::Logon(_) => "logon",
            Event::Judged(_) => "judged",
            Event::Diagnosis(_) => "end",
        })
        .collect();
    assert_eq!(words, ["state", "round", "stage", "path", "judged", "end"]);
    assert_eq!(bed.events(&diagnosis.name, 4).await, events[4..]);
}

#[tokio::test]
async fn a_restart_goes_on_with_what_had_sent_no_credential() {
    let bed = Bed::start(&[("ext", Zone::External), ("dmz", Zone::Dmz)]).await;
    bed.target("shop", published(), Vec::new()).await;
    let (mut ext, mut dmz) = (bed.agent("ext").await, bed.agent("dmz").await);
    let diagnosis = bed.begin("shop").await;
    let offer = ext.accept().await;
    dmz.accept().await;
    ext.report(&offer, nothing_resolves()).await;
    ext.acknowledged(&offer.task).await;
    let site = bed.stop().await;
    assert!(matches!(ext.next().await, Some(Told::GoAway(_))));
    let bed = Bed::start_again(site).await;
    // Only the path without a report is asked again.
    let (_ext, mut dmz) = (bed.agent("ext").await, bed.agent("dmz").await);
    let again = dmz.accept().await;
    dmz.report(&again, nothing_resolves()).await;
    let end = bed.end(&diagnosis.name).await;
    assert_eq!(end.state(), State::Succeeded);
    assert_eq!(end.rounds.len(), 1);
    assert_eq!(end.rounds[0].reports.len(), 2, "what was acknowledged is still there");
    assert!(end.verdict.is_some_and(|it| !it.fault.is_empty()));
    assert!(end.end_time.is_some());
}
