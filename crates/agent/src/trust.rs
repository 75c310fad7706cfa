//! Whom an agent takes for its controller: the certificate of one authority, known whole or, before joining, by its pin.
//!
//! Absent on purpose: the public roots and the machine's store. No certificate of theirs opens this door, so that a proxy that
//! inspects TLS fails closed.
//!
//! INVARIANT: what is not signed by the one authority, or not for the name, or not now, gets nothing: the handshake ends.

use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use crate::certificate::{issuer, key_digest, validity};
use crate::trouble::Trouble;

/// The one authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    Authority(CertificateDer<'static>),
    /// SHA-256 over its `SubjectPublicKeyInfo`; the controller shows the certificate itself.
    Pin([u8; 32]),
}

/// The certificate of an agent and its key, for a handshake.
pub(crate) type OwnCertificate = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// A client of the agent port: TLS 1.3, HTTP/2, and this trust alone. What is refused is noted in the second part.
pub(crate) fn client(
    trust: Trust,
    own: Option<OwnCertificate>,
) -> Result<(ClientConfig, Arc<Verifier>), Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier =
        Arc::new(Verifier { trust, provider: Arc::clone(&provider), refused: Mutex::new(None) });
    if let Trust::Authority(authority) = &verifier.trust {
        // A file that holds no authority is a mistake to be told now, not at every handshake.
        RootCertStore::empty().add(authority.clone())?;
    }
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&verifier) as Arc<dyn ServerCertVerifier>);
    let mut config = match own {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    // Every connection proves both identities anew, so that a ban is not outlived by a ticket.
    config.resumption = rustls::client::Resumption::disabled();
    Ok((config, verifier))
}

/// Checks the controller's chain, and notes why it was refused.
#[derive(Debug)]
pub(crate) struct Verifier {
    trust: Trust,
    provider: Arc<CryptoProvider>,
    refused: Mutex<Option<Trouble>>,
}

impl Verifier {
    /// Why the last chain was refused, once.
    pub(crate) fn refused(&self) -> Option<Trouble> {
        self.refused.lock().ok()?.take()
    }

    fn note(&self, trouble: Trouble) {
        if let Ok(mut refused) = self.refused.lock() {
            *refused = Some(trouble);
        }
    }

    /// The authority, if the chain leads to it.
    fn authority(&self, chain: &[CertificateDer<'_>]) -> Option<CertificateDer<'static>> {
        match &self.trust {
            Trust::Authority(authority) => Some(authority.clone()),
            Trust::Pin(pin) => chain
                .iter()
                .find(|it| key_digest(it).as_ref() == Some(pin))
                .map(|it| it.clone().into_owned()),
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let foreign = || {
            let issuer = issuer(leaf).unwrap_or_else(|| "nobody it names".to_owned());
            self.note(Trouble::OtherAuthority { issuer });
            Error::InvalidCertificate(CertificateError::UnknownIssuer)
        };
        let authority = self.authority(intermediates).ok_or_else(foreign)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority).map_err(|_| foreign())?;
        let verifier =
            WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(&self.provider))
                .build()
                .map_err(|error| Error::General(error.to_string()))?;
        let outcome =
            verifier.verify_server_cert(leaf, intermediates, server_name, ocsp_response, now);
        outcome.inspect_err(|error| match explained(error, leaf, server_name) {
            Some(trouble) => self.note(trouble),
            None => {
                foreign();
            }
        })
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("only TLS 1.3 is spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// `None`: the chain does not lead to the authority, whatever else is wrong.
fn explained(error: &Error, leaf: &CertificateDer<'_>, name: &ServerName<'_>) -> Option<Trouble> {
    let Error::InvalidCertificate(error) = error else {
        return Some(Trouble::Tls { detail: error.to_string() });
    };
    let now = SystemTime::now();
    let times = validity(leaf);
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum of rustls is open")]
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            Some(Trouble::ControllerExpired { until: times.map_or(now, |it| it.until), now })
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Some(Trouble::ControllerNotYetValid { from: times.map_or(now, |it| it.from), now })
        }
        CertificateError::NotValidForName => {
            Some(Trouble::OtherName { name: name.to_str().into_owned(), carries: Vec::new() })
        }
        CertificateError::NotValidForNameContext { presented, .. } => Some(Trouble::OtherName {
            name: name.to_str().into_owned(),
            carries: presented.iter().take(10).map(|it| readable(it)).collect(),
        }),
        _ => None,
    }
}

/// `DnsName("a")` and `IpAddress(127.0.0.1)` as people write them.
fn readable(presented: &str) -> String {
    let inner = presented.split_once('(').map_or(presented, |it| it.1);
    inner.trim_end_matches(')').trim_matches('"').to_owned()
}
