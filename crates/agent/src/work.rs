//! One task, from its first stage to its report.
//!
//! Absent on purpose: the session. A task speaks to the desk that owns it and does not know who listens.
//!
//! INVARIANT: every task ends with exactly one report, and within its limits.
//! INVARIANT: a cancel stops a task until the secret is handed over; after that the request is seen through, because
//! what it costs is settled by its answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parallax_model::{
    DnsSource, Exchange, HttpFailure, LogonTask, Method, Outcome, Report, Sight, Silence, Task,
    TcpFacts, TcpFailure, TlsFacts, TlsFailure,
};
use parallax_probe::{Instrument, Preparation, ProbeError, Progress, Rule, observe, prepare};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::begins::Permission;
use crate::policy::{Ask, Destination, Door, Policy, Resolved};
use crate::trouble::chain;

/// Why a logon was not made, when its task was cancelled or the agent stops.
pub(crate) const CANCELLED: &str = "cancelled before its go";

/// What a task tells its desk while it runs.
pub(crate) enum Event {
    Progress {
        task: String,
        stage: &'static str,
        text: String,
    },
    /// The free part of a logon is done.
    Ready {
        task: String,
        attempt: String,
        reply: oneshot::Sender<Permission>,
    },
}

/// A task with all it needs.
pub(crate) struct Work {
    pub(crate) task: Task,
    pub(crate) instrument: Arc<Instrument>,
    pub(crate) policy: Arc<Policy>,
    /// What this agent's name servers said lately.
    pub(crate) resolved: Arc<Resolved>,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) cancel: CancellationToken,
    pub(crate) go_wait: Duration,
}

impl Work {
    /// Not cancel-safe: it is cancelled by its token.
    pub(crate) async fn run(self) -> Report {
        let looked = match &self.task.logon {
            None => self.cancel.run_until_cancelled(self.observe()).await,
            Some(logon) => self.log_on(logon).await,
        };
        match looked {
            Some(Ok(sight)) => Report::Seen(sight),
            Some(Err(ProbeError::Refused(Rule(rule)))) => Report::Refused { rule },
            // No cause of it holds a secret.
            Some(Err(error)) => Report::Unable { detail: chain(&error) },
            None => Report::Silent(Silence::Cancelled),
        }
    }

    async fn observe(&self) -> Result<Sight, ProbeError> {
        let allow = |address: SocketAddr, path: &str| self.allow(address, path);
        let listen = |progress: Progress<'_>| self.tell(&progress);
        observe(&self.task, &self.instrument, &allow, &listen).await
    }

    /// `None`: cancelled before anything was ready.
    async fn log_on(&self, logon: &LogonTask) -> Option<Result<Sight, ProbeError>> {
        let allow = |address: SocketAddr, path: &str| self.allow(address, path);
        let listen = |progress: Progress<'_>| self.tell(&progress);
        let preparing = prepare(&self.task, &self.instrument, &allow, &listen);
        let prepared = match self.cancel.run_until_cancelled(preparing).await? {
            Ok(Preparation::Ready(prepared)) => prepared,
            Ok(Preparation::Stopped(sight)) => return Some(Ok(sight)),
            Err(error) => return Some(Err(error)),
        };
        Some(Ok(match self.permission(logon).await {
            Ok(secret) => {
                parallax_failpoint::point("send.before");
                let sight = prepared.send(&secret).await;
                parallax_failpoint::point("send.after");
                sight
            }
            Err(reason) => prepared.abandon(&reason),
        }))
    }

    /// The secret, or why the logon is not made.
    pub(crate) async fn permission(&self, logon: &LogonTask) -> Permission {
        tokio::select! {
            biased; // A go that comes with a cancel is not used.
            () = self.cancel.cancelled() => Err(CANCELLED.to_owned()),
            permission = self.ask(logon) => permission,
        }
    }

    /// Asks for the secret and waits for it, with a limit by the monotonic clock.
    async fn ask(&self, logon: &LogonTask) -> Permission {
        let (reply, answer) = oneshot::channel();
        let task = self.task.id.clone();
        let ready = Event::Ready { task, attempt: logon.attempt.clone(), reply };
        let asked = async {
            self.events.send(ready).await.ok()?;
            answer.await.ok()
        };
        match tokio::time::timeout(self.go_wait, asked).await {
            Ok(Some(permission)) => permission,
            Ok(None) => Err("the agent stops".to_owned()),
            Err(_) => Err("no go came in time".to_owned()),
        }
    }

    fn allow(&self, address: SocketAddr, path: &str) -> Result<(), Rule> {
        let endpoint = &self.task.endpoint;
        self.policy.permits(&Ask {
            host: &endpoint.host,
            door: Door { is_https: endpoint.is_https, port: address.port() },
            // The methods were looked at when the task was taken; GET and OPTIONS are all there are.
            method: Method::Options,
            path,
            destination: Some(Destination {
                address: address.ip(),
                origin: self.resolved.origin(&endpoint.host, address.ip()),
            }),
        })
    }

    /// Progress is for eyes: when the desk is behind, it is left out.
    fn tell(&self, progress: &Progress<'_>) {
        if let Progress::Dns(Outcome::Done(facts)) = progress
            && matches!(facts.source, DnsSource::NameServer(_))
        {
            self.resolved.note(&self.task.endpoint.host, &facts.addresses);
        }
        let (stage, text) = describe(progress);
        let _ = self.events.try_send(Event::Progress { task: self.task.id.clone(), stage, text });
    }
}

/// The stage and what it came to, in the technical words of the wire.
fn describe(progress: &Progress<'_>) -> (&'static str, String) {
    match progress {
        Progress::Dns(Outcome::Done(facts)) => {
            let count = facts.addresses.len();
            ("dns", format!("{count} {}", if count == 1 { "address" } else { "addresses" }))
        }
        Progress::Dns(Outcome::Failed(failure)) => ("dns", format!("{failure:?}")),
        Progress::Dns(Outcome::NotReached) => ("dns", "not reached".to_owned()),
        Progress::Tcp(address, outcome) => ("tcp", format!("{address} {}", tcp(outcome))),
        Progress::Tls(address, outcome) => ("tls", format!("{address} {}", tls(outcome))),
        Progress::Exchange(address, exchange) => ("http", format!("{address} {}", http(exchange))),
    }
}

fn tcp(outcome: &Outcome<TcpFacts, TcpFailure>) -> String {
    match outcome {
        Outcome::Done(facts) => format!("connected in {} ms", facts.took.as_millis()),
        Outcome::Failed(failure) => format!("{failure:?}"),
        Outcome::NotReached => "not reached".to_owned(),
    }
}

fn tls(outcome: &Outcome<TlsFacts, TlsFailure>) -> String {
    match outcome {
        Outcome::Done(facts) => format!("{:?} in {} ms", facts.version, facts.took.as_millis()),
        Outcome::Failed(failure) => format!("{failure:?}"),
        Outcome::NotReached => "not reached".to_owned(),
    }
}

fn http(exchange: &Exchange) -> String {
    let look = format!("{} {:?}", exchange.look.method.as_str(), exchange.look.place);
    match &exchange.outcome {
        Outcome::Done(answer) => {
            let schemes: Vec<&str> = answer.challenges.iter().map(|it| it.scheme.name()).collect();
            format!("{look}: {} {}", answer.status, schemes.join(", ")).trim_end().to_owned()
        }
        Outcome::Failed(HttpFailure::NotPermitted { reason }) => {
            format!("{look}: not sent: {reason}")
        }
        Outcome::Failed(failure) => format!("{look}: {failure:?}"),
        Outcome::NotReached => format!("{look}: not reached"),
    }
}
