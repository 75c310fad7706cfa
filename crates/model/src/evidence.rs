//! Everything known at the time of judging.
//!
//! INVARIANT: immutable, complete and ordered by construction. The engine reads nothing else; the reference time is in here.
//! INVARIANT: every path of a round has exactly one report.

use std::fmt;
use std::net::IpAddr;
use std::time::SystemTime;

use crate::{Account, Look, PathId, Report, Sight, Target, Vantage};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathReport {
    pub path: PathId,
    pub report: Report,
}

/// The reports of all paths asked at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Counts from 1.
    pub number: u32,
    /// Sorted by path; no path twice.
    pub reports: Vec<PathReport>,
}

/// An earlier sight of the same path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    pub at: SystemTime,
    pub path: PathId,
    pub look: Look,
    pub sight: Sight,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    pub target: Target,
    /// Accounts of the target, whatever their purpose.
    pub accounts: Vec<Account>,
    /// Every vantage registered for the target's paths, connected or not.
    pub vantages: Vec<Vantage>,
    pub rounds: Vec<Round>,
    /// Oldest first.
    pub history: Vec<Past>,
    /// When the judging happens.
    pub now: SystemTime,
}

/// What a claim points to. `value` is for people, in the technical words of the wire, the same in every language.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EvidenceRef {
    /// 0: declared by the operator; the round's number otherwise.
    pub round: u32,
    pub path: Option<PathId>,
    pub address: Option<IpAddr>,
    /// The request it is about; `None` for DNS, TCP, TLS and declared facts.
    pub look: Option<Look>,
    /// As `401 Basic`, `NXDOMAIN`, `declared: Exchange 2003`.
    pub value: String,
}

impl fmt::Display for EvidenceRef {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(out, "{path}: ")?;
        }
        out.write_str(&self.value)
    }
}
