//! The agent's policy a second time, as naive as it can be: flat lists of literal ranges, compared as strings of bits.
//!
//! Absent on purpose: anything of the first one. Whatever both have to know is written down here again.

use std::net::IpAddr;

/// A policy as it is written.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) zone: &'static str,
    pub(super) hosts: Vec<WrittenHost>,
    /// As a simulated network has it: nothing else may dial loopback.
    pub(super) is_world: bool,
}

#[derive(Clone, Debug)]
pub(super) struct WrittenHost {
    pub(super) name: String,
    /// `https 443`, `http 80`.
    pub(super) doors: Vec<(bool, u16)>,
    pub(super) path: String,
    pub(super) addresses: Vec<IpAddr>,
}

/// One question.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) host: String,
    pub(super) is_https: bool,
    pub(super) port: u16,
    pub(super) path: String,
    pub(super) address: Option<IpAddr>,
    pub(super) is_resolved: bool,
}

/// Ids of all rules that stand against it; none: it is permitted.
pub(super) fn against(policy: &Written, question: &Question) -> Vec<&'static str> {
    let mut found = Vec::new();
    let any_host = WrittenHost {
        name: question.host.clone(),
        doors: vec![(true, 443)],
        path: "/Microsoft-Server-ActiveSync".to_owned(),
        addresses: Vec::new(),
    };
    let named = policy.hosts.iter().find(|it| is_same_host(&it.name, &question.host));
    let host = match (policy.hosts.len(), named) {
        (0, _) => &any_host,
        (_, Some(host)) => host,
        (_, None) => return vec!["hosts.name"],
    };
    if !host.doors.contains(&(question.is_https, question.port)) {
        found.push(if policy.hosts.is_empty() { "zone.ports" } else { "hosts.ports" });
    }
    let lower = question.path.to_ascii_lowercase();
    if question.path != host.path && !PATHS.contains(&lower.as_str()) {
        found.push("hosts.path");
    }
    let Some(address) = question.address else { return found };
    let is_own = |it: &IpAddr| it.to_canonical() == address.to_canonical();
    let is_host = host.name.parse::<IpAddr>().is_ok_and(|it| is_own(&it));
    let is_listed = host.addresses.iter().any(is_own) || is_host;
    if !policy.hosts.is_empty() && !question.is_resolved && !is_listed {
        found.push("hosts.addresses");
    }
    if !(policy.is_world && address.to_canonical().is_loopback()) {
        found.extend(against_address(policy.zone, address));
    }
    found
}

const PATHS: [&str; 7] = [
    "/microsoft-server-activesync",
    "/microsoft-server-activesync/proxy",
    "/microsoft-server-activesync/healthcheck.htm",
    "/owa/",
    "/autodiscover/autodiscover.xml",
    "/autodiscover/autodiscover.json",
    "/ews/exchange.asmx",
];

/// Range, and the rule against every zone, or against zone external.
const V4: [(&str, &str); 15] = [
    ("0.0.0.0/8", "address.unspecified"),
    ("127.0.0.0/8", "address.loopback"),
    ("169.254.0.0/16", "address.link_local"),
    ("224.0.0.0/4", "address.multicast"),
    ("255.255.255.255/32", "address.broadcast"),
    ("168.63.129.16/32", "address.metadata"),
    ("100.100.100.200/32", "address.metadata"),
    ("192.0.0.192/32", "address.metadata"),
    ("10.0.0.0/8", "zone.private"),
    ("172.16.0.0/12", "zone.private"),
    ("192.168.0.0/16", "zone.private"),
    ("100.64.0.0/10", "zone.private"),
    ("192.0.0.0/24", "zone.private"),
    ("198.18.0.0/15", "zone.private"),
    ("240.0.0.0/4", "zone.private"),
];

const V6: [(&str, &str); 9] = [
    ("::/128", "address.unspecified"),
    ("::1/128", "address.loopback"),
    ("fe80::/10", "address.link_local"),
    ("ff00::/8", "address.multicast"),
    ("fd00:ec2::254/128", "address.metadata"),
    ("fd20:ce::254/128", "address.metadata"),
    ("fd00:c1::a9fe:a9fe/128", "address.metadata"),
    ("2001:2::/48", "zone.private"),
    ("2001:10::/28", "zone.private"),
];

/// Outside of these, nothing of IPv6 is public.
const V6_PUBLIC: [&str; 3] = ["2000::/3", "::ffff:0:0/96", "64:ff9b::/96"];

/// A range, pieces of bits, and whether they are upside down.
type Inside = (&'static str, &'static [(usize, usize)], bool);

/// Ranges with an IPv4 address inside: the pieces of bits that hold it, and whether they are upside down.
const INSIDE: [Inside; 11] = [
    ("::ffff:0:0/96", &[(96, 128)], false),
    ("::/96", &[(96, 128)], false),
    ("::ffff:0:0:0/96", &[(96, 128)], false),
    ("64:ff9b::/96", &[(96, 128)], false),
    ("64:ff9b:1::/48", &[(96, 128)], false),
    ("64:ff9b:1::/48", &[(72, 104)], false),
    ("64:ff9b:1::/48", &[(56, 64), (72, 96)], false),
    ("64:ff9b:1::/48", &[(48, 64), (72, 88)], false),
    ("2002::/16", &[(16, 48)], false),
    ("2001::/32", &[(32, 64)], false),
    ("2001::/32", &[(96, 128)], true),
];

fn against_address(zone: &str, address: IpAddr) -> Vec<&'static str> {
    let mut found = Vec::new();
    let own = bits(address);
    if address.is_ipv4() {
        found.extend(listed(&V4, &own));
    } else {
        found.extend(listed(&V6, &own));
        if !V6_PUBLIC.iter().any(|it| is_in(it, &own)) {
            found.push("zone.private");
        }
        let says_itself = is_in("::/128", &own) || is_in("::1/128", &own);
        for (range, pieces, is_upside_down) in INSIDE {
            if says_itself || !is_in(range, &own) {
                continue;
            }
            let mut inside: String = pieces.iter().map(|(from, to)| &own[*from..*to]).collect();
            if is_upside_down {
                inside = inside.chars().map(|it| if it == '0' { '1' } else { '0' }).collect();
            }
            // Under the local prefix the length is a guess; nothing useful comes of a wrong one.
            if range.starts_with("64:ff9b:1:") && is_in("0.0.0.0/8", &inside) {
                continue;
            }
            found.extend(listed(&V4, &inside));
        }
    }
    if zone != "external" {
        found.retain(|it| *it != "zone.private");
    }
    found
}

fn listed(
    list: &'static [(&'static str, &'static str)],
    bits: &str,
) -> impl Iterator<Item = &'static str> {
    list.iter().filter(move |(range, _)| is_in(range, bits)).map(|(_, rule)| *rule)
}

/// Whether these bits begin as the range does.
fn is_in(range: &str, own: &str) -> bool {
    let Some((address, length)) = range.split_once('/') else { return false };
    let (Ok(address), Ok(length)) = (address.parse::<IpAddr>(), length.parse::<usize>()) else {
        return false;
    };
    let range = bits(address);
    range.len() == own.len() && range[..length] == own[..length]
}

fn bits(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => format!("{:032b}", v4.to_bits()),
        IpAddr::V6(v6) => format!("{:0128b}", v6.to_bits()),
    }
}

fn is_same_host(one: &str, other: &str) -> bool {
    match (one.parse::<IpAddr>(), other.parse::<IpAddr>()) {
        (Ok(one), Ok(other)) => one == other,
        (Err(_), Err(_)) => {
            let bare = |it: &str| {
                let lower = it.to_ascii_lowercase();
                lower.strip_suffix('.').map(str::to_owned).unwrap_or(lower)
            };
            bare(one) == bare(other)
        }
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
    }
}
