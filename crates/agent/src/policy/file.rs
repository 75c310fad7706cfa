//! The policy file: TOML as a person writes it, then as it is checked. All mistakes at once.
//!
//! INVARIANT: a file can name hosts, the ports 443, 80 and 444, and paths; it cannot permit loopback.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use parallax_model::Zone;
use parallax_process::{Layers, Mistakes, SettingsError, read_settings};
use parallax_wire::read_zone;
use serde::Deserialize;

use super::{Door, Loopback, NamedHost, Policy, Scope, digest};

/// Hosts of one file.
const HOSTS_MAX: usize = 1000;

/// Why a policy file is not used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    #[error("cannot read the policy file {}", .path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// One line a mistake.
    #[error("{0}")]
    Wrong(#[from] SettingsError),
}

/// As written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Raw {
    zone: Option<String>,
    hosts: Vec<RawHost>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawHost {
    name: String,
    ports: Option<Vec<u16>>,
    path: Option<String>,
}

impl Policy {
    /// Reads a policy file. No file: everything is denied, and every refusal says so.
    pub fn read(path: &Path) -> Result<Self, PolicyError> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let why =
                    format!("there is no policy file {}, so everything is denied", path.display());
                return Ok(Self::deny_everything(why));
            }
            Err(source) => return Err(PolicyError::Unreadable { path: path.to_owned(), source }),
        };
        let policy = read_settings(&Layers::default().with_file(path), check)?;
        Ok(Self { sha256: digest(&bytes), ..policy })
    }
}

fn check(raw: Raw, mistakes: &mut Mistakes) -> Option<Policy> {
    let zone = raw.zone.as_deref().and_then(read_zone);
    if zone.is_none() {
        let wanted = "`external`, `dmz`, `internal` or `backend`";
        mistakes.add(
            "zone",
            match &raw.zone {
                None => format!("is required: {wanted}"),
                Some(text) => format!("`{text}` is no zone; give {wanted}"),
            },
        );
    }
    if raw.hosts.len() > HOSTS_MAX {
        mistakes.add("hosts", format!("has more than {HOSTS_MAX} entries"));
    }
    if raw.hosts.is_empty() && zone.is_some_and(|it| it != Zone::External) {
        mistakes.add("hosts", "is required: zones other than external probe named hosts only");
    }
    let mut hosts: Vec<NamedHost> = Vec::new();
    for (number, raw) in raw.hosts.into_iter().enumerate() {
        let host = check_host(raw, zone, &format!("hosts[{number}]"), mistakes);
        if hosts.iter().any(|it| it.name == host.name) {
            mistakes
                .add(format!("hosts[{number}].name"), format!("`{}` is there twice", host.name));
        }
        hosts.push(host);
    }
    let scope = if hosts.is_empty() { Scope::AnyHost } else { Scope::Hosts(hosts) };
    Some(Policy { zone: Some(zone?), scope, loopback: Loopback::Denied, sha256: String::new() })
}

fn check_host(raw: RawHost, zone: Option<Zone>, at: &str, mistakes: &mut Mistakes) -> NamedHost {
    let mut host = NamedHost::new(&raw.name);
    let is_plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '.' | '-' | '_');
    let is_name = !raw.name.is_empty() && raw.name.chars().all(is_plain);
    if !is_name && raw.name.parse::<std::net::IpAddr>().is_err() {
        let description =
            format!("`{}` is no host; give the name or address of the URL, without port", raw.name);
        mistakes.add(format!("{at}.name"), description);
    }
    if let Some(ports) = raw.ports {
        host.doors = check_ports(&ports, zone, &format!("{at}.ports"), mistakes);
    }
    if let Some(path) = raw.path {
        if !path.starts_with('/') || path.contains(['?', '#', ' ']) {
            let description = format!("`{path}` is no path; give one that begins with `/`");
            mistakes.add(format!("{at}.path"), description);
        }
        host.active_sync_path = path;
    }
    host
}

fn check_ports(
    ports: &[u16],
    zone: Option<Zone>,
    at: &str,
    mistakes: &mut Mistakes,
) -> BTreeSet<Door> {
    let permitted: &[Door] = match zone {
        Some(Zone::Internal | Zone::Backend) => &[Door::HTTPS, Door::HTTP, Door::BACK_END],
        Some(Zone::External | Zone::Dmz) | None => &[Door::HTTPS],
    };
    let mut doors = BTreeSet::new();
    for port in ports {
        match permitted.iter().find(|it| it.port == *port) {
            Some(door) => {
                doors.insert(*door);
            }
            None if permitted.len() == 1 => {
                mistakes.add(at, format!("{port} is not permitted; in this zone give 443"));
            }
            None => mistakes.add(at, format!("{port} is not permitted; give 443, 80 or 444")),
        }
    }
    if ports.is_empty() {
        mistakes.add(at, "is empty; leave it out for 443");
    }
    doors
}

/// A policy file for this zone and these hosts, with comments.
pub fn policy_template(zone: Zone, hosts: &[&str]) -> String {
    let mut text = format!(
        "# What this agent may probe. The controller can narrow this, never widen it.
# Without this file the agent refuses everything.

# Where this agent stands: external, dmz, internal or backend.
#   external: public addresses only; any host, or only those named below
#   dmz, internal, backend: only the hosts named below
# Never dialled, whatever stands here: loopback, link-local and multicast addresses.
# Asked for are only OPTIONS and GET of ActiveSync, its health page, Autodiscover, EWS and /owa/.
zone = \"{}\"

# One block for each host, as it stands in the endpoint's URL.
# ports: 443 if left out; internal and backend may add 80 (plain http) and 444 (back end of 2013 and later)
# path: the ActiveSync directory, /Microsoft-Server-ActiveSync if left out
# [[hosts]]
# name = \"be03.corp.example\"
# ports = [80]
",
        parallax_wire::zone_word(zone)
    );
    for host in hosts {
        text.push_str("\n[[hosts]]\nname = \"");
        text.push_str(host);
        text.push_str("\"\n");
    }
    text
}
