//! Bringing a database to the schema this program knows: one file per version, forward only, each in a commit of its own.
//!
//! INVARIANT: a version that was released never changes; a database newer than the program is left alone.

use crate::StoreError;
use crate::error::During as _;
use crate::open::Core;

const VERSIONS: [&str; 4] = [
    include_str!("schema/0001_resources.sql"),
    include_str!("schema/0002_ledger.sql"),
    include_str!("schema/0003_fleet.sql"),
    include_str!("schema/0004_restart.sql"),
];
const MIGRATE: &str = "bring the schema up to date";

/// The version this program knows.
pub(crate) fn known() -> i64 {
    i64::try_from(VERSIONS.len()).unwrap_or(i64::MAX)
}

/// Applies every version that is missing.
pub(crate) async fn migrate(core: &Core) -> Result<(), StoreError> {
    migrate_to(core, VERSIONS.len()).await
}

pub(crate) async fn migrate_to(core: &Core, last: usize) -> Result<(), StoreError> {
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS schema_version
         (version INTEGER PRIMARY KEY NOT NULL, applied_ms INTEGER NOT NULL) STRICT",
    )
    .execute(&core.writer)
    .await
    .during(MIGRATE)?;
    let (found,): (i64,) = sqlx::query_as("SELECT coalesce(max(version), 0) FROM schema_version")
        .fetch_one(&core.writer)
        .await
        .during(MIGRATE)?;
    let known = known();
    if found > known {
        return Err(StoreError::SchemaTooNew { found, known });
    }
    for (version, sql) in (1_i64..).zip(VERSIONS).take(last) {
        if version <= found {
            continue;
        }
        let mut commit = core.writer.begin_with("BEGIN IMMEDIATE").await.during(MIGRATE)?;
        sqlx::raw_sql(sql).execute(&mut *commit).await.during(MIGRATE)?;
        let now_ms = core.clock.now_ms(&mut commit).await.during(MIGRATE)?;
        sqlx::query("INSERT INTO schema_version (version, applied_ms) VALUES (?, ?)")
            .bind(version)
            .bind(now_ms)
            .execute(&mut *commit)
            .await
            .during(MIGRATE)?;
        commit.commit().await.during(MIGRATE)?;
    }
    Ok(())
}
