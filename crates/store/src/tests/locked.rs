//! Another process holds the database, or the whole folder.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use parallax_model::Threshold;
use sqlx::{Connection as _, SqliteConnection};

use super::{Fixture, request};
use crate::{LogonResult, Store, StoreError};

const HALF_HOUR: Duration = Duration::from_mins(30);
/// How long a caller may be kept at the most, and a little for this machine.
const BUSY_MAX: Duration = Duration::from_millis(5500);

#[tokio::test]
async fn a_locked_database_grants_nothing_and_is_over_when_it_is_free() {
    let mut it = Fixture::new().await;
    it.add_account("a", Threshold::At(10), HALF_HOUR).await;
    let attempt = it.reserve(&request("a", "d1", "x")).await.expect("granted").id;
    let url = format!("sqlite://{}", it.folder.path().join("parallax.db").display());
    let mut other = SqliteConnection::connect(&url).await.expect("another process");
    sqlx::raw_sql("BEGIN EXCLUSIVE").execute(&mut other).await.expect("locked");
    let nonce = it.nonce();
    let agent = request("a", "d1", "x").agent;
    let (begun, another) = (Instant::now(), request("a", "d2", "x"));
    let (started, reserved, budget) = tokio::join!(
        it.store.start(&attempt, &nonce, &agent),
        it.store.reserve(&another),
        it.budget("a"),
    );
    assert!(matches!(started, Err(StoreError::Busy { .. })), "{started:?}");
    assert!(matches!(reserved, Err(StoreError::Busy { .. })), "{reserved:?}");
    assert_eq!(budget, (0, 3), "reading goes on");
    assert!(begun.elapsed() < BUSY_MAX, "{:?}", begun.elapsed());
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.expect("unlocked");
    let free = Instant::now();
    it.store.start(&attempt, &nonce, &agent).await.expect("answers").expect("starts");
    let settled = it.store.settle(&attempt, &nonce, LogonResult::Accepted).await;
    settled.expect("answers").expect("settles");
    assert!(free.elapsed() < Duration::from_secs(2), "{:?}", free.elapsed());
}

#[tokio::test]
async fn who_is_refused_learns_who_holds_the_folder() {
    let it = Fixture::new().await;
    let refused = Store::open(it.folder.path(), Duration::from_millis(150)).await;
    let text = refused.expect_err("in use").to_string();
    assert!(text.ends_with(&format!("is in use by process {}", std::process::id())), "{text}");
}

#[tokio::test]
async fn a_database_that_others_can_read_is_refused_until_somebody_looked() {
    let it = Fixture::new().await;
    let Fixture { store, folder, .. } = it;
    store.close().await;
    let database = folder.path().join("parallax.db");
    let set = |mode| std::fs::set_permissions(&database, PermissionsExt::from_mode(mode));
    for mode in [0o644, 0o640, 0o606] {
        set(mode).expect("set");
        let refused = Store::open(folder.path(), Duration::ZERO).await;
        let text = refused.expect_err("exposed").to_string();
        assert!(text.contains(&format!("mode {mode:03o}")) && text.contains("600"), "{text}");
    }
    set(0o600).expect("set");
    Store::open(folder.path(), Duration::ZERO).await.expect("opens");
}

#[tokio::test]
async fn what_is_no_database_is_named_as_damaged() {
    let it = Fixture::new().await;
    let Fixture { store, folder, .. } = it;
    store.close().await;
    let database = folder.path().join("parallax.db");
    let mut file = std::fs::File::create(&database).expect("opened");
    file.write_all(&[0x41; 9000]).expect("written");
    let refused = Store::open(folder.path(), Duration::ZERO).await;
    let text = refused.expect_err("no database").to_string();
    assert!(text.contains("is damaged") && text.contains("backup"), "{text}");
}
