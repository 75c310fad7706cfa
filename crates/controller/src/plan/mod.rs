//! Which looks and which logons come next: pure decisions over target, evidence and budget.
//!
//! Absent on purpose: I/O, clocks, the store. `diagnosis` asks here what to do and does it.
//!
//! INVARIANT: a logon is proposed only on the ladder and within the budget; the ledger decides again, durably.

mod first;
mod free;
mod ladder;
mod next;
#[cfg(test)]
mod tests;

pub use first::{PlannedLogon, first_round, worst_case};
pub use next::next_round;
pub use parallax_faults::LogonOutcome;

use parallax_model::{AccountId, Look, PathId, Place, UserName};

/// A diagnosis asks at most this many rounds.
pub const ROUNDS_MAX: u32 = 4;

/// One task of a round, before it has ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    pub path: PathId,
    pub looks: Vec<Look>,
    pub logon: Option<ProposedLogon>,
    pub only_address: Option<std::net::IpAddr>,
    /// One more TLS handshake at each address, without a server name.
    pub without_sni: bool,
}

/// A logon that would help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProposedLogon {
    pub account: AccountId,
    pub name: UserName,
    pub place: Place,
    /// Counts of the directory, if refused.
    pub cost: u32,
    /// Whether an accepted logon of the same secret already proved it in this diagnosis.
    pub has_proof: bool,
    /// Whether it can reach a back end through a CAS: at most two of these per CAS and minute.
    pub reaches_back_end: bool,
}

/// A logon that would help and is deliberately not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldLogon {
    pub path: PathId,
    pub account: AccountId,
    /// In technical words, with what to declare where that helps.
    pub reason: String,
}

/// What the next round asks. No proposals: nothing more would help, or nothing more may be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NextRound {
    pub proposals: Vec<Proposal>,
    pub held: Vec<HeldLogon>,
}

/// What the ledger says of one account at the time of planning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountBudget {
    pub account: AccountId,
    /// Counts left.
    pub left: u32,
    /// The secret's breaker: nothing automatic sends it again.
    pub breaker_open: bool,
    /// Why credentialed probing of it is frozen.
    pub frozen: Option<String>,
    /// Refused logons in this diagnosis.
    pub refused_here: u32,
    /// An unproven logon ended this account's logons in this diagnosis.
    pub ended_here: bool,
}
