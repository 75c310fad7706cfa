//! Which addresses this agent's own name servers gave for a host lately.
//!
//! A task may ask for one address alone: the one where the round before looked. This memory tells such an address from one
//! that a controller made up.
//!
//! INVARIANT: bounded in hosts, addresses and age.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Origin;

/// A diagnosis with all its rounds is over before.
const AGE_MAX: Duration = Duration::from_mins(15);
const HOSTS_MAX: usize = 1024;
/// Names with changing answers give a few at a time.
const ADDRESSES_MAX: usize = 64;

/// What name servers said.
#[derive(Debug, Default)]
pub(crate) struct Resolved(Mutex<BTreeMap<String, Vec<(IpAddr, Instant)>>>);

impl Resolved {
    /// Takes note of a name server's answer.
    pub(crate) fn note(&self, host: &str, addresses: &[IpAddr]) {
        let now = Instant::now();
        let mut hosts = self.lock();
        let known = hosts.entry(host.to_owned()).or_default();
        known.retain(|(address, at)| !addresses.contains(address) && now - *at < AGE_MAX);
        known.extend(addresses.iter().map(|it| (*it, now)));
        let surplus = known.len().saturating_sub(ADDRESSES_MAX);
        known.drain(..surplus);
        if hosts.len() > HOSTS_MAX {
            let latest = |known: &[(IpAddr, Instant)]| known.last().map(|it| it.1);
            let oldest =
                hosts.iter().min_by_key(|(_, known)| latest(known)).map(|(host, _)| host.clone());
            oldest.and_then(|it| hosts.remove(&it));
        }
    }

    /// Where this address of the host comes from.
    pub(crate) fn origin(&self, host: &str, address: IpAddr) -> Origin {
        let is_known = self.lock().get(host).is_some_and(|known| {
            known.iter().any(|(it, at)| *it == address && at.elapsed() < AGE_MAX)
        });
        if is_known { Origin::Resolved } else { Origin::Task }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<(IpAddr, Instant)>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: usize) -> IpAddr {
        let last = u32::try_from(last).expect("small");
        std::net::Ipv4Addr::from_bits(0x0a00_0000 + last).into()
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_resolved_is_known_for_a_while() {
        let resolved = Resolved::default();
        resolved.note("a.example", &[address(1), address(2)]);
        assert_eq!(resolved.origin("a.example", address(2)), Origin::Resolved);
        assert_eq!(resolved.origin("a.example", address(3)), Origin::Task);
        assert_eq!(resolved.origin("b.example", address(2)), Origin::Task);
        tokio::time::advance(AGE_MAX / 2).await;
        resolved.note("a.example", &[address(2)]);
        tokio::time::advance(AGE_MAX / 2).await;
        assert_eq!(resolved.origin("a.example", address(1)), Origin::Task);
        assert_eq!(resolved.origin("a.example", address(2)), Origin::Resolved);
    }

    #[tokio::test(start_paused = true)]
    async fn neither_hosts_nor_addresses_pile_up() {
        let resolved = Resolved::default();
        for last in 0..2 * ADDRESSES_MAX {
            resolved.note("a.example", &[address(last)]);
        }
        assert_eq!(resolved.lock()["a.example"].len(), ADDRESSES_MAX);
        assert_eq!(resolved.origin("a.example", address(0)), Origin::Task);
        tokio::time::advance(Duration::from_secs(1)).await;
        for host in 0..HOSTS_MAX {
            resolved.note(&format!("h{host}"), &[address(1)]);
        }
        assert_eq!(resolved.lock().len(), HOSTS_MAX);
        assert_eq!(resolved.origin("a.example", address(ADDRESSES_MAX)), Origin::Task);
    }
}
