//! TLS stage: does the box finish a handshake, and who does it claim to be?
//!
//! Two stacks: rustls is the modern client that every look begins with; the old one (feature `legacy-tls`) speaks what Windows
//! Server 2003 to 2012 R2 offer and is asked when the failure may be the modern one's own limit. Every chain is accepted and kept;
//! what it is worth is judged afterwards, against three sets of roots, so that a refused certificate can still be shown and
//! anonymous looks go on. Absent on purpose: resumption, which would hide the chain.
//!
//! INVARIANT: whichever the stack, the box proves that it holds the key of the leaf it shows, and the chain is judged the same.
//! INVARIANT: no file is read here; the roots were loaded when the [`crate::Instrument`] was built.

mod certificate;
mod failure;
mod judge;
#[cfg_attr(not(feature = "legacy-tls"), path = "no_old.rs")]
mod old;
mod setup;

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parallax_model::{Endpoint, TlsFacts, TlsFailure, TlsVersion};
use rustls::ProtocolVersion;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::stream::{Line, Stream, Wire};
pub(crate) use failure::{
    alert_of, demands_certificate, is_end, is_late_certificate_request, may_be_our_limit,
};
pub(crate) use judge::Roots;
use judge::{Judge, Moment};
pub(crate) use old::Session as OldSession;
pub(crate) use setup::Setup;

/// The most certificates of a chain that are kept and used.
const CHAIN_MAX: usize = 16;

/// Which client shakes hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stack {
    Modern,
    /// Only where [`Setup::has_old`].
    Old,
}

/// Whether the hello names the server, RFC 6066 section 3. An address is never named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    Named,
    Nameless,
}

/// What to shake hands for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    /// The host of the endpoint's URL.
    pub(crate) name: &'a ServerName<'static>,
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) stack: Stack,
    pub(crate) naming: Naming,
}

/// A handshake, before its chain is judged.
struct Seen {
    version: TlsVersion,
    cipher: String,
    alpn: Option<String>,
    sent: Vec<CertificateDer<'static>>,
    client_certificate_requested: bool,
}

/// Finishes a handshake on a fresh connection. Cancel-safe like the TCP stage.
pub(crate) async fn run(
    setup: &Setup,
    wire: Wire,
    target: Target<'_>,
    limit: Duration,
) -> Result<(TlsFacts, Line), TlsFailure> {
    let started = Instant::now();
    let local_port = wire.local_port();
    let tally = wire.tally();
    let handshake = async {
        match (target.stack, setup.old()) {
            (Stack::Old, Some(old)) => by_the_old(old, wire, target).await,
            (Stack::Modern, _) | (Stack::Old, None) => by_the_modern(setup, wire, target).await,
        }
    };
    let (seen, stream) =
        timeout(limit, handshake).await.map_err(|_| TlsFailure::TimedOut { after: limit })??;
    let facts = judged(setup, seen, target, started.elapsed());
    let line = Line::secured(stream, local_port, tally, &facts);
    Ok((facts, line))
}

async fn by_the_modern(
    setup: &Setup,
    wire: Wire,
    target: Target<'_>,
) -> Result<(Seen, Stream), TlsFailure> {
    let (mut config, request) = setup.for_one_connection();
    config.enable_sni = target.naming == Naming::Named;
    let connector = TlsConnector::from(Arc::new(config));
    let session = connector
        .connect(target.name.clone(), wire)
        .await
        .map_err(|error| failure::classify(&error, request.was_seen()))?;
    let seen = modern(&session, request.was_seen())?;
    Ok((seen, Stream::Tls(Box::new(session))))
}

async fn by_the_old(
    old: &old::Old,
    wire: Wire,
    target: Target<'_>,
) -> Result<(Seen, Stream), TlsFailure> {
    let tally = wire.tally();
    let name = (target.naming == Naming::Named).then_some(target.name);
    let classify = |error: io::Error| failure::classify(&error, tally.has_certificate_request());
    let session = old.connect(wire, name).await.map_err(classify)?;
    let seen = old::seen(&session).map_err(|detail| TlsFailure::Other { detail })?;
    Ok((seen, Stream::OldTls(Box::new(session))))
}

fn modern(
    session: &TlsStream<Wire>,
    client_certificate_requested: bool,
) -> Result<Seen, TlsFailure> {
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
    let sent = connection.peer_certificates().unwrap_or_default();
    let sent = sent.iter().take(CHAIN_MAX).map(|it| it.clone().into_owned()).collect();
    let alpn =
        connection.alpn_protocol().map(|protocol| String::from_utf8_lossy(protocol).into_owned());
    Ok(Seen { version, cipher, alpn, sent, client_certificate_requested })
}

fn judged(setup: &Setup, seen: Seen, target: Target<'_>, took: Duration) -> TlsFacts {
    let chain: Vec<_> = seen.sent.iter().map(certificate::read).collect();
    let judge = Judge::new(&seen.sent, &chain, SystemTime::now());
    let (trust, moment) = judge.trust(setup.public(), setup.store(), &target.endpoint.trust);
    TlsFacts {
        version: seen.version,
        cipher: seen.cipher,
        alpn: seen.alpn,
        trust,
        name_matches: judge.name_matches(target.name),
        // An accepted path that holds only at another time is as bad as a leaf out of date.
        dates_hold: judge.leaf_is_in_date() && moment != Moment::Another,
        client_certificate_requested: seen.client_certificate_requested,
        took,
        chain,
    }
}
