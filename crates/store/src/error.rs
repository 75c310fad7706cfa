//! Why the store could not do what it was asked: one enum for the whole boundary, each variant naming the operation.
//!
//! A refused reservation, start or settlement is not in here: that is the ledger's answer, not its failure.
//!
//! INVARIANT: no text in here comes from a body, so that no secret can be in it.

use std::fmt;
use std::path::PathBuf;

use parallax_auth::EnvelopeError;

/// What a resource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Target,
    Account,
    Agent,
    Diagnosis,
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Target => "target",
            Self::Account => "account",
            Self::Agent => "agent",
            Self::Diagnosis => "diagnosis",
        })
    }
}

/// An error of the database driver, opaque so that the driver stays a detail.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct DatabaseError(#[from] sqlx::Error);

/// Why an operation of the store failed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{operation}: there is no {kind} `{id}`")]
    NotFound { operation: &'static str, kind: Kind, id: String },
    #[error("{operation}: there is already a {kind} `{id}`")]
    AlreadyExists { operation: &'static str, kind: Kind, id: String },
    /// Another name of the same directory account is registered; one account must not have two budgets.
    #[error(
        "{operation}: account `{by}` is the same account of the directory; add the name form there"
    )]
    SameAccount { operation: &'static str, by: String },
    #[error("{operation}: {kind} `{id}` was changed meanwhile; its etag is now `{etag}`")]
    Conflict { operation: &'static str, kind: Kind, id: String, etag: String },
    #[error("{operation}: {kind} `{id}` is used by `{by}`")]
    Referenced { operation: &'static str, kind: Kind, id: String, by: String },
    /// A diagnosis that ended does not change.
    #[error("{operation}: diagnosis `{id}` has ended")]
    Ended { operation: &'static str, id: String },
    /// `REQUEST_ID_REUSED`: the same id came with another request.
    #[error("{operation}: request id `{request_id}` was used for another request")]
    RequestIdReused { operation: &'static str, request_id: String },
    #[error("{operation}: the page token is not one of this list")]
    PageToken { operation: &'static str },
    /// The lockout policy would shrink the budget below what is charged already.
    #[error(
        "{operation}: the ledger still holds {charged} counts of account `{id}`, more than the new limit of {limit}"
    )]
    LedgerHolds { operation: &'static str, id: String, charged: u32, limit: u32 },
    #[error("{operation}: more than {limit} at once")]
    TooMany { operation: &'static str, limit: usize },
    #[error("{operation}: the database is busy")]
    Busy { operation: &'static str },
    #[error("{operation}: the disk is full")]
    Full { operation: &'static str },
    #[error("{operation}: the database file is damaged")]
    Corrupt {
        operation: &'static str,
        #[source]
        source: DatabaseError,
    },
    #[error("{operation}: stored {kind} `{id}` cannot be read")]
    Undecodable {
        operation: &'static str,
        kind: Kind,
        id: String,
        #[source]
        source: prost::DecodeError,
    },
    /// An assertion of the ledger did not hold; every account is frozen.
    #[error("{operation}: the ledger contradicts itself ({assertion}); every account is frozen")]
    LedgerBroken { operation: &'static str, assertion: &'static str },
    /// The database file itself; nothing was changed.
    #[error(
        "{} is damaged ({found}); nothing was changed. Keep a copy of the folder, put the newest backup of the database in its place and start again: what can be lost by that stays frozen for its quiet time",
        .path.display()
    )]
    Damaged { path: PathBuf, found: String },
    #[error("{} can be read by others (mode {mode:03o}); set it to 600, and change what is in it if somebody did", .path.display())]
    Exposed { path: PathBuf, mode: u32 },
    #[error("data folder {} is in use by {holder}", .folder.display())]
    InUse { folder: PathBuf, holder: String },
    #[error("data folder {} is on a network file system ({kind}); use a local disk", .folder.display())]
    NetworkFileSystem { folder: PathBuf, kind: String },
    #[error(
        "the database has schema version {found}; this program knows up to {known}: use a newer program"
    )]
    SchemaTooNew { found: i64, known: i64 },
    #[error("cannot {doing} {}", .path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{operation}: the secret cannot be sealed or opened")]
    Envelope {
        operation: &'static str,
        #[source]
        source: EnvelopeError,
    },
    #[error("{operation}: the database refused")]
    Database {
        operation: &'static str,
        #[source]
        source: DatabaseError,
    },
}

/// Names the operation that a database error stopped.
pub(crate) trait During<T> {
    fn during(self, operation: &'static str) -> Result<T, StoreError>;
}

impl<T> During<T> for Result<T, sqlx::Error> {
    fn during(self, operation: &'static str) -> Result<T, StoreError> {
        self.map_err(|error| classify(error, operation))
    }
}

impl<T> During<T> for Result<T, EnvelopeError> {
    fn during(self, operation: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Envelope { operation, source })
    }
}

/// By the primary result code, the low byte of SQLite's extended one (`https://www.sqlite.org/rescode.html`).
fn classify(error: sqlx::Error, operation: &'static str) -> StoreError {
    const BUSY: i32 = 5;
    const LOCKED: i32 = 6;
    const CORRUPT: i32 = 11;
    const FULL: i32 = 13;
    const NOT_A_DATABASE: i32 = 26;
    if matches!(error, sqlx::Error::PoolTimedOut) {
        return StoreError::Busy { operation };
    }
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .and_then(|code| code.parse::<i32>().ok())
        .map(|code| code & 0xff);
    match code {
        Some(BUSY | LOCKED) => StoreError::Busy { operation },
        Some(FULL) => StoreError::Full { operation },
        Some(CORRUPT | NOT_A_DATABASE) => {
            StoreError::Corrupt { operation, source: DatabaseError(error) }
        }
        Some(_) | None => StoreError::Database { operation, source: DatabaseError(error) },
    }
}
