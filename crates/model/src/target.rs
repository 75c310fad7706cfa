//! The target: what an operator registers about the service under diagnosis, and the vantages that look at it.
//!
//! Everything here was *declared* by a person; nothing was seen. The engine marks what it takes from here as declared.

use std::net::IpAddr;
use std::time::SystemTime;

use crate::{AccountId, EndpointName, TargetId, VantageName};

/// Where a vantage stands, outermost first; the order is the order of hops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Zone {
    External,
    Dmz,
    Internal,
    Backend,
}

/// What an endpoint is for, outermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The published service.
    External,
    /// One client access server.
    Cas,
    /// One mailbox (back-end) server.
    Backend,
    /// Something known good, to tell a broken vantage from a broken target.
    Control,
}

/// The generation of Exchange, as declared or recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Generation {
    Exchange2003,
    Exchange2007,
    Exchange2010,
    Exchange2013,
    Exchange2016,
    Exchange2019,
    SubscriptionEdition,
    Online,
    /// Not Exchange.
    Other,
}

impl Generation {
    /// Exchange 2013 and later on premises: front end and back end on one machine, `X-FEServer` on every answer.
    pub fn is_2013_or_later(self) -> bool {
        matches!(
            self,
            Self::Exchange2013
                | Self::Exchange2016
                | Self::Exchange2019
                | Self::SubscriptionEdition
        )
    }

    /// Exchange 2007 or 2010: the CAS that proxies to a 2003 back end with Kerberos.
    pub fn is_2007_or_2010(self) -> bool {
        matches!(self, Self::Exchange2007 | Self::Exchange2010)
    }
}

/// One network location with an agent registered for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vantage {
    pub name: VantageName,
    pub zone: Zone,
    pub site: String,
}

/// Which certificates an endpoint's own trust accepts, besides dates and name. A secret goes only over TLS that it accepts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// The public roots or the agent's own store.
    #[default]
    PublicOrStore,
    /// The public roots only.
    Public,
    /// The agent's own certificate store only.
    Store,
    /// These certificate authorities only (DER).
    Authorities(Vec<Vec<u8>>),
    /// A leaf whose SHA-256 over the DER encoding is in this list.
    Pinned(Vec<[u8; 32]>),
}

/// One URL of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub name: EndpointName,
    pub role: Role,
    /// `https` or `http`.
    pub is_https: bool,
    /// Host name or address literal of the URL: Host header and SNI.
    pub host: String,
    pub port: u16,
    /// Path of the ActiveSync virtual directory, usually `/Microsoft-Server-ActiveSync`.
    pub path: String,
    pub generation: Option<Generation>,
    /// Dial this instead of resolving the host.
    pub connect: Option<IpAddr>,
    pub trust: Trust,
    /// Vantages meant to dial it; empty: the default for its role.
    pub from: Vec<VantageName>,
    /// Addresses the operator says the name is published on.
    pub published_on: Vec<IpAddr>,
    pub allow_plaintext_logon: bool,
    /// Declared cost of one refused logon here in counts of the directory, 1 to 10.
    pub logon_cost: Option<u32>,
}

impl Endpoint {
    /// Whether a vantage is meant to look at this endpoint: the declared `from`, else the default of its role.
    pub fn is_for(&self, vantage: &Vantage) -> bool {
        if !self.from.is_empty() {
            return self.from.contains(&vantage.name);
        }
        match self.role {
            Role::External | Role::Control => true,
            Role::Cas => vantage.zone != Zone::External,
            Role::Backend => matches!(vantage.zone, Zone::Internal | Zone::Backend),
        }
    }
}

/// What an account is for in this target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// The user that fails, or one like it.
    Subject,
    /// An account known to be good, usually with its mailbox elsewhere.
    Witness,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetAccount {
    pub account: AccountId,
    pub purpose: Purpose,
}

/// What kind of thing an operator says happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    AdminChange,
    PasswordChange,
    Restart,
    Update,
    Cutover,
    UserReport,
    ServerLog,
}

/// Something the operator knows happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub at: SystemTime,
    pub kind: EventKind,
    pub text: String,
}

/// The `ActiveSync` service under diagnosis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub id: TargetId,
    pub display_name: String,
    pub generation: Option<Generation>,
    pub endpoints: Vec<Endpoint>,
    pub accounts: Vec<TargetAccount>,
    pub events: Vec<Event>,
}

impl Target {
    pub fn endpoint(&self, name: &EndpointName) -> Option<&Endpoint> {
        self.endpoints.iter().find(|it| it.name == *name)
    }
}
