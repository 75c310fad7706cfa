//! What an agent looks with: how it dials, whom it asks for names, which roots it knows. Built once, shared by all probes.
//!
//! INVARIANT: building reads the machine's files; looking reads none.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::system_conf::read_system_conf;
use rustls_native_certs::load_native_certs;

use crate::dial::Dial;
use crate::tls::{Roots, Setup};
use crate::walk::ProbeError;

/// The most name servers asked; what a resolver library of the machine would ask, too.
const NAME_SERVERS_MAX: usize = 3;

/// Everything a probe needs that does not depend on its target.
#[derive(Debug)]
pub struct Instrument {
    dial: Dial,
    name_servers: Vec<SocketAddr>,
    tls: Setup,
}

impl Instrument {
    /// Reads the machine's name servers and certificate store, or takes both from the simulated network. Blocks on the disk.
    ///
    /// A machine without name servers or without a store is no error: looks will say `NoNameServer`, and its store trusts nobody.
    pub fn new(dial: Dial) -> Result<Self, ProbeError> {
        let (name_servers, public, store) = match &dial {
            Dial::Direct => (system_name_servers(), Roots::public(), system_store()),
            Dial::Mapped(mapped) => (
                mapped.name_servers.clone(),
                Roots::of(mapped.public_roots.iter()),
                Roots::of(mapped.store_roots.iter()),
            ),
        };
        let tls = Setup::new(public, store).map_err(ProbeError::Tls)?;
        Ok(Self { dial, name_servers, tls })
    }

    /// The same with these name servers instead of the machine's, in the order of asking.
    #[must_use]
    pub fn with_name_servers(self, name_servers: Vec<SocketAddr>) -> Self {
        Self { name_servers, ..self }
    }

    /// The name servers asked, in order.
    pub fn name_servers(&self) -> &[SocketAddr] {
        &self.name_servers
    }

    pub(crate) fn dial(&self) -> &Dial {
        &self.dial
    }

    pub(crate) fn tls(&self) -> &Setup {
        &self.tls
    }
}

/// As configured on this machine, once each.
fn system_name_servers() -> Vec<SocketAddr> {
    const PORT: u16 = 53;
    let config = match read_system_conf() {
        Ok((config, _)) => config,
        Err(error) => {
            tracing::warn!(%error, "no name servers are configured on this machine");
            return Vec::new();
        }
    };
    let mut found: Vec<SocketAddr> = Vec::new();
    for server in config.name_servers() {
        let address = SocketAddr::new(server.ip, PORT);
        if found.len() < NAME_SERVERS_MAX && !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

fn system_store() -> Roots {
    let started = std::time::Instant::now();
    let loaded = load_native_certs();
    for error in &loaded.errors {
        tracing::warn!(%error, "part of the machine's certificate store cannot be read");
    }
    let took: Duration = started.elapsed();
    tracing::debug!(count = loaded.certs.len(), ?took, "certificate store loaded");
    Roots::of(loaded.certs.iter())
}
