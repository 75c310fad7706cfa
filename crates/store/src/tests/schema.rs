//! The schema refuses what wrong code would write: each mutant is raw SQL past every check of ours.

use std::time::Duration;

use parallax_model::Threshold;

use super::{Fixture, request};
use crate::clock::Clock;
use crate::open::open_core;
use crate::{LogonResult, Store, schema};

const HALF_HOUR: Duration = Duration::from_mins(30);

async fn mutate(it: &Fixture, sql: &'static str) -> Result<(), String> {
    let done = sqlx::raw_sql(sql).execute(&it.store.core.writer).await;
    done.map(|_| ()).map_err(|error| error.to_string())
}

#[tokio::test]
async fn the_constraint_fires_for_an_overspending_mutant() {
    let mut it = Fixture::new().await;
    it.add_account("a", Threshold::At(5), HALF_HOUR).await;
    it.logon(&request("a", "d1", "x"), LogonResult::Unproven).await.expect("granted");
    let overspend = "INSERT INTO attempt (attempt_id, diagnosis, account, account_key, secret_version, quiet_period,
            principal, agent, target, endpoint, server, scheme, cost, state, reserved_ms)
        SELECT 'mutant', 'd9', 'a', account_key, secret_version, quiet_period, 'p', 'hq', 't', 'e', 's', 'basic', 2,
               'reserved', 1900000000000 FROM account_guard";
    let error = mutate(&it, overspend).await.expect_err("one count is left");
    assert!(error.contains("CHECK constraint failed: open_cost"), "{error}");
    it.reserve(&request("a", "d2", "x")).await.expect("what is left may be reserved");
    let second = "INSERT INTO attempt (attempt_id, diagnosis, account, account_key, secret_version, quiet_period,
            principal, agent, target, endpoint, server, scheme, cost, state, reserved_ms)
        SELECT 'mutant', 'd9', 'a', account_key, secret_version, quiet_period, 'p', 'hq', 't', 'e', 's', 'basic', 1,
               'reserved', 1900000000000 FROM account_guard";
    let error = mutate(&it, second).await.expect_err("one is open");
    assert!(error.contains("UNIQUE constraint failed: attempt.account_key"), "{error}");
}

#[tokio::test]
async fn forbidden_transitions_and_deletions_are_refused() {
    let mut it = Fixture::new().await;
    it.add_account("a", Threshold::At(10), HALF_HOUR).await;
    it.logon(&request("a", "d1", "x"), LogonResult::Accepted).await.expect("granted");
    let refused = LogonResult::Refused { proof: false };
    it.logon(&request("a", "d2", "x"), refused).await.expect("granted");
    for (sql, expected) in [
        (
            "UPDATE attempt SET state = 'started', outcome = NULL, settled_ms = NULL",
            "forbidden transition",
        ),
        (
            "UPDATE attempt SET state = 'void', outcome = 'not_sent' WHERE state = 'charged'",
            "forbidden transition",
        ),
        ("UPDATE attempt SET outcome = 'unproven' WHERE state = 'charged'", "does not change"),
        ("UPDATE attempt SET cost = 1 + cost", "facts of an attempt"),
        ("UPDATE attempt SET begin_nonce = randomblob(16)", "facts of an attempt"),
        ("DELETE FROM attempt", "nothing is deleted"),
        ("DELETE FROM account_guard", "nothing is deleted"),
        ("DELETE FROM breaker", "nothing is deleted"),
        (
            "INSERT OR REPLACE INTO account_guard (account_key, k, quiet_ms) SELECT account_key, 9, quiet_ms FROM account_guard",
            "nothing is deleted",
        ),
        (
            "UPDATE account_guard SET quiet_period = quiet_period + 1, charged_cost = 0, last_reset_ms = last_start_ms",
            "quiet gap",
        ),
        ("UPDATE account_guard SET last_start_ms = 1", "does not move back"),
        ("UPDATE account_guard SET charged_cost = -1", "CHECK constraint"),
        ("UPDATE ledger_meta SET ledger_sequence = 0", "only grows"),
        ("UPDATE audit SET detail = ''", "append-only"),
        ("DELETE FROM audit", "append-only"),
    ] {
        let error = mutate(&it, sql).await.expect_err(sql);
        assert!(error.contains(expected), "{sql}: {error}");
    }
}

#[tokio::test]
async fn a_start_needs_its_audit_row_and_an_open_door() {
    let it = Fixture::new().await;
    it.add_account("a", Threshold::At(10), HALF_HOUR).await;
    it.reserve(&request("a", "d1", "x")).await.expect("granted");
    let bare = "UPDATE attempt SET state = 'started', begin_nonce = randomblob(16), started_ms = 1900000000000, ledger_sequence = 1";
    let error = mutate(&it, bare).await.expect_err("no audit row");
    assert!(error.contains("CHECK constraint"), "{error}");
    mutate(&it, "UPDATE account_guard SET frozen_until_ms = 1900000000001, freeze_reason = 'x'")
        .await
        .expect("frozen");
    let whole = "UPDATE attempt SET state = 'started', begin_nonce = randomblob(16), started_ms = 1900000000000, ledger_sequence = 1,
        audit_sequence = (SELECT max(sequence) FROM audit)";
    let error = mutate(&it, whole).await.expect_err("frozen");
    assert!(error.contains("frozen"), "{error}");
    mutate(&it, "UPDATE account_guard SET frozen_until_ms = NULL, freeze_reason = NULL")
        .await
        .expect("lifted");
    mutate(&it, whole).await.expect("now it may");
}

#[tokio::test]
async fn sums_that_lie_freeze_everything() {
    let mut it = Fixture::new().await;
    it.add_account("a", Threshold::At(10), HALF_HOUR).await;
    it.logon(&request("a", "d1", "x"), LogonResult::Unproven).await.expect("granted");
    mutate(&it, "UPDATE account_guard SET charged_cost = 0")
        .await
        .expect("no constraint sees this one");
    let reserved = it.store.reserve(&request("a", "d2", "x")).await;
    assert!(matches!(reserved, Err(crate::StoreError::LedgerBroken { .. })), "{reserved:?}");
    let budget = it.store.budget(&super::account_id("a")).await.expect("known");
    assert!(budget.frozen.is_some());
    assert_eq!(budget.reserved, 0, "nothing was reserved");
}

#[tokio::test]
async fn an_older_database_is_brought_forward_and_a_newer_one_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let core = open_core(folder.path(), Duration::ZERO, Clock::new()).await.expect("opens");
    schema::migrate_to(&core, 1).await.expect("version 1");
    core.writer.close().await;
    drop(core);
    let store = Store::open(folder.path(), Duration::ZERO).await.expect("brought forward");
    sqlx::raw_sql("INSERT INTO schema_version VALUES (99, 0)")
        .execute(&store.core.writer)
        .await
        .expect("marked");
    store.close().await;
    let newer = Store::open(folder.path(), Duration::ZERO).await;
    assert!(matches!(newer, Err(crate::StoreError::SchemaTooNew { found: 99, .. })), "{newer:?}");
}
