//! One agent for one folder: a lock on a file beside the identity, for as long as the agent runs.
//!
//! The operating system frees it with the process, however that ends; the file stays and says nothing.
//! Absent on purpose: waiting for the other agent to end.
//!
//! INVARIANT: a folder in which no file can be made or locked holds nobody up; it is logged.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

use tracing::warn;

/// Empty; only its lock counts.
const LOCK_FILE: &str = "agent.lock";

/// Another process holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held;

/// Free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "open, it is locked")] File);

impl Lock {
    /// Takes the lock of a folder. `None`: it cannot be locked at all.
    pub(crate) fn take(folder: &Path) -> Result<Option<Self>, Held> {
        let path = folder.join(LOCK_FILE);
        let file = match open(&path) {
            Ok(file) => file,
            Err(error) => {
                warn!(%error, file = %path.display(), "no lock can be made: nothing keeps a second agent out of this folder");
                return Ok(None);
            }
        };
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Err(Held),
            Err(TryLockError::Error(error)) => {
                warn!(%error, file = %path.display(), "it cannot be locked: nothing keeps a second agent out of this folder");
                Ok(None)
            }
        }
    }

    /// The same for who does not run here: where no agent ever ran, nothing is made.
    pub(crate) fn take_if_used(folder: &Path) -> Result<Option<Self>, Held> {
        if folder.join(LOCK_FILE).exists() { Self::take(folder) } else { Ok(None) }
    }
}

/// Made if it is not there. One that another user made is good as well: to lock it, it is enough to read it.
fn open(path: &Path) -> io::Result<File> {
    match OpenOptions::new().write(true).create(true).truncate(false).open(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => File::open(path),
        opened => opened,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_folder_is_for_one() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(matches!(Lock::take_if_used(folder.path()), Ok(None)));
        let lock = Lock::take(folder.path()).expect("free").expect("locked");
        assert_eq!(Lock::take(folder.path()).err(), Some(Held));
        assert_eq!(Lock::take_if_used(folder.path()).err(), Some(Held));
        drop(lock);
        assert!(matches!(Lock::take(folder.path()), Ok(Some(_))));
        // No folder, no lock; that is no reason not to run.
        assert!(matches!(Lock::take(&folder.path().join("none")), Ok(None)));
    }
}
