//! Who answers a connection, and how does it begin?
//!
//! A door is one listening socket: the way from one vantage to one port of one machine. Every
//! connection moves the balancers behind it, so the machine is chosen here and not before. Absent on
//! purpose: HTTP (`exchange`) and the TLS handshake (`tls`).

use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::exchange::{self, Caller};
#[cfg(feature = "legacy-tls")]
use super::old_tls;
use super::site::{Happening, Site};
use super::tls::{self, Configs, Greeting};
use crate::format::Reach;

/// Connections that one door holds at once; more wait to be accepted.
const CONNECTIONS_MAX: usize = 256;

/// How long one connection may last, silent or not.
const CONNECTION_LIMIT: Duration = Duration::from_mins(10);

/// How long the other side may take to close after the last byte.
const GOODBYE_LIMIT: Duration = Duration::from_secs(1);

/// The way from a vantage to a port of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Door {
    pub(super) vantage: String,
    pub(super) dialled: String,
    pub(super) port: u16,
    pub(super) reach: Reach,
}

impl Door {
    /// Answers until `stop`. Its connections end with it.
    pub(super) async fn run(
        self,
        listener: TcpListener,
        site: Arc<Site>,
        configs: Arc<Configs>,
        stop: CancellationToken,
    ) {
        let door = Arc::new(self);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                    Ok((stream, _)) => {
                        let (door, site, configs) = (Arc::clone(&door), Arc::clone(&site), Arc::clone(&configs));
                        connections.spawn(async move {
                            // The end of the limit ends the connection; there is nothing to tell.
                            let _ = tokio::time::timeout(CONNECTION_LIMIT, door.answer(stream, &site, &configs)).await;
                        });
                    }
                    Err(error) => debug!(%error, door = ?door, "world cannot accept"),
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }

    async fn answer(&self, stream: TcpStream, site: &Site, configs: &Configs) {
        site.clock.now();
        if stream.set_nodelay(true).is_err() {
            return; // The caller is gone already.
        }
        let landed = site.state().land(&self.dialled, self.port, &self.vantage);
        let Some(landed) = landed else {
            // A balancer chose a machine without this port after the kernel had accepted for it.
            return reset(&stream);
        };
        site.say(Happening::Landed { vantage: self.vantage.clone(), host: landed.host.clone() });
        let mut caller = Caller { door: self, host: &landed.host, shown: None };
        let Some(settings) = &landed.tls else {
            return exchange::serve(stream, site, &caller).await;
        };
        if self.reach == Reach::TlsStall {
            return self.stall(stream, site).await;
        }
        match tls::greet(stream, settings, configs).await {
            Greeting::Ended => {}
            Greeting::Stalled(stream) => self.stall(stream, site).await,
            Greeting::Secured(stream) => {
                caller.shown = tls::client_leaf(&stream).map(|it| tls::shown(&it, site));
                exchange::serve(*stream, site, &caller).await;
            }
            #[cfg(feature = "legacy-tls")]
            Greeting::OldSecured(stream) => {
                caller.shown = old_tls::client_leaf(&stream).map(|it| tls::shown(&it, site));
                exchange::serve(*stream, site, &caller).await;
            }
            #[cfg(feature = "legacy-tls")]
            Greeting::LateSecured(session) => {
                let (stream, far) = session.stream();
                tokio::join!(exchange::serve(stream, site, &caller), session.carry(far));
            }
        }
    }

    /// Says nothing until the other side goes.
    pub(super) async fn stall(&self, mut stream: impl AsyncRead + Unpin, site: &Site) {
        site.say(Happening::Stalled { vantage: self.vantage.clone() });
        let mut ignored = [0; 1024];
        while stream.read(&mut ignored).await.is_ok_and(|it| it > 0) {}
    }
}

/// Lets a connection end with RST when it is dropped.
pub(super) fn reset(stream: &TcpStream) {
    // Without the option the connection ends in order instead, as it does when the peer is gone.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// Ends a connection in order, and waits a moment for the other side: closing a socket with unread
/// bytes would send RST, which can overtake what was written last (RFC 9112 section 9.6).
pub(super) async fn goodbye(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    if stream.shutdown().await.is_err() {
        return; // The other side closed first.
    }
    let mut ignored = [0; 1024];
    let drain = async { while stream.read(&mut ignored).await.is_ok_and(|it| it > 0) {} };
    // Whoever does not close in time loses nothing but politeness.
    let _ = tokio::time::timeout(GOODBYE_LIMIT, drain).await;
}
