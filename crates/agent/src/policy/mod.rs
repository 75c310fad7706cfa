//! What this agent may probe: its own decision, from its own file, which no controller can widen.
//!
//! A pure function over zone, named hosts, scheme and port, method, path and the address that would be dialled. Absent
//! on purpose: names and sockets; the address is asked about when it is known, right before it is dialled.
//!
//! A task can ask for less than the policy permits, never for more. Limits, trust and looks of a task do not enter here at all;
//! an address that the task names (`connect`, `only_address`) counts for a named host only if the file lists it there, or if
//! this agent's name servers gave it lately.
//!
//! INVARIANT: what nothing permits is denied; without a policy everything is.
//! INVARIANT: the host that is judged is the host that is resolved, and the address that is judged is the one dialled.
//! INVARIANT: loopback is dialled only under [`Policy::world`], which no file can ask for.

mod addresses;
mod file;
mod refusal;
mod resolved;

use std::collections::BTreeSet;
use std::net::IpAddr;

use parallax_model::{Endpoint, Look, Method, Task, Zone};
pub use parallax_probe::Rule;
use sha2::{Digest as _, Sha256};

use addresses::Nature;
pub use file::{PolicyError, policy_template};
use refusal::Refusal;
pub(crate) use resolved::Resolved;

/// The paths that are asked for besides the `ActiveSync` directory itself; letter case does not matter to IIS.
const OTHER_PATHS: [&str; 6] = [
    "/Microsoft-Server-ActiveSync/Proxy",
    "/Microsoft-Server-ActiveSync/healthcheck.htm",
    "/owa/",
    "/autodiscover/autodiscover.xml",
    "/autodiscover/autodiscover.json",
    "/EWS/Exchange.asmx",
];
/// Where a back end of Exchange 2003 keeps its mailboxes: asked for by those zones alone that look at back ends.
const BACK_END_PATH: &str = "/Exchange/";
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
    /// Addresses that a task may name for it; those that its name leads to need not be here.
    pub addresses: BTreeSet<IpAddr>,
}

impl NamedHost {
    /// A host with the usual door and path.
    pub fn new(name: &str) -> Self {
        Self {
            name: comparable(name),
            doors: BTreeSet::from([Door::HTTPS]),
            active_sync_path: ACTIVE_SYNC_PATH.to_owned(),
            addresses: BTreeSet::new(),
        }
    }

    /// What it takes to probe this endpoint and nothing else.
    pub fn of(endpoint: &Endpoint) -> Self {
        let door = Door { is_https: endpoint.is_https, port: endpoint.port };
        Self {
            doors: BTreeSet::from([door]),
            active_sync_path: endpoint.path.clone(),
            addresses: endpoint.connect.iter().map(IpAddr::to_canonical).collect(),
            ..Self::new(&endpoint.host)
        }
    }
}

/// Where an address comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A name server of this machine gave it for the host, just now or in a round before.
    Resolved,
    /// It stands in the task: `connect`, `only_address`, or the host itself is an address.
    Task,
}

/// What would be dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    pub address: IpAddr,
    pub origin: Origin,
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
    /// `None` before the name was resolved.
    pub destination: Option<Destination>,
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

    /// Where this agent stands; none if everything is denied.
    pub fn zone(&self) -> Option<Zone> {
        self.zone
    }

    /// The hosts that are named; none if everything or any host is meant.
    pub fn hosts(&self) -> &[NamedHost] {
        match &self.scope {
            Scope::Hosts(hosts) => hosts,
            Scope::Nothing { .. } | Scope::AnyHost => &[],
        }
    }

    /// Whether everything is denied, and why.
    pub fn denies_everything(&self) -> Option<&str> {
        match &self.scope {
            Scope::Nothing { why } => Some(why),
            Scope::AnyHost | Scope::Hosts(_) => None,
        }
    }

    /// Whether a task may be taken: every look of it, as far as that can be said before names are resolved.
    pub(crate) fn permits_task(&self, task: &Task, resolved: &Resolved) -> Result<(), Rule> {
        let endpoint = &task.endpoint;
        let known = task.only_address.or(endpoint.connect).or_else(|| endpoint.host.parse().ok());
        let destination = known.map(|address| {
            let origin = resolved.origin(&endpoint.host, address);
            Destination { address, origin }
        });
        let logon = task.logon.as_ref().map(|it| Look::anonymous(Method::Get, it.place));
        for look in task.looks.iter().chain(&logon) {
            self.permits(&Ask {
                host: &endpoint.host,
                door: Door { is_https: endpoint.is_https, port: endpoint.port },
                method: look.method,
                path: path_of(endpoint, look.place),
                destination,
            })?;
        }
        // Nobody's password proves anything there.
        let path = logon.map(|it| path_of(endpoint, it.place));
        match path.filter(|it| it.eq_ignore_ascii_case(BACK_END_PATH)) {
            Some(path) => Err(Rule::from(Refusal::Path { path })),
            None => Ok(()),
        }
    }

    /// Whether this may be done. The refusal begins with the id of the rule, see [`Rule`].
    pub fn permits(&self, ask: &Ask<'_>) -> Result<(), Rule> {
        self.judge(ask).map_err(Rule::from)
    }

    fn judge<'a>(&'a self, ask: &Ask<'a>) -> Result<(), Refusal<'a>> {
        let Ask { host, door, path, .. } = *ask;
        let (named, is_named) = match &self.scope {
            Scope::Nothing { why } => return Err(Refusal::Nothing { why }),
            Scope::AnyHost => (&NamedHost::new(host), false),
            Scope::Hosts(hosts) => (find(hosts, host).ok_or(Refusal::Host { host })?, true),
        };
        if !named.doors.contains(&door) {
            return Err(if is_named {
                Refusal::HostDoor { host, door }
            } else {
                Refusal::ZoneDoor { host, door }
            });
        }
        match ask.method {
            Method::Options | Method::Get => {}
        }
        if path != named.active_sync_path && !self.is_usual(path) {
            return Err(Refusal::Path { path });
        }
        let Some(Destination { address, origin }) = ask.destination else { return Ok(()) };
        if is_named && origin == Origin::Task && !is_listed(named, address) {
            return Err(Refusal::Given { host, address });
        }
        self.judge_address(address)
    }

    fn is_usual(&self, path: &str) -> bool {
        let looks_at_back_ends = matches!(self.zone, Some(Zone::Internal | Zone::Backend));
        path.eq_ignore_ascii_case(ACTIVE_SYNC_PATH)
            || OTHER_PATHS.iter().any(|it| it.eq_ignore_ascii_case(path))
            || (looks_at_back_ends && path.eq_ignore_ascii_case(BACK_END_PATH))
    }

    fn judge_address(&self, address: IpAddr) -> Result<(), Refusal<'static>> {
        let address = address.to_canonical();
        if self.loopback == Loopback::Permitted && address.is_loopback() {
            return Ok(());
        }
        let (form, nature) = addresses::judge(address);
        match nature {
            Nature::Private if self.zone == Some(Zone::External) => {
                Err(Refusal::Private { address, form })
            }
            Nature::Public | Nature::Private => Ok(()),
            Nature::Unspecified
            | Nature::Loopback
            | Nature::LinkLocal
            | Nature::Metadata
            | Nature::Multicast
            | Nature::Broadcast => Err(Refusal::Never { address, form, nature }),
        }
    }
}

/// A host as it is compared: in lower case, without the dot at its end; an address in its one usual spelling. `10.0.0.7.` is
/// a name, which would be resolved, and not that address.
fn comparable(host: &str) -> String {
    if let Ok(address) = host.parse::<IpAddr>() {
        return address.to_string();
    }
    let bare = host.strip_suffix('.').filter(|it| it.parse::<IpAddr>().is_err());
    bare.unwrap_or(host).to_ascii_lowercase()
}

fn find<'a>(hosts: &'a [NamedHost], name: &str) -> Option<&'a NamedHost> {
    let name = comparable(name);
    hosts.iter().find(|it| it.name == name)
}

/// Whether the policy itself has this address for this host.
fn is_listed(host: &NamedHost, address: IpAddr) -> bool {
    let address = address.to_canonical();
    host.addresses.contains(&address)
        || host.name.parse::<IpAddr>().is_ok_and(|it| it.to_canonical() == address)
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
        Place::Exchange => BACK_END_PATH,
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
