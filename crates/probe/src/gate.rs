//! The only way by which a secret leaves this program.
//!
//! A connection is admitted when the endpoint's trust accepts the box at its end; an admitted one sends one request and is used
//! up. Whoever calls cannot forget the check: without an admitted connection there is nothing to hand a secret to.
//!
//! INVARIANT: [`Pass`] is made in this file alone, and only while an admitted connection is being used up.

use std::time::Duration;

use parallax_auth::{Secret, basic_authorization};
use parallax_model::{Connection, Endpoint, HttpFailure};

use crate::http::{Attempt, Conversation};
use crate::request::Outgoing;
use crate::stream::{Line, Peer};

/// Shows that the request it is given for goes over an admitted connection.
#[derive(Debug)]
pub(crate) struct Pass(());

/// An admitted connection on which nothing was sent yet.
#[derive(Debug)]
pub(crate) struct CredentialGate {
    conversation: Conversation,
}

impl CredentialGate {
    /// Admits a fresh connection: TLS whose chain, name and dates the endpoint's trust accepts and whose leaf is the one seen
    /// before, or plain HTTP where the endpoint allows it by name.
    pub(crate) async fn admit(
        line: Line,
        number: u32,
        endpoint: &Endpoint,
        seen_before: Peer,
    ) -> Result<Self, HttpFailure> {
        let is_trusted = match (line.peer(), seen_before) {
            (Peer::Tls { leaf, may_carry_a_secret, .. }, Peer::Tls { leaf: leaf_before, .. }) => {
                endpoint.is_https && may_carry_a_secret && leaf == leaf_before
            }
            (Peer::Plain, Peer::Plain) => !endpoint.is_https && endpoint.allow_plaintext_logon,
            (Peer::Plain, Peer::Tls { .. }) | (Peer::Tls { .. }, Peer::Plain) => false,
        };
        if !is_trusted {
            return Err(HttpFailure::UntrustedPeer);
        }
        Ok(Self { conversation: Conversation::open(line, number).await? })
    }

    pub(crate) fn connection(&self) -> Connection {
        self.conversation.connection()
    }

    /// Sends one request with the secret, once. A connection that the peer closed in the meantime sends nothing.
    pub(crate) async fn send(
        mut self,
        request: Outgoing,
        login: &str,
        secret: &Secret,
        limit: Duration,
    ) -> Attempt {
        // A close that arrived while the controller was asked is delivered before it is looked for. hyper too reads before it
        // writes, but what a logon costs does not rest on that.
        tokio::task::yield_now().await;
        if !self.conversation.is_open().await {
            return Attempt::unsent(HttpFailure::Closed);
        }
        match basic_authorization(login, secret) {
            Ok(header) => {
                let request = request.with_secret(&Pass(()), header);
                self.conversation.exchange(request, limit).await
            }
            Err(error) => Attempt::unsent(HttpFailure::Other { detail: error.to_string() }),
        }
    }
}
