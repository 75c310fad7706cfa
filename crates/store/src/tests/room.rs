//! The database is full: what was begun is settled, nothing new begins, and all is well again when there is room.

use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use parallax_model::Threshold;
use parallax_wire::pb;
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::{Fixture, diagnosis_id, request};
use crate::open::Core;
use crate::{LogonResult, StoreError};

const HALF_HOUR: Duration = Duration::from_mins(30);
const RECOVERS: Duration = Duration::from_secs(10);
const NO_LIMIT: i64 = 1_073_741_823;

/// The database's own limit, since a test may not fill the disk: `SQLITE_FULL` all the same. `spare` pages may still be taken.
async fn limit_pages(it: &Fixture, spare: Option<i64>) {
    let (pages,): (i64,) = sqlx::query_as("PRAGMA page_count")
        .fetch_one(&it.store.core.reader)
        .await
        .expect("counted");
    it.store.core.pages_max.store(spare.map_or(NO_LIMIT, |it| pages + it), SeqCst);
}

impl Core {
    /// A limit of each connection; they may change.
    pub(crate) async fn limit_pages(&self, connection: &mut SqliteConnection) {
        let limit = self.pages_max.load(SeqCst);
        if limit > 0 {
            let sql = AssertSqlSafe(format!("PRAGMA max_page_count = {limit}"));
            sqlx::raw_sql(sql).execute(connection).await.expect("limited");
        }
    }
}

async fn events(it: &Fixture, bytes: usize) -> Result<(), StoreError> {
    let diagnosis = pb::Diagnosis { language: "x".repeat(bytes), ..pb::Diagnosis::default() };
    let event = pb::WatchDiagnosisResponse {
        event: Some(pb::watch_diagnosis_response::Event::Diagnosis(diagnosis)),
        ..Default::default()
    };
    it.store.append_events(&diagnosis_id("d1"), vec![event]).await.map(|_| ())
}

#[tokio::test]
async fn at_every_fill_point_what_was_begun_is_settled_and_nothing_new_begins() {
    for spare in 0..6 {
        let mut it = Fixture::new().await;
        it.add_account("a", Threshold::At(10), HALF_HOUR).await;
        let ballast = it.folder.path().join("ballast");
        assert_eq!(std::fs::metadata(&ballast).expect("there").len(), 16 << 20);
        let id = diagnosis_id("d1");
        it.store.create_diagnosis(&id, pb::Diagnosis::default(), None).await.expect("made");
        let attempt = it.reserve(&request("a", "d1", "x")).await.expect("granted").id;
        let nonce = it.nonce();
        let agent = request("a", "d1", "x").agent;
        it.store.start(&attempt, &nonce, &agent).await.expect("answers").expect("starts");
        limit_pages(&it, Some(spare)).await;
        let full = events(&it, 200_000).await;
        assert!(matches!(full, Err(StoreError::Full { .. })), "{spare}: {full:?}");
        assert!(it.store.is_short_of_room() && !ballast.exists());
        let reserved = it.store.reserve(&request("b", "d2", "x")).await;
        assert!(matches!(reserved, Err(StoreError::Full { .. })), "{reserved:?}");
        let other = diagnosis_id("d2");
        let created = it.store.create_diagnosis(&other, pb::Diagnosis::default(), None);
        assert!(matches!(created.await, Err(StoreError::Full { .. })));
        assert_eq!(it.budget("a").await, (0, 3), "reading goes on");
        // On a disk the ballast has left room by now; here the limit does it.
        limit_pages(&it, Some(60)).await;
        let settled = it.store.settle(&attempt, &nonce, LogonResult::Unproven).await;
        settled.expect("answers").expect("settles");
        events(&it, 100).await.expect("logged");
        assert!(it.store.is_short_of_room(), "that is no room for new work");
        limit_pages(&it, None).await;
        let begun = Instant::now();
        while it.store.is_short_of_room() {
            assert!(begun.elapsed() < RECOVERS, "{spare}: it does not recover");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(std::fs::metadata(&ballast).expect("there again").len(), 16 << 20);
        it.reserve(&request("a", "d3", "x")).await.expect("granted");
        let it = it.reopen().await;
        assert_eq!(it.budget("a").await, (1, 3));
    }
}

#[tokio::test]
async fn a_full_database_settles_at_once_if_it_can() {
    let mut it = Fixture::new().await;
    it.add_account("a", Threshold::At(10), HALF_HOUR).await;
    let attempt = it.reserve(&request("a", "d1", "x")).await.expect("granted").id;
    limit_pages(&it, Some(0)).await;
    let nonce = it.nonce();
    let agent = request("a", "d1", "x").agent;
    // A start may need a new page for its audit row or not; it is granted on disk or not at all.
    let granted = matches!(it.store.start(&attempt, &nonce, &agent).await, Ok(Ok(_)));
    let (started,): (i64,) = sqlx::query_as("SELECT count(*) FROM attempt WHERE state = 'started'")
        .fetch_one(&it.store.core.reader)
        .await
        .expect("read");
    assert_eq!(granted, started == 1);
}
