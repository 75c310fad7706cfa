//! What is true at one moment, in the ledger and around it?
//!
//! The network is a set of messages that exist: a message that was sent once may arrive any number
//! of times, at any later moment, in any order, or never. So nothing is ever taken out of it.
//! Deliberately absent: queues, sessions, addresses. *Go* carries the secret sealed to a key made
//! for one begin; key and nonce are one here, for both live and die with that begin.
//!
//! INVARIANT: a [`Breach`], once recorded, stays, so that an invariant about a step can be read off
//! any later state.

use super::limits::{AGENTS_MAX, ATTEMPTS_MAX};
use super::{Durability, Protocol};
use crate::protocol::ledger::{Ledger, Row, RowState, Terms};
use crate::small_set::SmallSet;

/// The ledger and everything around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub ledger: Ledger,
    pub backup: Backup,
    pub agents: [Agent; AGENTS_MAX],
    pub attempts: [Attempt; ATTEMPTS_MAX],
    /// The versions of the secret that the directory accepts.
    pub good_secrets: SmallSet,
    pub history: History,
    /// Which of two controller tasks found room and has not inserted yet; used by one defect only.
    pub found_room: [bool; 2],
}

/// An earlier state of the ledger that may come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backup {
    /// It may still be taken.
    Possible,
    Taken(Ledger),
    /// It came back, or never can.
    Over,
}

/// What an agent holds in memory, and so forgets when it crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Agent {
    Idle,
    /// Said *begin*; connected, nothing of the credential sent.
    AwaitingGo {
        attempt: u8,
        nonce: u8,
    },
    /// Sent the credential.
    AwaitingAnswer {
        attempt: u8,
    },
}

/// What the target said to a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    Accepted,
    Refused,
}

/// What an agent reports. An outcome that proves nothing is treated like none at all: the time limit
/// charges it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Report {
    Accepted,
    Refused,
    /// Not a byte of the credential reached the socket.
    NotSent,
}

impl Report {
    pub const ALL: [Self; 3] = [Self::Accepted, Self::Refused, Self::NotSent];
}

/// One attempt outside the database: its messages, and what really happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// The offer, once it exists; its agent may read it at any time. It outlives a row that the
    /// database lost.
    pub offer: Option<Terms>,
    pub nonces_drawn: u8,
    /// Nonces for which a begin exists.
    pub begins: SmallSet,
    /// Nonces for which a *go* exists.
    pub gos: SmallSet,
    /// Nonces for which *started* was durably committed; kept even if the database loses it later.
    pub started_for: SmallSet,
    /// How often the credential was sent.
    pub emissions: u8,
    /// How many of those the target has judged. It may sit on one for as long as it likes.
    pub judged: u8,
    /// How many of those the directory counted as a failed logon.
    pub failures: u8,
    /// On its way to the agent that still waits for it.
    pub answer: Option<Answer>,
    /// Reports that exist, by `Report as u8`.
    pub reports: SmallSet,
}

/// What nobody in the protocol remembers, but the invariants need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct History {
    /// Versions whose refusal, without proof that they are good, reached the controller, and which
    /// nobody released since.
    pub refused_without_proof: SmallSet,
    /// A person released the account; happens at most once.
    pub released: bool,
    pub started_after_release: bool,
    /// By `Breach as u8`.
    breaches: SmallSet,
}

/// A step that no correct protocol takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Breach {
    StartedWhileFrozen,
    StartedBehindBreaker,
    SettledRowRewritten,
    SentWithoutStart,
}

impl History {
    pub fn has(&self, breach: Breach) -> bool {
        self.breaches.contains(breach as u8)
    }

    pub(crate) fn record(&mut self, breach: Breach) {
        self.breaches.insert(breach as u8);
    }
}

impl State {
    /// Every combination of good and bad secrets. With the budget alone nobody rotates, so the
    /// second version does not matter.
    pub(crate) fn initial(protocol: &Protocol) -> Vec<Self> {
        let versions: &[&[u8]] =
            if protocol.all_guards() { &[&[], &[0], &[1], &[0, 1]] } else { &[&[], &[0]] };
        versions.iter().map(|good| Self::with_good_secrets(protocol, good)).collect()
    }

    fn with_good_secrets(protocol: &Protocol, good: &[u8]) -> Self {
        let mut good_secrets = SmallSet::EMPTY;
        for &version in good {
            good_secrets.insert(version);
        }
        Self {
            ledger: Ledger::EMPTY,
            backup: match protocol.durability {
                Durability::Kept => Backup::Over,
                Durability::EarlierStateMayReturn => Backup::Possible,
            },
            agents: [Agent::Idle; AGENTS_MAX],
            attempts: [Attempt::UNSEEN; ATTEMPTS_MAX],
            good_secrets,
            history: History::default(),
            found_room: [false; 2],
        }
    }

    pub fn attempt(&self, attempt: u8) -> &Attempt {
        &self.attempts[usize::from(attempt)]
    }

    pub(crate) fn attempt_mut(&mut self, attempt: u8) -> &mut Attempt {
        &mut self.attempts[usize::from(attempt)]
    }

    pub fn agent(&self, agent: u8) -> Agent {
        self.agents[usize::from(agent)]
    }

    pub(crate) fn set_agent(&mut self, agent: u8, memory: Agent) {
        self.agents[usize::from(agent)] = memory;
    }

    /// The one place where a row changes.
    pub(crate) fn write_row(&mut self, attempt: u8, row: Row) {
        let before = self.ledger.row(attempt).state;
        if before != row.state && !before.may_become(row.state) {
            self.history.record(Breach::SettledRowRewritten);
        }
        self.ledger.rows[usize::from(attempt)] = row;
    }

    /// Moves a row to `next`.
    pub(crate) fn settle(&mut self, attempt: u8, next: RowState) {
        let row = Row { state: next, ..self.ledger.row(attempt) };
        self.write_row(attempt, row);
    }

    /// The directory's bad-password counter, if every failure costs what the ledger assumed.
    pub fn directory_count(&self) -> u8 {
        let counted = |it: &Attempt| it.offer.map_or(0, |terms| it.failures * terms.cost);
        self.attempts.iter().map(counted).sum()
    }
}

impl Attempt {
    const UNSEEN: Self = Self {
        offer: None,
        nonces_drawn: 0,
        begins: SmallSet::EMPTY,
        gos: SmallSet::EMPTY,
        started_for: SmallSet::EMPTY,
        emissions: 0,
        judged: 0,
        failures: 0,
        answer: None,
        reports: SmallSet::EMPTY,
    };
}
