//! Who may have another connection to a port: strangers in total and per source address, agents each.
//!
//! Absent on purpose: the number of all connections, which their owner counts itself; and waiting, since a connection that has
//! no seat is closed.
//!
//! INVARIANT: a seat is given back when it is dropped; no key outlives the last of its seats.
//! INVARIANT: of one agent's connections the newest stay: those that a lost network left behind cannot keep it out.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use parallax_model::VantageName;
use tokio_util::sync::CancellationToken;

use super::{PortLimits, network_of};
use crate::listener::Peer;

/// The seats of one port.
#[derive(Clone, Debug)]
pub(crate) struct Seats {
    strangers_max: usize,
    strangers_per_source: usize,
    per_agent: usize,
    /// Never held across an await.
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    strangers: usize,
    sources: BTreeMap<IpAddr, usize>,
    /// The oldest first.
    agents: BTreeMap<VantageName, VecDeque<(u64, CancellationToken)>>,
    last: u64,
}

/// The place of one connection.
#[derive(Debug)]
pub(crate) struct Seat {
    key: Key,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug)]
enum Key {
    Stranger(IpAddr),
    Agent(VantageName, u64),
}

impl Seats {
    pub(crate) fn new(limits: &PortLimits) -> Self {
        let PortLimits { strangers_max, strangers_per_source, connections_per_agent, .. } = *limits;
        let taken = Arc::default();
        Self { strangers_max, strangers_per_source, per_agent: connections_per_agent, taken }
    }

    /// A seat for this peer; `None`: there is none, close it. An agent gets one always, in place of its oldest.
    pub(crate) fn take(&self, peer: &Peer) -> Option<Seat> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let key = if let Some(agent) = &peer.agent {
            taken.last += 1;
            let number = taken.last;
            let seats = taken.agents.entry(agent.vantage.clone()).or_default();
            seats.push_back((number, agent.connection.clone()));
            if seats.len() > self.per_agent
                && let Some((_, oldest)) = seats.pop_front()
            {
                oldest.cancel();
            }
            Key::Agent(agent.vantage.clone(), number)
        } else {
            let source = network_of(peer.address.ip());
            let of_source = taken.sources.get(&source).copied().unwrap_or(0);
            if taken.strangers >= self.strangers_max || of_source >= self.strangers_per_source {
                return None;
            }
            taken.strangers += 1;
            taken.sources.insert(source, of_source + 1);
            Key::Stranger(source)
        };
        drop(taken);
        Some(Seat { key, taken: Arc::clone(&self.taken) })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match &self.key {
            Key::Stranger(source) => {
                taken.strangers = taken.strangers.saturating_sub(1);
                if let Some(count) = taken.sources.get_mut(source) {
                    *count -= 1;
                    if *count == 0 {
                        taken.sources.remove(source);
                    }
                }
            }
            Key::Agent(vantage, number) => {
                if let Some(seats) = taken.agents.get_mut(vantage) {
                    seats.retain(|(it, _)| it != number);
                    if seats.is_empty() {
                        taken.agents.remove(vantage);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::limits::Limits;
    use crate::listener::PeerAgent;

    fn stranger(address: &str) -> Peer {
        let address = format!("{address}:4711").parse().expect("an address");
        Peer { address, agent: None }
    }

    fn agent(name: &str) -> (Peer, CancellationToken) {
        let Peer { address, .. } = stranger("192.0.2.9");
        let connection = CancellationToken::new();
        let agent = PeerAgent {
            vantage: VantageName::new(name).expect("a name"),
            certificate_sha256: [1; 32],
            expires: SystemTime::now(),
            address,
            connection: connection.clone(),
        };
        (Peer { address, agent: Some(agent) }, connection)
    }

    #[test]
    fn strangers_have_few_seats_and_one_source_fewer() {
        let limits = Limits::default().agent_port;
        let seats = Seats::new(&limits);
        let mut held = Vec::new();
        for _ in 0..limits.strangers_per_source {
            held.push(seats.take(&stranger("[2001:db8::1]")).expect("room"));
        }
        assert!(seats.take(&stranger("[2001:db8::2]")).is_none(), "one network");
        for number in 0..limits.strangers_max - limits.strangers_per_source {
            held.push(seats.take(&stranger(&format!("198.51.100.{number}"))).expect("room"));
        }
        assert!(seats.take(&stranger("192.0.2.1")).is_none(), "as many strangers as may");
        let (peer, connection) = agent("ext");
        let seat = seats.take(&peer).expect("agents have seats of their own");
        held.pop();
        held.push(seats.take(&stranger("192.0.2.1")).expect("room again"));
        drop((held, seat));
        assert!(!connection.is_cancelled());
        let taken = seats.taken.lock().expect("no panic");
        assert_eq!((taken.strangers, taken.sources.len(), taken.agents.len()), (0, 0, 0));
    }

    #[test]
    fn the_newest_connections_of_an_agent_stay() {
        let limits = Limits::default().agent_port;
        let seats = Seats::new(&limits);
        let mut held: Vec<_> = (0..=limits.connections_per_agent)
            .map(|_| agent("ext"))
            .map(|(peer, connection)| (seats.take(&peer).expect("always"), connection))
            .collect();
        let (other, of_other) = agent("dmz");
        let _seat = seats.take(&other).expect("its own");
        let closed: Vec<_> = held.iter().map(|(_, it)| it.is_cancelled()).collect();
        assert_eq!(closed, [true, false, false, false, false], "the oldest made room");
        assert!(!of_other.is_cancelled());
        // Its end gives back nothing twice.
        held.remove(0);
        let (peer, newest) = agent("ext");
        held.push((seats.take(&peer).expect("always"), newest));
        assert!(held[0].1.is_cancelled() && !held[1].1.is_cancelled());
    }
}
