//! What we concluded: the verdict, the findings, what was ruled out and what is still open.
//!
//! Values only; sentences for people are made from them by whoever shows them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::{AccountId, EvidenceRef, FaultId, Look, PathId, VantageName, Zone};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    Likely,
    Confirmed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Fault { fault: FaultId, standing: Standing },
    Healthy,
    Undetermined,
}

/// A named place in the texts for people, filled from the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    Published,
    Endpoint,
    Host,
    Address,
    Vantage,
    Elsewhere,
    Account,
    Witness,
    Seen,
    Expected,
}

impl Place {
    pub const ALL: [Self; 10] = [
        Self::Published,
        Self::Endpoint,
        Self::Host,
        Self::Address,
        Self::Vantage,
        Self::Elsewhere,
        Self::Account,
        Self::Witness,
        Self::Seen,
        Self::Expected,
    ];

    /// The word between braces in the texts.
    pub fn word(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Endpoint => "endpoint",
            Self::Host => "host",
            Self::Address => "address",
            Self::Vantage => "vantage",
            Self::Elsewhere => "elsewhere",
            Self::Account => "account",
            Self::Witness => "witness",
            Self::Seen => "seen",
            Self::Expected => "expected",
        }
    }
}

/// A fault that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub fault: FaultId,
    pub standing: Standing,
    /// True, but something nearer to the client fails first.
    pub latent: bool,
    /// Failing paths that it explains.
    pub explains: Vec<PathId>,
    pub evidence: Vec<EvidenceRef>,
    /// What would make a likely one firm; empty for a confirmed one.
    pub needs: Vec<Need>,
    pub places: BTreeMap<Place, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuledOut {
    pub fault: FaultId,
    pub by: Vec<EvidenceRef>,
}

/// What would decide an open fault.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Take this look along this path; free.
    Look { path: PathId, look: Look },
    /// Take this look along this path at an address that another vantage was given, under the published name; free.
    Dial { path: PathId, address: IpAddr, look: Look },
    /// Log on along this path; costs what the ledger says.
    Logon { path: PathId, look: Look },
    /// Ask the same again after this long.
    AskAgain { path: PathId, look: Look, after: Duration },
    /// An agent in this zone would have to look at this endpoint's side.
    Vantage { zone: Zone },
    /// An account has to be registered: a second one that is known good.
    Witness,
    /// An account has to be registered at all.
    Subject,
    /// The operator has to state this; a short technical phrase.
    Declared { what: &'static str },
    /// No probe of this product sees it; somebody has to look on the server.
    OnTheServer { what: &'static str },
}

impl Need {
    /// Logons it takes.
    pub fn logons(&self) -> u32 {
        match self {
            Self::Logon { .. } => 1,
            Self::Look { .. }
            | Self::Dial { .. }
            | Self::AskAgain { .. }
            | Self::Vantage { .. }
            | Self::Witness
            | Self::Subject
            | Self::Declared { .. }
            | Self::OnTheServer { .. } => 0,
        }
    }
}

/// A fault that may still be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenFault {
    pub fault: FaultId,
    /// What speaks for it already.
    pub evidence: Vec<EvidenceRef>,
    pub needs: Vec<Need>,
}

/// A failing path that no finding explains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unexplained {
    pub path: PathId,
    pub evidence: Vec<EvidenceRef>,
}

/// What a path amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathCondition {
    /// Every stage answered as a healthy one does, as far as it was asked.
    Works,
    /// Something on it is not as a healthy one.
    Fails,
    /// Not meant to be reachable from there, and it is not.
    OutOfReach,
    /// No report.
    Unknown,
}

/// A field that differs between two hops or accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DifferentField {
    /// As `WWW-Authenticate`, `status`, `certificate`.
    pub field: String,
    pub left: String,
    pub right: String,
}

/// The first place where two adjacent hops, or two accounts at one hop, part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstDifference {
    pub left: PathId,
    /// Set when two accounts are compared.
    pub left_account: Option<AccountId>,
    pub right: PathId,
    pub right_account: Option<AccountId>,
    pub look: Option<Look>,
    pub fields: Vec<DifferentField>,
    /// Fields compared and found equal.
    pub equal: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Column {
    Dns,
    Tcp,
    Tls,
    Anonymous,
    Logon,
    ActiveSync,
}

impl Column {
    pub const ALL: [Self; 6] =
        [Self::Dns, Self::Tcp, Self::Tls, Self::Anonymous, Self::Logon, Self::ActiveSync];
}

/// One cell of the matrix; the text is technical and the same in every language (`3 ms`, `401 Basic`, `NXDOMAIN`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    Good(String),
    Bad(String),
    /// Neither good nor bad by itself.
    Plain(String),
    /// A logon deliberately not made, with the reason.
    Held(String),
    NotReached,
    NotAsked,
    /// The agent said nothing.
    Silent,
}

/// One row: a path at one address (no address: nothing was dialled).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatrixRow {
    pub path: PathId,
    pub address: Option<IpAddr>,
    pub condition: PathCondition,
    /// In the order of [`Column::ALL`].
    pub cells: [Cell; 6],
}

/// A vantage that cannot even reach what is known to be good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExcludedVantage {
    pub vantage: VantageName,
    /// What its control came to.
    pub by: Vec<EvidenceRef>,
}

/// What kind of box an answer gives away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A proxy in the vantage's own network.
    Egress,
    /// A publishing layer: reverse proxy, load balancer, gateway, content delivery network.
    Publisher,
    /// The server that speaks `ActiveSync`.
    Server,
}

/// One box along a path, and how we know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recognised {
    pub path: PathId,
    pub kind: Kind,
    /// Product and version as far as they are known: `Exchange 2016 15.1.2507`, `nginx`, `F5 BIG-IP APM`.
    pub what: String,
    /// The marks it was known by; a declared generation is said to be declared.
    pub by: Vec<EvidenceRef>,
}

/// The engine's whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    pub verdict: Verdict,
    /// The verdict's own first, then what else is there.
    pub findings: Vec<Finding>,
    pub ruled_out: Vec<RuledOut>,
    /// In the order of what is worth deciding first.
    pub open: Vec<OpenFault>,
    pub unexplained: Vec<Unexplained>,
    pub first_difference: Option<FirstDifference>,
    pub matrix: Vec<MatrixRow>,
    /// Known behaviour that looks like a fault and is none, with what was seen.
    pub notes: Vec<(FaultId, Vec<EvidenceRef>)>,
    /// Why an all-green picture is not called healthy, or a question that stays open; short technical phrases.
    pub gaps: Vec<Need>,
    /// Vantages that fail their own control: what did not prove itself from there does not count.
    pub excluded: Vec<ExcludedVantage>,
    /// What stands along the paths, as far as an answer says so; sorted by path.
    pub recognised: Vec<Recognised>,
    /// Faults that no `OPTIONS` request can see and that a target of this generation may have.
    pub not_visible: Vec<FaultId>,
}
