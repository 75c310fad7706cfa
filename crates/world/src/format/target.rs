//! What does the operator tell the product? The target, its endpoints, events and history.
//!
//! Section 6 of the format, and the lists of section 1 that speak of the time before the start.

use serde::Deserialize;

use super::expectation::Saw;
use super::words::words;

/// The service under diagnosis.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    pub name: String,
    /// The published host name.
    pub published: String,
    #[serde(default)]
    pub generation: Option<Generation>,
    /// The policy that the operator typed in; absent = unknown.
    #[serde(default)]
    pub known_lockout: Option<KnownLockout>,
    pub endpoints: Vec<Endpoint>,
}

words! {
    /// A generation of Exchange.
    Generation {
        E2003 = "2003",
        E2007 = "2007",
        E2010 = "2010",
        E2013 = "2013",
        E2016 = "2016",
        E2019 = "2019",
        Se = "se",
        Online = "online",
        Other = "other",
    }
}

/// A lockout policy as declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownLockout {
    /// 0 = accounts are never locked.
    pub threshold: u32,
    pub window_s: u32,
}

/// One URL of the target.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    pub name: String,
    pub role: Role,
    pub url: String,
    /// Dial this host, keep Host and SNI of the URL.
    #[serde(default)]
    pub connect: Option<String>,
    #[serde(default)]
    pub generation: Option<Generation>,
    /// Hosts that the operator says the name is published on.
    #[serde(default)]
    pub published_on: Vec<String>,
    #[serde(default)]
    pub allow_plaintext_logon: bool,
    /// Vantages meant to dial it; absent = the default of the role.
    #[serde(default)]
    pub from: Option<Vec<String>>,
}

words! {
    /// The role of an endpoint.
    Role { External = "external", Cas = "cas", Backend = "backend", Control = "control" }
}

/// Something that the operator knows happened.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Seconds since the start; negative.
    pub at_s: f64,
    pub what: EventKind,
    pub text: String,
}

words! {
    /// What happened.
    EventKind {
        AdminChange = "admin_change",
        PasswordChange = "password_change",
        Restart = "restart",
        Update = "update",
        Cutover = "cutover",
        UserReport = "user_report",
        ServerLog = "server_log",
    }
}

/// An earlier observation of the same target.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Past {
    /// Seconds since the start; negative.
    pub at_s: f64,
    pub from: String,
    pub to: String,
    pub probe: String,
    #[serde(default)]
    pub account: Option<String>,
    pub saw: Saw,
}
