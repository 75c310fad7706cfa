//! A credentialed look in two parts around the controller's *go*: everything that costs nothing first, then one request.
//!
//! [`prepare`] connects, looks anonymously, and opens a second connection that is fit for the secret; [`Prepared::send`] uses it
//! up. Between the two the agent says *begin* and waits; what it holds meanwhile is a connection and no secret.
//!
//! INVARIANT: one [`Prepared`] sends at most one request with a credential, on a connection of its own, and nothing repeats it.
//! INVARIANT: `sent` of the exchange is true exactly if the kernel took bytes of that request.

use std::time::Duration;

use parallax_auth::{Secret, check_login};
use parallax_model::{Connection, Exchange, HttpFailure, Look, Observation, Outcome, Sight, Task};

use crate::budget::Budget;
use crate::fit::fit;
use crate::gate::CredentialGate;
use crate::http::Attempt;
use crate::instrument::Instrument;
use crate::request::{Host, Outgoing, Persistence};
use crate::walk::{Allow, Listen, ProbeError, Walk, Walked};

/// What the free part came to.
#[derive(Debug)]
pub enum Preparation {
    /// A connection is open and fit for the secret.
    Ready(Box<Prepared>),
    /// Nothing can be sent; the sight says why.
    Stopped(Sight),
}

/// A connection that waits for one secret. Dropping it closes it; nothing was sent.
#[derive(Debug)]
pub struct Prepared {
    sight: Sight,
    gate: CredentialGate,
    request: Outgoing,
    name: String,
    look: Look,
    limit: Duration,
}

/// The free part: address, TCP, TLS and the task's anonymous looks on a first connection, then a second one, admitted for the
/// secret. Takes at most the task's `observation` limit. Errors as [`crate::observe`].
pub async fn prepare(
    task: &Task,
    instrument: &Instrument,
    allow: &Allow<'_>,
    listen: &Listen<'_>,
) -> Result<Preparation, ProbeError> {
    let host = Host::of(&task.endpoint)?;
    let logon = task.logon.as_ref().ok_or(ProbeError::NoLogon)?;
    check_login(&logon.name.login)?;
    if task.looks.iter().any(Look::is_logon) {
        return Err(ProbeError::LogonAmongLooks);
    }
    let look = Look::logon(logon.account.clone(), logon.name.form, logon.place);
    let request = host.request(&look, Persistence::Close)?;
    let budget = Budget::of(task.limits.observation);
    let walk = Walk { task, host: &host, instrument, allow, listen, budget };
    let (dns, addresses) = walk.find().await;
    let mut sight = Sight { dns, observations: Vec::new() };
    // One address: whoever wants a certain one says so in the task.
    let Some(address) = addresses.and_then(|found| found.into_iter().next()) else {
        return Ok(Preparation::Stopped(sight));
    };
    allow(address, &host.path(logon.place)).map_err(ProbeError::Refused)?;
    let mut walked = walk.look_at(address).await?;
    match admit(&walk, &walked).await {
        Ok(gate) => {
            sight.observations.push(walked.observation);
            let name = logon.name.login.clone();
            let limit = task.limits.credentialed;
            let prepared = Prepared { sight, gate, request, name, look, limit };
            Ok(Preparation::Ready(Box::new(prepared)))
        }
        Err(failure) => {
            if let Some(failure) = failure {
                let connection = Connection { number: walked.next_number, local_port: 0 };
                let exchange = Attempt::unsent(failure).into_exchange(&look, connection);
                walked.observation.exchanges.push(exchange);
            }
            sight.observations.push(walked.observation);
            fit(&mut sight);
            Ok(Preparation::Stopped(sight))
        }
    }
}

/// The second connection. `Err(None)`: the free looks already say why there is none.
async fn admit(walk: &Walk<'_>, walked: &Walked) -> Result<CredentialGate, Option<HttpFailure>> {
    let Walked { observation, peer, next_number, stack } = walked;
    let peer = peer.ok_or(None)?;
    if !every_look_was_answered(observation) {
        return Err(None);
    }
    let line = walk.connect_again(observation.address, *stack).await.map_err(Some)?;
    CredentialGate::admit(line, *next_number, &walk.task.endpoint, peer).await.map_err(Some)
}

/// A box that does not answer without a secret is not given one, nor is one that took its handshake back.
fn every_look_was_answered(observation: &Observation) -> bool {
    let is_up = observation.transport.handshake().is_none_or(|it| it.done().is_some());
    is_up && observation.exchanges.iter().all(|it| matches!(it.outcome, Outcome::Done(_)))
}

impl Prepared {
    /// What was seen so far, for the *begin*.
    pub fn sight(&self) -> &Sight {
        &self.sight
    }

    /// Writes exactly one request with the secret, once, and waits for its answer within the `credentialed` limit.
    pub async fn send(self, secret: &Secret) -> Sight {
        let connection = self.gate.connection();
        let attempt = self.gate.send(self.request, &self.name, secret, self.limit).await;
        finish(self.sight, attempt.into_exchange(&self.look, connection))
    }

    /// Gives the connection up: the controller did not say *go*, for this reason. Nothing was sent.
    pub fn abandon(self, reason: &str) -> Sight {
        let connection = self.gate.connection();
        let failure = HttpFailure::NotPermitted { reason: reason.to_owned() };
        let exchange = Attempt::unsent(failure).into_exchange(&self.look, connection);
        finish(self.sight, exchange)
    }
}

fn finish(mut sight: Sight, exchange: Exchange) -> Sight {
    if let Some(observation) = sight.observations.last_mut() {
        observation.exchanges.push(exchange);
    }
    fit(&mut sight);
    sight
}
