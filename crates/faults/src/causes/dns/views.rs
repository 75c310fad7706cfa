//! What the faults of differing name servers share: what stands at an address, and who is served under the name at which one.
//!
//! Absent on purpose: which of two answers is the right one. A declared address says so, or a look at both.
//!
//! INVARIANT: an address that nobody looked at is neither good nor bad.

use std::net::IpAddr;

use parallax_model::{
    DnsSource, EvidenceRef, Look, Need, Observation, Outcome, Role, TcpFailure, TlsFailure, Zone,
};

use crate::claim::Claim;
use crate::condition;
use crate::responder;
use crate::seen::{Seen, Spot};
use crate::words;

/// What stands at an address, for a client that comes with the published name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The service, as it should be.
    Service,
    /// Exchange itself, with a certificate that lacks the name: whoever set the record meant a server of this service.
    Misnamed(String),
    /// No connection: a silent address, or one that refuses.
    Nothing(String),
    /// A server that does not hold the name.
    Stranger(String),
    /// The name is held, and something is wrong all the same.
    Trouble(String),
    /// It was not looked at, or our own tools are in the way.
    Unknown,
}

impl Found {
    pub(super) fn at(seen: &Seen<'_>, spot: &Spot<'_>, observation: &Observation) -> Self {
        match &observation.tcp {
            Outcome::Failed(failure) if is_no_way(failure) => {
                return Self::Nothing(words::tcp_failure(failure));
            }
            Outcome::Failed(_) | Outcome::NotReached => return Self::Unknown,
            Outcome::Done(_) => {}
        }
        match observation.transport.handshake() {
            Some(Outcome::Failed(TlsFailure::OurLimit { .. }) | Outcome::NotReached) => {
                return Self::Unknown;
            }
            Some(Outcome::Failed(failure @ TlsFailure::NotTls)) => {
                return Self::Stranger(words::tls_failure(failure));
            }
            Some(Outcome::Failed(failure)) => return Self::Trouble(words::tls_failure(failure)),
            Some(Outcome::Done(facts)) if !facts.name_matches => {
                return Self::of_another_name(seen, spot, observation);
            }
            Some(Outcome::Done(_)) | None => {}
        }
        let Some(exchange) = observation.exchanges.iter().find(|it| it.look == Look::OPTIONS)
        else {
            return Self::Unknown;
        };
        match &exchange.outcome {
            Outcome::Done(answer)
                if condition::is_anonymous_healthy(seen, spot.endpoint, answer) =>
            {
                Self::Service
            }
            Outcome::Done(_) | Outcome::Failed(_) => Self::Trouble(words::exchange(exchange)),
            Outcome::NotReached => Self::Unknown,
        }
    }

    /// A default certificate makes no stranger of a server that speaks as the service does.
    fn of_another_name(seen: &Seen<'_>, spot: &Spot<'_>, observation: &Observation) -> Self {
        let text = words::transport(&observation.transport);
        let answers = || observation.exchanges.iter().filter_map(|it| it.outcome.done());
        let options = observation.exchanges.iter().find(|it| it.look == Look::OPTIONS);
        if answers().any(responder::is_exchange_named) {
            Self::Misnamed(text)
        } else if options
            .and_then(|it| it.outcome.done())
            .is_some_and(|answer| condition::is_anonymous_healthy(seen, spot.endpoint, answer))
        {
            Self::Trouble(text)
        } else {
            Self::Stranger(text)
        }
    }

    /// What is wrong there, if something is.
    pub(super) fn wrong(&self) -> Option<&str> {
        match self {
            Self::Misnamed(text)
            | Self::Nothing(text)
            | Self::Stranger(text)
            | Self::Trouble(text) => Some(text),
            Self::Service | Self::Unknown => None,
        }
    }
}

fn is_no_way(failure: &TcpFailure) -> bool {
    match failure {
        TcpFailure::TimedOut { .. }
        | TcpFailure::Refused
        | TcpFailure::Reset
        | TcpFailure::Unreachable => true,
        TcpFailure::Other { .. } => false,
    }
}

/// Whether a name server of this vantage was asked for the endpoint's name.
pub(super) fn is_asked(spot: &Spot<'_>) -> bool {
    spot.endpoint.connect.is_none()
        && match spot.dns() {
            Some((_, Outcome::Done(facts))) => facts.source != DnsSource::Declared,
            Some((_, Outcome::Failed(_))) => true,
            Some((_, Outcome::NotReached)) | None => false,
        }
}

/// Somebody who is served under the published name, and at which address.
pub(super) struct Served<'a, 'e> {
    pub(super) spot: &'a Spot<'e>,
    pub(super) address: IpAddr,
    round: u32,
}

impl<'a, 'e> Served<'a, 'e> {
    /// Everybody of these who is served, each at every address that serves.
    pub(super) fn among(seen: &Seen<'e>, spots: impl Iterator<Item = &'a Spot<'e>>) -> Vec<Self> {
        let mut served = Vec::new();
        for spot in spots {
            for &(round, observation) in spot.observations() {
                if Found::at(seen, spot, observation) == Found::Service {
                    served.push(Self { spot, address: observation.address.ip(), round });
                }
            }
        }
        served
    }

    pub(super) fn reference(&self) -> EvidenceRef {
        self.spot.reference(self.round, Some(self.address), "the service answers")
    }
}

/// Paths by which clients from outside come in: a published name, from the outermost vantages.
pub(super) fn outermost<'a, 'e>(seen: &'a Seen<'e>) -> impl Iterator<Item = &'a Spot<'e>> {
    seen.with_role(Role::External)
        .filter(|it| seen.outermost_zone(it.endpoint) == Some(it.vantage.zone))
}

/// The same vantage, with the same name, at an address that another one was given. Some address that serves is enough; one that
/// does not may lie behind a filter of this vantage's own, and settles nothing.
pub(super) fn served_at_the_other(
    seen: &Seen<'_>,
    spot: &Spot<'_>,
    others: impl Iterator<Item = IpAddr>,
) -> Claim {
    let mut met = Vec::new();
    let mut needs = Vec::new();
    for address in others {
        let dialled = spot.elsewhere().iter().find(|(_, it)| it.address.ip() == address);
        let Some(&(round, observation)) = dialled else {
            if may_be_dialled(spot, address) && needs.len() < DIALS_MAX {
                needs.push(Need::Dial { path: spot.path.clone(), address, look: Look::OPTIONS });
            }
            continue;
        };
        match Found::at(seen, spot, observation) {
            Found::Service => {
                let text = "the service answers at the address that another vantage was given";
                return Claim::holds(spot.reference(round, Some(address), text));
            }
            Found::Misnamed(text)
            | Found::Nothing(text)
            | Found::Stranger(text)
            | Found::Trouble(text) => {
                met.push(spot.reference(round, Some(address), text));
            }
            Found::Unknown => {}
        }
    }
    Claim::Unknown { seen: met, needs }
}

/// More addresses than these say nothing new.
const DIALS_MAX: usize = 8;

/// From outside no private address is reached, and an agent there refuses to dial one.
fn may_be_dialled(spot: &Spot<'_>, address: IpAddr) -> bool {
    let is_private = match address {
        IpAddr::V4(it) => it.is_private(),
        IpAddr::V6(it) => it.is_unique_local(),
    };
    !(is_private && spot.vantage.zone == Zone::External)
}
