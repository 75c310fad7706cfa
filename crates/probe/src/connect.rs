//! The connections of a walk: TCP and, where the URL says so, TLS with the stack that fits.
//!
//! The modern stack goes first. Where its failure may be its own limit the old one gets one try on a connection of its own, and both
//! facts are kept. Absent on purpose: a third try, and a second one where the first failure cannot be ours.
//!
//! INVARIANT: later connections go straight to the stack that worked; none of them changes stacks by itself.

use std::net::SocketAddr;

use parallax_model::{HttpFailure, Outcome, TcpFacts, TcpFailure, TlsFacts, TlsFailure, Transport};
use rustls_pki_types::ServerName;

use crate::stream::{Line, Wire};
use crate::tls::{Naming, Stack, Target};
use crate::walk::{Progress, Walk};
use crate::{tcp, tls};

/// What the first connection of a walk came to.
pub(crate) struct Connected {
    pub(crate) tcp: Outcome<TcpFacts, TcpFailure>,
    pub(crate) transport: Transport,
    pub(crate) line: Option<Line>,
    /// For every further connection.
    pub(crate) stack: Stack,
}

impl Walk<'_> {
    /// TCP and, where the URL says so, TLS.
    pub(crate) async fn connect(&self, address: SocketAddr) -> Connected {
        let mut tcp = Outcome::NotReached;
        let mut wire = None;
        if let Some(limit) = self.budget.share(self.task.limits.tcp) {
            wire = tcp.record(tcp::run(self.instrument.dial(), address, limit).await);
            (self.listen)(Progress::Tcp(address, &tcp));
        }
        let stack = Stack::Modern;
        if !self.task.endpoint.is_https {
            let line = wire.map(Line::plain);
            return Connected { tcp, transport: Transport::Plain, line, stack };
        }
        let Some(wire) = wire else {
            return Connected {
                tcp,
                transport: Transport::Tls(Outcome::NotReached),
                line: None,
                stack,
            };
        };
        let (transport, line, stack) = self.secure(wire, address).await;
        if let Some(handshake) = transport.handshake() {
            (self.listen)(Progress::Tls(address, handshake));
        }
        Connected { tcp, transport, line, stack }
    }

    /// With the modern stack, and if that may be too young for the server, with the old one.
    async fn secure(&self, wire: Wire, address: SocketAddr) -> (Transport, Option<Line>, Stack) {
        let mut secured = Outcome::NotReached;
        let tally = wire.tally();
        let mut line = None;
        if let Some(limit) = self.budget.share(self.task.limits.tls) {
            let target = self.target(Stack::Modern, Naming::Named);
            line = secured.record(tls::run(self.instrument.tls(), wire, target, limit).await);
        }
        let has_answered = tally.received() > 0;
        match secured {
            Outcome::Failed(modern)
                if self.instrument.tls().has_old()
                    && tls::may_be_our_limit(&modern, has_answered) =>
            {
                match self.shake_hands(address, Stack::Old, Naming::Named).await {
                    // No second connection came about: what the first one met is all there is.
                    (Outcome::NotReached, _) => {
                        (Transport::Tls(Outcome::Failed(modern)), None, Stack::Modern)
                    }
                    (old, line) => (Transport::OldTls { modern, old }, line, Stack::Old),
                }
            }
            other @ (Outcome::Failed(_) | Outcome::Done(_) | Outcome::NotReached) => {
                (Transport::Tls(other), line, Stack::Modern)
            }
        }
    }

    /// A connection for a handshake alone. *Not reached* if none came about.
    async fn shake_hands(
        &self,
        address: SocketAddr,
        stack: Stack,
        naming: Naming,
    ) -> (Outcome<TlsFacts, TlsFailure>, Option<Line>) {
        let limits = self.task.limits;
        let mut secured = Outcome::NotReached;
        let Some(limit) = self.budget.share(limits.tcp) else { return (secured, None) };
        let Ok((_, wire)) = tcp::run(self.instrument.dial(), address, limit).await else {
            return (secured, None);
        };
        let Some(limit) = self.budget.share(limits.tls) else { return (secured, None) };
        let target = self.target(stack, naming);
        let line = secured.record(tls::run(self.instrument.tls(), wire, target, limit).await);
        (secured, line)
    }

    /// The handshake of a client that names no server, if the task asks for it and the URL has a name.
    pub(crate) async fn without_sni(
        &self,
        address: SocketAddr,
        stack: Stack,
    ) -> Outcome<TlsFacts, TlsFailure> {
        let has_name = matches!(self.host.server_name, ServerName::DnsName(_));
        if !(self.task.without_sni && self.task.endpoint.is_https && has_name) {
            return Outcome::NotReached;
        }
        self.shake_hands(address, stack, Naming::Nameless).await.0
    }

    /// A connection for one exchange, after the first. Its failure belongs to that exchange.
    pub(crate) async fn connect_again(
        &self,
        address: SocketAddr,
        stack: Stack,
    ) -> Result<Line, HttpFailure> {
        let no_connection = |detail| HttpFailure::NoConnection { detail };
        let no_time = || no_connection("no time left for another connection".to_owned());
        let limit = self.budget.share(self.task.limits.tcp).ok_or_else(no_time)?;
        let (_, wire) = tcp::run(self.instrument.dial(), address, limit)
            .await
            .map_err(|failure| no_connection(format!("TCP: {failure:?}")))?;
        if !self.task.endpoint.is_https {
            return Ok(Line::plain(wire));
        }
        let limit = self.budget.share(self.task.limits.tls).ok_or_else(no_time)?;
        tls::run(self.instrument.tls(), wire, self.target(stack, Naming::Named), limit)
            .await
            .map(|(_, line)| line)
            .map_err(|failure| no_connection(format!("TLS: {failure:?}")))
    }

    fn target(&self, stack: Stack, naming: Naming) -> Target<'_> {
        let (name, endpoint) = (&self.host.server_name, &self.task.endpoint);
        Target { name, endpoint, stack, naming }
    }
}
