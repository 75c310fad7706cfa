//! One anonymous look along one path: the name, then every address it has, side by side.
//!
//! INVARIANT: takes at most the task's `observation` limit, so nobody has to cut it short and lose what was seen.
//! INVARIANT: an address that the policy forbids is never dialled; its stages are *not reached*.

use std::net::{IpAddr, SocketAddr};

use futures::future::try_join_all;
use parallax_model::{Observation, Outcome, Sight, Task, Transport};

use crate::budget::Budget;
use crate::dns;
use crate::fit::fit;
use crate::instrument::Instrument;
use crate::request::Host;
use crate::walk::{Allow, Listen, ProbeError, Progress, Rule, Walk};

/// The most addresses of one name that are dialled.
const DIALLED_MAX: usize = 8;

/// Looks along one path and takes the task's looks at every address, in order. A `logon` of the task is left alone.
///
/// Errors: the policy forbids every address, or the task cannot be carried out as written. Cancel-safe: dropping the future
/// closes every connection.
pub async fn observe(
    task: &Task,
    instrument: &Instrument,
    allow: &Allow<'_>,
    listen: &Listen<'_>,
) -> Result<Sight, ProbeError> {
    let host = Host::of(&task.endpoint)?;
    if task.looks.iter().any(parallax_model::Look::is_logon) {
        return Err(ProbeError::LogonAmongLooks);
    }
    let budget = Budget::of(task.limits.observation);
    let walk = Walk { task, host: &host, instrument, allow, listen, budget };
    let (dns, addresses) = walk.find().await;
    let mut sight = Sight { dns, observations: Vec::new() };
    let Some(addresses) = addresses else { return Ok(sight) };
    let permissions: Vec<_> =
        addresses.into_iter().map(|address| (address, walk.is_allowed(address))).collect();
    refuse_if_nothing_is_left(&permissions)?;
    let looks = permissions.into_iter().map(|(address, permission)| {
        let walk = &walk;
        async move {
            match permission {
                Ok(()) => walk.look_at(address).await.map(|walked| walked.observation),
                Err(_) => Ok(not_dialled(address, task.endpoint.is_https)),
            }
        }
    });
    sight.observations = try_join_all(looks).await?;
    fit(&mut sight);
    Ok(sight)
}

/// A path of which no address may be dialled is refused as a whole.
fn refuse_if_nothing_is_left(
    permissions: &[(SocketAddr, Result<(), Rule>)],
) -> Result<(), ProbeError> {
    if permissions.iter().any(|(_, permission)| permission.is_ok()) {
        return Ok(());
    }
    match permissions.first() {
        Some((_, Err(rule))) => Err(ProbeError::Refused(rule.clone())),
        Some((_, Ok(()))) | None => Ok(()),
    }
}

fn not_dialled(address: SocketAddr, is_https: bool) -> Observation {
    let transport = if is_https { Transport::Tls(Outcome::NotReached) } else { Transport::Plain };
    Observation {
        address,
        tcp: Outcome::NotReached,
        transport,
        without_sni: Outcome::NotReached,
        exchanges: Vec::new(),
    }
}

impl Walk<'_> {
    /// The DNS stage, or the address that makes it unnecessary; then the addresses to dial.
    pub(crate) async fn find(
        &self,
    ) -> (Outcome<parallax_model::DnsFacts, parallax_model::DnsFailure>, Option<Vec<SocketAddr>>)
    {
        let endpoint = &self.task.endpoint;
        let known: Option<IpAddr> =
            self.task.only_address.or(endpoint.connect).or(self.host.literal);
        let mut outcome = Outcome::NotReached;
        let found = match (known, self.budget.share(self.task.limits.dns)) {
            (Some(address), _) => outcome.record(Ok(dns::declared(address))),
            (None, Some(limit)) => {
                let servers = self.instrument.name_servers();
                outcome.record(dns::run(servers, &self.host.name, limit).await)
            }
            (None, None) => None,
        };
        (self.listen)(Progress::Dns(&outcome));
        let addresses = found.map(|found| {
            let dialled = found.into_iter().take(DIALLED_MAX);
            dialled.map(|address| SocketAddr::new(address, endpoint.port)).collect()
        });
        (outcome, addresses)
    }
}
