//! Opening the data folder: one process, private files, one writing connection and a few reading ones.
//!
//! Absent on purpose: settings. Durability is not for sale, so there is nothing to choose but the folder.
//!
//! INVARIANT: a second process gets [`StoreError::InUse`] and changes nothing; the lock ends with the process that holds it.
//! INVARIANT: every file is readable by its owner alone.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parallax_auth::EnvelopeKey;
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use tokio::time::Instant;

use crate::append::Appender;
use crate::clock::Clock;
use crate::companion::Companion;
use crate::error::During as _;
use crate::space::{Keeper, Space};
use crate::{StoreError, damage, ledger, schema};

pub(crate) const DATABASE_FILE: &str = "parallax.db";
const LOCK_FILE: &str = "parallax.lock";
pub(crate) const COMPANION_FILE: &str = "ledger.generation";
pub(crate) const ENVELOPE_KEY_FILE: &str = "envelope.key";

/// How long a statement waits for another process that holds the database. With [`TURN_TIMEOUT`] at most 5 s together.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a caller waits for its turn at a connection.
const TURN_TIMEOUT: Duration = Duration::from_secs(3);
const READERS_MAX: u32 = 4;
/// How often a waiting process looks whether the folder is free.
const LOCK_POLL: Duration = Duration::from_millis(100);
const OPEN: &str = "open the store";

/// Everything that lasts. Share it in an `Arc`; methods may be called from any number of tasks.
pub struct Store {
    pub(crate) core: Arc<Core>,
    pub(crate) appender: Appender,
    keeper: Keeper,
}

/// What the store and its writing task share.
pub(crate) struct Core {
    pub(crate) writer: SqlitePool,
    pub(crate) reader: SqlitePool,
    pub(crate) envelope: EnvelopeKey,
    pub(crate) clock: Clock,
    pub(crate) companion: Companion,
    pub(crate) space: Space,
    /// Pages that the database may have; 0: no limit.
    #[cfg(test)]
    pub(crate) pages_max: std::sync::atomic::AtomicI64,
    folder: PathBuf,
    /// Holds the lock; its drop lets go.
    _lock: File,
}

impl fmt::Debug for Store {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Store").field("folder", &self.core.folder).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store in this folder, making both if there are none, and brings its schema up to date. The ledger settles
    /// what a process before left open, and freezes every account if this database is not the one last written.
    ///
    /// `wait` is how long to wait for another process to leave the folder; zero: not at all.
    pub async fn open(folder: &Path, wait: Duration) -> Result<Self, StoreError> {
        Self::open_by(folder, wait, Clock::new()).await
    }

    pub(crate) async fn open_by(
        folder: &Path,
        wait: Duration,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        let core = Arc::new(open_core(folder, wait, clock).await?);
        match make_ready(&core).await {
            Err(StoreError::Full { .. }) => {
                core.space.give_up();
                make_ready(&core).await?;
            }
            ready => ready?,
        }
        let appender = Appender::start(Arc::clone(&core));
        let keeper = Keeper::start(Arc::clone(&core));
        Ok(Self { core, appender, keeper })
    }

    /// Waits until everything is written and lets the folder go.
    pub async fn close(self) {
        self.appender.close().await;
        self.keeper.close().await;
        self.core.reader.close().await;
        self.core.writer.close().await;
    }

    /// The data folder.
    pub fn folder(&self) -> &Path {
        &self.core.folder
    }
}

impl Core {
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Brings schema and ledger up to date. May be called again after a failure.
async fn make_ready(core: &Core) -> Result<(), StoreError> {
    schema::migrate(core).await?;
    ledger::open(core).await
}

/// Locks the folder and opens its files, whatever schema they have.
pub(crate) async fn open_core(
    folder: &Path,
    wait: Duration,
    clock: Clock,
) -> Result<Core, StoreError> {
    let lock = lock(folder, wait).await?;
    let owned = folder.to_owned();
    let prepared = tokio::task::spawn_blocking(move || prepare(&owned)).await;
    let (envelope, companion, space) = prepared.unwrap_or_else(|error| {
        let source = io::Error::other(error);
        Err(StoreError::Io { doing: "prepare", path: folder.to_owned(), source })
    })?;
    let database = folder.join(DATABASE_FILE);
    damage::check_at_open(&database).await?;
    let (writer, reader) =
        connect(&database).await.map_err(|error| damage::damaged(&database, error))?;
    Ok(Core {
        writer,
        reader,
        envelope,
        clock,
        companion,
        space,
        #[cfg(test)]
        pages_max: std::sync::atomic::AtomicI64::new(0),
        folder: folder.to_owned(),
        _lock: lock,
    })
}

/// Takes the folder for this process. The kernel gives it back when the process ends, however it ends.
async fn lock(folder: &Path, wait: Duration) -> Result<File, StoreError> {
    make_private_folder(folder)?;
    refuse_network_file_system(folder)?;
    let path = folder.join(LOCK_FILE);
    let file = private_file(&path, false).map_err(|source| StoreError::Io {
        doing: "open",
        path: path.clone(),
        source,
    })?;
    let deadline = Instant::now() + wait;
    let mut has_told = false;
    loop {
        match file.try_lock() {
            Ok(()) => {
                name_holder(&file);
                return Ok(file);
            }
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                if !std::mem::replace(&mut has_told, true) {
                    let (folder, holder) = (folder.display(), holder(&path));
                    tracing::warn!(%folder, holder, ?wait, "another process uses the data folder; waiting for it");
                }
                tokio::time::sleep(LOCK_POLL).await;
            }
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::InUse { folder: folder.to_owned(), holder: holder(&path) });
            }
            Err(TryLockError::Error(source)) => {
                return Err(StoreError::Io { doing: "lock", path, source });
            }
        }
    }
}

/// Leaves our process id for those who are refused. It says nothing about the lock itself, so a failure is no harm.
fn name_holder(mut file: &File) {
    use std::io::Write as _;
    let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
}

fn holder(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    match text.trim().parse::<u32>() {
        Ok(id) => format!("process {id}"),
        Err(_) => "another process".to_owned(),
    }
}

fn prepare(folder: &Path) -> Result<(EnvelopeKey, Companion, Space), StoreError> {
    let database = folder.join(DATABASE_FILE);
    refuse_exposed(&database)?;
    // Made here, so that it is private from its first byte; its WAL gets the same mode from SQLite.
    private_file(&database, false).map_err(|source| StoreError::Io {
        doing: "open",
        path: database.clone(),
        source,
    })?;
    let envelope = EnvelopeKey::load_or_create(&folder.join(ENVELOPE_KEY_FILE)).during(OPEN)?;
    let space = Space::new(folder);
    if let Err(error) = space.keep() {
        // There is nothing to give up then; a database that cannot be written says so itself.
        tracing::warn!(%error, "cannot make the ballast file that is given up when the disk is full");
    }
    Ok((envelope, Companion::new(folder.join(COMPANION_FILE)), space))
}

async fn connect(database: &Path) -> Result<(SqlitePool, SqlitePool), StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(database)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        // Without it `INSERT OR REPLACE` would delete rows past the triggers that forbid it.
        .pragma("recursive_triggers", "ON")
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON")
        // Nothing spills into files of another mode.
        .pragma("temp_store", "MEMORY");
    let pool = |connections| {
        SqlitePoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(TURN_TIMEOUT)
            .idle_timeout(None)
            .max_lifetime(None)
            // A connection to a file does not go away; and a dropped call never loses one (see `Pool::acquire`).
            .test_before_acquire(false)
    };
    let writer = pool(1).connect_with(options.clone()).await.during(OPEN)?;
    let readers = pool(READERS_MAX).connect_lazy_with(options.pragma("query_only", "ON"));
    Ok((writer, readers))
}

/// A database that others could read may have been read.
#[cfg(unix)]
pub(crate) fn refuse_exposed(database: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::PermissionsExt as _;
    match std::fs::metadata(database) {
        Ok(found) if found.permissions().mode() & 0o077 != 0 => Err(StoreError::Exposed {
            path: database.to_owned(),
            mode: found.permissions().mode() & 0o777,
        }),
        Ok(_) | Err(_) => Ok(()),
    }
}

#[cfg(not(unix))]
pub(crate) fn refuse_exposed(_database: &Path) -> Result<(), StoreError> {
    Ok(())
}

/// Opens a file for writing with mode 0600, whatever it was before.
pub(crate) fn private_file(path: &Path, truncate: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(truncate);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(file)
}

/// Makes the folder with mode 0700. One that exists keeps its mode: it may be shared on purpose, its files are not.
fn make_private_folder(folder: &Path) -> Result<(), StoreError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|source| StoreError::Io {
        doing: "make",
        path: folder.to_owned(),
        source,
    })
}

/// Locks and shared memory of SQLite do not hold across machines. Where mounts cannot be read, the lock
/// file alone has to do.
pub(crate) fn refuse_network_file_system(folder: &Path) -> Result<(), StoreError> {
    let Ok(mounts) = std::fs::read_to_string("/proc/self/mountinfo") else { return Ok(()) };
    let Ok(folder) = folder.canonicalize() else { return Ok(()) };
    match network_file_system(&mounts, &folder) {
        Some(kind) => Err(StoreError::NetworkFileSystem { folder, kind: kind.to_owned() }),
        None => Ok(()),
    }
}

/// The kind of the file system that holds `folder`, if it is one of the network (proc(5), `mountinfo`: the mount point is
/// field 5, the kind follows the lone `-`; of several mounts on one point the last wins).
fn network_file_system<'a>(mounts: &'a str, folder: &Path) -> Option<&'a str> {
    const NETWORK: [&str; 9] =
        ["nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "fuse.sshfs", "fuse.glusterfs"];
    let kind = mounts
        .lines()
        .filter_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            let point = left.split(' ').nth(4)?.replace("\\040", " ");
            let kind = right.split(' ').next()?;
            folder.starts_with(&point).then_some((point.len(), kind))
        })
        .max_by_key(|(depth, _)| *depth)?
        .1;
    NETWORK.contains(&kind).then_some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_file_system_is_seen_at_the_deepest_mount() {
        let mounts = "21 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n\
                      40 21 0:50 / /data rw shared:2 - nfs4 server:/data rw\n\
                      41 40 8:2 / /data/local rw - xfs /dev/sdb1 rw\n";
        for (folder, expected) in
            [("/var", None), ("/data/parallax", Some("nfs4")), ("/data/local/x", None)]
        {
            assert_eq!(network_file_system(mounts, Path::new(folder)), expected, "{folder}");
        }
    }
}
