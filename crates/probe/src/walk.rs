//! The walk to one address: a connection, then the looks in order; one place that counts connections.
//!
//! Where the server asks for another handshake after a request, an anonymous look is taken once more with the stack that can give
//! it, and so are the looks after it.
//!
//! Anonymous looks share a connection as a client would, reopened when the server closed it. A free control (NTLM Type-1, the
//! impossible user) has a connection of its own, for NTLM speaks about connections.
//!
//! INVARIANT: the policy is asked about every path at the very address that is dialled; what it refuses is not sent.
//! INVARIANT: a look is repeated only when a reused connection turned out closed without one byte of an answer, or, anonymous and
//! once, on the old stack. One with a credential of whatever kind is never repeated for a handshake.

use std::fmt;
use std::net::SocketAddr;

use parallax_model::{
    Connection, Credential, DnsFacts, DnsFailure, Exchange, HttpFailure, LimitBroken, Look,
    Observation, Outcome, Place, Task, TcpFacts, TcpFailure, TlsFacts, TlsFailure, Transport,
};

use crate::budget::Budget;
use crate::connect::Connected;
use crate::http::{Attempt, Conversation};
use crate::instrument::Instrument;
use crate::request::{Host, Persistence};
use crate::stream::{Line, Peer};
use crate::tls::Stack;
use crate::{head, tls};

/// The name of the policy rule that forbids something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule(pub String);

impl fmt::Display for Rule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// The agent's own policy: may this path be asked for at this declared address? Asked after the name was resolved.
pub type Allow<'a> = dyn Fn(SocketAddr, &str) -> Result<(), Rule> + Sync + 'a;

/// Whoever wants to know what a look has seen so far. Must not block.
pub type Listen<'a> = dyn Fn(Progress<'_>) + Sync + 'a;

/// One stage that just ended.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    Dns(&'a Outcome<DnsFacts, DnsFailure>),
    Tcp(SocketAddr, &'a Outcome<TcpFacts, TcpFailure>),
    Tls(SocketAddr, &'a Outcome<TlsFacts, TlsFailure>),
    Exchange(SocketAddr, &'a Exchange),
}

/// Why there is no sight: *we* must not, or could not, look.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error("the agent's policy forbids it: {0}")]
    Refused(Rule),
    #[error("`{host}` is no host: give a name such as mail.corp.example, or an address")]
    Host { host: String },
    #[error("`{path}` is no path: give one that begins with `/`")]
    Path { path: String },
    #[error("a logon stands among the anonymous looks: it belongs into the task's `logon`")]
    LogonAmongLooks,
    #[error("the task has no logon to prepare")]
    NoLogon,
    #[error("the user name cannot be sent: {0}")]
    Login(#[from] parallax_auth::InvalidLogin),
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
}

/// One look along a path, on its way.
pub(crate) struct Walk<'a> {
    pub(crate) task: &'a Task,
    pub(crate) host: &'a Host,
    pub(crate) instrument: &'a Instrument,
    pub(crate) allow: &'a Allow<'a>,
    pub(crate) listen: &'a Listen<'a>,
    pub(crate) budget: Budget,
}

/// What a walk leaves for whoever goes on from it.
pub(crate) struct Walked {
    pub(crate) observation: Observation,
    /// The box on the first connection; `None` when none came about.
    pub(crate) peer: Option<Peer>,
    /// The number of the next connection.
    pub(crate) next_number: u32,
    /// What the next connection shakes hands with.
    pub(crate) stack: Stack,
}

/// Whether the looks after this one can still tell something.
enum Prospect {
    GoOn,
    Doomed,
}

/// The connections of one walk.
struct Hand {
    /// The first one, until something is sent on it.
    fresh: Option<Line>,
    /// The one that anonymous looks share.
    shared: Option<Conversation>,
    next_number: u32,
    stack: Stack,
}

impl Walk<'_> {
    /// Whether at least one look may be taken at this address.
    pub(crate) fn is_allowed(&self, address: SocketAddr) -> Result<(), Rule> {
        let places = self.task.looks.iter().map(|look| look.place);
        let logon = self.task.logon.iter().map(|logon| logon.place);
        let mut verdicts =
            places.chain(logon).map(|place| (self.allow)(address, &self.host.path(place)));
        let Some(first) = verdicts.next() else {
            return (self.allow)(address, &self.host.path(Place::ActiveSync));
        };
        if first.is_err() && verdicts.any(|verdict| verdict.is_ok()) { Ok(()) } else { first }
    }

    /// All stages at one address.
    pub(crate) async fn look_at(&self, address: SocketAddr) -> Result<Walked, ProbeError> {
        let Connected { tcp, transport, line, stack } = self.connect(address).await;
        let is_up = line.is_some() || transport.handshake().is_some_and(|it| it.failed().is_some());
        let observation = Observation {
            address,
            tcp,
            transport,
            without_sni: Outcome::NotReached,
            exchanges: Vec::new(),
        };
        let peer = line.as_ref().map(Line::peer);
        let mut walked = Walked { observation, peer, next_number: 1, stack };
        if let Some(line) = line {
            self.take_looks(line, &mut walked).await?;
        }
        if is_up {
            walked.observation.without_sni = self.without_sni(address, stack).await;
        }
        Ok(walked)
    }

    async fn take_looks(&self, line: Line, walked: &mut Walked) -> Result<(), ProbeError> {
        let address = walked.observation.address;
        let first_port = line.local_port;
        let mut hand =
            Hand { fresh: Some(line), shared: None, next_number: 0, stack: walked.stack };
        let mut is_doomed = false;
        for look in &self.task.looks {
            let share = self.budget.share(self.task.limits.exchange);
            let exchange = match share.filter(|_| !is_doomed) {
                None => not_reached(look, &hand, first_port),
                Some(limit) => {
                    let (exchange, end) = self.take(look, address, &mut hand, limit).await?;
                    if walked.observation.exchanges.is_empty() && is_demand(end, walked.peer) {
                        // TLS 1.3 says only now that the handshake was not to the server's liking.
                        let refusal = Outcome::Failed(TlsFailure::ClientCertificateRequired);
                        (self.listen)(Progress::Tls(address, &refusal));
                        walked.observation.transport = Transport::Tls(refusal);
                        return Ok(());
                    }
                    exchange
                }
            };
            is_doomed |= matches!(prospect(&exchange), Prospect::Doomed);
            (self.listen)(Progress::Exchange(address, &exchange));
            walked.observation.exchanges.push(exchange);
        }
        walked.next_number = hand.next_number.max(1);
        walked.stack = hand.stack;
        Ok(())
    }

    async fn take(
        &self,
        look: &Look,
        address: SocketAddr,
        hand: &mut Hand,
        limit: std::time::Duration,
    ) -> Result<(Exchange, Option<head::End>), ProbeError> {
        if let Err(rule) = (self.allow)(address, &self.host.path(look.place)) {
            let failure = HttpFailure::NotPermitted { reason: rule.0 };
            let connection = hand.current();
            return Ok((Attempt::unsent(failure).into_exchange(look, connection), None));
        }
        // Autodiscover v2 is asked for as its clients do it: apart from everything else.
        let is_apart = look.place == Place::AutodiscoverJson;
        let is_shared = look.credential == Credential::None && !is_apart;
        let mut conversation = match self.conversation(address, hand, is_shared).await {
            Ok(conversation) => conversation,
            Err((failure, connection)) => {
                return Ok((Attempt::unsent(failure).into_exchange(look, connection), None));
            }
        };
        let was_used = conversation.is_used();
        let persistence = if is_apart { Persistence::Close } else { Persistence::Keep };
        let mut attempt = conversation.exchange(self.host.request(look, persistence)?, limit).await;
        let is_stale = matches!(&attempt.outcome, Err(HttpFailure::Closed | HttpFailure::Reset));
        if was_used && attempt.is_silent && is_stale {
            // The close crossed our request (RFC 9112 section 9.3.1): it answers the exchange before, not this one.
            conversation = match self.conversation(address, hand, is_shared).await {
                Ok(conversation) => conversation,
                Err((failure, connection)) => {
                    return Ok((Attempt::unsent(failure).into_exchange(look, connection), None));
                }
            };
            attempt = conversation.exchange(self.host.request(look, persistence)?, limit).await;
        }
        if self.may_be_taken_again(look, &attempt, hand)
            && let Some(limit) = self.budget.share(limit)
        {
            hand.stack = Stack::Old;
            if let Ok(renegotiating) = self.conversation(address, hand, false).await {
                conversation = renegotiating;
                let request = self.host.request(look, persistence)?;
                attempt = conversation.exchange(request, limit).await;
                attempt.asked_for_certificate = true;
            } else {
                hand.stack = Stack::Modern;
            }
        }
        let (connection, end) = (conversation.connection(), attempt.end);
        if is_shared {
            hand.shared = Some(conversation);
        }
        Ok((attempt.into_exchange(look, connection), end))
    }

    /// The modern stack refuses to renegotiate, which is its limit and not the server's fault.
    fn may_be_taken_again(&self, look: &Look, attempt: &Attempt, hand: &Hand) -> bool {
        look.credential == Credential::None
            && attempt.asked_for_certificate
            && hand.stack == Stack::Modern
            && self.instrument.tls().has_old()
    }

    /// The shared connection if it still takes a request, else the unused first one, else a new one.
    async fn conversation(
        &self,
        address: SocketAddr,
        hand: &mut Hand,
        is_shared: bool,
    ) -> Result<Conversation, (HttpFailure, Connection)> {
        if is_shared
            && let Some(mut shared) = hand.shared.take()
            && shared.is_open().await
        {
            return Ok(shared);
        }
        let number = hand.next();
        let line = match hand.fresh.take() {
            Some(line) => line,
            None => self
                .connect_again(address, hand.stack)
                .await
                .map_err(|failure| (failure, Connection { number, local_port: 0 }))?,
        };
        let connection = Connection { number, local_port: line.local_port };
        Conversation::open(line, number).await.map_err(|failure| (failure, connection))
    }
}

impl Hand {
    fn next(&mut self) -> u32 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }

    /// The connection that the next anonymous look would have used.
    fn current(&self) -> Connection {
        self.shared.as_ref().map_or(
            Connection { number: self.next_number, local_port: 0 },
            Conversation::connection,
        )
    }
}

impl Attempt {
    pub(crate) fn into_exchange(self, look: &Look, connection: Connection) -> Exchange {
        let outcome = match self.outcome {
            Ok(answer) => Outcome::Done(answer),
            Err(failure) => Outcome::Failed(failure),
        };
        Exchange {
            look: look.clone(),
            connection,
            sent: self.sent,
            asked_for_certificate: self.asked_for_certificate,
            outcome,
        }
    }
}

fn not_reached(look: &Look, hand: &Hand, local_port: u16) -> Exchange {
    let connection = Connection { number: hand.next_number.saturating_sub(1), local_port };
    Exchange {
        look: look.clone(),
        connection,
        sent: false,
        asked_for_certificate: false,
        outcome: Outcome::NotReached,
    }
}

/// Whether the box ended the connection because it wants a client certificate.
fn is_demand(end: Option<head::End>, peer: Option<Peer>) -> bool {
    let (Some(head::End::Alert(number)), Some(Peer::Tls { asked_for_certificate, .. })) =
        (end, peer)
    else {
        return false;
    };
    tls::demands_certificate(number, asked_for_certificate)
}

/// A box that breaks our bounds is asked nothing more, and one that takes no further connection cannot be. A slow answer may be
/// the place's and not the box's.
fn prospect(exchange: &Exchange) -> Prospect {
    match &exchange.outcome {
        Outcome::Failed(
            HttpFailure::Limit(
                LimitBroken::HeadBytes | LimitBroken::HeaderCount | LimitBroken::InterimResponses,
            )
            | HttpFailure::NoConnection { .. },
        ) => Prospect::Doomed,
        Outcome::Failed(
            HttpFailure::Reset
            | HttpFailure::Closed
            | HttpFailure::TimedOut { .. }
            | HttpFailure::Limit(LimitBroken::Progress)
            | HttpFailure::Malformed { .. }
            | HttpFailure::UntrustedPeer
            | HttpFailure::NotPermitted { .. }
            | HttpFailure::Other { .. },
        )
        | Outcome::Done(_)
        | Outcome::NotReached => Prospect::GoOn,
    }
}
