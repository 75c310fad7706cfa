//! The logon ledger: how many refused logons we may still cause to an account of a directory, durably.
//!
//! A logon is *reserved* before it is offered, *started* in the commit that permits it (with its audit row), and *settled* by
//! what it came to. What is not known to have succeeded, or not to have been sent, is charged. Charges fall away together,
//! after a quiet gap since the last start, as the directory's own counter does.
//!
//! Absent on purpose: which logon would help, what an answer means, and its cost; the caller says. Time is the database's.
//!
//! INVARIANT: reserved + charged counts never exceed the budget; the schema refuses it, whatever this code does.
//! INVARIANT: one attempt per account is open at a time; a settled one moves only by a late proof of what was unproven.
//! INVARIANT: while frozen, or with the secret's breaker open, nothing starts.

mod budget;
mod commit;
mod freeze;
mod guard;
mod opening;
mod policy;
mod reserve;
mod settle;
mod start;
mod sweep;

use std::fmt;
use std::time::{Duration, SystemTime};

use parallax_model::{AccountId, DiagnosisId, EndpointName, TargetId, VantageName};

pub(crate) use commit::LedgerWrite;
pub(crate) use opening::open;

/// D: how long an agent may use a `go`.
const GRANT_VALID: Duration = Duration::from_secs(10);
/// H: the longest a target may sit on a request.
const TARGET_HOLDS: Duration = Duration::from_mins(2);
/// J: how far the wall clock may jump before nothing is believed.
const CLOCK_JUMP: Duration = Duration::from_mins(1);
/// A reservation that was not started by then never is.
const RESERVED_MAX: Duration = Duration::from_mins(1);

/// 128 random bits of one `begin`, never used again.
pub type Nonce = [u8; 16];

/// The ledger's name for one logon.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(String);

impl AttemptId {
    /// Takes a name that came over the wire; an unknown one is found out when it is used.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// A logon somebody wants to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReserveRequest {
    pub account: AccountId,
    pub diagnosis: DiagnosisId,
    /// Who asked for the diagnosis; kept in the audit.
    pub principal: String,
    /// The agent that may start it.
    pub agent: VantageName,
    pub target: TargetId,
    pub endpoint: EndpointName,
    /// The server that will answer, as `10.0.0.5:443` or `mail.example.com:443`; the same box, the same text.
    pub server: String,
    /// As `basic`; kept in the audit.
    pub scheme: String,
    /// What a refusal would cost, in counts of the directory ; at least 1.
    pub cost: u32,
    /// The CAS through which it can reach a back end: at most two of these start per minute.
    pub cas: Option<String>,
    /// A schedule asks, nobody waits: then an open breaker of the endpoint binds too.
    pub scheduled: bool,
}

/// A reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub id: AttemptId,
    pub account: AccountId,
    /// The version of the secret it is for.
    pub secret_version: u64,
    pub cost: u32,
    /// Counts left beside this one.
    pub left: u32,
    /// Not started by then, it is void.
    pub start_by: SystemTime,
}

/// Why a logon is held. Costs and limits are counts of the directory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReserveRefused {
    #[error("the account is not registered")]
    UnknownAccount,
    #[error("no secret is held for the account")]
    NoSecret,
    #[error(
        "the directory locks the account at 1 or 2 refused logons, which leaves no safe budget"
    )]
    ThresholdTooLow,
    #[error("a logon costs at least one count")]
    NoCost,
    #[error("credentialed probing of the account is frozen: {}", .0.reason)]
    Frozen(Frozen),
    #[error(
        "this secret was refused without proof that it is good: rotate it, or release the account"
    )]
    BreakerOpen { since: SystemTime },
    #[error("this secret was refused at this endpoint; a schedule does not send it there again")]
    EndpointBreakerOpen { since: SystemTime },
    #[error("one logon of the account was refused in this diagnosis already")]
    RefusedInDiagnosis,
    #[error("what a logon of the account came to is not known in this diagnosis")]
    UnprovenInDiagnosis,
    #[error(
        "a refusal could cost {cost} counts and the account's whole budget is {limit}: declare `logon_cost` or the true lockout threshold"
    )]
    CostAboveLimit { cost: u32, limit: u32 },
    #[error("a refusal could cost {cost} counts and {left} are left")]
    OverBudget {
        cost: u32,
        left: u32,
        /// When the charges fall away, if nothing is started before.
        quiet_at: Option<SystemTime>,
    },
    #[error("another logon of the account is under way")]
    InFlight,
    #[error(
        "two logons reached a back end through this server in the last minute; ask again in {seconds} s"
    )]
    Wait { seconds: u32 },
}

/// A start that is on disk. Only now may the secret be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// Counts up with every start of the whole ledger.
    pub ledger_sequence: i64,
    pub account: AccountId,
    /// For [`crate::Store::secret`].
    pub secret_version: u64,
}

/// Why no `go` is given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartRefused {
    #[error("there is no such attempt")]
    UnknownAttempt,
    #[error("the attempt was started before")]
    AlreadyStarted,
    #[error("the attempt is settled")]
    AlreadySettled,
    #[error("the attempt was reserved for another agent")]
    OtherAgent,
    #[error("the agent was banned or removed meanwhile")]
    AgentShutOut,
    #[error("the reservation is too old")]
    TooOld,
    #[error("the nonce was used before")]
    NonceReused,
    #[error("credentialed probing of the account is frozen: {}", .0.reason)]
    Frozen(Frozen),
    #[error("the breaker of this secret opened meanwhile")]
    BreakerOpen,
    #[error("the secret was rotated, or its account deleted, meanwhile")]
    SecretChanged,
}

/// What a logon came to .
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogonResult {
    Accepted,
    /// A 401. `proof`: nothing the caller knows speaks against an earlier accepted logon as proof that the secret is good (no
    /// `password_change` event); that there is one, at most 10 min old and not from a cache, the ledger sees for itself.
    Refused {
        proof: bool,
    },
    /// Anything that tells neither, also an answer that never came.
    Unproven,
    /// Not a byte of the credential was handed to the socket.
    NotSent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptState {
    Reserved,
    Started,
    Succeeded,
    Charged,
    Void,
}

/// Which breaker a refusal opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerOpened {
    None,
    /// Everywhere: nothing sends this secret again.
    Secret,
    /// At this endpoint, for schedules.
    Endpoint,
}

/// Where an attempt stands after a result came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    pub state: AttemptState,
    /// False: it was settled before, and this result changed nothing.
    pub changed: bool,
    pub breaker: BreakerOpened,
}

/// A result that is not believed. The attempt stays as it is; the sweep charges it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettleRefused {
    #[error("there is no such attempt")]
    UnknownAttempt,
    #[error("the attempt was never started")]
    NotStarted,
    #[error("the nonce is not that of the attempt's start")]
    OtherNonce,
}

/// What a sweep settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Reservations that were never started.
    pub voided: u32,
    /// Starts whose result never came.
    pub charged: u32,
}

/// Credentialed probing of an account is stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frozen {
    pub until: SystemTime,
    pub reason: String,
}

/// A breaker that stands open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenBreaker {
    pub since: SystemTime,
    /// The diagnosis in which the secret was refused.
    pub diagnosis: String,
}

/// Which accounts to freeze.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FreezeScope {
    Account(AccountId),
    /// All there are, and those registered before it ends.
    All,
}

/// What is left of an account's budget, in counts of its directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// K, the most.
    pub limit: u32,
    pub charged: u32,
    /// Held by the logon under way.
    pub reserved: u32,
    pub left: u32,
    /// When the charges fall away, if nothing is started before; `None`: nothing is charged.
    pub quiet_at: Option<SystemTime>,
    /// The breaker of the present secret.
    pub breaker: Option<OpenBreaker>,
    pub frozen: Option<Frozen>,
    /// 0: no secret is held.
    pub secret_version: u64,
}

/// What one diagnosis did with an account so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Logons started.
    pub used: u32,
    /// Refused or unproven.
    pub refused: u32,
    /// One was refused or unproven: no further logon of the account in this diagnosis.
    pub ended: bool,
    /// An accepted logon proves the present secret now.
    pub has_proof: bool,
}
