//! The TLS configurations of all probes: built once; that of rustls is copied per connection.
//!
//! INVARIANT: no client certificate is ever sent; a request for one is only noticed.
//! INVARIANT: nothing is resumed. A resumed session shows no chain.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::ResolvesClientCert;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::judge::Roots;
use super::old::Old;

/// What every TLS connection shares.
#[derive(Debug)]
pub(crate) struct Setup {
    config: ClientConfig,
    /// `None` in a program that was built without it.
    old: Option<Old>,
    public: Roots,
    store: Roots,
}

impl Setup {
    pub(crate) fn new(public: Roots, store: Roots) -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier =
            Arc::new(AcceptEveryChain { algorithms: provider.signature_verification_algorithms });
        let mut config = configure(provider, verifier)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = Resumption::disabled();
        let old = Old::new().map_err(|error| rustls::Error::General(error.to_string()))?;
        Ok(Self { config, old, public, store })
    }

    /// A copy that notices whether this one connection's server asks for a certificate of ours.
    pub(crate) fn for_one_connection(&self) -> (ClientConfig, Arc<NoticeRequest>) {
        let request = Arc::new(NoticeRequest::default());
        let mut config = self.config.clone();
        config.client_auth_cert_resolver = Arc::<NoticeRequest>::clone(&request);
        (config, request)
    }

    /// Whether [`super::Stack::Old`] is there.
    pub(crate) fn has_old(&self) -> bool {
        self.old.is_some()
    }

    pub(super) fn old(&self) -> Option<&Old> {
        self.old.as_ref()
    }

    pub(super) fn public(&self) -> &Roots {
        &self.public
    }

    pub(super) fn store(&self) -> &Roots {
        &self.store
    }
}

fn configure(
    provider: Arc<CryptoProvider>,
    verifier: Arc<AcceptEveryChain>,
) -> Result<ClientConfig, rustls::Error> {
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

/// Lets every chain pass, for it is judged afterwards; verifies that the server holds the leaf's key.
struct AcceptEveryChain {
    algorithms: WebPkiSupportedAlgorithms,
}

impl fmt::Debug for AcceptEveryChain {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("AcceptEveryChain")
    }
}

impl ServerCertVerifier for AcceptEveryChain {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Notices a request for a client certificate, and has none.
#[derive(Debug, Default)]
pub(crate) struct NoticeRequest {
    seen: AtomicBool,
}

impl NoticeRequest {
    pub(crate) fn was_seen(&self) -> bool {
        self.seen.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for NoticeRequest {
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        _schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.seen.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}
