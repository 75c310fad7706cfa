//! Policies and questions by the million, each asked twice: of the agent's policy and of the naive one.
//!
//! Addresses, ports, paths and names are drawn from the edges of what either has a line for; mere chance would hardly ever
//! meet them.
//!
//! INVARIANT: a policy of zone and hosts is read from a file, as an agent does.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use parallax_agent::{Ask, Destination, Door, NamedHost, Origin, Policy};
use parallax_model::{Method, Zone};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use super::oracle::{Question, Written, WrittenHost, against};

/// Questions to one policy.
const QUESTIONS: usize = 50;

/// Asks so many questions. Returns how many were permitted; an error is a disagreement.
pub(super) fn compare(questions: usize, seed: u64) -> anyhow::Result<usize> {
    let cases = u32::try_from(questions.div_ceil(QUESTIONS))?;
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("policy.toml");
    let permitted = std::cell::Cell::new(0_usize);
    let outcome = TestRunner::new_with_rng(config, rng).run(&case(), |(written, questions)| {
        let policy = made(&written, &path)?;
        for question in &questions {
            let is_permitted = check(&policy, &written, question)?;
            permitted.set(permitted.get() + usize::from(is_permitted));
        }
        Ok(())
    });
    match outcome {
        Ok(()) => Ok(permitted.get()),
        Err(TestError::Abort(reason)) => anyhow::bail!("seed {seed}: {reason}"),
        Err(TestError::Fail(reason, (written, _))) => {
            anyhow::bail!("seed {seed}: {reason} by {written:?}")
        }
    }
}

fn check(policy: &Policy, written: &Written, question: &Question) -> Result<bool, TestCaseError> {
    let origin = if question.is_resolved { Origin::Resolved } else { Origin::Task };
    let found = policy.permits(&Ask {
        host: &question.host,
        door: Door { is_https: question.is_https, port: question.port },
        method: Method::Options,
        path: &question.path,
        destination: question.address.map(|address| Destination { address, origin }),
    });
    let rules = against(written, question);
    let agrees = match &found {
        Ok(()) => rules.is_empty(),
        Err(rule) => rules.iter().any(|it| rule.0.starts_with(&format!("{it}: "))),
    };
    if agrees {
        return Ok(found.is_ok());
    }
    Err(TestCaseError::fail(format!("{question:?}: {found:?}, and the oracle says {rules:?}")))
}

/// The policy, by the way an agent comes to it.
fn made(written: &Written, path: &std::path::Path) -> Result<Policy, TestCaseError> {
    if !written.is_world {
        std::fs::write(path, text(written))?;
        return Policy::read(path)
            .map_err(|error| TestCaseError::fail(format!("{error}\n{}", text(written))));
    }
    let hosts = written.hosts.iter().map(|it| NamedHost {
        doors: it
            .doors
            .iter()
            .map(|(is_https, port)| Door { is_https: *is_https, port: *port })
            .collect(),
        active_sync_path: it.path.clone(),
        addresses: it.addresses.iter().map(IpAddr::to_canonical).collect(),
        ..NamedHost::new(&it.name)
    });
    let zone = match written.zone {
        "external" => Zone::External,
        "dmz" => Zone::Dmz,
        "internal" => Zone::Internal,
        _ => Zone::Backend,
    };
    Ok(Policy::world(zone, hosts.collect()))
}

fn text(written: &Written) -> String {
    let hosts = written.hosts.iter().map(|host| {
        let ports: Vec<String> = host.doors.iter().map(|(_, port)| port.to_string()).collect();
        let addresses: Vec<String> = host.addresses.iter().map(|it| format!("'{it}'")).collect();
        format!(
            "[[hosts]]\nname = '{}'\nports = [{}]\npath = '{}'\naddresses = [{}]\n",
            host.name,
            ports.join(", "),
            host.path,
            addresses.join(", ")
        )
    });
    let hosts: Vec<String> = hosts.collect();
    format!("zone = '{}'\n{}", written.zone, hosts.concat())
}

fn case() -> impl Strategy<Value = (Written, Vec<Question>)> {
    policy().prop_flat_map(|written| {
        let questions = prop::collection::vec(question(written.clone()), QUESTIONS);
        (Just(written), questions)
    })
}

fn policy() -> impl Strategy<Value = Written> {
    let zone = select(vec!["external", "dmz", "internal", "backend"]);
    let is_world = prop::bool::weighted(0.1);
    let hosts = prop::collection::vec((any::<Index>(), host()), 0..4);
    (zone, is_world, hosts).prop_map(|(zone, is_world, drawn)| {
        let mut hosts: Vec<WrittenHost> = Vec::new();
        let mut names = BTreeSet::new();
        for (at, mut host) in drawn {
            let doors: &[(bool, u16)] = match zone {
                "internal" | "backend" => &[(true, 443), (false, 80), (true, 444)],
                _ => &[(true, 443)],
            };
            // A set of one or two of them.
            host.doors = vec![*at.get(doors)];
            if !host.doors.contains(&doors[0]) && at.index(2) == 0 {
                host.doors.push(doors[0]);
            }
            // Files say what no file can permit; here only good ones are wanted.
            let is_good = |it: &IpAddr| {
                let question = Question {
                    host: "x".to_owned(),
                    is_https: true,
                    port: 443,
                    path: "/owa/".to_owned(),
                    address: Some(*it),
                    is_resolved: true,
                };
                against(&Written { zone, hosts: Vec::new(), is_world: false }, &question).is_empty()
            };
            host.addresses.retain(is_good);
            let is_name = host.name.parse::<IpAddr>().map_or(true, |it| is_good(&it));
            if is_name && names.insert(host.name.to_ascii_lowercase()) {
                hosts.push(host);
            }
        }
        if hosts.is_empty() && zone != "external" || hosts.is_empty() && is_world {
            hosts.push(WrittenHost {
                name: "only.example".to_owned(),
                doors: vec![(true, 443)],
                path: "/Microsoft-Server-ActiveSync".to_owned(),
                addresses: Vec::new(),
            });
        }
        Written { zone, hosts, is_world }
    })
}

fn host() -> impl Strategy<Value = WrittenHost> {
    let names = [
        "mail.corp.example",
        "be03",
        "Mail2.Example",
        "xn--bcher-kva.example",
        "10.0.0.7",
        "203.0.113.10",
        "fd00::7",
        "2001:db8::7",
        "::ffff:10.0.0.8",
        "a_b.example",
    ];
    let paths = ["/Microsoft-Server-ActiveSync", "/eas", "/EAS", "/a%20b", "/a//b;c", "/"];
    let addresses = prop::collection::btree_set(address().prop_map(|it| it.to_canonical()), 0..4);
    (select(names.to_vec()), select(paths.to_vec()), addresses).prop_map(
        |(name, path, addresses)| WrittenHost {
            name: name.to_owned(),
            doors: Vec::new(),
            path: path.to_owned(),
            addresses: addresses.into_iter().collect(),
        },
    )
}

/// A question about a host of the policy or one beside it; most of it is right, so that what is not decides.
fn question(written: Written) -> impl Strategy<Value = Question> {
    let listed: Vec<IpAddr> = written.hosts.iter().flat_map(|it| it.addresses.clone()).collect();
    let address = (address(), any::<Index>(), prop::bool::weighted(0.2)).prop_map(
        move |(address, at, is_listed)| {
            if is_listed && !listed.is_empty() { *at.get(&listed) } else { address }
        },
    );
    let door = (any::<Index>(), select(vec![443_u16, 80, 444, 8443, 22, 0, 65535]), any::<bool>());
    let path = (any::<Index>(), 0..24_u8);
    (
        (any::<Index>(), 0..24_u8),
        (prop::bool::weighted(0.85), door),
        path,
        prop::option::weighted(0.9, address),
        prop::bool::weighted(0.7),
    )
        .prop_map(move |((at, name), (is_own, door), path, address, is_resolved)| {
            let known = (!written.hosts.is_empty()).then(|| at.get(&written.hosts));
            let host = changed_name(known.map_or("mail.example", |it| &it.name), name);
            let doors = known.map_or(&[(true, 443)][..], |it| &it.doors);
            let (at, port, is_https) = door;
            let (is_https, port) = if is_own { *at.get(doors) } else { (is_https, port) };
            let path = changed_path(known.map_or("/x", |it| &it.path), path);
            Question { host, is_https, port, path, address, is_resolved }
        })
}

fn changed_name(name: &str, change: u8) -> String {
    match change {
        0 => name.to_ascii_uppercase(),
        1 => format!("{name}."),
        2 => format!("{name}.."),
        3 => format!("x.{name}"),
        4 => format!("{name}x"),
        _ => name.to_owned(),
    }
}

fn changed_path(own: &str, (at, change): (Index, u8)) -> String {
    let path = *at.get(&[
        own,
        "/Microsoft-Server-ActiveSync",
        "/Microsoft-Server-ActiveSync/Proxy",
        "/Microsoft-Server-ActiveSync/healthcheck.htm",
        "/owa/",
        "/autodiscover/autodiscover.xml",
        "/autodiscover/autodiscover.json",
        "/EWS/Exchange.asmx",
    ]);
    match change {
        0 => path.to_ascii_uppercase(),
        1 => path.to_ascii_lowercase(),
        2 => format!("{path}/"),
        3 => format!("/{path}"),
        4 => format!("{path}/../ecp"),
        5 => path.replace('/', "%2f"),
        _ => path.to_owned(),
    }
}

/// Edges of every range that either side has a line for, and every way to carry an IPv4 address inside an IPv6 one.
fn address() -> impl Strategy<Value = IpAddr> {
    let v4 = || v4().boxed();
    prop_oneof![
        4 => v4().prop_map(IpAddr::V4),
        4 => (v4(), 0..12_u8, any::<u64>()).prop_map(|(inside, form, noise)| carried(inside, form, noise).into()),
        3 => v6().prop_map(IpAddr::V6),
    ]
}

fn v4() -> impl Strategy<Value = Ipv4Addr> {
    const RANGES: [(u32, u32); 20] = [
        (0x0000_0000, 8),
        (0x7f00_0000, 8),
        (0xa9fe_0000, 16),
        (0xe000_0000, 4),
        (0xffff_ffff, 32),
        (0xa83f_8110, 32),
        (0x6464_64c8, 32),
        (0xc000_00c0, 32),
        (0x0a00_0000, 8),
        (0xac10_0000, 12),
        (0xc0a8_0000, 16),
        (0x6440_0000, 10),
        (0xc000_0000, 24),
        (0xc612_0000, 15),
        (0xf000_0000, 4),
        (0xc000_0200, 24),
        (0xc633_6400, 24),
        (0xcb00_7100, 24),
        (0x0808_0808, 32),
        (0x0000_0000, 0),
    ];
    (select(RANGES.to_vec()), 0..5_u8, any::<u32>()).prop_map(|((base, length), edge, noise)| {
        let size = u32::MAX.checked_shr(length).unwrap_or(0);
        Ipv4Addr::from_bits(match edge {
            0 => base,
            1 => base | size,
            2 => base.wrapping_sub(1),
            3 => (base | size).wrapping_add(1),
            _ => base | (noise & size),
        })
    })
}

fn v6() -> impl Strategy<Value = Ipv6Addr> {
    const RANGES: [(u128, u32); 22] = [
        (0, 128),
        (1, 128),
        (0xfe80 << 112, 10),
        (0xfec0 << 112, 10),
        (0xff00 << 112, 8),
        (0xfc00 << 112, 7),
        (0xfd00_0ec2 << 96 | 0x254, 128),
        (0xfd20_00ce << 96 | 0x254, 128),
        (0xfd00_00c1 << 96 | 0xa9fe_a9fe, 128),
        (0x2001_0002 << 96, 48),
        (0x2001_0010 << 96, 28),
        (0x2001_0020 << 96, 28),
        (0x2001_0db8 << 96, 32),
        (0x3fff << 112, 20),
        (0x2000 << 112, 3),
        (0x0064_ff9b << 96, 96),
        (0x0064_ff9b_0001 << 80, 48),
        (0x0064_ff9b_0002 << 80, 48),
        (0x0100 << 112, 64),
        (0xffff << 32, 96),
        (0x2001 << 112, 32),
        (0x2002 << 112, 16),
    ];
    (select(RANGES.to_vec()), 0..5_u8, any::<u128>()).prop_map(|((base, length), edge, noise)| {
        let size = u128::MAX.checked_shr(length).unwrap_or(0);
        Ipv6Addr::from_bits(match edge {
            0 => base,
            1 => base | size,
            2 => base.wrapping_sub(1),
            3 => (base | size).wrapping_add(1),
            _ => base | (noise & size),
        })
    })
}

/// An IPv6 address with this IPv4 one inside; `noise` fills what the form leaves open.
fn carried(inside: Ipv4Addr, form: u8, noise: u64) -> Ipv6Addr {
    let own = u128::from(inside.to_bits());
    let upside_down = u128::from(!inside.to_bits());
    let public = 0x0808_0808_u128;
    let noise = u128::from(noise);
    let (high, low) = (own >> 16, own & 0xffff);
    Ipv6Addr::from_bits(match form {
        0 => own,
        1 => 0xffff << 32 | own,
        2 => 0xffff << 48 | own,
        3 => 0x0064_ff9b << 96 | own,
        4 => 0x0064_ff9b_0001 << 80 | own,
        5 => 0x0064_ff9b_0001 << 80 | own << 24,
        6 => 0x0064_ff9b_0001 << 80 | (own >> 24) << 64 | (own & 0x00ff_ffff) << 32,
        7 => 0x0064_ff9b_0001 << 80 | high << 64 | low << 40,
        8 => 0x2002 << 112 | own << 80 | noise,
        9 => 0x2001 << 112 | own << 64 | (!public & 0xffff_ffff),
        10 => 0x2001 << 112 | public << 64 | upside_down,
        _ => 0x2001_0db8 << 96 | own,
    })
}

#[cfg(test)]
mod tests {
    use super::compare;

    #[test]
    fn two_policies_of_two_minds_agree() {
        let permitted = compare(10_000, 1).expect("no disagreement");
        assert!(permitted > 1000, "hardly anything is permitted: {permitted}");
    }
}
