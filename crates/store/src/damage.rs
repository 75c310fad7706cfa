//! Is the database file sound? Looked at before anything is written into it.
//!
//! The ledger's tables are compared with their indexes in any case, the whole file if it is small. A large one is looked at in
//! full by `check`, whoever calls that beside the work: a start has to be quick.
//!
//! Absent on purpose: repair. What SQLite could save might lack the very logon that counts.
//!
//! INVARIANT: a file that is not sound is not written to.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, SqliteConnection};

use crate::error::During as _;
use crate::open::DATABASE_FILE;
use crate::{Store, StoreError};

/// Up to this size the whole file is looked at when it is opened: about 0.2 s.
const WHOLE_MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Tables whose damage could cost a logon.
const LEDGER: [&str; 5] = [
    "PRAGMA integrity_check(account_guard)",
    "PRAGMA integrity_check(guard_name)",
    "PRAGMA integrity_check(attempt)",
    "PRAGMA integrity_check(breaker)",
    "PRAGMA integrity_check(ledger_meta)",
];
const CHECK: &str = "look for damage";

/// Looks by a connection that cannot write, not even the WAL into the database when it closes.
pub(crate) async fn check_at_open(database: &Path) -> Result<(), StoreError> {
    look(database).await.map_err(|error| {
        if let StoreError::Database { source, .. } = error {
            // A header that names another format, another encoding, another version.
            return StoreError::Damaged { path: database.to_owned(), found: source.to_string() };
        }
        damaged(database, error)
    })
}

async fn look(database: &Path) -> Result<(), StoreError> {
    let options = SqliteConnectOptions::new().filename(database).read_only(true);
    let mut connection = SqliteConnection::connect_with(&options).await.during(CHECK)?;
    look_by(database, &mut connection).await?;
    connection.close().await.during(CHECK)
}

/// What the start looks at, by a connection that is open already.
pub(crate) async fn look_by(
    database: &Path,
    connection: &mut SqliteConnection,
) -> Result<(), StoreError> {
    let bytes: u64 = [database, &database.with_extension("db-wal")]
        .iter()
        .filter_map(|file| std::fs::metadata(file).ok())
        .map(|it| it.len())
        .sum();
    if bytes <= WHOLE_MAX_BYTES {
        return sound(database, connection, "PRAGMA integrity_check(1)").await;
    }
    let tables: Vec<(String,)> =
        sqlx::query_as("SELECT name FROM sqlite_schema WHERE type = 'table'")
            .fetch_all(&mut *connection)
            .await
            .during(CHECK)?;
    for check in LEDGER {
        // A database of an older program may not have all of them yet.
        if tables.iter().any(|(name,)| check.ends_with(&format!("({name})"))) {
            sound(database, connection, check).await?;
        }
    }
    Ok(())
}

async fn sound(
    database: &Path,
    connection: &mut SqliteConnection,
    check: &'static str,
) -> Result<(), StoreError> {
    let (found,): (String,) = sqlx::query_as(check).fetch_one(connection).await.during(CHECK)?;
    if found == "ok" {
        return Ok(());
    }
    Err(StoreError::Damaged { path: database.to_owned(), found: one_line(&found) })
}

/// A database that cannot even be looked at.
pub(crate) fn damaged(database: &Path, error: StoreError) -> StoreError {
    if let StoreError::Corrupt { source, .. } = error {
        return StoreError::Damaged { path: database.to_owned(), found: source.to_string() };
    }
    error
}

fn one_line(found: &str) -> String {
    const CHARACTERS_MAX: usize = 200;
    found.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(CHARACTERS_MAX).collect()
}

impl Store {
    /// Looks at the whole file, beside the work: about 3 s per GiB from a good disk. To be called once a day. `Damaged` if it
    /// is not sound; then every account is frozen.
    pub async fn check(&self) -> Result<(), StoreError> {
        let database = self.core.folder().join(DATABASE_FILE);
        let found: Result<(String,), StoreError> = sqlx::query_as("PRAGMA quick_check(1)")
            .fetch_one(&self.core.reader)
            .await
            .during(CHECK);
        let error = match found {
            Ok((found,)) if found == "ok" => return Ok(()),
            Ok((found,)) => StoreError::Damaged { path: database, found: one_line(&found) },
            Err(error) => damaged(&database, error),
        };
        if matches!(error, StoreError::Damaged { .. }) {
            let reason = "the database file is damaged";
            self.freeze(&crate::FreezeScope::All, None, "ledger", reason).await?;
        }
        Err(error)
    }
}
