//! What does a request get in this world? The state of a simulated network, without sockets.
//!
//! A host's rules are tried in order, after the credential was looked at; counters, locked
//! accounts, round robin and the numbers of `nth` and `every` live here. Absent on purpose: I/O
//! and waiting. The caller says what time it is and waits for the delay it is told.
//!
//! INVARIANT: one request gets one [`Reply`], and nothing but requests and time changes the state.
//! INVARIANT: secrets are compared and never leave this module in an answer.

mod clock;
mod credential;
mod directory;
mod fill;
mod forward;
mod ntlm;
mod routing;
mod rules;
mod secrets;
mod tags;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use self::clock::{Clock, Now, Pace};
pub use self::credential::Credential;
pub(crate) use self::credential::text;
pub use self::directory::Counter;
pub use self::routing::{Landed, Landing, dial};
pub use self::secrets::{Secrets, latin1};

use self::directory::Directories;
use crate::format::{ClientCertificate, HttpVersion, World};

/// Header names and values, in order, as they stand on the wire.
pub type Headers = Vec<[String; 2]>;

/// One request as a host received it.
#[derive(Clone, Debug)]
pub struct Request {
    /// `OPTIONS`, `GET` …
    pub method: String,
    /// Without the query.
    pub path: String,
    /// Without the question mark; empty if there is none.
    pub query: String,
    /// The Host header without a port.
    pub host: String,
    pub headers: Headers,
    /// What it authenticates with; read once, where it entered the world.
    pub credential: Credential,
    /// The client certificate, if one was shown.
    pub client_certificate: Option<ShownCertificate>,
    /// An NTLM Type-1 came over this very connection before.
    pub ntlm_begun: bool,
}

/// A client certificate that was shown in the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownCertificate {
    /// The account entry it was made for; `None` = no certificate of this world.
    pub account: Option<String>,
    pub kind: ClientCertificate,
}

/// Where a request arrives.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The machine that sent it here: a vantage or a forwarding host.
    pub peer: &'a str,
    /// The vantage where it began.
    pub origin: &'a str,
    pub port: u16,
}

/// What a request gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Answer(Plan),
    /// The connection is reset after the request was read.
    Reset,
    /// The connection is closed in order after the request was read.
    Fin,
    /// No answer; the connection stays open.
    Stall,
}

/// One answer, ready to be written once `delay` is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub status: u16,
    /// `None` = the usual phrase of the status.
    pub reason: Option<String>,
    pub version: HttpVersion,
    /// Placeholders are filled in.
    pub headers: Headers,
    pub body: String,
    pub chunked: bool,
    pub delay: Duration,
    /// The host whose answer it is.
    pub by: String,
}

/// A place where an exchange can end before there is a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    TcpRefused,
    TcpTimeout,
    TlsNotTls,
    TlsReset,
    TlsTimeout,
    TlsAlert40,
    TlsAlert70,
    HttpReset,
    HttpClosed,
    HttpTimeout,
}

impl Lost {
    const fn is_timeout(self) -> bool {
        matches!(self, Self::TcpTimeout | Self::TlsTimeout | Self::HttpTimeout)
    }

    /// What the client of a host sees when the host has no answer of its own for this.
    const fn reply(self) -> Reply {
        match self {
            Self::HttpClosed => Reply::Fin,
            Self::TcpTimeout | Self::TlsTimeout | Self::HttpTimeout => Reply::Stall,
            Self::TcpRefused
            | Self::TlsNotTls
            | Self::TlsReset
            | Self::TlsAlert40
            | Self::TlsAlert70
            | Self::HttpReset => Reply::Reset,
        }
    }
}

/// How often a credential was shown to a host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogonSeen {
    pub host: String,
    /// `None` = no account of the world has this login.
    pub account: Option<String>,
}

/// The state of a world.
#[derive(Debug)]
pub struct Simulation {
    world: Arc<World>,
    secrets: Arc<Secrets>,
    directories: Directories,
    /// Requests that passed all other conditions of a rule: (host, rule) to their number.
    hits: BTreeMap<(String, usize), u32>,
    /// Turns of every round robin.
    turns: BTreeMap<routing::Wheel, usize>,
    logons: BTreeMap<LogonSeen, u32>,
}

impl Simulation {
    /// A world at t = 0.
    pub fn new(world: Arc<World>, secrets: Arc<Secrets>) -> Self {
        Self {
            directories: Directories::new(&world),
            world,
            secrets,
            hits: BTreeMap::new(),
            turns: BTreeMap::new(),
            logons: BTreeMap::new(),
        }
    }

    /// Answers a request that arrived at `host`, of which there must be one of that name; a name
    /// that is none is reset, as by a machine without a program.
    pub fn answer(&mut self, now: Now, host: &str, request: &Request, place: Place<'_>) -> Reply {
        match self.serve(now, host, request, place, Duration::ZERO) {
            Ok(plan) => Reply::Answer(plan),
            Err(lost) => lost.reply(),
        }
    }

    /// The bad-password counters, one per identity, in the order of their first account.
    pub fn counters(&self) -> Vec<Counter> {
        self.directories.counters()
    }

    /// How often each host was shown a credential of each account.
    pub fn logons(&self) -> &BTreeMap<LogonSeen, u32> {
        &self.logons
    }
}
