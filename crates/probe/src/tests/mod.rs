//! Looks at real loopback listeners that answer with scripted bytes. Fakes are peers on the network, never our own code.
//!
//! Every failure that a stage can name is produced here by a peer, as far as loopback can produce it.
//! INVARIANT: nothing is dialled beyond loopback; declared addresses come from the documentation ranges and are mapped.

mod autodiscover;
mod dns;
mod exchanges;
mod hostile;
mod logon;
mod name_server;
mod network;
mod peer;
mod policy;
mod tls;
#[cfg(feature = "legacy-tls")]
mod tls_old;
