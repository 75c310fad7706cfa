//! The small file beside the database that tells a restored backup from the ledger that was last written.
//!
//! It holds the ledger's generation and the number of its last change. A database that is behind it, of another
//! generation, or alone has lost changes: then every account is frozen. Whether so is decided by the ledger.
//!
//! INVARIANT: written after the commit it names and before anybody is told of it; never moves back.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::StoreError;

const HEADER: &str = "parallax-ledger 1";

/// Which ledger, and how far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) generation: String,
    pub(crate) revision: i64,
}

/// The file, with the last mark written.
#[derive(Debug)]
pub(crate) struct Companion {
    path: PathBuf,
    last: Arc<Mutex<Option<Mark>>>,
}

impl Companion {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, last: Arc::new(Mutex::new(None)) }
    }

    /// What the file says. `None`: there is none, or it is none of ours, which comes to the same.
    pub(crate) fn read(&self) -> Result<Option<Mark>, StoreError> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => Ok(parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::Io { doing: "read", path: self.path.clone(), source }),
        }
    }

    /// Writes a mark, unless a later one of the same ledger is there already.
    pub(crate) async fn write(&self, mark: Mark) -> Result<(), StoreError> {
        let path = self.path.clone();
        let last = Arc::clone(&self.last);
        let written = tokio::task::spawn_blocking(move || {
            // Held while writing, so that two commits cannot overtake each other; this thread may block.
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            let is_behind = last
                .as_ref()
                .is_none_or(|it| it.generation != mark.generation || it.revision < mark.revision);
            if is_behind {
                replace(&path, &mark)?;
                *last = Some(mark);
            }
            Ok(())
        });
        let result: io::Result<()> =
            written.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        result.map_err(|source| {
            let kind = source.kind();
            if matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
                StoreError::Full { operation: "write the ledger's generation" }
            } else {
                StoreError::Io { doing: "write", path: self.path.clone(), source }
            }
        })
    }
}

fn parse(text: &str) -> Option<Mark> {
    let mut lines = text.lines();
    if lines.next()? != HEADER {
        return None;
    }
    let generation = lines.next()?.to_owned();
    let revision = lines.next()?.parse().ok()?;
    Some(Mark { generation, revision })
}

/// Whole or not at all: a draft that is synced, then renamed, then the folder synced.
fn replace(path: &Path, mark: &Mark) -> io::Result<()> {
    let draft = path.with_extension("draft");
    let mut file = crate::open::private_file(&draft, true)?;
    file.write_all(format!("{HEADER}\n{}\n{}\n", mark.generation, mark.revision).as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    if cfg!(unix)
        && let Some(folder) = path.parent()
    {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}
