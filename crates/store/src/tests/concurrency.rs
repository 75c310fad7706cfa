//! Many tasks at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use parallax_model::Threshold;
use parallax_wire::pb;
use tokio::task::JoinSet;

use super::{Fixture, diagnosis_id, request};
use crate::{LogonResult, NewReport, Recorded, ReserveRefused};

const TASKS: usize = 32;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_32_tasks_never_more_than_one_has_the_account() {
    let it = Fixture::new().await;
    it.add_account("a", Threshold::At(999), Duration::from_mins(30)).await;
    let store = Arc::new(it.store);
    let (open, granted) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let (store, open, granted) = (Arc::clone(&store), Arc::clone(&open), Arc::clone(&granted));
        tasks.spawn(async move {
            for round in 0..4 {
                let request = request("a", &format!("d{task}-{round}"), "x");
                let attempt = match store.reserve(&request).await.expect("answers") {
                    Ok(attempt) => attempt,
                    Err(refused) => {
                        assert_eq!(refused, ReserveRefused::InFlight);
                        continue;
                    }
                };
                assert_eq!(open.fetch_add(1, SeqCst), 0, "two at once");
                granted.fetch_add(1, SeqCst);
                let nonce = uuid::Uuid::new_v4().into_bytes();
                store
                    .start(&attempt.id, &nonce, &request.agent)
                    .await
                    .expect("answers")
                    .expect("starts");
                assert_eq!(open.fetch_sub(1, SeqCst), 1);
                let result = LogonResult::Unproven;
                store.settle(&attempt.id, &nonce, result).await.expect("answers").expect("settles");
            }
        });
    }
    while let Some(joined) = tasks.join_next().await {
        joined.expect("no task fails");
    }
    let budget = store.budget(&super::account_id("a")).await.expect("known");
    assert_eq!((budget.charged, budget.reserved), (granted.load(SeqCst), 0));
    assert!(budget.charged > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_that_come_together_are_all_kept_once_and_numbered_without_a_gap() {
    let it = Fixture::new().await;
    let diagnosis = diagnosis_id("d1");
    it.store.create_diagnosis(&diagnosis, pb::Diagnosis::default(), None).await.expect("made");
    let store = Arc::new(it.store);
    let mut tasks = JoinSet::new();
    for task in 0..100 {
        for _copy in 0..2 {
            let (store, diagnosis) = (Arc::clone(&store), diagnosis.clone());
            tasks.spawn(async move {
                let report = NewReport {
                    diagnosis,
                    round: 1,
                    task: format!("t{task}"),
                    report: pb::PathReport::default(),
                    event: Some(pb::WatchDiagnosisResponse::default()),
                };
                store.record_report(report).await.expect("recorded")
            });
        }
    }
    // One that is nobody's fails alone, in whatever batch it comes.
    let lost = NewReport {
        diagnosis: diagnosis_id("nobody"),
        round: 1,
        task: "lost".to_owned(),
        report: pb::PathReport::default(),
        event: None,
    };
    assert!(store.record_report(lost).await.is_err());
    let (mut new, mut duplicates) = (0, 0);
    while let Some(joined) = tasks.join_next().await {
        match joined.expect("no task fails") {
            Recorded::New(event) => {
                assert!(event.is_some());
                new += 1;
            }
            Recorded::Duplicate => duplicates += 1,
        }
    }
    assert_eq!((new, duplicates), (100, 100));
    assert_eq!(store.reports(&diagnosis).await.expect("read").len(), 100);
    let events = store.events_after(&diagnosis, 0).await.expect("read");
    let sequences: Vec<i32> = events.iter().map(|event| event.sequence).collect();
    assert_eq!(sequences, (1..=100).collect::<Vec<_>>());
}
