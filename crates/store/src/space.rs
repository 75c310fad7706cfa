//! Room on the disk: a file of 16 MiB that is there to be given up, so that what was begun can be settled and logged when the
//! disk is full.
//!
//! While the disk is full nothing new is accepted and nothing is reserved or started, so no credential is sent; reading goes
//! on, and what is under way is written into the room that the file leaves. It is made again as soon as there is room.
//!
//! Absent on purpose: making room. Whose data goes is the operator's decision.
//!
//! INVARIANT: the file is given up before the first retry, and is back before anything new is accepted.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use crate::error::During as _;
use crate::open::{Core, private_file};
use crate::{Store, StoreError};

const BALLAST_FILE: &str = "ballast";
const BALLAST_BYTES: u64 = 16 * 1024 * 1024;
/// What has to be free beside the file before work begins again, so that it does not stop again at once.
const MARGIN_BYTES: u64 = 16 * 1024 * 1024;
/// Between two looks whether there is room again.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// What a look tries to put into the database.
const TRIED_BYTES: i64 = 256 * 1024;

/// Whether there is room, and the file that makes some.
#[derive(Debug)]
pub(crate) struct Space {
    ballast: PathBuf,
    is_short: AtomicBool,
    ran_out: Notify,
}

impl Space {
    pub(crate) fn new(folder: &Path) -> Self {
        let ballast = folder.join(BALLAST_FILE);
        Self { ballast, is_short: AtomicBool::new(false), ran_out: Notify::new() }
    }

    /// `Full` while there is no room: nothing new may begin.
    pub(crate) fn check(&self, operation: &'static str) -> Result<(), StoreError> {
        if self.is_short() { Err(StoreError::Full { operation }) } else { Ok(()) }
    }

    fn is_short(&self) -> bool {
        self.is_short.load(Ordering::Acquire)
    }

    /// Gives up the file. To be called wherever the database says that it is full; again and again does no harm.
    pub(crate) fn give_up(&self) {
        if !self.is_short.swap(true, Ordering::AcqRel) {
            tracing::error!(
                ballast = %self.ballast.display(),
                "the disk is full: nothing new is accepted and no credential is sent until there is room again"
            );
        }
        if let Err(error) = std::fs::remove_file(&self.ballast)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::error!(%error, ballast = %self.ballast.display(), "cannot give up the ballast");
        }
        self.ran_out.notify_one();
    }

    /// Makes the file if it is not there. Blocks on the disk.
    pub(crate) fn keep(&self) -> io::Result<()> {
        if std::fs::metadata(&self.ballast).is_ok_and(|it| it.len() == BALLAST_BYTES) {
            return Ok(());
        }
        let made = private_file(&self.ballast, true).and_then(|file| allocate(&file));
        if made.is_err() {
            // Half of it would be of no use to anybody. What stopped it is told.
            let _ = std::fs::remove_file(&self.ballast);
        }
        made
    }
}

/// Takes room for the whole file, really, not as a hole.
#[cfg(target_os = "linux")]
fn allocate(file: &std::fs::File) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    match fallocate(file, FallocateFlags::empty(), 0, BALLAST_BYTES) {
        Ok(()) => file.sync_all(),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => write_out(file),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn allocate(file: &std::fs::File) -> io::Result<()> {
    write_out(file)
}

fn write_out(mut file: &std::fs::File) -> io::Result<()> {
    use std::io::Write as _;
    let block = vec![0x50_u8; 64 * 1024];
    for _ in 0..BALLAST_BYTES / (64 * 1024) {
        file.write_all(&block)?;
    }
    file.sync_all()
}

/// Bytes that this process may still use; where nobody says, as many as are asked for.
#[cfg(unix)]
fn free_bytes(folder: &Path) -> u64 {
    rustix::fs::statvfs(folder).map_or(u64::MAX, |it| it.f_bavail.saturating_mul(it.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes(_folder: &Path) -> u64 {
    u64::MAX
}

/// The task that looks for room while there is none. It is the store's, and ends with it.
#[derive(Debug)]
pub(crate) struct Keeper {
    alive: mpsc::Sender<()>,
    task: JoinHandle<()>,
}

impl Keeper {
    pub(crate) fn start(core: Arc<Core>) -> Self {
        let (alive, ended) = mpsc::channel(1);
        Self { alive, task: tokio::spawn(run(core, ended)) }
    }

    pub(crate) async fn close(self) {
        drop(self.alive);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the task that looks for room ended badly");
        }
    }
}

async fn run(core: Arc<Core>, mut ended: mpsc::Receiver<()>) {
    loop {
        let wait = async {
            if !core.space.is_short() {
                core.space.ran_out.notified().await;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        };
        tokio::select! {
            _ = ended.recv() => return,
            () = wait => {}
        }
        if core.space.is_short() && core.has_room().await {
            core.space.is_short.store(false, Ordering::Release);
            tracing::info!("there is room on the disk again; work goes on");
        }
    }
}

impl Core {
    /// Whether the database takes something, and the file is there again with a margin beside it.
    async fn has_room(self: &Arc<Self>) -> bool {
        if self.try_room().await.is_err() {
            return false;
        }
        let core = Arc::clone(self);
        let kept = tokio::task::spawn_blocking(move || {
            let has_margin = free_bytes(core.folder()) >= BALLAST_BYTES + MARGIN_BYTES;
            has_margin && core.space.keep().is_ok()
        });
        kept.await.unwrap_or(false)
    }

    async fn try_room(&self) -> Result<(), StoreError> {
        let mut write = self.write("look for room").await?;
        let operation = write.operation;
        sqlx::query("INSERT INTO room (one, filler) VALUES (1, zeroblob(?))")
            .bind(TRIED_BYTES)
            .execute(write.connection())
            .await
            .during(operation)?;
        write.roll_back().await
    }
}

impl Store {
    /// Whether the disk is full: then nothing new is accepted, until there is room again.
    pub fn is_short_of_room(&self) -> bool {
        self.core.space.is_short()
    }
}
