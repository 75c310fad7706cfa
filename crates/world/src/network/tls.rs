//! How does a listener answer a `ClientHello`?
//!
//! With the versions, certificate and wishes of its file; where it has nothing that a modern client
//! speaks, with the alert that such a server means for one (RFC 8446 section 6). Absent on purpose:
//! TLS 1.0 and 1.1, cipher suites with CBC, renegotiation; a listener that has nothing else refuses.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
    SupportedProtocolVersion, version,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

use super::StartError;
use super::door::{goodbye, reset};
use super::outgoing::Outgoing;
use super::site::Site;
use crate::format::{
    Ciphers, ClientCertificate, ClientCertificateRequest, Handshake, ServerNameIndication, Tls,
    TlsVersion,
};
use crate::simulation::ShownCertificate;

/// How long a client may take for its part of the handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(30);

/// `handshake_failure`, RFC 8446 section 6.2.
const HANDSHAKE_FAILURE: u8 = 40;

/// `protocol_version`, RFC 8446 section 6.2.
const PROTOCOL_VERSION: u8 = 70;

/// Server settings per listener; the same settings share one.
#[derive(Debug)]
pub(super) struct Configs(Vec<(Tls, Arc<ServerConfig>)>);

impl Configs {
    pub(super) fn of(&self, tls: &Tls) -> Option<Arc<ServerConfig>> {
        self.0.iter().find(|(it, _)| it == tls).map(|(_, config)| Arc::clone(config))
    }
}

/// What a handshake came to.
pub(super) enum Greeting {
    Secured(Box<TlsStream<Outgoing>>),
    /// The listener says nothing and keeps the connection.
    Stalled(TcpStream),
    Ended,
}

/// The settings of every listener that a modern client can speak with.
pub(super) fn configs(site: &Site) -> Result<Configs, StartError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut configs = Configs(Vec::new());
    for host in &site.world.hosts {
        for tls in host.listeners.iter().filter_map(|it| it.tls.as_ref()) {
            if configs.of(tls).is_none() && alert_for_modern(tls).is_none() {
                let failed = |source| StartError::Tls { host: host.name.clone(), source };
                let config = config(site, tls, &provider).map_err(failed)?;
                configs.0.push((tls.clone(), Arc::new(config)));
            }
        }
    }
    Ok(configs)
}

fn config(
    site: &Site,
    tls: &Tls,
    provider: &Arc<CryptoProvider>,
) -> Result<ServerConfig, rustls::Error> {
    let Some(identity) = site.certificates.shown(tls) else {
        return Err(rustls::Error::General(format!("there is no certificate `{}`", tls.leaf)));
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&modern_versions(tls))?;
    let builder = match tls.requests_client_cert {
        // What follows a renegotiation stands in the rules; the handshake itself asks for nothing.
        ClientCertificateRequest::No | ClientCertificateRequest::Renegotiate => {
            builder.with_no_client_auth()
        }
        ClientCertificateRequest::Optional => {
            builder.with_client_cert_verifier(Arc::new(AnyCertificate {
                provider: Arc::clone(provider),
                required: false,
            }))
        }
        ClientCertificateRequest::Required => {
            builder.with_client_cert_verifier(Arc::new(AnyCertificate {
                provider: Arc::clone(provider),
                required: true,
            }))
        }
    };
    let mut config = builder.with_single_cert(identity.chain, identity.key)?;
    config.alpn_protocols = tls.alpn.iter().map(|it| it.clone().into_bytes()).collect();
    Ok(config)
}

fn modern_versions(tls: &Tls) -> Vec<&'static SupportedProtocolVersion> {
    let offered = tls.min_version..=tls.max_version;
    let known = [(TlsVersion::V13, &version::TLS13), (TlsVersion::V12, &version::TLS12)];
    known.into_iter().filter(|(it, _)| offered.contains(it)).map(|(_, it)| it).collect()
}

/// The alert of a listener that has nothing a modern client speaks.
fn alert_for_modern(tls: &Tls) -> Option<u8> {
    if tls.handshake == Handshake::Alert40 {
        return Some(HANDSHAKE_FAILURE);
    }
    if modern_versions(tls).is_empty() {
        return Some(PROTOCOL_VERSION);
    }
    match tls.ciphers {
        Ciphers::Modern => None,
        Ciphers::CbcOnly | Ciphers::NoneCommon => Some(HANDSHAKE_FAILURE),
    }
}

/// Reads a `ClientHello` and answers it.
pub(super) async fn greet(
    stream: TcpStream,
    tls: &Tls,
    config: Option<Arc<ServerConfig>>,
) -> Greeting {
    let acceptor = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream);
    let Ok(Ok(start)) = tokio::time::timeout(HANDSHAKE_LIMIT, acceptor).await else {
        return Greeting::Ended;
    };
    match tls.handshake {
        Handshake::Reset => {
            reset(start.io);
            return Greeting::Ended;
        }
        Handshake::Stall => return Greeting::Stalled(start.io),
        Handshake::Ok | Handshake::Alert40 => {}
    }
    if let Some(alert) = alert_for_modern(tls) {
        send_alert(start.io, alert).await;
        return Greeting::Ended;
    }
    if tls.sni == ServerNameIndication::Required && start.client_hello().server_name().is_none() {
        reset(start.io);
        return Greeting::Ended;
    }
    let Some(config) = config else {
        reset(start.io);
        return Greeting::Ended;
    };
    let start = StartHandshake::from_parts(start.accepted, Outgoing(start.io));
    let accept = start.into_stream(config).into_fallible();
    match tokio::time::timeout(HANDSHAKE_LIMIT, accept).await {
        Ok(Ok(stream)) => Greeting::Secured(Box::new(stream)),
        // The alert went out with the error.
        Ok(Err((_, stream))) => {
            goodbye(stream).await;
            Greeting::Ended
        }
        Err(_) => Greeting::Ended,
    }
}

/// One fatal alert in a record of its own, RFC 8446 sections 5.1 and 6.
async fn send_alert(mut stream: TcpStream, description: u8) {
    if stream.write_all(&[21, 3, 3, 0, 2, 2, description]).await.is_ok() {
        goodbye(stream).await;
    }
}

/// The client certificate of a connection.
pub(super) fn shown_certificate(
    stream: &TlsStream<Outgoing>,
    site: &Site,
) -> Option<ShownCertificate> {
    let leaf = stream.get_ref().1.peer_certificates()?.first()?;
    let known =
        site.certificates.clients().iter().find(|(_, it)| it.identity.chain.first() == Some(leaf));
    Some(match known {
        Some((account, client)) => {
            ShownCertificate { account: Some(account.clone()), kind: client.kind }
        }
        None => ShownCertificate { account: None, kind: ClientCertificate::Bad },
    })
}

/// Takes any client certificate whose key the client has; the rules say what it is worth.
#[derive(Debug)]
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
    required: bool,
}

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
