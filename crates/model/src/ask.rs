//! What a probe is asked: an endpoint, the looks to take there, and limits that add up.
//!
//! INVARIANT: a [`Task`] holds no secret. A [`LogonTask`] names the attempt under which one may be handed over later.

use std::time::Duration;

use crate::{AccountId, DiagnosisId, Endpoint, NameForm, UserName};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    Options,
    Get,
}

impl Method {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Options => "OPTIONS",
            Self::Get => "GET",
        }
    }
}

/// Which place of the server a request is for. The only paths an agent ever asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The endpoint's own path, usually `/Microsoft-Server-ActiveSync`.
    ActiveSync,
    /// `/Microsoft-Server-ActiveSync/Proxy`: Windows authentication on Exchange 2007 and later.
    ActiveSyncProxy,
    /// `/Microsoft-Server-ActiveSync/healthcheck.htm`, Exchange 2013 and later.
    HealthCheck,
    /// `/owa/`: a control path.
    Owa,
    /// `/autodiscover/autodiscover.xml`: a witness that a password is good.
    Autodiscover,
    /// `/autodiscover/autodiscover.json`, Autodiscover v2.
    AutodiscoverJson,
    /// `/EWS/Exchange.asmx`: a second witness.
    Ews,
    /// `/Exchange/`: the mailbox directory of Exchange 2003, which its own front end and `FolderSync` use.
    Exchange,
}

/// What goes along in `Authorization`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Credential {
    None,
    /// NTLM Type-1 alone: the server answers with its Type-2 and nothing is checked.
    NtlmType1,
    /// Basic for a user name that cannot exist.
    ImpossibleUser,
    /// Basic for an account, in one form of its name. The secret comes with the controller's `go`.
    Account {
        account: AccountId,
        form: NameForm,
    },
}

/// One request to make.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Look {
    pub method: Method,
    pub place: Place,
    pub credential: Credential,
}

impl Look {
    pub const fn anonymous(method: Method, place: Place) -> Self {
        Self { method, place, credential: Credential::None }
    }

    /// The probe the product is about: anonymous `OPTIONS`.
    pub const OPTIONS: Self = Self::anonymous(Method::Options, Place::ActiveSync);
    pub const GET: Self = Self::anonymous(Method::Get, Place::ActiveSync);
    pub const HEALTH_CHECK: Self = Self::anonymous(Method::Get, Place::HealthCheck);
    pub const OWA: Self = Self::anonymous(Method::Get, Place::Owa);
    pub const AUTODISCOVER_JSON: Self = Self::anonymous(Method::Get, Place::AutodiscoverJson);
    pub const AUTODISCOVER: Self = Self::anonymous(Method::Get, Place::Autodiscover);
    pub const EWS: Self = Self::anonymous(Method::Get, Place::Ews);
    pub const EXCHANGE: Self = Self::anonymous(Method::Get, Place::Exchange);
    /// The free NTLM fingerprint where the virtual directory itself offers NTLM.
    pub const NTLM: Self = Self {
        method: Method::Options,
        place: Place::ActiveSync,
        credential: Credential::NtlmType1,
    };
    /// The free NTLM fingerprint of Exchange 2007 and later.
    pub const NTLM_PROXY: Self = Self {
        method: Method::Options,
        place: Place::ActiveSyncProxy,
        credential: Credential::NtlmType1,
    };
    /// The free negative control.
    pub const IMPOSSIBLE_USER: Self = Self {
        method: Method::Options,
        place: Place::ActiveSync,
        credential: Credential::ImpossibleUser,
    };

    pub fn logon(account: AccountId, form: NameForm, place: Place) -> Self {
        let method = if place == Place::ActiveSync { Method::Options } else { Method::Get };
        Self { method, place, credential: Credential::Account { account, form } }
    }

    pub fn is_logon(&self) -> bool {
        matches!(self.credential, Credential::Account { .. })
    }
}

/// Limits of one task; each stage has its own, so that none runs on a leftover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub dns: Duration,
    pub tcp: Duration,
    pub tls: Duration,
    pub exchange: Duration,
    /// The whole anonymous observation, or the free part before a credential.
    pub observation: Duration,
    /// From `go` to the answer of a credentialed request.
    pub credentialed: Duration,
}

impl Limits {
    /// Design section 8: anonymous exchange 10 s, observation 20 s; credentialed: free part 15 s, then 35 s.
    pub const STANDARD: Self = Self {
        dns: Duration::from_secs(3),
        tcp: Duration::from_secs(10),
        tls: Duration::from_secs(10),
        exchange: Duration::from_secs(10),
        observation: Duration::from_secs(20),
        credentialed: Duration::from_secs(35),
    };
    pub const LOGON: Self = Self { observation: Duration::from_secs(15), ..Self::STANDARD };
}

/// The credentialed part of a task: what the ledger reserved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogonTask {
    /// The ledger's id of the attempt.
    pub attempt: String,
    pub account: AccountId,
    pub name: UserName,
    pub place: Place,
}

/// One look along one path, as offered to an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Unique per controller.
    pub id: String,
    pub diagnosis: DiagnosisId,
    pub endpoint: Endpoint,
    /// Anonymous looks and free controls, in order.
    pub looks: Vec<Look>,
    /// At most one logon, after the looks, on a connection of its own.
    pub logon: Option<LogonTask>,
    /// Probe this address alone: for a logon the one where the round before looked; else one that another vantage was given.
    pub only_address: Option<std::net::IpAddr>,
    /// Take one more TLS handshake at each address, without a server name.
    pub without_sni: bool,
    pub limits: Limits,
}
