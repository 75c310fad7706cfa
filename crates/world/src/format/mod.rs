//! What does a world file say? The format `parallax-world/1` as Rust values.
//!
//! One struct per object of the schema, field by field, unknown keys refused. Shapes that the
//! schema leaves open ("a name or a list of names") become one value each, so that nobody else
//! has to look twice. Absent on purpose: behaviour; that is `simulation`.
//!
//! INVARIANT: a [`World`] that came out of [`read`] refers only to names that exist in it.

mod expectation;
mod load;
mod network;
mod references;
mod rules;
mod target;
mod words;

pub use self::expectation::{Charset, Expect, LeastStanding, Saw, Show, ShowProbe};
pub use self::load::{LoadError, Problem, SCHEMA, find, read, read_text};
pub use self::network::{
    Account, AccountState, AgentState, Balance, Bearer, CertificateDefect, Ciphers,
    ClientCertificate, ClientCertificateRequest, Directory, DnsAnswer, DnsDefault, DnsRecords,
    Family, Handshake, Host, Intercept, Kerberos, KerberosAccepts, Listener, LoginForm, Ntlm,
    OtherCertificate, Passthrough, Purpose, Reach, ReachDefault, SecretCharset, SecretState,
    ServerNameIndication, Tls, TlsVersion, Validates, Vantage, Zone,
};
pub use self::rules::{
    Action, Answer, CloseKind, Edits, Forward, HttpVersion, OneOrMore, Rule, When,
};
pub use self::target::{Endpoint, Event, EventKind, Generation, KnownLockout, Past, Role, Target};

use serde::Deserialize;

/// One situation: a simulated network, what the operator knows, and what is right to say about it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct World {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Unique among the worlds that run together.
    pub id: String,
    /// One line for people.
    pub title: String,
    /// Where the situation comes from.
    #[serde(default)]
    pub kind: Option<Kind>,
    /// What the situation tries.
    #[serde(default)]
    pub group: Option<Group>,
    /// Facts, what was filled in, the trap. Never an input of a diagnosis.
    pub why: String,
    /// The public case it follows.
    #[serde(default)]
    pub source_case: Option<String>,
    /// The world that differs in one fact.
    #[serde(default)]
    pub twin: Option<String>,
    /// Where the expected fault sits.
    pub layer: Layer,
    /// Directories that count refused passwords.
    pub directories: Vec<Directory>,
    /// Accounts of these directories.
    pub accounts: Vec<Account>,
    /// Places to look from.
    pub vantages: Vec<Vantage>,
    /// Machines that answer.
    pub hosts: Vec<Host>,
    /// What the operator registers.
    pub target: Target,
    /// What the operator remembers; times lie before the start.
    #[serde(default)]
    pub events: Vec<Event>,
    /// Earlier observations of the same target.
    #[serde(default)]
    pub history: Vec<Past>,
    /// The right answer.
    pub expect: Expect,
    /// Facts that the running world must show; no input of a diagnosis.
    pub shows: Vec<Show>,
}

impl World {
    /// The host of that name.
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|it| it.name == name)
    }

    /// The vantage of that name.
    pub fn vantage(&self, name: &str) -> Option<&Vantage> {
        self.vantages.iter().find(|it| it.name == name)
    }

    /// The account entry of that name.
    pub fn account(&self, name: &str) -> Option<&Account> {
        self.accounts.iter().find(|it| it.name == name)
    }

    /// The directory of that name.
    pub fn directory(&self, name: &str) -> Option<&Directory> {
        self.directories.iter().find(|it| it.name == name)
    }

    /// The endpoint of that name.
    pub fn endpoint(&self, name: &str) -> Option<&Endpoint> {
        self.target.endpoints.iter().find(|it| it.name == name)
    }
}

/// Where a world comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A public case.
    Real,
    /// Made for a purpose.
    Synth,
}

/// What a world tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    Real,
    LookAlike,
    TwoFaults,
    Noise,
    PartialVision,
    HealthyUnusual,
    Lockout,
    Time,
    MultiNode,
}

/// Where the expected fault sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    None,
    Dns,
    Network,
    Tls,
    Publishing,
    Iis,
    Account,
    FeBe,
    #[serde(rename = "legacy2003")]
    Legacy2003,
    Cloud,
    Autodiscover,
    NonExchange,
}
