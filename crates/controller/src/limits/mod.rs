//! How much one caller, one agent and one port may take, and how each is told to slow down.
//!
//! Absent on purpose: who a caller is (`rpc::gate`), and what an agent did wrong (`agents::conduct`).
//!
//! INVARIANT: people and agents share no figure: each port has connections, handshakes and rates of its own.

mod rates;
mod seats;

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

pub(crate) use rates::Rates;
pub(crate) use seats::Seats;

/// What one holder of addresses has: an IPv4 address, or the /64 of an IPv6 one (RFC 6177), in which a host has as many
/// addresses as it likes.
pub(crate) fn network_of(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
    }
}

/// So many at once, and then one after each `every`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Between two, once the burst is spent. Not zero.
    pub every: Duration,
    /// At least 1.
    pub burst: u32,
}

impl Rate {
    /// `per_second` of 1 to 1,000,000.
    pub const fn per_second(per_second: u32, burst: u32) -> Self {
        Self { every: Duration::from_nanos(1_000_000_000 / per_second as u64), burst }
    }
}

/// What a port takes of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortLimits {
    /// Longest TLS handshake, and longest silence before the first byte of HTTP/2.
    pub handshake: Duration,
    /// Handshakes under way at once; further peers wait in the kernel's queue.
    pub handshakes_max: usize,
    /// Of one source address; its further peers wait until one of these is over, those of others do not.
    pub handshakes_per_source: usize,
    /// Connections at once; further ones are closed as they come.
    pub connections_max: usize,
    /// Of peers without the certificate of an agent.
    pub strangers_max: usize,
    /// Of those, from one source address.
    pub strangers_per_source: usize,
    /// With the certificate of one agent; its oldest makes room for a further one.
    pub connections_per_agent: usize,
    /// A connection without a call for so long is asked to end. `None`: never.
    pub idle: Option<Duration>,
    /// A connection is asked to end after this ± 10 %. `None`: never.
    pub age: Option<Duration>,
    /// The same for a peer without the certificate of an agent.
    pub stranger_age: Option<Duration>,
    /// How long the calls of such a connection may go on.
    pub grace: Duration,
    /// Calls of one connection, then it is asked to end. `None`: any number.
    pub calls_max: Option<u64>,
    /// How fast one connection is read once `bytes_burst` is spent. Not zero.
    pub bytes_per_second: u32,
    pub bytes_burst: u32,
    /// A reader that takes nothing of an answer for so long loses its connection.
    pub stall: Duration,
}

/// What one caller of the API may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiLimits {
    /// Per principal: what only reads.
    pub reads: Rate,
    /// Per principal: what changes something.
    pub writes: Rate,
    /// Per principal: what starts a diagnosis.
    pub diagnoses: Rate,
    /// Per target, whoever asks: diagnoses of it.
    pub diagnoses_of_target: Rate,
    /// Per source address: calls without a principal, as health and reflection.
    pub open: Rate,
    /// Per source address: calls whose token is missing or wrong. The right one is never kept waiting by them.
    pub failures: Rate,
    /// Calls under way at once in the whole port; further ones are refused, not queued.
    pub calls_max: usize,
    /// Of calls that wait or stream.
    pub long_calls_max: usize,
    /// Of calls without a principal, of either kind.
    pub open_calls_max: usize,
}

/// What one agent may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentLimits {
    pub results: Rate,
    /// Everything but results.
    pub messages: Rate,
    /// Sessions that it asks for.
    pub sessions: Rate,
    /// Certificates that it asks for.
    pub renewals: Rate,
    /// An agent that is above its rate for so long without a pause loses its session.
    pub flood: Duration,
    /// Breaches within [`Self::strike_window`] after which an agent is banned.
    pub strikes_max: usize,
    pub strike_window: Duration,
}

/// All limits on who calls. The default is what a controller runs with; tests shorten what they wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub api_port: PortLimits,
    pub agent_port: PortLimits,
    pub api: ApiLimits,
    pub agents: AgentLimits,
}

impl Default for Limits {
    fn default() -> Self {
        let api_port = PortLimits {
            handshake: Duration::from_secs(10),
            handshakes_max: 256,
            handshakes_per_source: 128,
            connections_max: 1024,
            // People come through one proxy, and agents do not come here.
            strangers_max: 1024,
            strangers_per_source: 1024,
            connections_per_agent: 1024,
            idle: None,
            age: Some(Duration::from_mins(30)),
            stranger_age: Some(Duration::from_mins(30)),
            grace: Duration::from_mins(1),
            calls_max: Some(10_000),
            bytes_per_second: 1024 * 1024,
            // Two of the largest messages.
            bytes_burst: 8 * 1024 * 1024,
            stall: Duration::from_secs(30),
        };
        let agent_port = PortLimits {
            connections_max: 16_384,
            strangers_max: 256,
            strangers_per_source: 32,
            // Its session, a renewal, and what a lost network left of those before.
            connections_per_agent: 4,
            idle: Some(Duration::from_mins(1)),
            // A session lasts; an agent is asked to leave by a message of its own.
            age: None,
            // It joins, and comes back with its certificate.
            stranger_age: Some(Duration::from_mins(1)),
            calls_max: None,
            ..api_port
        };
        let api = ApiLimits {
            reads: Rate::per_second(100, 500),
            writes: Rate::per_second(20, 500),
            diagnoses: Rate::per_second(10, 200),
            diagnoses_of_target: Rate::per_second(5, 50),
            open: Rate::per_second(20, 200),
            failures: Rate::per_second(1, 20),
            calls_max: 256,
            long_calls_max: 1024,
            open_calls_max: 64,
        };
        let agents = AgentLimits {
            results: Rate::per_second(50, 200),
            messages: Rate::per_second(500, 1000),
            sessions: Rate { every: Duration::from_secs(6), burst: 20 },
            renewals: Rate { every: Duration::from_mins(1), burst: 5 },
            flood: Duration::from_mins(1),
            strikes_max: 3,
            strike_window: Duration::from_hours(1),
        };
        Self { api_port, agent_port, api, agents }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_has_one_key() {
        let of = |text: &str| network_of(text.parse().expect("an address")).to_string();
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("2001:db8:1:2:ffff::1"), of("2001:db8:1:2::"));
        assert_ne!(of("2001:db8:1:3::1"), of("2001:db8:1:2::1"));
    }
}
