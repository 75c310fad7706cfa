//! One session's two streams, up to the welcome.
//!
//! INVARIANT: one link is one connection. Nothing in it connects again by itself.

use std::time::{Duration, SystemTime};

use parallax_model::VantageName;
use parallax_wire::pb::link as wire;
use parallax_wire::pb::link::agent_service_client::AgentServiceClient;
use parallax_wire::pb::link::session_request::Message;
use parallax_wire::pb::link::session_response::Message as Told;
use rustls::Error;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use crate::desk::Footing;
use crate::identity::Identity;
use crate::reach::{Way, Wire};
use crate::settings::AgentSettings;
use crate::trouble::Trouble;
use crate::trust::Trust;

/// From hello to welcome.
const WELCOME_LIMIT: Duration = Duration::from_secs(10);
/// Messages on their way to the controller; a controller that lets more pile up loses the session.
pub(crate) const OUTGOING_MAX: usize = 256;

const MESSAGE_IN_MAX: usize = 256 * 1024;
const MESSAGE_OUT_MAX: usize = 1024 * 1024;

/// Heartbeats that a controller may ask for.
const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(20);
const HEARTBEAT_MIN: Duration = Duration::from_millis(50);
const HEARTBEAT_MAX: Duration = Duration::from_mins(1);

/// A session that stands.
pub(crate) struct Link {
    pub(crate) outgoing: mpsc::Sender<wire::SessionRequest>,
    pub(crate) incoming: Streaming<wire::SessionResponse>,
    pub(crate) footing: Footing,
    /// Time between heartbeats.
    pub(crate) heartbeat: Duration,
    /// The connection below, for other calls.
    pub(crate) wire: Wire,
}

/// Knows how to reach the controller, as whom.
pub(crate) struct Connector {
    way: Way,
    identity: Identity,
}

impl Connector {
    pub(crate) fn new(settings: &AgentSettings, identity: Identity) -> Result<Self, Error> {
        let own = (identity.chain.clone(), identity.key.clone_key());
        let trust = Trust::Authority(identity.authority.clone());
        Ok(Self { way: Way::new(settings, trust, Some(own))?, identity })
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Begins a session. Cancel-safe: dropping it closes the connection.
    pub(crate) async fn connect(&self, hello: wire::Hello) -> Result<Link, Trouble> {
        let now = SystemTime::now();
        let behind = self.identity.validity().filter(|it| it.from > now);
        let opened = self.begin(hello).await;
        match (behind, opened) {
            // The controller refuses it for that, whatever it calls it.
            (
                Some(validity),
                Err(
                    Trouble::IdentityExpired { .. }
                    | Trouble::IdentityRefused { .. }
                    | Trouble::Tls { .. },
                ),
            ) => Err(Trouble::IdentityNotYetValid { from: validity.from, now }),
            (_, opened) => opened,
        }
    }

    async fn begin(&self, hello: wire::Hello) -> Result<Link, Trouble> {
        let wire = self.way.open().await?;
        let (outgoing, requests) = mpsc::channel(OUTGOING_MAX);
        // The queue is new and empty; there is room.
        let _ = outgoing.try_send(request(Message::Hello(hello)));
        let mut client = service(wire.channel.clone());
        let opening = async {
            let mut incoming = client.session(ReceiverStream::new(requests)).await?.into_inner();
            let first = incoming.message().await?;
            Ok::<_, Status>((incoming, first))
        };
        let opened = timeout(WELCOME_LIMIT, opening)
            .await
            .map_err(|_| Trouble::Silent { after: WELCOME_LIMIT })?;
        let (incoming, first) = opened.map_err(|status| wire.alerts.of_call(&status))?;
        let Some(Told::Welcome(welcome)) = first.and_then(|it| it.message) else {
            let detail = "its first message is no welcome".to_owned();
            return Err(Trouble::OutOfTurn { detail });
        };
        let (footing, heartbeat) = read_welcome(welcome)?;
        Ok(Link { outgoing, incoming, footing, heartbeat, wire })
    }
}

/// The controller's side of sessions and renewals, with the limits of its messages.
pub(crate) fn service(channel: Channel) -> AgentServiceClient<Channel> {
    AgentServiceClient::new(channel)
        .max_decoding_message_size(MESSAGE_IN_MAX)
        .max_encoding_message_size(MESSAGE_OUT_MAX)
}

pub(crate) fn read_welcome(welcome: wire::Welcome) -> Result<(Footing, Duration), Trouble> {
    if welcome.protocol_min > crate::PROTOCOL {
        let (min, ours) = (welcome.protocol_min, crate::PROTOCOL);
        let detail = format!("it needs protocol {min} or later; this one speaks {ours}");
        return Err(Trouble::TooOld { detail });
    }
    let vantage = VantageName::new(welcome.vantage.as_str()).map_err(|_| Trouble::OutOfTurn {
        detail: "it calls this vantage by what is no name".to_owned(),
    })?;
    let heartbeat =
        parallax_wire::decode_duration(welcome.heartbeat_interval, "heartbeat_interval")
            .unwrap_or(HEARTBEAT_DEFAULT)
            .clamp(HEARTBEAT_MIN, HEARTBEAT_MAX);
    let credit = usize::try_from(welcome.credit).unwrap_or(0);
    Ok((Footing { epoch: welcome.session_epoch, vantage, credit }, heartbeat))
}

pub(crate) fn request(message: Message) -> wire::SessionRequest {
    wire::SessionRequest { message: Some(message) }
}
