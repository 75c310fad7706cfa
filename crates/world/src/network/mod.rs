//! How does a world stand on real sockets?
//!
//! One listener per vantage and machine and port, so that it is known where a request began; one
//! name server per vantage; routes that say which declared address leads to which socket. Absent on
//! purpose: what a request gets (`simulation`) and who dials (`probe`).
//!
//! INVARIANT: every socket is bound to loopback on a port that the system chose.
//! INVARIANT: every task belongs to a [`RunningWorld`] and ends with it.

mod addresses;
mod door;
mod exchange;
mod hello;
#[cfg(feature = "legacy-tls")]
mod late;
mod names;
#[cfg(feature = "legacy-tls")]
mod old_tls;
mod outgoing;
mod read;
mod site;
mod tls;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use parallax_probe::{Dial, Mapped, Route};
use rustls_pki_types::CertificateDer;
use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use self::addresses::Addresses;
pub use self::site::{HAPPENINGS_MAX, Happening};

use self::door::Door;
use self::names::NameServer;
use self::site::Site;
use crate::certificates::{CertificateError, Certificates, ClientIdentity};
use crate::format::{Action, Reach, ReachDefault, Vantage, World};
use crate::simulation::{Clock, Counter, Landing, LogonSeen, Pace, Secrets, Simulation, dial};

/// Ports that somebody may dial in every world.
const USUAL_PORTS: [u16; 3] = [80, 443, 444];

/// Why a world could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("cannot open a loopback socket")]
    Socket(#[from] io::Error),
    #[error("the listener of host `{host}` cannot be set up")]
    Tls {
        host: String,
        #[source]
        source: rustls::Error,
    },
    #[cfg(feature = "legacy-tls")]
    #[error("the listener of host `{host}` cannot be set up")]
    OldTls {
        host: String,
        #[source]
        source: openssl::error::ErrorStack,
    },
}

/// A world on its sockets.
#[derive(Debug)]
pub struct RunningWorld {
    site: Arc<Site>,
    secrets: Arc<Secrets>,
    views: BTreeMap<String, Arc<Mapped>>,
    tasks: JoinSet<()>,
    stop: CancellationToken,
    /// Bound, never listening; kept so that the port stays refused.
    _refusing: Socket,
}

impl RunningWorld {
    /// Mints certificates and secrets, binds all sockets and begins to answer.
    ///
    /// Needs a `tokio` runtime. The world's time starts with the first question or connection.
    ///
    /// # Errors
    /// When a socket cannot be bound or a certificate not be made; nothing keeps running then.
    pub async fn start(world: Arc<World>, pace: Pace) -> Result<Self, StartError> {
        let secrets = Arc::new(Secrets::issue(&world));
        let certificates = Certificates::mint(&world)?;
        let state = Simulation::new(Arc::clone(&world), Arc::clone(&secrets));
        let addresses = Addresses::of(&world);
        let site = Arc::new(Site::new(world, Clock::new(pace), addresses, certificates, state));
        let refusing = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        refusing.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        let refused = refusing
            .local_addr()?
            .as_socket()
            .ok_or(io::ErrorKind::AddrNotAvailable)
            .map_err(io::Error::from)?;

        let mut running = Self {
            secrets,
            views: BTreeMap::new(),
            tasks: JoinSet::new(),
            stop: CancellationToken::new(),
            site,
            _refusing: refusing,
        };
        let world = Arc::clone(&running.site.world);
        let configs = Arc::new(tls::configs(&running.site)?);
        for vantage in &world.vantages {
            let view = running.open(vantage, refused, &configs).await?;
            running.views.insert(vantage.name.clone(), Arc::new(view));
        }
        Ok(running)
    }

    async fn open(
        &mut self,
        vantage: &Vantage,
        refused: SocketAddr,
        configs: &Arc<tls::Configs>,
    ) -> Result<Mapped, StartError> {
        let server = NameServer::bind().await?;
        let name_server = server.address;
        self.tasks.spawn(server.run(
            Arc::clone(&self.site),
            vantage.name.clone(),
            self.stop.clone(),
        ));

        let site = Arc::clone(&self.site);
        let ports = ports(&site.world);
        let mut doors: Vec<(Door, SocketAddr)> = Vec::new();
        let mut routes = BTreeMap::new();
        for (host, family, address) in site.addresses.all() {
            for port in &ports {
                let route = match dial(&site.world, vantage, host, *port, family) {
                    Landing::Refused => Route::To(refused),
                    Landing::Silent => Route::Silent,
                    Landing::NoFamily => Route::Unreachable,
                    Landing::At { dialled, reach } => {
                        let door =
                            Door { vantage: vantage.name.clone(), dialled, port: *port, reach };
                        Route::To(self.door(door, &mut doors, configs).await?)
                    }
                };
                routes.insert(SocketAddr::new(address, *port), route);
            }
        }
        let public_roots = site.certificates.public_roots();
        let trusted = vantage.trusts.iter().filter_map(|it| site.certificates.root_of(it));
        let store_roots = public_roots.iter().cloned().chain(trusted).collect();
        let otherwise = match vantage.reach_default {
            ReachDefault::Open | ReachDefault::Refused => Route::To(refused),
            ReachDefault::Blackhole => Route::Silent,
        };
        Ok(Mapped { routes, otherwise, name_servers: vec![name_server], public_roots, store_roots })
    }

    /// The socket behind a door; doors that lead to the same place share one.
    async fn door(
        &mut self,
        door: Door,
        doors: &mut Vec<(Door, SocketAddr)>,
        configs: &Arc<tls::Configs>,
    ) -> io::Result<SocketAddr> {
        if let Some((_, address)) = doors.iter().find(|(it, _)| *it == door) {
            return Ok(*address);
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        doors.push((door.clone(), address));
        let (site, configs, stop) =
            (Arc::clone(&self.site), Arc::clone(configs), self.stop.clone());
        self.tasks.spawn(door.run(listener, site, configs, stop));
        Ok(address)
    }

    /// The world that runs.
    pub fn world(&self) -> &Arc<World> {
        &self.site.world
    }

    /// The world as a vantage sees it: routes, name servers and roots. The roots of the store are
    /// the public ones and those of the issuers that the vantage trusts.
    pub fn view(&self, vantage: &str) -> Option<&Arc<Mapped>> {
        self.views.get(vantage)
    }

    /// How an agent at this vantage dials.
    pub fn dial(&self, vantage: &str) -> Option<Dial> {
        self.view(vantage).map(|it| Dial::Mapped(Arc::clone(it)))
    }

    /// The addresses that its machines declare.
    pub fn addresses(&self) -> &Addresses {
        &self.site.addresses
    }

    /// What the product is given for each account.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// The client certificates that the product is given, by account entry.
    pub fn client_certificates(&self) -> &BTreeMap<String, ClientIdentity> {
        self.site.certificates.clients()
    }

    /// The root of an issuer other than the public one, for an endpoint's own trust.
    pub fn root_of(&self, issuer: &str) -> Option<CertificateDer<'static>> {
        self.site.certificates.root_of(issuer)
    }

    /// Sets a stepped clock, in seconds since the start.
    pub fn set_clock(&self, seconds: f64) {
        self.site.clock.set(seconds);
    }

    /// The bad-password counters as the directories keep them, one per identity.
    pub fn counters(&self) -> Vec<Counter> {
        self.site.state().counters()
    }

    /// The highest rise of a bad-password counter so far, over all accounts.
    pub fn highest_rise(&self) -> u32 {
        self.counters().iter().map(|it| it.risen).max().unwrap_or(0)
    }

    /// How often each machine was shown a credential of each account, forwarded ones included.
    pub fn logons(&self) -> BTreeMap<LogonSeen, u32> {
        self.site.state().logons().clone()
    }

    /// What happens from now on. A receiver that lags more than [`HAPPENINGS_MAX`] loses the oldest.
    pub fn happenings(&self) -> broadcast::Receiver<Happening> {
        self.site.listen()
    }

    /// Ends every task and closes every socket before it returns.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Every port that somebody may dial in this world.
fn ports(world: &World) -> BTreeSet<u16> {
    let mut ports = BTreeSet::from(USUAL_PORTS);
    for host in &world.hosts {
        ports.extend(host.listeners.iter().map(|it| it.port));
        ports.extend(host.passthrough.iter().flat_map(|it| &it.ports));
        let forwards = host.rules.iter().filter_map(|it| match &it.action {
            Action::Forward(forward) => Some(forward.port),
            Action::Answer(_) | Action::Close(_) | Action::Stall => None,
        });
        ports.extend(forwards);
    }
    for vantage in &world.vantages {
        ports.extend(vantage.intercept.iter().flat_map(|it| &it.ports));
        ports.extend(vantage.reach.keys().filter_map(|it| {
            let machine = it.split('/').next()?;
            machine.split_once(':')?.1.parse::<u16>().ok()
        }));
    }
    let urls = world.target.endpoints.iter().filter_map(|it| url::Url::parse(&it.url).ok());
    ports.extend(urls.filter_map(|it| it.port_or_known_default()));
    ports
}

/// Whether a connection is reset once this request was read.
fn is_reset(reach: &Reach, method: &str) -> bool {
    match reach {
        Reach::ResetAfterRequest(None) => true,
        Reach::ResetAfterRequest(Some(methods)) => methods.iter().any(|it| it == method),
        Reach::Open | Reach::Refused | Reach::Blackhole | Reach::TlsStall => false,
    }
}
