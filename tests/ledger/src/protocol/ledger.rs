//! What does the database hold about one account and its attempts?
//!
//! A row per attempt, and what guards the account: frozen or not, which secret is current, which
//! secrets the breaker blocks. Exposure is computed from the rows, as the store does.
//! Deliberately absent: the audit row (same commit as *started*, so it cannot be told from it).
//!
//! INVARIANT: a settled row changes only from charged to succeeded or void.

use crate::defects::Defect;
use crate::protocol::Protocol;
use crate::protocol::limits::ATTEMPTS_MAX;
use crate::small_set::SmallSet;

/// Where an attempt is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RowState {
    /// No row yet.
    Absent,
    /// Budget set aside; no *go* was given.
    Reserved,
    /// The commit that permits exactly one *go*.
    Started,
    /// The logon was accepted: refunded.
    Succeeded,
    /// Refused, or the outcome is unknown: kept.
    Charged,
    /// Nothing was sent: refunded.
    Void,
}

impl RowState {
    /// Reserved or started.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Reserved | Self::Started)
    }

    /// The only changes a correct ledger makes.
    pub fn may_become(self, next: Self) -> bool {
        matches!(
            (self, next),
            (Self::Absent, Self::Reserved)
                | (Self::Reserved, Self::Started | Self::Void)
                | (Self::Started, Self::Succeeded | Self::Charged | Self::Void)
                | (Self::Charged, Self::Succeeded | Self::Void)
        )
    }
}

/// What an attempt is for: settled when it is reserved, and told to the agent in the offer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Terms {
    pub agent: u8,
    pub diagnosis: u8,
    pub secret_version: u8,
    /// In counts of the directory.
    pub cost: u8,
}

/// One attempt, as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    pub state: RowState,
    pub terms: Terms,
    /// The begin that *started* answered; `None` until then, also in a row voided before.
    pub begin_nonce: Option<u8>,
    /// A refusal was reported for it; hearing of it again changes nothing.
    pub refusal_known: bool,
}

impl Row {
    pub(crate) const ABSENT: Self = Self {
        state: RowState::Absent,
        terms: Terms { agent: 0, diagnosis: 0, secret_version: 0, cost: 0 },
        begin_nonce: None,
        refusal_known: false,
    };

    pub(crate) fn reserved(terms: Terms) -> Self {
        Self { state: RowState::Reserved, terms, ..Self::ABSENT }
    }

    /// A "not sent" report was believed for it.
    pub fn is_refund_of_not_sent(self) -> bool {
        self.state == RowState::Void && self.begin_nonce.is_some()
    }
}

/// Everything durable about the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ledger {
    pub rows: [Row; ATTEMPTS_MAX],
    /// Nothing is reserved or started until a person lifts it.
    pub frozen: bool,
    pub secret_version: u8,
    /// The versions of the secret that nothing automatic may send.
    pub breaker_open_for: SmallSet,
}

impl Ledger {
    pub(crate) const EMPTY: Self = Self {
        rows: [Row::ABSENT; ATTEMPTS_MAX],
        frozen: false,
        secret_version: 0,
        breaker_open_for: SmallSet::EMPTY,
    };

    pub fn row(&self, attempt: u8) -> Row {
        self.rows[usize::from(attempt)]
    }

    /// What the ledger believes may have been added to the directory's counter, at most.
    pub fn exposure(&self, protocol: &Protocol) -> u8 {
        self.rows.iter().filter(|row| self.counts(protocol, **row)).map(|row| row.terms.cost).sum()
    }

    fn counts(&self, protocol: &Protocol, row: Row) -> bool {
        if protocol.has(Defect::RotationResetsBudget)
            && row.terms.secret_version != self.secret_version
        {
            return false;
        }
        if protocol.has(Defect::ChargeOnlyAfterResult) {
            return row.state == RowState::Charged;
        }
        row.state.is_open() || row.state == RowState::Charged
    }

    /// Whether one more "not sent" report may be believed. What was refunded may not exceed the
    /// budget, so that a lying agent costs at most the budget a second time.
    pub fn may_refund_not_sent(&self, protocol: &Protocol, cost: u8) -> bool {
        let refunded = self.rows.iter().filter(|row| row.is_refund_of_not_sent());
        let budget = protocol.limits.budget;
        if protocol.has(Defect::NotSentRefundUncapped) {
            true
        } else if protocol.has(Defect::NotSentCapCountsAttempts) {
            refunded.count() < usize::from(budget)
        } else {
            refunded.map(|row| row.terms.cost).sum::<u8>() + cost <= budget
        }
    }

    /// Whether an accepted logon of the same secret in the same diagnosis speaks for it.
    pub fn is_proven_good(&self, refused: Terms) -> bool {
        self.accepted_in(refused.diagnosis).any(|it| it.secret_version == refused.secret_version)
    }

    /// The terms of the accepted logons of a diagnosis.
    pub fn accepted_in(&self, diagnosis: u8) -> impl Iterator<Item = Terms> {
        let accepted = self.rows.iter().filter(|row| row.state == RowState::Succeeded);
        accepted.map(|row| row.terms).filter(move |it| it.diagnosis == diagnosis)
    }
}
