//! The policy file: TOML as a person writes it, then as it is checked. All mistakes at once.
//!
//! INVARIANT: a file can name hosts, the ports 443, 80 and 444, paths and addresses; it cannot permit loopback.
//! INVARIANT: a spelling that could never match what a task says is a mistake, not a line without effect.

mod host;
mod permissions;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use parallax_model::Zone;
use parallax_process::{Layers, Mistakes, SettingsError, read_settings};
use parallax_wire::read_zone;
use serde::Deserialize;

use super::{Loopback, NamedHost, Policy, Scope, digest};

/// Hosts of one file.
const HOSTS_MAX: usize = 1000;
/// Length of a file: room for every host with every port, path and address.
const BYTES_MAX: u64 = 1024 * 1024;

/// Why a policy file is not used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    #[error("cannot read the policy file {}", .path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "the policy can be changed by anybody: {} has mode {mode:04o}; take the right to write from others (chmod o-w)",
        .path.display()
    )]
    Writable {
        /// The file, or the folder that it lies in.
        path: PathBuf,
        mode: u32,
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
    addresses: Vec<String>,
}

impl Policy {
    /// Reads a policy file. No file: everything is denied, and every refusal says so.
    ///
    /// A file that anybody may write is no policy and is refused; one that the agent's own user may change is warned about.
    pub fn read(path: &Path) -> Result<Self, PolicyError> {
        let bytes = match read_bytes(path) {
            Ok(bytes) => bytes,
            Err(PolicyError::Unreadable { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                let why =
                    format!("there is no policy file {}, so everything is denied", path.display());
                return Ok(Self::deny_everything(why));
            }
            Err(error) => return Err(error),
        };
        let sha256 = digest(&bytes);
        let text = String::from_utf8(bytes).map_err(|_| {
            let source = std::io::Error::new(std::io::ErrorKind::InvalidData, "it is not UTF-8");
            PolicyError::Unreadable { path: path.to_owned(), source }
        })?;
        let policy = read_settings(&Layers::default().with_file_text(path, text), check)?;
        Ok(Self { sha256, ..policy })
    }
}

/// Everything is read of the one file that was opened, so that nobody can put another one in its place in between.
fn read_bytes(path: &Path) -> Result<Vec<u8>, PolicyError> {
    let unreadable = |source| PolicyError::Unreadable { path: path.to_owned(), source };
    // Before it is opened: a pipe would wait for a writer.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(unreadable(std::io::Error::other("it is not a regular file")));
    }
    let file = File::open(path).map_err(unreadable)?;
    permissions::check(path, &file)?;
    let mut bytes = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|it| it > BYTES_MAX) {
        return Err(unreadable(std::io::Error::other("it is longer than 1 MiB")));
    }
    Ok(bytes)
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
    for (number, raw) in raw.hosts.into_iter().take(HOSTS_MAX).enumerate() {
        let host = host::check(raw, zone, &format!("hosts[{number}]"), mistakes);
        if hosts.iter().any(|it| it.name == host.name) {
            mistakes
                .add(format!("hosts[{number}].name"), format!("`{}` is there twice", host.name));
        }
        hosts.push(host);
    }
    let scope = if hosts.is_empty() { Scope::AnyHost } else { Scope::Hosts(hosts) };
    Some(Policy { zone: Some(zone?), scope, loopback: Loopback::Denied, sha256: String::new() })
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
# Asked for are only OPTIONS and GET of ActiveSync, its health page, Autodiscover, EWS and /owa/; by internal and backend
# /Exchange/ too, where a 2003 back end keeps its mailboxes.
zone = \"{}\"

# One block for each host, as it stands in the endpoint's URL.
# ports: 443 if left out; internal and backend may add 80 (plain http) and 444 (back end of 2013 and later)
# path: the ActiveSync directory, /Microsoft-Server-ActiveSync if left out
# addresses: those that an endpoint's `connect` may name for it; what its name leads to need not stand here
# [[hosts]]
# name = \"mail.corp.example\"
# ports = [443, 80]
# addresses = [\"10.0.1.20\"]
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
