//! Which addresses do the machines of a world declare?
//!
//! A machine that somebody outside resolves or reaches has a public-looking address from the
//! documentation ranges (RFC 5737, RFC 3849), every other one a private one (RFC 1918, RFC 4193).
//! These are names only: what is dialled is a loopback socket.
//!
//! INVARIANT: the same world gets the same addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::format::{DnsAnswer, Endpoint, Family, Reach, Role, Vantage, World, Zone};

/// The documentation ranges, in the order of use; each gives 254 machines.
const DOCUMENTATION: [[u8; 3]; 3] = [[203, 0, 113], [198, 51, 100], [192, 0, 2]];

/// Machines per range.
const RANGE: u16 = 254;

/// The addresses of every machine of a world.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    v4: BTreeMap<String, Ipv4Addr>,
    v6: BTreeMap<String, Ipv6Addr>,
}

impl Addresses {
    /// Gives out the addresses of a world. Machines beyond the documentation ranges get private ones.
    pub fn of(world: &World) -> Self {
        let public = seen_from_outside(world);
        let with_v6 = named_by_aaaa(world);
        let mut all = Self::default();
        let (mut outside, mut inside) = (0_u16, 0_u16);
        for host in &world.hosts {
            let place = public.contains(host.name.as_str()).then_some(outside);
            let range = place.and_then(|it| DOCUMENTATION.get(usize::from(it / RANGE)));
            let (v4, v6) = if let (Some(place), Some([a, b, c])) = (place, range) {
                outside += 1;
                let last = u8::try_from(place % RANGE + 1).unwrap_or(u8::MAX);
                (
                    Ipv4Addr::new(*a, *b, *c, last),
                    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, place + 1),
                )
            } else {
                inside += 1;
                let [high, low] = inside.to_be_bytes();
                (
                    Ipv4Addr::new(10, 20, high, low),
                    Ipv6Addr::new(0xfd00, 0x20, 0, 0, 0, 0, 0, inside),
                )
            };
            all.v4.insert(host.name.clone(), v4);
            if with_v6.contains(host.name.as_str()) {
                all.v6.insert(host.name.clone(), v6);
            }
        }
        all
    }

    /// The address of a machine in one family, if it has one.
    pub fn of_host(&self, host: &str, family: Family) -> Option<IpAddr> {
        match family {
            Family::V4 => self.v4.get(host).copied().map(IpAddr::V4),
            Family::V6 => self.v6.get(host).copied().map(IpAddr::V6),
        }
    }

    /// The addresses that a name server's answer leads to. What an alias leads to is another name's answer.
    pub fn of_answer(&self, answer: &DnsAnswer) -> Vec<IpAddr> {
        let with_family = |family| move |host: &&str| self.of_host(host, family);
        let (v4, v6) = match answer {
            DnsAnswer::Fails(_) => (Vec::new(), Vec::new()),
            DnsAnswer::Host(_) | DnsAnswer::Hosts(_) => (hosts_of(answer), Vec::new()),
            DnsAnswer::Records(records) => (
                records.a.iter().map(String::as_str).collect(),
                records.aaaa.iter().map(String::as_str).collect(),
            ),
        };
        let v4 = v4.iter().filter_map(with_family(Family::V4));
        v4.chain(v6.iter().filter_map(with_family(Family::V6))).collect()
    }

    /// Every address with its machine.
    pub fn all(&self) -> impl Iterator<Item = (&str, Family, IpAddr)> {
        let v4 = self.v4.iter().map(|(name, it)| (name.as_str(), Family::V4, IpAddr::V4(*it)));
        let v6 = self.v6.iter().map(|(name, it)| (name.as_str(), Family::V6, IpAddr::V6(*it)));
        v4.chain(v6)
    }
}

fn named_by_aaaa(world: &World) -> BTreeSet<&str> {
    let answers = world.vantages.iter().flat_map(|it| it.dns.values());
    answers
        .filter_map(|it| match it {
            DnsAnswer::Records(records) => Some(&records.aaaa),
            DnsAnswer::Fails(_) | DnsAnswer::Host(_) | DnsAnswer::Hosts(_) => None,
        })
        .flatten()
        .map(String::as_str)
        .collect()
}

fn seen_from_outside(world: &World) -> BTreeSet<&str> {
    let mut seen = BTreeSet::new();
    for vantage in world.vantages.iter().filter(|it| it.zone == Zone::External) {
        seen.extend(vantage.dns.values().flat_map(hosts_of));
        let reached = vantage.reach.iter().filter(|(_, reach)| **reach != Reach::Blackhole);
        seen.extend(reached.map(|(key, _)| key.split([':', '/']).next().unwrap_or(key)));
        let dialled = world.target.endpoints.iter().filter(|it| is_meant(it, vantage));
        seen.extend(dialled.filter_map(|it| it.connect.as_deref()));
    }
    seen
}

fn hosts_of(answer: &DnsAnswer) -> Vec<&str> {
    match answer {
        DnsAnswer::Fails(_) => Vec::new(),
        DnsAnswer::Host(host) => vec![host.as_str()],
        DnsAnswer::Hosts(hosts) => hosts.iter().map(String::as_str).collect(),
        DnsAnswer::Records(records) => {
            records.a.iter().chain(&records.aaaa).map(String::as_str).collect()
        }
    }
}

/// Whether an external vantage is meant to dial this endpoint.
fn is_meant(endpoint: &Endpoint, vantage: &Vantage) -> bool {
    match &endpoint.from {
        Some(from) => from.contains(&vantage.name),
        None => matches!(endpoint.role, Role::External | Role::Control),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_from_outside_looks_public() {
        let text = include_str!("../../tests/shows/every_listener.json");
        let mut world =
            crate::format::read_text(std::path::Path::new("w.json"), text).expect("a world");
        for vantage in world.vantages.iter_mut().filter(|it| it.zone == Zone::External) {
            vantage.dns.retain(|name, _| name.starts_with("rules."));
        }
        for endpoint in &mut world.target.endpoints {
            endpoint.connect = None;
        }
        let addresses = Addresses::of(&world);
        let v4 = |host: &str| addresses.of_host(host, Family::V4).expect("an address").to_string();
        assert!(v4("rules").starts_with("203.0.113."), "resolved outside");
        assert!(v4("l4").starts_with("203.0.113."), "reached from outside");
        assert!(v4("gate").starts_with("10."), "neither");
        assert!(addresses.of_host("rules", Family::V6).is_none());
        let v6 = addresses.of_host("n1", Family::V6).expect("an AAAA record names it");
        assert!(v6.to_string().starts_with("2001:db8::"));
        let all: BTreeSet<IpAddr> = addresses.all().map(|(_, _, it)| it).collect();
        assert_eq!(all.len(), addresses.all().count());
    }
}
