//! What must hold in every state, and what must be reachable for that to mean anything?
//!
//! A model that does nothing keeps every invariant; the [`Goal`]s show that this one does something.
//! Deliberately absent: that every attempt ends in time (no clock here), and that *started* and its
//! audit row are one commit (the store's tests show that).
//!
//! INVARIANT: a condition looks at what really happened (emissions, failures, history), never only
//! at what the ledger believes.

use crate::protocol::Protocol;
use crate::protocol::ledger::{Row, RowState};
use crate::protocol::limits::DIAGNOSES_MAX;
use crate::protocol::state::{Breach, State};

/// The condition of a property.
pub type Condition = fn(&Protocol, &State) -> bool;

/// What must always hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// The directory counted at most K failed logons of ours.
    Budget,
    /// The ledger's exposure is at least what the directory counted. Not asked of a frozen ledger:
    /// it may have lost rows, and therefore starts nothing.
    Dominance,
    /// An attempt sends the credential at most once.
    AtMostOnce,
    /// Nothing is sent on a *go* whose *started* was not durably committed for that very begin.
    StartBeforeSend,
    /// A void attempt has sent nothing, in this state and in every later one. Not asked of a frozen
    /// ledger.
    VoidIsFinal,
    /// At most one attempt of the account is reserved or started.
    SingleFlight,
    /// After a refusal without proof, nothing starts with that secret until it is released.
    Breaker,
    /// A frozen ledger starts nothing.
    Freeze,
    /// A settled row changes only from charged to succeeded or void.
    SettledStays,
    /// A diagnosis causes at most one failed logon of the account.
    OneFailurePerDiagnosis,
    /// The directory counted at most 2 K. The one that also holds when agents lie about "not sent".
    TwiceTheBudget,
}

impl Invariant {
    pub const ALL: [Self; 11] = [
        Self::Budget,
        Self::Dominance,
        Self::AtMostOnce,
        Self::StartBeforeSend,
        Self::VoidIsFinal,
        Self::SingleFlight,
        Self::Breaker,
        Self::Freeze,
        Self::SettledStays,
        Self::OneFailurePerDiagnosis,
        Self::TwiceTheBudget,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Dominance => "dominance",
            Self::AtMostOnce => "at most once",
            Self::StartBeforeSend => "start before send",
            Self::VoidIsFinal => "void is final",
            Self::SingleFlight => "single flight",
            Self::Breaker => "breaker",
            Self::Freeze => "freeze",
            Self::SettledStays => "settled stays",
            Self::OneFailurePerDiagnosis => "one failure per diagnosis",
            Self::TwiceTheBudget => "twice the budget",
        }
    }

    /// The condition. Single flight and one failure per diagnosis are promises of the guards, so a
    /// protocol that runs on its budget alone does not make them; the breaker's and the freeze's
    /// steps are recorded as they are taken.
    pub fn holds(self) -> Condition {
        match self {
            Self::Budget => |protocol, state| state.directory_count() <= protocol.limits.budget,
            Self::Dominance => |protocol, state| {
                state.ledger.frozen || state.ledger.exposure(protocol) >= state.directory_count()
            },
            Self::AtMostOnce => |_, state| state.attempts.iter().all(|it| it.emissions <= 1),
            Self::StartBeforeSend => |_, state| !state.history.has(Breach::SentWithoutStart),
            Self::VoidIsFinal => |_, state| state.ledger.frozen || void_rows_sent_nothing(state),
            Self::SingleFlight => {
                |protocol, state| !protocol.all_guards() || count(state, RowState::is_open) <= 1
            }
            Self::Breaker => |_, state| !state.history.has(Breach::StartedBehindBreaker),
            Self::Freeze => |_, state| !state.history.has(Breach::StartedWhileFrozen),
            Self::SettledStays => |_, state| !state.history.has(Breach::SettledRowRewritten),
            Self::OneFailurePerDiagnosis => |protocol, state| {
                !protocol.all_guards() || (0..DIAGNOSES_MAX).all(|it| failures_in(state, it) <= 1)
            },
            Self::TwiceTheBudget => {
                |protocol, state| state.directory_count() <= 2 * protocol.limits.budget
            }
        }
    }
}

/// What must be reachable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Goal {
    /// An accepted logon was refunded.
    SuccessSettled,
    /// A logon that was started and not sent was refunded.
    RefundAfterNotSent,
    /// The directory counted exactly K.
    BudgetUsedUp,
    /// Every attempt that the bounds allow was made and settled.
    AllAttemptsUsed,
    /// The breaker is open. With all guards only, like the two below.
    BreakerOpened,
    /// A refusal after proof was charged, and the breaker of its secret stayed closed.
    RefusalAfterProof,
    /// A person released the account, and a logon was started after that.
    StartAfterRelease,
}

impl Goal {
    pub const ALL: [Self; 7] = [
        Self::SuccessSettled,
        Self::RefundAfterNotSent,
        Self::BudgetUsedUp,
        Self::AllAttemptsUsed,
        Self::BreakerOpened,
        Self::RefusalAfterProof,
        Self::StartAfterRelease,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::SuccessSettled => "success settled",
            Self::RefundAfterNotSent => "refund after not sent",
            Self::BudgetUsedUp => "exactly the budget used",
            Self::AllAttemptsUsed => "all attempts used",
            Self::BreakerOpened => "breaker opened",
            Self::RefusalAfterProof => "refusal after proof",
            Self::StartAfterRelease => "start after release",
        }
    }

    pub fn is_reached(self) -> Condition {
        match self {
            Self::SuccessSettled => |_, state| count(state, |it| it == RowState::Succeeded) > 0,
            Self::RefundAfterNotSent => {
                |_, state| state.ledger.rows.into_iter().any(Row::is_refund_of_not_sent)
            }
            Self::BudgetUsedUp => {
                |protocol, state| state.directory_count() == protocol.limits.budget
            }
            Self::AllAttemptsUsed => |protocol, state| {
                let settled = count(state, |it| it != RowState::Absent && !it.is_open());
                settled == usize::from(protocol.limits.attempts)
            },
            Self::BreakerOpened => |_, state| !state.ledger.breaker_open_for.is_empty(),
            Self::RefusalAfterProof => |_, state| {
                let ledger = &state.ledger;
                let mut refused = ledger.rows.iter().filter(|row| row.refusal_known);
                let never_opened = ledger.breaker_open_for.is_empty() && !state.history.released;
                never_opened && refused.any(|row| ledger.is_proven_good(row.terms))
            },
            Self::StartAfterRelease => |_, state| state.history.started_after_release,
        }
    }
}

fn count(state: &State, matching: fn(RowState) -> bool) -> usize {
    state.ledger.rows.iter().filter(|row| matching(row.state)).count()
}

fn void_rows_sent_nothing(state: &State) -> bool {
    let mut attempts = state.ledger.rows.iter().zip(&state.attempts);
    attempts.all(|(row, attempt)| row.state != RowState::Void || attempt.emissions == 0)
}

fn failures_in(state: &State, diagnosis: u8) -> u8 {
    let of_diagnosis = state
        .attempts
        .iter()
        .filter(|it| it.offer.is_some_and(|terms| terms.diagnosis == diagnosis));
    of_diagnosis.map(|it| it.failures).sum()
}
