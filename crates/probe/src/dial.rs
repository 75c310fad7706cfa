//! Which socket a declared address leads to: the address itself, or a loopback socket of a simulated network.
//!
//! Policy, reports and TLS names always use the declared address; only the connect call of this crate sees the other one.
//! Absent on purpose: any way to get a [`Mapped`] from settings. Only the `world` crate builds one.
//!
//! INVARIANT: nothing else in this crate opens a TCP connection.

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use tokio::net::TcpStream;

/// How declared addresses become sockets.
#[derive(Clone, Debug)]
pub enum Dial {
    /// The declared address is dialled; the machine's own name servers and certificates are used.
    Direct,
    /// Everything stays inside a simulated network.
    Mapped(Arc<Mapped>),
}

/// A simulated network as one vantage reaches it. For the `world` crate alone: an agent in the field has no business here.
#[derive(Clone, Debug)]
pub struct Mapped {
    /// Declared address to what answers there, as this vantage reaches it.
    pub routes: BTreeMap<SocketAddr, Route>,
    /// Every address that is not listed.
    pub otherwise: Route,
    /// Real loopback addresses of the simulated name servers, in the order of asking.
    pub name_servers: Vec<SocketAddr>,
    /// Certificates that stand for the public roots.
    pub public_roots: Vec<CertificateDer<'static>>,
    /// Certificates that stand for the machine's own store.
    pub store_roots: Vec<CertificateDer<'static>>,
}

/// Where a declared address leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// To this socket.
    To(SocketAddr),
    /// Nowhere: the connect completes with nothing, neither success nor refusal, until its limit.
    Silent,
    /// Nowhere, and known at once: the vantage has no address of this family.
    Unreachable,
}

impl Dial {
    /// The socket that stands for a declared address.
    pub fn route(&self, declared: SocketAddr) -> Route {
        match self {
            Self::Direct => Route::To(declared),
            Self::Mapped(mapped) => {
                mapped.routes.get(&declared).copied().unwrap_or(mapped.otherwise)
            }
        }
    }

    /// Connects once. Has no limit of its own: the caller puts one around it. Cancel-safe.
    pub(crate) async fn connect(&self, declared: SocketAddr) -> io::Result<TcpStream> {
        match self.route(declared) {
            Route::To(socket) => TcpStream::connect(socket).await,
            Route::Silent => pending().await,
            Route::Unreachable => Err(io::ErrorKind::NetworkUnreachable.into()),
        }
    }
}
