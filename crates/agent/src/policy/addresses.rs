//! What an address is: public, private, or one that is never dialled (RFC 6890 and the IANA special-purpose registries).
//!
//! An address may carry an IPv4 one inside: mapped, compatible and translated (RFC 4291, RFC 2765), NAT64 (RFC 6052,
//! RFC 8215), 6to4 (RFC 3056), Teredo (RFC 4380). A packet to it may end up there, so both are judged.
//!
//! INVARIANT: an address is judged by the worst of itself and everything inside it.
//! INVARIANT: documentation ranges count as public, so that a simulated internet can be told from a private network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is, the most harmless first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Nature {
    Public,
    /// Private, shared, reserved or not given out: not reached over the internet.
    Private,
    /// 0.0.0.0/8, ::.
    Unspecified,
    Loopback,
    LinkLocal,
    /// Where clouds hand out the keys of a machine.
    Metadata,
    Multicast,
    Broadcast,
}

/// The worst nature of an address, and the form that has it: the address itself, or one inside it.
pub(super) fn judge(address: IpAddr) -> (IpAddr, Nature) {
    let mut worst = (address, nature(address));
    if let IpAddr::V6(v6) = address {
        for inside in inside(v6).into_iter().flatten() {
            let found = v4_nature(inside);
            if found > worst.1 {
                worst = (inside.into(), found);
            }
        }
    }
    worst
}

fn nature(address: IpAddr) -> Nature {
    match address {
        IpAddr::V4(v4) => v4_nature(v4),
        IpAddr::V6(v6) => v6_nature(v6),
    }
}

fn v4_nature(address: Ipv4Addr) -> Nature {
    match address.octets() {
        [0, ..] => Nature::Unspecified,
        [127, ..] => Nature::Loopback,
        // Alibaba, Oracle, Azure: outside the range that the other clouds use.
        [100, 100, 100, 200] | [192, 0, 0, 192] | [168, 63, 129, 16] => Nature::Metadata,
        [169, 254, ..] => Nature::LinkLocal,
        [224..=239, ..] => Nature::Multicast,
        [255, 255, 255, 255] => Nature::Broadcast,
        // RFC 1918, 6598 (shared), 6890 section 2.1 (protocols), 2544 (benchmarks), 1112 section 4 (reserved).
        [10 | 240..=255, ..]
        | [172, 16..=31, ..]
        | [192, 168, ..]
        | [100, 64..=127, ..]
        | [192, 0, 0, _]
        | [198, 18..=19, ..] => Nature::Private,
        _ => Nature::Public,
    }
}

fn v6_nature(address: Ipv6Addr) -> Nature {
    // Amazon, Google, Oracle.
    const METADATA: [Ipv6Addr; 3] = [
        Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
        Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
        Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
    ];
    if METADATA.contains(&address) {
        return Nature::Metadata;
    }
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Nature::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => Nature::Loopback,
        [0xff00..=0xffff, ..] => Nature::Multicast,
        [0xfe80..=0xfebf, ..] => Nature::LinkLocal,
        // Benchmarking (RFC 5180) and the first ORCHIDs (RFC 4843).
        [0x2001, 0x0002, 0, ..] | [0x2001, 0x0010..=0x001f, ..] => Nature::Private,
        // Mapped and NAT64: what is inside decides. Global unicast (RFC 4291 section 2.4): the rest is not given out.
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x0064, 0xff9b, 0, 0, 0, 0, ..] | [0x2000..=0x3fff, ..] => {
            Nature::Public
        }
        _ => Nature::Private,
    }
}

/// The IPv4 addresses that an IPv6 one may stand for.
fn inside(address: Ipv6Addr) -> [Option<Ipv4Addr>; 4] {
    let octets = address.octets();
    let at = |[a, b, c, d]: [usize; 4]| Ipv4Addr::new(octets[a], octets[b], octets[c], octets[d]);
    let last = Some(at([12, 13, 14, 15]));
    match address.segments() {
        // Said of themselves.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => [None; 4],
        [0, 0, 0, 0, 0, 0 | 0xffff, ..]
        | [0, 0, 0, 0, 0xffff, 0, ..]
        | [0x0064, 0xff9b, 0, 0, 0, 0, ..] => [last, None, None, None],
        [0x0064, 0xff9b, 0x0001, ..] => local_nat64(at),
        [0x2002, ..] => [Some(at([2, 3, 4, 5])), None, None, None],
        [0x2001, 0, ..] => {
            let client = Ipv4Addr::from_bits(!at([12, 13, 14, 15]).to_bits());
            [Some(at([4, 5, 6, 7])), Some(client), None, None]
        }
        _ => [None; 4],
    }
}

/// Under `64:ff9b:1::/48` the site chose the length of its prefix: 96, 64, 56 or 48 (RFC 6052 section 2.2). Which of them it
/// chose cannot be seen, so each is judged; 0.0.0.0/8 there means that this was not the length.
fn local_nat64(at: impl Fn([usize; 4]) -> Ipv4Addr) -> [Option<Ipv4Addr>; 4] {
    [[12, 13, 14, 15], [9, 10, 11, 12], [7, 9, 10, 11], [6, 7, 9, 10]]
        .map(|octets| Some(at(octets)).filter(|it| v4_nature(*it) != Nature::Unspecified))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wanted: Nature, addresses: &[&str]) {
        for text in addresses {
            let address: IpAddr = text.parse().expect("an address");
            assert_eq!(judge(address).1, wanted, "{text}");
        }
    }

    #[test]
    fn documentation_ranges_are_public() {
        check(Nature::Public, &["192.0.2.1", "198.51.100.9", "203.0.113.255", "2001:db8::1"]);
        check(Nature::Public, &["3fff::1", "8.8.8.8", "172.15.255.255", "172.32.0.1", "9.255.0.1"]);
        check(Nature::Public, &["100.63.255.255", "100.128.0.1", "192.0.1.1", "198.20.0.1"]);
        check(Nature::Public, &["223.255.255.255", "2a00:1450::1", "::ffff:8.8.8.8", "2000::"]);
        check(
            Nature::Public,
            &["64:ff9b::808:808", "2002:808:808::1", "2001:0:808:808::f7f7:f7f7"],
        );
    }

    #[test]
    fn private_ranges() {
        check(Nature::Private, &["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"]);
        check(Nature::Private, &["100.64.0.1", "100.127.255.255", "192.0.0.8", "198.18.0.1"]);
        check(Nature::Private, &["198.19.255.255", "240.0.0.1", "255.255.255.254", "fd00::1"]);
        check(Nature::Private, &["fc00::", "fdff::1", "fec0::1", "feff::1", "100::1", "4000::1"]);
        check(Nature::Private, &["::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::1", "::a00:1"]);
        check(Nature::Private, &["64:ff9b:1::a00:1", "64:ff9b:1:a00:0:100::", "::ffff:0:a00:1"]);
        check(
            Nature::Private,
            &["2001:0:a00:1::f7f7:f7f7", "2001:0:808:808::f5ff:fffe", "2001:2::1"],
        );
    }

    #[test]
    fn never_dialled() {
        check(Nature::Unspecified, &["0.0.0.0", "0.1.2.3", "::", "::ffff:0.0.0.0", "::2"]);
        check(Nature::Loopback, &["127.0.0.1", "127.255.2.3", "::1", "::ffff:127.0.0.1"]);
        check(
            Nature::Loopback,
            &["::7f00:1", "64:ff9b::7f00:1", "2002:7f00:1::", "::ffff:0:7f00:1"],
        );
        check(Nature::Loopback, &["2001:0:7f00:1::f7f7:f7f7", "2001:0:808:808::80ff:fffe"]);
        check(Nature::Loopback, &["64:ff9b:1::7f00:1", "64:ff9b:1:7f00:0:100::"]);
        check(Nature::Loopback, &["64:ff9b:1:7f:0:1::", "64:ff9b:1:0:7f:0:100:0"]);
        check(Nature::LinkLocal, &["169.254.169.254", "fe80::1", "febf::1", "::ffff:169.254.0.1"]);
        check(Nature::LinkLocal, &["64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::", "::a9fe:a9fe"]);
        check(Nature::Metadata, &["fd00:ec2::254", "168.63.129.16", "100.100.100.200"]);
        check(Nature::Metadata, &["192.0.0.192", "::ffff:168.63.129.16", "64:ff9b::a83f:8110"]);
        check(Nature::Multicast, &["224.0.0.1", "239.255.255.255", "ff02::1", "64:ff9b::e000:1"]);
        check(Nature::Broadcast, &["255.255.255.255", "::ffff:255.255.255.255"]);
    }

    #[test]
    fn the_form_that_decides_is_named() {
        let judged = |text: &str| judge(text.parse().expect("an address")).0.to_string();
        assert_eq!(judged("64:ff9b::7f00:1"), "127.0.0.1");
        assert_eq!(judged("fd00::1"), "fd00::1");
        assert_eq!(judged("2001:0:808:808::80ff:fffe"), "127.0.0.1");
    }
}
