//! Targets, agents, diagnoses, events, history: pages, etags and repeated requests.

use std::time::{Duration, UNIX_EPOCH};

use parallax_model::{EndpointName, PathId, Threshold, Vantage, VantageName, Zone};
use parallax_wire::pb;

use super::{Fixture, account_id, diagnosis_id, target_id};
use crate::{Answer, Introduction, Kind, PageRequest, PastRecord, RequestKey, StoreError};

fn named(display_name: &str) -> pb::Target {
    pb::Target { display_name: display_name.to_owned(), ..pb::Target::default() }
}

fn key(id: &str, request: &str) -> RequestKey {
    RequestKey {
        principal: "p".to_owned(),
        method: "CreateTarget",
        request_id: id.to_owned(),
        request: request.as_bytes().to_vec(),
    }
}

#[tokio::test]
async fn a_target_changes_only_under_its_etag() {
    let it = Fixture::new().await;
    let id = target_id("mail");
    let made = it.store.create_target(&id, named("one"), None).await.expect("made").into_inner();
    assert_eq!(made.name, "targets/mail");
    let twice = it.store.create_target(&id, named("two"), None).await;
    assert!(matches!(twice, Err(StoreError::AlreadyExists { kind: Kind::Target, .. })));
    let changed = it
        .store
        .update_target(&id, named("two"), Some(&made.etag), false, None)
        .await
        .expect("changed")
        .into_inner();
    assert_ne!(changed.etag, made.etag);
    assert_eq!(changed.create_time, made.create_time);
    let stale = it.store.update_target(&id, named("three"), Some(&made.etag), false, None).await;
    assert!(
        matches!(stale, Err(StoreError::Conflict { ref etag, .. }) if *etag == changed.etag),
        "{stale:?}"
    );
    assert_eq!(it.store.target(&id).await.expect("there"), changed);
    assert!(matches!(
        it.store.delete_target(&id, Some("x")).await,
        Err(StoreError::Conflict { .. })
    ));
    it.store.delete_target(&id, Some(&changed.etag)).await.expect("deleted");
    assert!(matches!(it.store.target(&id).await, Err(StoreError::NotFound { .. })));
    let missing = it.store.update_target(&id, named("x"), None, false, None).await;
    assert!(matches!(missing, Err(StoreError::NotFound { .. })));
    it.store.update_target(&id, named("x"), None, true, None).await.expect("made");
}

#[tokio::test]
async fn a_target_names_accounts_that_exist_and_keeps_them() {
    let it = Fixture::new().await;
    let with_account = pb::Target {
        accounts: vec![pb::TargetAccount { account: "accounts/a".to_owned(), purpose: 1 }],
        ..pb::Target::default()
    };
    let refused = it.store.create_target(&target_id("mail"), with_account.clone(), None).await;
    assert!(
        matches!(refused, Err(StoreError::NotFound { kind: Kind::Account, .. })),
        "{refused:?}"
    );
    assert!(it.store.target(&target_id("mail")).await.is_err(), "nothing was changed");
    it.add_account("a", Threshold::Never, Duration::from_mins(30)).await;
    it.store.create_target(&target_id("mail"), with_account, None).await.expect("made");
    let used = it.store.delete_account(&account_id("a"), "admin").await;
    assert!(
        matches!(used, Err(StoreError::Referenced { ref by, .. }) if by == "targets/mail"),
        "{used:?}"
    );
    it.store.delete_target(&target_id("mail"), None).await.expect("deleted");
    it.store.delete_account(&account_id("a"), "admin").await.expect("deleted");
}

#[tokio::test]
async fn the_same_request_gives_the_same_answer_for_a_day() {
    let it = Fixture::new().await;
    let id = target_id("mail");
    let made =
        it.store.create_target(&id, named("one"), Some(&key("r1", "one"))).await.expect("made");
    let Answer::Done(made) = made else { panic!("{made:?}") };
    it.store.delete_target(&id, None).await.expect("deleted");
    let again =
        it.store.create_target(&id, named("one"), Some(&key("r1", "one"))).await.expect("answers");
    assert_eq!(again, Answer::Replayed(made), "and nothing was made");
    assert!(it.store.target(&id).await.is_err());
    let other = it.store.create_target(&id, named("two"), Some(&key("r1", "two"))).await;
    assert!(
        matches!(other, Err(StoreError::RequestIdReused { ref request_id, .. }) if request_id == "r1")
    );
    it.pass(Duration::from_hours(24));
    let later =
        it.store.create_target(&id, named("two"), Some(&key("r1", "two"))).await.expect("made");
    assert!(matches!(later, Answer::Done(_)));
}

#[tokio::test]
async fn pages_of_diagnoses_are_stable_while_new_ones_come() {
    let it = Fixture::new().await;
    let create = async |id: String, target: &str| {
        let diagnosis = pb::Diagnosis {
            target: format!("targets/{target}"),
            rounds: vec![pb::Round::default()],
            ..pb::Diagnosis::default()
        };
        it.store.create_diagnosis(&diagnosis_id(&id), diagnosis, None).await.expect("made");
        it.pass(Duration::from_millis(u64::from(id.ends_with('5'))));
    };
    for number in 10..25 {
        create(format!("d{number}"), if number % 2 == 0 { "even" } else { "odd" }).await;
    }
    let mut seen = Vec::new();
    let mut request = PageRequest { size: 4, token: String::new() };
    for page_number in 0..9 {
        let page = it.store.list_diagnoses(None, &request).await.expect("listed");
        assert!(page.items.iter().all(|it| it.rounds.is_empty()), "summaries");
        seen.extend(page.items.into_iter().map(|it| it.name));
        create(format!("new-{page_number}"), "even").await;
        if page.next_token.is_empty() {
            break;
        }
        request.token = page.next_token;
    }
    let mut expected: Vec<String> = (10..25).map(|number| format!("diagnoses/d{number}")).collect();
    expected.reverse();
    assert_eq!(seen, expected);
    let odd = PageRequest { size: 3, token: String::new() };
    let page = it.store.list_diagnoses(Some(&target_id("odd")), &odd).await.expect("listed");
    let names: Vec<&str> = page.items.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["diagnoses/d23", "diagnoses/d21", "diagnoses/d19"]);
    let elsewhere = PageRequest { token: page.next_token, ..odd };
    for target in [None, Some(target_id("even"))] {
        let refused = it.store.list_diagnoses(target.as_ref(), &elsewhere).await;
        assert!(matches!(refused, Err(StoreError::PageToken { .. })));
    }
    let garbage = PageRequest { token: "%%%".to_owned(), ..elsewhere };
    assert!(matches!(it.store.list_targets(&garbage).await, Err(StoreError::PageToken { .. })));
}

#[tokio::test]
async fn who_watches_may_leave_and_resume() {
    let it = Fixture::new().await;
    let id = diagnosis_id("d1");
    let diagnosis = it
        .store
        .create_diagnosis(&id, pb::Diagnosis::default(), None)
        .await
        .expect("made")
        .into_inner();
    let events = it
        .store
        .append_events(&id, vec![pb::WatchDiagnosisResponse::default(); 3])
        .await
        .expect("appended");
    assert_eq!(events.iter().map(|it| it.sequence).collect::<Vec<_>>(), [1, 2, 3]);
    let done = pb::Diagnosis { state: pb::diagnosis::State::Succeeded.into(), ..diagnosis };
    let finished = it.store.finish_diagnosis(done).await.expect("ended");
    assert_eq!(finished.event.sequence, 4);
    let rest = it.store.events_after(&id, 2).await.expect("read");
    assert_eq!(rest.iter().map(|it| it.sequence).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(rest.last(), Some(&finished.event));
    let late = it.store.append_events(&id, vec![pb::WatchDiagnosisResponse::default()]).await;
    assert!(matches!(late, Err(StoreError::Ended { .. })), "{late:?}");
    let pending =
        pb::Diagnosis { state: pb::diagnosis::State::Running.into(), ..finished.diagnosis };
    assert!(it.store.finish_diagnosis(pending).await.is_err());
}

#[tokio::test]
async fn a_vantage_has_one_agent_unless_replaced() {
    let it = Fixture::new().await;
    let vantage = Vantage {
        name: VantageName::new("hq").expect("a name"),
        zone: Zone::Internal,
        site: "HQ".to_owned(),
    };
    let other = Vantage {
        name: VantageName::new("ext").expect("a name"),
        zone: Zone::External,
        ..vantage.clone()
    };
    it.store.register_agent(&vantage, [1; 32], false).await.expect("registered");
    let twice = it.store.register_agent(&vantage, [2; 32], false).await;
    assert!(matches!(twice, Err(StoreError::AlreadyExists { kind: Kind::Agent, .. })));
    let borrowed = it.store.register_agent(&other, [1; 32], true).await;
    assert!(matches!(borrowed, Err(StoreError::AlreadyExists { ref id, .. }) if id == "hq"));
    it.store.register_agent(&vantage, [2; 32], true).await.expect("replaced");
    assert_eq!(it.store.agent_by_certificate(&[1; 32]).await.expect("read"), None);
    let found = it.store.agent_by_certificate(&[2; 32]).await.expect("read").expect("there");
    assert_eq!(found.vantage, vantage);
    assert_eq!(it.store.agents().await.expect("read"), [found]);
    for epoch in 1..3 {
        assert_eq!(
            it.store.begin_session(&vantage.name, &Introduction::default()).await.expect("counted"),
            epoch
        );
    }
    it.store.remove_agent(&vantage.name).await.expect("removed");
    assert!(it.store.begin_session(&vantage.name, &Introduction::default()).await.is_err());
}

#[tokio::test]
async fn history_is_bounded_and_oldest_first() {
    let it = Fixture::new().await;
    let record = |second| PastRecord {
        at: UNIX_EPOCH + Duration::from_secs(second),
        path: PathId {
            vantage: VantageName::new("hq").expect("a name"),
            endpoint: EndpointName::new("cas1").expect("a name"),
        },
        look: pb::Look::default(),
        sight: pb::Sight::default(),
    };
    let records: Vec<PastRecord> = (0..10).map(record).collect();
    it.store.add_past(&target_id("mail"), &records).await.expect("added");
    let since = UNIX_EPOCH + Duration::from_secs(3);
    let all = it.store.past(&target_id("mail"), since, 100).await.expect("read");
    assert_eq!(all, records[3..]);
    let newest = it.store.past(&target_id("mail"), since, 2).await.expect("read");
    assert_eq!(newest, records[8..]);
    assert_eq!(it.store.past(&target_id("other"), since, 2).await.expect("read"), []);
}
