//! TLS stage: does the box finish a handshake with a modern client, and who does it claim to be?
//!
//! Every chain is accepted and kept; what it is worth is judged afterwards, against three sets of roots, so that a refused
//! certificate can still be shown and anonymous looks go on. Absent on purpose: resumption, which would hide the chain.
//!
//! INVARIANT: the handshake's own signature is verified, so the box holds the key of the leaf it shows.
//! INVARIANT: no file is read here; the roots were loaded when the [`crate::Instrument`] was built.

mod certificate;
mod failure;
mod judge;
mod setup;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parallax_model::{Endpoint, TlsFacts, TlsFailure, TlsVersion};
use rustls::ProtocolVersion;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::stream::{Line, Wire};
pub(crate) use failure::demands_certificate;
pub(crate) use judge::Roots;
use judge::{Judge, Moment};
pub(crate) use setup::Setup;

/// The most certificates of a chain that are kept and used.
const CHAIN_MAX: usize = 16;

/// Finishes a handshake on a fresh connection. `name` is the host of the endpoint's URL. Cancel-safe like the TCP stage.
pub(crate) async fn run(
    setup: &Setup,
    wire: Wire,
    name: &ServerName<'static>,
    endpoint: &Endpoint,
    limit: Duration,
) -> Result<(TlsFacts, Line), TlsFailure> {
    let started = Instant::now();
    let (config, request) = setup.for_one_connection();
    let handshake = TlsConnector::from(Arc::new(config)).connect(name.clone(), wire);
    let session = match timeout(limit, handshake).await {
        Err(_) => return Err(TlsFailure::TimedOut { after: limit }),
        Ok(Err(error)) => return Err(failure::classify(&error, request.was_seen())),
        Ok(Ok(session)) => session,
    };
    let took = started.elapsed();
    let facts = facts(setup, &session, name, endpoint, took, request.was_seen())?;
    let line = Line::secured(session, &facts);
    Ok((facts, line))
}

fn facts(
    setup: &Setup,
    session: &TlsStream<Wire>,
    name: &ServerName<'static>,
    endpoint: &Endpoint,
    took: Duration,
    client_certificate_requested: bool,
) -> Result<TlsFacts, TlsFailure> {
    let connection = session.get_ref().1;
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => TlsVersion::Tls13,
        Some(ProtocolVersion::TLSv1_2) => TlsVersion::Tls12,
        _ => return Err(TlsFailure::Other { detail: "no protocol version".to_owned() }),
    };
    let cipher = connection
        .negotiated_cipher_suite()
        .and_then(|suite| suite.suite().as_str())
        .unwrap_or("unknown")
        .to_owned();
    let sent: &[CertificateDer<'_>] = connection.peer_certificates().unwrap_or_default();
    let sent = &sent[..sent.len().min(CHAIN_MAX)];
    let chain: Vec<_> = sent.iter().map(certificate::read).collect();
    let alpn =
        connection.alpn_protocol().map(|protocol| String::from_utf8_lossy(protocol).into_owned());
    let judge = Judge::new(sent, &chain, SystemTime::now());
    let (trust, moment) = judge.trust(setup.public(), setup.store(), &endpoint.trust);
    Ok(TlsFacts {
        version,
        cipher,
        alpn,
        trust,
        name_matches: judge.name_matches(name),
        // An accepted path that holds only at another time is as bad as a leaf out of date.
        dates_hold: judge.leaf_is_in_date() && moment != Moment::Another,
        client_certificate_requested,
        took,
        chain,
    })
}
