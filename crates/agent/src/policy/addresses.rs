//! Which addresses are public, private, or nobody's at all (RFC 6890 and the IANA special-purpose registries).
//!
//! INVARIANT: documentation ranges count as public, so that a simulated internet can be told from a private network.
//! INVARIANT: an IPv4 address inside an IPv6 one is judged as itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Never dialled in any zone: unspecified, loopback, link-local (cloud metadata lives there), multicast, broadcast.
pub(super) fn is_nobody(address: IpAddr) -> bool {
    match unwrapped(address) {
        IpAddr::V4(v4) => {
            v4.octets()[0] == 0
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_broadcast()
        }
        IpAddr::V6(v6) => {
            v6.is_unspecified()
                || v6.is_loopback()
                || v6.is_unicast_link_local()
                || v6.is_multicast()
        }
    }
}

/// Whether an address is reached over the internet.
pub(super) fn is_public(address: IpAddr) -> bool {
    if is_nobody(address) {
        return false;
    }
    match unwrapped(address) {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => {
            // Unique local (RFC 4193), deprecated site-local, discard-only (RFC 6666).
            let [first, second, third, fourth, ..] = v6.segments();
            !(v6.is_unique_local()
                || first & 0xffc0 == 0xfec0
                || (first == 0x0100 && second == 0 && third == 0 && fourth == 0))
        }
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_shared = a == 100 && (64..128).contains(&b); // RFC 6598
    let is_protocol = a == 192 && b == 0 && c == 0; // RFC 6890 section 2.1
    let is_benchmark = a == 198 && (b == 18 || b == 19); // RFC 2544
    let is_reserved = a >= 240; // RFC 1112 section 4
    !(address.is_private() || is_shared || is_protocol || is_benchmark || is_reserved)
}

/// The IPv4 address that an IPv6 one stands for: mapped, compatible, NAT64 (RFC 6052), 6to4 (RFC 3056).
fn unwrapped(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    embedded(v6).map_or(address, IpAddr::V4)
}

fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let join = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] if high != 0 => Some(join(high, low)),
        [0x0064, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => Some(join(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wanted: &str, addresses: &[&str]) {
        for text in addresses {
            let address: IpAddr = text.parse().expect("an address");
            let found = match (is_nobody(address), is_public(address)) {
                (true, false) => "nobody",
                (false, true) => "public",
                (false, false) => "private",
                (true, true) => "both",
            };
            assert_eq!(found, wanted, "{text}");
        }
    }

    #[test]
    fn documentation_ranges_are_public() {
        check("public", &["192.0.2.1", "198.51.100.9", "203.0.113.255", "2001:db8::1"]);
        check(
            "public",
            &["8.8.8.8", "172.32.0.1", "100.128.0.1", "2a00:1450::1", "::ffff:8.8.8.8"],
        );
    }

    #[test]
    fn private_ranges() {
        check("private", &["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"]);
        check("private", &["100.64.0.1", "192.0.0.8", "198.18.0.1", "240.0.0.1", "fd00::1"]);
        check("private", &["::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::1", "fec0::1"]);
    }

    #[test]
    fn nobody_lives_here() {
        check("nobody", &["127.0.0.1", "127.1.2.3", "0.0.0.0", "0.1.2.3", "169.254.169.254"]);
        check("nobody", &["224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "ff02::1"]);
        check("nobody", &["::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"]);
    }
}
