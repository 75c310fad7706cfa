//! One `[[hosts]]` block: name, ports, path and addresses, each checked against what a task could say.
//!
//! INVARIANT: what is kept is spelled as an endpoint's URL is after it was read, so that the two compare.

use std::collections::BTreeSet;
use std::net::IpAddr;

use parallax_model::Zone;
use parallax_process::Mistakes;

use super::RawHost;
use crate::policy::addresses::{self, Nature};
use crate::policy::{Door, NamedHost};

/// RFC 1035 section 2.3.4.
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;
const ADDRESSES_MAX: usize = 64;

pub(super) fn check(
    raw: RawHost,
    zone: Option<Zone>,
    at: &str,
    mistakes: &mut Mistakes,
) -> NamedHost {
    let mut host = NamedHost::new(&raw.name);
    let checked = match raw.name.parse::<IpAddr>() {
        Ok(address) => check_address(address, zone),
        Err(_) => check_name(&raw.name),
    };
    mistakes.keep(format!("{at}.name"), checked);
    if let Some(ports) = raw.ports {
        host.doors = check_ports(&ports, zone, &format!("{at}.ports"), mistakes);
    }
    if let Some(path) = raw.path {
        mistakes.keep(format!("{at}.path"), check_path(&path));
        host.active_sync_path = path;
    }
    let at = format!("{at}.addresses");
    if raw.addresses.len() > ADDRESSES_MAX {
        mistakes.add(&*at, format!("has more than {ADDRESSES_MAX} entries"));
    }
    for (number, text) in raw.addresses.iter().take(ADDRESSES_MAX).enumerate() {
        let address = text.parse::<IpAddr>().map_err(|_| {
            format!("`{text}` is no address; give an IPv4 or IPv6 literal, as 10.0.0.7")
        });
        let checked = address.and_then(|it| check_address(it, zone).map(|()| it.to_canonical()));
        if let Some(address) = mistakes.keep(format!("{at}[{number}]"), checked)
            && !host.addresses.insert(address)
        {
            mistakes.add(format!("{at}[{number}]"), format!("`{text}` is there twice"));
        }
    }
    host
}

fn check_name(name: &str) -> Result<(), String> {
    let no_host =
        || format!("`{name}` is no host; give the name or address of the URL, without port");
    if !name.is_ascii() {
        return Err(format!("`{name}` is not as DNS has it; give the form that begins with xn--"));
    }
    let labels = || name.strip_suffix('.').unwrap_or(name).split('.');
    let is_plain = |label: &str| {
        let is_plain = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_');
        (1..=LABEL_BYTES_MAX).contains(&label.len()) && label.bytes().all(is_plain)
    };
    if name.len() > NAME_BYTES_MAX || !labels().all(is_plain) {
        return Err(no_host());
    }
    // A URL's reader takes such a name for an address (WHATWG URL, "ends in a number"), so no task could ever name it.
    let last = labels().next_back().unwrap_or_default().to_ascii_lowercase();
    let is_hexadecimal =
        last.strip_prefix("0x").is_some_and(|it| it.bytes().all(|it| it.is_ascii_hexdigit()));
    if is_hexadecimal || last.bytes().all(|it| it.is_ascii_digit()) {
        return Err(format!("`{name}` ends in a number; give an address as 10.0.0.7"));
    }
    Ok(())
}

/// An address that no line can permit would be without effect.
fn check_address(address: IpAddr, zone: Option<Zone>) -> Result<(), String> {
    match addresses::judge(address).1 {
        Nature::Private if zone == Some(Zone::External) => {
            Err(format!("{address} is private; zone external dials public addresses"))
        }
        Nature::Public | Nature::Private => Ok(()),
        Nature::Unspecified
        | Nature::Loopback
        | Nature::LinkLocal
        | Nature::Metadata
        | Nature::Multicast
        | Nature::Broadcast => Err(format!(
            "{address} is never dialled: loopback, link-local, metadata, multicast and broadcast addresses cannot be permitted"
        )),
    }
}

fn check_path(path: &str) -> Result<(), String> {
    let is_odd =
        |it: char| !it.is_ascii_graphic() || matches!(it, '?' | '#' | '\\' | '"' | '<' | '>');
    if !path.starts_with('/') || path.contains(is_odd) {
        return Err(format!("`{path}` is no path; give one that begins with `/`"));
    }
    let is_dots = |segment: &str| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        plain == "." || plain == ".."
    };
    if path.split('/').any(is_dots) {
        return Err(format!("`{path}` goes up or stays; give the path where it leads"));
    }
    Ok(())
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
