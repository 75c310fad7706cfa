//! Restarts, second processes and restored files.

use std::fs;
use std::path::Path;
use std::time::Duration;

use parallax_model::Threshold;
use parallax_wire::pb;

use super::{Fixture, account_id, diagnosis_id, request};
use crate::{AttemptState, LogonResult, Store, StoreError};

const HALF_HOUR: Duration = Duration::from_mins(30);

#[tokio::test]
async fn a_restart_voids_what_was_reserved_and_charges_what_was_started() {
    let mut it = Fixture::new().await;
    for id in ["reserved", "started"] {
        it.add_account(id, Threshold::At(10), HALF_HOUR).await;
    }
    let reserved = it.reserve(&request("reserved", "d1", "x")).await.expect("granted").id;
    let started = it.reserve(&request("started", "d1", "x")).await.expect("granted").id;
    let nonce = it.nonce();
    let agent = request("started", "d1", "x").agent;
    it.store.start(&started, &nonce, &agent).await.expect("answers").expect("starts");
    let mut it = it.reopen().await;
    assert_eq!(it.budget("reserved").await, (0, 4));
    let other = it.nonce();
    assert!(it.store.start(&reserved, &other, &agent).await.expect("answers").is_err());
    let budget = it.store.budget(&account_id("started")).await.expect("known");
    assert_eq!((budget.reserved, budget.charged), (1, 0), "its result may still come");
    it.pass(Duration::from_secs(131));
    let it = it.reopen().await;
    assert_eq!(it.budget("started").await, (1, 3));
    let late = it.store.settle(&started, &nonce, LogonResult::Accepted).await.expect("answers");
    assert_eq!(late.expect("settles").state, AttemptState::Succeeded);
    assert_eq!(it.budget("started").await, (0, 4));
    assert!(it.store.budget(&account_id("started")).await.expect("known").frozen.is_none());
}

#[tokio::test]
async fn unfinished_diagnoses_are_found_until_they_are_ended() {
    let mut it = Fixture::new().await;
    for id in ["d1", "d2", "d3"] {
        it.store
            .create_diagnosis(&diagnosis_id(id), pb::Diagnosis::default(), None)
            .await
            .expect("made");
    }
    let mut running = it.store.diagnosis(&diagnosis_id("d2")).await.expect("there");
    running.state = pb::diagnosis::State::Running.into();
    it.store.update_diagnosis(running.clone()).await.expect("updated");
    let done = pb::Diagnosis {
        state: pb::diagnosis::State::Succeeded.into(),
        ..it.store.diagnosis(&diagnosis_id("d3")).await.expect("there")
    };
    it.store.finish_diagnosis(done.clone()).await.expect("ended");
    assert!(matches!(it.store.update_diagnosis(done.clone()).await, Err(StoreError::Ended { .. })));
    for _ in 0..2 {
        it = it.reopen().await;
        let found = it.store.unfinished_diagnoses().await.expect("read");
        let names: Vec<&str> = found.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["diagnoses/d1", "diagnoses/d2"]);
        assert_eq!(found[1], running, "as it was last brought forward");
    }
    for mut diagnosis in it.store.unfinished_diagnoses().await.expect("read") {
        diagnosis.set_state(pb::diagnosis::State::Interrupted);
        let finished = it.store.finish_diagnosis(diagnosis).await.expect("ended");
        assert_eq!(finished.event.sequence, 1);
        assert!(finished.diagnosis.end_time.is_some());
    }
    let it = it.reopen().await;
    assert_eq!(it.store.unfinished_diagnoses().await.expect("read"), []);
    let events = it.store.events_after(&diagnosis_id("d2"), 0).await.expect("read");
    assert!(matches!(
        events.last().and_then(|it| it.event.as_ref()),
        Some(pb::watch_diagnosis_response::Event::Diagnosis(_))
    ));
}

#[tokio::test]
async fn a_second_process_is_refused_and_may_wait() {
    let it = Fixture::new().await;
    let path = it.folder.path().to_owned();
    let refused = Store::open(&path, Duration::ZERO).await;
    assert!(matches!(refused, Err(StoreError::InUse { .. })), "{refused:?}");
    let waiting = tokio::spawn(async move { Store::open(&path, Duration::from_secs(30)).await });
    tokio::task::yield_now().await;
    let Fixture { store, folder, .. } = it;
    store.close().await;
    waiting.await.expect("no panic").expect("opens when the first has gone");
    drop(folder);
}

fn copy_database(from: &Path, to: &Path) {
    for name in ["parallax.db", "parallax.db-wal"] {
        let _ = fs::remove_file(to.join(name));
        if from.join(name).exists() {
            fs::copy(from.join(name), to.join(name)).expect("copied");
        }
    }
}

async fn frozen_reason(it: &Fixture) -> Option<String> {
    let budget = it.store.budget(&account_id("a")).await.expect("known");
    budget.frozen.map(|frozen| frozen.reason)
}

#[tokio::test]
async fn a_restored_backup_is_noticed_and_frozen_once() {
    let backup = tempfile::tempdir().expect("a folder");
    let it = Fixture::new().await;
    it.add_account("a", Threshold::At(10), HALF_HOUR).await;
    let mut it = it.reopen_after(|folder| copy_database(folder, backup.path())).await;
    assert_eq!(frozen_reason(&it).await, None);
    it.logon(&request("a", "d1", "x"), LogonResult::Unproven).await.expect("granted");
    let it = it.reopen_after(|folder| copy_database(backup.path(), folder)).await;
    assert_eq!(it.budget("a").await, (0, 4), "the charge was lost");
    assert!(frozen_reason(&it).await.expect("frozen").contains("restored backup"));
    it.store.release(&account_id("a"), "admin", "looked").await.expect("released");
    let it = it.reopen().await;
    assert_eq!(frozen_reason(&it).await, None, "once is enough");
    let it = it
        .reopen_after(|folder| fs::remove_file(folder.join("ledger.generation")).expect("removed"))
        .await;
    assert!(frozen_reason(&it).await.expect("frozen").contains("missing"));
}

#[tokio::test]
async fn a_lost_database_freezes_what_is_registered_again() {
    let it = Fixture::new().await;
    it.add_account("a", Threshold::At(10), HALF_HOUR).await;
    let it = it
        .reopen_after(|folder| {
            for name in ["parallax.db", "parallax.db-wal", "parallax.db-shm"] {
                let _ = fs::remove_file(folder.join(name));
            }
        })
        .await;
    it.add_account("a", Threshold::At(10), HALF_HOUR).await;
    assert!(frozen_reason(&it).await.expect("frozen").contains("made anew"));
}
