//! What is in a data folder, found without changing it: for whoever asks before a start.
//!
//! It looks for damage as far as the start does: the whole of a small database, the ledger's tables of a large one. Absent on
//! purpose: the lock, so that it may be asked while a controller runs.
//!
//! INVARIANT: no file is made or written. A database whose write-ahead log is there is read with it, else as it lies.

use std::path::Path;

use parallax_auth::EnvelopeKey;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use crate::error::During as _;
use crate::open::{
    COMPANION_FILE, DATABASE_FILE, ENVELOPE_KEY_FILE, refuse_exposed, refuse_network_file_system,
};
use crate::{StoreError, damage, schema};

const INSPECT: &str = "look at the data folder";

/// What was found.
#[derive(Debug, Default)]
pub struct Inspection {
    /// Version of the schema; `None`: there is no database yet, the first start makes it.
    pub schema: Option<i64>,
    /// The version this program knows; an older one is brought up to it at the start.
    pub schema_known: i64,
    /// Everything that would stop a start.
    pub problems: Vec<StoreError>,
}

/// Looks at the folder. Blocks on the disk.
pub async fn inspect(folder: &Path) -> Inspection {
    let mut found = Inspection { schema_known: schema::known(), ..Inspection::default() };
    let database = folder.join(DATABASE_FILE);
    found.problems.extend(refuse_network_file_system(folder).err());
    found.problems.extend(refuse_exposed(&database).err());
    let key = folder.join(ENVELOPE_KEY_FILE);
    // Without a database the first start makes the key; with one, a new key would open nothing of it.
    if database.exists() || key.exists() {
        found.problems.extend(EnvelopeKey::load(&key).during(INSPECT).err());
    }
    if !database.exists() {
        return found;
    }
    if is_empty(&database) && folder.join(COMPANION_FILE).exists() {
        let text = format!("it is empty, but {COMPANION_FILE} is that of a ledger");
        found.problems.push(StoreError::Damaged { path: database, found: text });
        return found;
    }
    match sound_version(&database).await.map_err(|error| damage::damaged(&database, error)) {
        Ok(version) if version > found.schema_known => {
            let known = found.schema_known;
            found.problems.push(StoreError::SchemaTooNew { found: version, known });
        }
        Ok(version) => found.schema = Some(version),
        Err(error) => found.problems.push(error),
    }
    found
}

/// A database whose pages are all in its log is not empty.
fn is_empty(database: &Path) -> bool {
    let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |it| it.len());
    bytes(database) == 0 && bytes(&database.with_extension("db-wal")) == 0
}

async fn sound_version(database: &Path) -> Result<i64, StoreError> {
    let has_log = database.with_extension("db-wal").exists();
    let options = SqliteConnectOptions::new()
        .filename(database)
        .create_if_missing(false)
        .read_only(true)
        .immutable(!has_log)
        .pragma("trusted_schema", "OFF");
    let mut connection = options.connect().await.during(INSPECT)?;
    damage::look_by(database, &mut connection).await?;
    let version = version(&mut connection).await?;
    connection.close().await.during(INSPECT)?;
    Ok(version)
}

async fn version(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    // A database that was begun and not yet filled has no such table.
    let (tables,): (i64,) =
        sqlx::query_as("SELECT count(*) FROM sqlite_schema WHERE name = 'schema_version'")
            .fetch_one(&mut *connection)
            .await
            .during(INSPECT)?;
    if tables == 0 {
        return Ok(0);
    }
    let (version,): (i64,) = sqlx::query_as("SELECT coalesce(max(version), 0) FROM schema_version")
        .fetch_one(connection)
        .await
        .during(INSPECT)?;
    Ok(version)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::Store;

    /// Every file with its length and time of change.
    fn files(folder: &Path) -> BTreeMap<String, (u64, SystemTime)> {
        let entries = std::fs::read_dir(folder).expect("a folder").map(|it| {
            let entry = it.expect("an entry");
            let metadata = entry.metadata().expect("metadata");
            let changed = metadata.modified().expect("a time");
            (entry.file_name().to_string_lossy().into_owned(), (metadata.len(), changed))
        });
        entries.collect()
    }

    #[tokio::test]
    async fn nothing_is_changed_by_looking() {
        let folder = tempfile::tempdir().expect("folder");
        let found = inspect(folder.path()).await;
        assert!(found.schema.is_none() && found.problems.is_empty(), "{found:?}");
        assert!(files(folder.path()).is_empty());

        let store = Store::open(folder.path(), Duration::ZERO).await.expect("a store");
        let found = inspect(folder.path()).await;
        assert_eq!((found.schema, found.problems.len()), (Some(found.schema_known), 0), "in use");
        store.close().await;
        let before = files(folder.path());
        let found = inspect(folder.path()).await;
        assert_eq!(
            (found.schema, found.problems.len()),
            (Some(found.schema_known), 0),
            "{found:?}"
        );
        assert_eq!(files(folder.path()), before);
    }

    #[tokio::test]
    async fn a_damaged_database_is_told_and_left_alone() {
        let folder = tempfile::tempdir().expect("folder");
        Store::open(folder.path(), Duration::ZERO).await.expect("a store").close().await;
        let database = folder.path().join(DATABASE_FILE);
        let mut bytes = std::fs::read(&database).expect("read");
        let pages = bytes.len() / 4096;
        bytes[(pages / 2) * 4096..].fill(0xa5);
        for damaged in [bytes, Vec::new()] {
            std::fs::write(&database, damaged).expect("written");
            let before = files(folder.path());
            let found = inspect(folder.path()).await;
            assert_eq!(found.schema, None);
            let is_told = matches!(found.problems.as_slice(), [StoreError::Damaged { .. }]);
            assert!(is_told, "{found:?}");
            assert_eq!(files(folder.path()), before);
        }
    }

    #[tokio::test]
    async fn what_would_stop_a_start_is_told_at_once() {
        let folder = tempfile::tempdir().expect("folder");
        let store = Store::open(folder.path(), Duration::ZERO).await.expect("a store");
        sqlx::query("INSERT INTO schema_version (version, applied_ms) VALUES (999, 0)")
            .execute(&store.core.writer)
            .await
            .expect("a version");
        store.close().await;
        std::fs::remove_file(folder.path().join(ENVELOPE_KEY_FILE)).expect("removed");
        let found = inspect(folder.path()).await;
        let problems: Vec<String> = found.problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[1].contains("schema version 999"), "{problems:?}");
    }
}
