//! Which mistakes would be natural to make, one at a time?
//!
//! Each defect is planted at one place of the protocol (search for its name). A checker that does
//! not catch one of them is too weak to vouch for the correct protocol.
//! Deliberately absent: two defects at once.

/// One planted mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Defect {
    /// An agent draws its nonce when it starts, and uses it for every begin.
    NoncePerProcessStart,
    /// An agent obeys any *go*, whatever begin it answers.
    NonceNotChecked,
    /// Only charged rows count against the budget; reserved and started ones do not.
    ChargeOnlyAfterResult,
    /// A started logon whose outcome stays unknown is refunded.
    RefundUnknownOutcome,
    /// A second begin for a started attempt gets a *go* of its own.
    AnswerDuplicateBegin,
    /// A begin for a void attempt gets a *go*.
    GoAfterVoid,
    /// An attempt that was started is sent again when its agent reconnects.
    RedispatchOnReconnect,
    /// The ledger falls back to an earlier state (failover, restored backup) and goes on.
    RestoreWithoutFreeze,
    /// The freeze is looked at when reserving, not when starting.
    FreezeNotCheckedAtStart,
    /// The agent's HTTP client sends the credential a second time behind our back.
    HttpRetry,
    /// Budget and open attempts are checked in one transaction, the row is inserted in another.
    CheckThenInsert,
    /// *Go* leaves before the commit of *started* is confirmed, and the commit is lost.
    GoBeforeCommit,
    /// *Started* is written whatever state the row was in.
    StartWithoutStateGuard,
    /// An answer that proves nothing (200 alone, 502) is taken for an accepted logon.
    AcceptOnWeakEvidence,
    /// The time limit charges rows that were settled before.
    TimeoutRewritesSettledRow,
    /// Every report of "not sent" is believed.
    NotSentRefundUncapped,
    /// Believed "not sent" reports are limited in number, not in cost.
    NotSentCapCountsAttempts,
    /// The breaker is recorded and never asked.
    BreakerIgnored,
    /// The breaker is asked when reserving, not when starting.
    BreakerCheckedOnlyAtReserve,
    /// A refusal that arrives after the time limit has charged the row opens no breaker.
    LateRefusalIgnored,
    /// A refusal counts as proven good by an accepted logon with another version of the secret.
    ProofOfAnotherVersion,
    /// A diagnosis goes on with the account after a charged logon.
    DiagnosisGoesOnAfterCharge,
    /// A rotated secret starts with a fresh budget.
    RotationResetsBudget,
}

impl Defect {
    pub const ALL: [Self; 23] = [
        Self::NoncePerProcessStart,
        Self::NonceNotChecked,
        Self::ChargeOnlyAfterResult,
        Self::RefundUnknownOutcome,
        Self::AnswerDuplicateBegin,
        Self::GoAfterVoid,
        Self::RedispatchOnReconnect,
        Self::RestoreWithoutFreeze,
        Self::FreezeNotCheckedAtStart,
        Self::HttpRetry,
        Self::CheckThenInsert,
        Self::GoBeforeCommit,
        Self::StartWithoutStateGuard,
        Self::AcceptOnWeakEvidence,
        Self::TimeoutRewritesSettledRow,
        Self::NotSentRefundUncapped,
        Self::NotSentCapCountsAttempts,
        Self::BreakerIgnored,
        Self::BreakerCheckedOnlyAtReserve,
        Self::LateRefusalIgnored,
        Self::ProofOfAnotherVersion,
        Self::DiagnosisGoesOnAfterCharge,
        Self::RotationResetsBudget,
    ];
}
