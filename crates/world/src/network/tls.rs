//! How does a listener answer a `ClientHello`?
//!
//! With the versions, certificate and wishes of its file; where it has nothing that a modern client
//! speaks, the old stack answers (`old_tls`), or, in a program without it, the alert that such a
//! server means for a modern client (RFC 8446 section 6). Absent on purpose: TLS 1.0 and 1.1, cipher
//! suites with CBC and renegotiation, here.

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
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::StartError;
use super::door::{goodbye, reset};
use super::hello::Hello;
#[cfg(feature = "legacy-tls")]
use super::late::{LateServer, LateSession};
#[cfg(feature = "legacy-tls")]
use super::old_tls::{OldServer, OldStream};
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

/// Settings per listener; the same settings share one.
#[derive(Debug)]
pub(super) struct Configs(Vec<(Tls, Server)>);

/// What answers a `ClientHello`.
#[derive(Clone, Debug)]
enum Server {
    Modern(Arc<ServerConfig>),
    #[cfg(feature = "legacy-tls")]
    Old(Arc<OldServer>),
    /// Asks for a client certificate after the request.
    #[cfg(feature = "legacy-tls")]
    Late(Arc<LateServer>),
}

impl Configs {
    fn of(&self, tls: &Tls) -> Option<Server> {
        self.0.iter().find(|(it, _)| it == tls).map(|(_, server)| server.clone())
    }
}

/// What a handshake came to.
pub(super) enum Greeting {
    Secured(Box<TlsStream<Outgoing>>),
    #[cfg(feature = "legacy-tls")]
    OldSecured(Box<OldStream>),
    #[cfg(feature = "legacy-tls")]
    LateSecured(Box<LateSession>),
    /// The listener says nothing and keeps the connection.
    Stalled(TcpStream),
    Ended,
}

/// The settings of every listener, with and without a server name.
pub(super) fn configs(site: &Site) -> Result<Configs, StartError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut configs = Configs(Vec::new());
    for host in &site.world.hosts {
        let listeners = host.listeners.iter().filter_map(|it| it.tls.as_ref());
        for tls in listeners.flat_map(|it| [it.clone(), it.nameless()]) {
            if configs.of(&tls).is_none()
                && let Some(server) = server(site, &tls, &host.name, &provider)?
            {
                configs.0.push((tls, server));
            }
        }
    }
    Ok(configs)
}

/// `None`: the listener speaks with nobody, or only with clients for which this program was not built.
fn server(
    site: &Site,
    tls: &Tls,
    host: &str,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Server>, StartError> {
    #[cfg(feature = "legacy-tls")]
    if is_for_the_old(tls) {
        let Some(identity) = site.certificates.shown(tls) else { return Ok(None) };
        let failed = |source| StartError::OldTls { host: host.to_owned(), source };
        let server = OldServer::new(tls, &identity).map_err(failed)?;
        return Ok(Some(Server::Old(Arc::new(server))));
    }
    if alert_for_modern(tls).is_some() {
        return Ok(None);
    }
    #[cfg(feature = "legacy-tls")]
    if tls.requests_client_cert == ClientCertificateRequest::Renegotiate {
        let Some(identity) = site.certificates.shown(tls) else { return Ok(None) };
        let failed = |source| StartError::OldTls { host: host.to_owned(), source };
        let server = LateServer::new(&identity).map_err(failed)?;
        return Ok(Some(Server::Late(Arc::new(server))));
    }
    let failed = |source| StartError::Tls { host: host.to_owned(), source };
    Ok(Some(Server::Modern(Arc::new(config(site, tls, provider).map_err(failed)?))))
}

/// Whether the listener speaks only what the modern library does not.
#[cfg(feature = "legacy-tls")]
fn is_for_the_old(tls: &Tls) -> bool {
    !tls.is_modern() && tls.ciphers != Ciphers::NoneCommon
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
        // Asked for after the request (`late`); the handshake itself asks for nothing.
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
        Ciphers::CbcOnly | Ciphers::RsaOnly | Ciphers::Windows2003 | Ciphers::NoneCommon => {
            Some(HANDSHAKE_FAILURE)
        }
    }
}

/// Reads a `ClientHello` and answers it.
pub(super) async fn greet(stream: TcpStream, tls: &Tls, configs: &Configs) -> Greeting {
    match tokio::time::timeout(HANDSHAKE_LIMIT, shake_hands(stream, tls, configs)).await {
        Ok(greeting) => greeting,
        Err(_) => Greeting::Ended,
    }
}

async fn shake_hands(mut stream: TcpStream, tls: &Tls, configs: &Configs) -> Greeting {
    let Some(hello) = Hello::read(&mut stream).await else { return Greeting::Ended };
    let resets = match tls.handshake {
        Handshake::Reset => true,
        Handshake::ResetModern => hello.offers_tls13,
        Handshake::Stall => return Greeting::Stalled(stream),
        Handshake::Ok | Handshake::Alert40 => false,
    };
    let is_unnamed = tls.sni == ServerNameIndication::Required && !hello.has_name;
    if resets || is_unnamed {
        reset(&stream);
        return Greeting::Ended;
    }
    let settings = if hello.has_name { tls.clone() } else { tls.nameless() };
    let server = if tls.handshake == Handshake::Alert40 { None } else { configs.of(&settings) };
    match server {
        None => {
            let alert = alert_for_modern(&settings).unwrap_or(HANDSHAKE_FAILURE);
            send_alert(stream, alert).await;
            Greeting::Ended
        }
        Some(Server::Modern(config)) => {
            let accept = TlsAcceptor::from(config)
                .accept(Outgoing::new(stream, hello.bytes))
                .into_fallible();
            match accept.await {
                Ok(stream) => Greeting::Secured(Box::new(stream)),
                // The alert went out with the error.
                Err((_, stream)) => {
                    goodbye(stream).await;
                    Greeting::Ended
                }
            }
        }
        #[cfg(feature = "legacy-tls")]
        Some(Server::Old(server)) => server
            .accept(Outgoing::new(stream, hello.bytes))
            .await
            .map_or(Greeting::Ended, Greeting::OldSecured),
        #[cfg(feature = "legacy-tls")]
        Some(Server::Late(server)) => match server.accept(stream, hello.bytes).await {
            Ok(session) => Greeting::LateSecured(Box::new(session)),
            // Whoever offers nothing of it is told nothing.
            Err(_) => Greeting::Ended,
        },
    }
}

/// One fatal alert in a record of its own, RFC 8446 sections 5.1 and 6.
async fn send_alert(mut stream: TcpStream, description: u8) {
    if stream.write_all(&[21, 3, 3, 0, 2, 2, description]).await.is_ok() {
        goodbye(stream).await;
    }
}

/// The client certificate of a connection.
pub(super) fn client_leaf(stream: &TlsStream<Outgoing>) -> Option<CertificateDer<'static>> {
    Some(stream.get_ref().1.peer_certificates()?.first()?.clone().into_owned())
}

/// Whose certificate this is.
pub(super) fn shown(leaf: &CertificateDer<'_>, site: &Site) -> ShownCertificate {
    let known =
        site.certificates.clients().iter().find(|(_, it)| it.identity.chain.first() == Some(leaf));
    match known {
        Some((account, client)) => {
            ShownCertificate { account: Some(account.clone()), kind: client.kind }
        }
        None => ShownCertificate { account: None, kind: ClientCertificate::Bad },
    }
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
