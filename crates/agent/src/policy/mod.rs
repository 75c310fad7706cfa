//! What this agent may probe: its own decision, from its own file, which no controller can widen.
//!
//! A pure function over zone, named hosts, scheme and port, method, path and the address that would be dialled. Absent
//! on purpose: names and sockets; the address is asked about when it is known, right before it is dialled.
//!
//! INVARIANT: what nothing permits is denied; without a policy everything is.
//! INVARIANT: loopback is dialled only under [`Policy::world`], which no file can ask for.

mod addresses;
mod file;

use std::collections::BTreeSet;
use std::net::IpAddr;

use parallax_model::{Endpoint, Look, Method, Task, Zone};
pub use parallax_probe::Rule;
use sha2::{Digest as _, Sha256};

pub use file::{PolicyError, policy_template};

/// The paths that are asked for besides the `ActiveSync` directory itself; letter case does not matter to IIS.
const OTHER_PATHS: [&str; 6] = [
    "/Microsoft-Server-ActiveSync/Proxy",
    "/Microsoft-Server-ActiveSync/healthcheck.htm",
    "/owa/",
    "/autodiscover/autodiscover.xml",
    "/autodiscover/autodiscover.json",
    "/EWS/Exchange.asmx",
];
const ACTIVE_SYNC_PATH: &str = "/Microsoft-Server-ActiveSync";

/// Scheme and port together: what a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Door {
    pub is_https: bool,
    pub port: u16,
}

impl Door {
    pub const HTTPS: Self = Self { is_https: true, port: 443 };
    pub const HTTP: Self = Self { is_https: false, port: 80 };
    /// Where an Exchange 2013 or later keeps its back end.
    pub const BACK_END: Self = Self { is_https: true, port: 444 };
}

/// A host that may be probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedHost {
    /// As it stands in the endpoint's URL: a name in lower case, or an address.
    pub name: String,
    pub doors: BTreeSet<Door>,
    /// Path of its `ActiveSync` directory.
    pub active_sync_path: String,
}

impl NamedHost {
    /// A host with the usual door and path.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.trim_end_matches('.').to_ascii_lowercase(),
            doors: BTreeSet::from([Door::HTTPS]),
            active_sync_path: ACTIVE_SYNC_PATH.to_owned(),
        }
    }

    /// What it takes to probe this endpoint and nothing else.
    pub fn of(endpoint: &Endpoint) -> Self {
        let door = Door { is_https: endpoint.is_https, port: endpoint.port };
        Self {
            doors: BTreeSet::from([door]),
            active_sync_path: endpoint.path.clone(),
            ..Self::new(&endpoint.host)
        }
    }
}

/// One thing to do, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask<'a> {
    /// Host of the endpoint's URL.
    pub host: &'a str,
    pub door: Door,
    pub method: Method,
    /// Without query.
    pub path: &'a str,
    /// The address that would be dialled; `None` before the name was resolved.
    pub address: Option<IpAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loopback {
    Denied,
    Permitted,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Scope {
    Nothing {
        why: String,
    },
    /// Any host, at its usual door and path; the addresses decide. For the external zone alone.
    AnyHost,
    Hosts(Vec<NamedHost>),
}

/// What an agent may probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    zone: Option<Zone>,
    scope: Scope,
    loopback: Loopback,
    sha256: String,
}

impl Policy {
    /// Denies everything, and says why.
    pub fn deny_everything(why: impl Into<String>) -> Self {
        let why = why.into();
        let sha256 = digest(why.as_bytes());
        Self { zone: None, scope: Scope::Nothing { why }, loopback: Loopback::Denied, sha256 }
    }

    /// These hosts at whatever doors and paths they name: for a person who names them at this very machine (embedded
    /// mode), not for a controller far away.
    pub fn embedded(zone: Zone, hosts: Vec<NamedHost>) -> Self {
        let sha256 = digest(format!("{zone:?} {hosts:?}").as_bytes());
        Self { zone: Some(zone), scope: Scope::Hosts(hosts), loopback: Loopback::Denied, sha256 }
    }

    /// As [`Self::embedded`], and loopback may be dialled: for simulated networks and their tests alone.
    pub fn world(zone: Zone, hosts: Vec<NamedHost>) -> Self {
        Self { loopback: Loopback::Permitted, ..Self::embedded(zone, hosts) }
    }

    /// SHA-256 over the file as it was read, lower-case hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Whether everything is denied, and why.
    pub fn denies_everything(&self) -> Option<&str> {
        match &self.scope {
            Scope::Nothing { why } => Some(why),
            Scope::AnyHost | Scope::Hosts(_) => None,
        }
    }

    /// Whether a task may be taken: every look of it, as far as that can be said before names are resolved.
    pub fn permits_task(&self, task: &Task) -> Result<(), Rule> {
        let endpoint = &task.endpoint;
        let known = task.only_address.or(endpoint.connect).or_else(|| endpoint.host.parse().ok());
        let logon = task.logon.as_ref().map(|it| Look::anonymous(Method::Get, it.place));
        for look in task.looks.iter().chain(&logon) {
            self.permits(&Ask {
                host: &endpoint.host,
                door: Door { is_https: endpoint.is_https, port: endpoint.port },
                method: look.method,
                path: path_of(endpoint, look.place),
                address: known,
            })?;
        }
        Ok(())
    }

    /// Whether this may be done.
    pub fn permits(&self, ask: &Ask<'_>) -> Result<(), Rule> {
        let host = match &self.scope {
            Scope::Nothing { why } => return Err(Rule(why.clone())),
            Scope::AnyHost => &NamedHost::new(ask.host),
            Scope::Hosts(hosts) => find(hosts, ask.host)
                .ok_or_else(|| Rule(format!("host `{}` is not named in the policy", ask.host)))?,
        };
        if !host.doors.contains(&ask.door) {
            let scheme = if ask.door.is_https { "https" } else { "http" };
            return Err(Rule(format!(
                "{scheme} to port {} of `{}` is not permitted by the policy",
                ask.door.port, ask.host
            )));
        }
        match ask.method {
            Method::Options | Method::Get => {}
        }
        if ask.path != host.active_sync_path && !is_usual(ask.path) {
            return Err(Rule(format!("path `{}` is not permitted by the policy", ask.path)));
        }
        ask.address.map_or(Ok(()), |address| self.permits_address(address))
    }

    fn permits_address(&self, address: IpAddr) -> Result<(), Rule> {
        let address = address.to_canonical();
        if self.loopback == Loopback::Permitted && address.is_loopback() {
            return Ok(());
        }
        if addresses::is_nobody(address) {
            return Err(Rule(format!("{address} is loopback, link-local or multicast")));
        }
        if self.zone == Some(Zone::External) && !addresses::is_public(address) {
            return Err(Rule(format!(
                "{address} is private; zone external dials public addresses"
            )));
        }
        Ok(())
    }
}

fn find<'a>(hosts: &'a [NamedHost], name: &str) -> Option<&'a NamedHost> {
    let name = name.trim_end_matches('.');
    hosts.iter().find(|it| it.name.eq_ignore_ascii_case(name))
}

fn is_usual(path: &str) -> bool {
    path.eq_ignore_ascii_case(ACTIVE_SYNC_PATH)
        || OTHER_PATHS.iter().any(|it| it.eq_ignore_ascii_case(path))
}

/// The path of a place, as the probe will ask for it.
fn path_of(endpoint: &Endpoint, place: parallax_model::Place) -> &str {
    use parallax_model::Place;
    let [proxy, health_check, owa, autodiscover, autodiscover_json, ews] = OTHER_PATHS;
    match place {
        Place::ActiveSync => &endpoint.path,
        Place::ActiveSyncProxy => proxy,
        Place::HealthCheck => health_check,
        Place::Owa => owa,
        Place::Autodiscover => autodiscover,
        Place::AutodiscoverJson => autodiscover_json,
        Place::Ews => ews,
    }
}

fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // Writing to a `String` cannot fail.
        text
    })
}

#[cfg(test)]
mod tests;
