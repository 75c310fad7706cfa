//! The kernel's packet filter as witness: counts what leaves, by where it goes.
//!
//! A packet of a client has a port of the ephemeral range as its source; what comes from below it is a server's reply.
//! Everything else is counted: permitted, questions to the name server, the session with the controller, and `outside`.
//!
//! INVARIANT: nothing is dropped. A packet outside the policy arrives, so that whatever it would bring about happens.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use anyhow::Context as _;
use serde_json::Value;

use super::namespace::{program, succeed};

/// Linux keeps the ports from here for clients, unless told otherwise.
const EPHEMERAL: u16 = 32_768;

pub(super) const NAME_SERVER: SocketAddr =
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 53), 53));
pub(super) const CONTROLLER: SocketAddr =
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 44), 7444));

/// Packets since the watch began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) permitted: u64,
    /// Those of them that begin a connection. What ends one may come when the next trick is already on.
    pub(super) dialled: u64,
    pub(super) outside: u64,
    pub(super) names: u64,
}

/// Begins to count anew; only these may be dialled.
pub(super) fn begin(permitted: &[SocketAddr]) -> anyhow::Result<()> {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")?;
    let lowest: u16 = range.split_whitespace().next().unwrap_or_default().parse()?;
    anyhow::ensure!(
        lowest >= EPHEMERAL,
        "ports of clients begin at {lowest}, in among the servers'"
    );
    let elements = |is_v4: bool| {
        let texts = permitted.iter().filter(|it| it.is_ipv4() == is_v4);
        let texts: Vec<String> = texts.map(|it| format!("{} . {}", it.ip(), it.port())).collect();
        if texts.is_empty() {
            String::new()
        } else {
            format!("elements = {{ {} }}", texts.join(", "))
        }
    };
    let (v4, v6, below) = (elements(true), elements(false), EPHEMERAL - 1);
    let (names, controller) = (NAME_SERVER, CONTROLLER);
    let (names_ip, names_port) = (names.ip(), names.port());
    let (controller_ip, controller_port) = (controller.ip(), controller.port());
    let rules = format!(
        "table inet watch
delete table inet watch
table inet watch {{
  counter permitted {{ }}
  counter dialled {{ }}
  counter outside {{ }}
  counter names {{ }}
  set permitted4 {{ type ipv4_addr . inet_service; {v4} }}
  set permitted6 {{ type ipv6_addr . inet_service; {v6} }}
  set seen4 {{ type ipv4_addr . inet_service; size 1000; flags dynamic; }}
  set seen6 {{ type ipv6_addr . inet_service; size 1000; flags dynamic; }}
  chain out {{
    type filter hook output priority 0; policy accept;
    tcp sport 1-{below} accept
    udp sport 1-{below} accept
    icmp type destination-unreachable accept
    icmpv6 type destination-unreachable accept
    ip daddr {names_ip} udp dport {names_port} counter name names accept
    ip daddr {names_ip} tcp dport {names_port} counter name names accept
    ip daddr {controller_ip} tcp dport {controller_port} accept
    ip daddr . tcp dport @permitted4 tcp flags & (syn | ack) == syn counter name dialled
    ip6 daddr . tcp dport @permitted6 tcp flags & (syn | ack) == syn counter name dialled
    ip daddr . tcp dport @permitted4 counter name permitted accept
    ip6 daddr . tcp dport @permitted6 counter name permitted accept
    counter name outside
    add @seen4 {{ ip daddr . tcp dport }}
    add @seen6 {{ ip6 daddr . tcp dport }}
  }}
}}
"
    );
    succeed(program("nft").args(["-f", "-"]), &rules)?;
    Ok(())
}

pub(super) fn read() -> anyhow::Result<Counts> {
    let text =
        succeed(program("nft").args(["-j", "list", "counters", "table", "inet", "watch"]), "")?;
    let listed: Value = serde_json::from_str(&text)?;
    let counters = listed["nftables"].as_array().context("no counters")?;
    let packets = |name: &str| {
        let counter = counters.iter().map(|it| &it["counter"]).find(|it| it["name"] == name);
        counter.and_then(|it| it["packets"].as_u64()).with_context(|| format!("no counter {name}"))
    };
    Ok(Counts {
        permitted: packets("permitted")?,
        dialled: packets("dialled")?,
        outside: packets("outside")?,
        names: packets("names")?,
    })
}

/// Where packets outside went.
pub(super) fn seen() -> anyhow::Result<String> {
    let mut found = String::new();
    for set in ["seen4", "seen6"] {
        let text = succeed(program("nft").args(["-j", "list", "set", "inet", "watch", set]), "")?;
        let listed: Value = serde_json::from_str(&text)?;
        let sets = listed["nftables"].as_array().context("no sets")?;
        for set in sets.iter().filter_map(|it| it["set"].get("elem")) {
            found.push_str(&set.to_string());
        }
    }
    Ok(found)
}
