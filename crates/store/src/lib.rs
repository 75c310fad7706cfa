//! What lasts: targets, accounts and their sealed secrets, agents, diagnoses with their events and reports, history, the
//! audit, and the logon ledger that keeps test accounts from being locked. One SQLite file in the data folder.
//!
//! Absent on purpose: opinions about what a report means, the sending of anything, retries. Time is the database's clock;
//! nobody hands one in. No type of the database driver leaves this crate.
//!
//! INVARIANT: what a method returned `Ok` for is on disk (WAL, `synchronous=FULL`); a dropped call changed all or nothing.
//! INVARIANT: a password is stored sealed, or not at all; no body, event, report or audit row holds one.
//! INVARIANT: whatever code writes, the schema itself refuses to spend more of an account than its budget.

mod account;
mod agent;
mod append;
mod audit;
mod clock;
mod companion;
mod damage;
mod diagnosis;
mod error;
mod event;
mod inspect;
mod joining;
mod ledger;
mod offer;
mod open;
mod page;
mod past;
mod report;
mod request;
mod row;
mod schema;
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub mod simulation;
mod space;
mod start;
mod target;
mod write;

#[cfg(test)]
mod tests;

pub use account::NewAccount;
pub use agent::{AgentRecord, Ban, Introduction, Presented};
pub use audit::{AuditEntry, AuditRecord};
pub use diagnosis::Finished;
pub use error::{DatabaseError, Kind, StoreError};
pub use inspect::{Inspection, inspect};
pub use joining::{
    JoinRefused, Joined, NewCertificate, NewJoinToken, RECOVERABLE, REPLAYED, TokenStanding,
};
pub use ledger::{
    Attempt, AttemptId, AttemptState, BreakerOpened, Budget, FreezeScope, Frozen, LogonResult,
    Nonce, OpenBreaker, ReserveRefused, ReserveRequest, SettleRefused, Settled, Standing,
    StartRefused, Started, Swept,
};
pub use offer::{GrantedTask, OfferedTask};
pub use open::Store;
pub use page::{PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, Page, PageRequest};
pub use past::PastRecord;
pub use report::{NewReport, Recorded, StoredReport};
pub use request::{Answer, RequestKey};
pub use start::DiagnosisStart;
