//! How does a listener of fifteen years ago answer a `ClientHello`?
//!
//! With `OpenSSL`: TLS 1.0 and 1.1, suites with CBC, RC4 or 3DES, RSA key exchange. Absent on purpose: renegotiation, and the choice
//! which listener is old (`tls`).

use std::pin::Pin;

use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::provider::Provider;
use openssl::ssl::{
    AlpnError, Ssl, SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions,
    SslSessionCacheMode, SslVerifyMode, SslVersion,
};
use openssl::x509::X509;
use rustls_pki_types::CertificateDer;
use tokio_openssl::SslStream;

use super::outgoing::Outgoing;
use crate::certificates::Identity;
use crate::format::{Ciphers, ClientCertificateRequest, Tls, TlsVersion};

/// A connection of an old listener.
pub(super) type OldStream = SslStream<Outgoing>;

/// Settings of one old listener.
pub(super) struct OldServer {
    context: SslContext,
    /// RC4 is in the legacy provider.
    _legacy: Provider,
}

impl std::fmt::Debug for OldServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OldServer")
    }
}

impl OldServer {
    pub(super) fn new(tls: &Tls, identity: &Identity) -> Result<Self, ErrorStack> {
        let legacy = Provider::try_load(None, "legacy", true)?;
        let mut context = SslContext::builder(SslMethod::tls_server())?;
        context.set_mode(
            SslMode::AUTO_RETRY
                | SslMode::ACCEPT_MOVING_WRITE_BUFFER
                | SslMode::ENABLE_PARTIAL_WRITE,
        );
        context.set_security_level(0);
        context.set_options(
            SslOptions::NO_TICKET
                | SslOptions::NO_COMPRESSION
                | SslOptions::CIPHER_SERVER_PREFERENCE,
        );
        context.set_session_cache_mode(SslSessionCacheMode::OFF);
        context.set_min_proto_version(Some(version(tls.min_version)))?;
        // None of these suites exists in TLS 1.3.
        let newest = tls.max_version.min(TlsVersion::V12);
        context.set_max_proto_version(Some(version(newest)))?;
        context.set_cipher_list(suites(tls.ciphers))?;
        show(&mut context, identity)?;
        match tls.requests_client_cert {
            ClientCertificateRequest::No | ClientCertificateRequest::Renegotiate => {}
            ClientCertificateRequest::Optional => {
                context.set_verify_callback(SslVerifyMode::PEER, |_, _| true);
            }
            ClientCertificateRequest::Required => {
                let how = SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT;
                context.set_verify_callback(how, |_, _| true);
            }
        }
        let offered = tls.alpn.clone();
        context.set_alpn_select_callback(move |_, wanted| {
            let common =
                protocols(wanted).find(|it| offered.iter().any(|own| own.as_bytes() == *it));
            common.ok_or(AlpnError::NOACK)
        });
        Ok(Self { context: context.build(), _legacy: legacy })
    }

    /// Finishes a handshake; `None` if the client has nothing in common with it, upon which the alert is sent.
    pub(super) async fn accept(&self, stream: Outgoing) -> Option<Box<OldStream>> {
        let ssl = Ssl::new(&self.context).ok()?;
        let mut stream = Box::new(SslStream::new(ssl, stream).ok()?);
        if Pin::new(stream.as_mut()).accept().await.is_ok() {
            return Some(stream);
        }
        super::door::goodbye(stream.get_mut()).await;
        None
    }
}

fn show(context: &mut SslContextBuilder, identity: &Identity) -> Result<(), ErrorStack> {
    let mut chain = identity.chain.iter();
    if let Some(leaf) = chain.next() {
        context.set_certificate(X509::from_der(leaf)?.as_ref())?;
    }
    for above in chain {
        context.add_extra_chain_cert(X509::from_der(above)?)?;
    }
    context.set_private_key(PKey::private_key_from_der(identity.key.secret_der())?.as_ref())
}

/// The names of an ALPN list, each behind its length (RFC 7301 section 3.1).
fn protocols(mut list: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = list.split_first()?;
        let (name, rest) = rest.split_at_checked(usize::from(*length))?;
        list = rest;
        Some(name)
    })
}

fn version(version: TlsVersion) -> SslVersion {
    match version {
        TlsVersion::V10 => SslVersion::TLS1,
        TlsVersion::V11 => SslVersion::TLS1_1,
        TlsVersion::V12 => SslVersion::TLS1_2,
        TlsVersion::V13 => SslVersion::TLS1_3,
    }
}

fn suites(ciphers: Ciphers) -> &'static str {
    match ciphers {
        Ciphers::Modern | Ciphers::NoneCommon => "ALL:!aNULL:!eNULL:@SECLEVEL=0",
        Ciphers::CbcOnly => {
            "ECDHE-RSA-AES256-SHA384:ECDHE-RSA-AES128-SHA256:ECDHE-RSA-AES256-SHA:\
            ECDHE-RSA-AES128-SHA:AES256-SHA:AES128-SHA:@SECLEVEL=0"
        }
        Ciphers::RsaOnly => {
            "AES128-GCM-SHA256:AES256-SHA256:AES128-SHA256:AES256-SHA:AES128-SHA:DES-CBC3-SHA:\
            @SECLEVEL=0"
        }
        Ciphers::Windows2003 => "RC4-MD5:RC4-SHA:DES-CBC3-SHA:@SECLEVEL=0",
    }
}

/// The client's leaf, if it showed one.
pub(super) fn client_leaf(stream: &OldStream) -> Option<CertificateDer<'static>> {
    let der = stream.ssl().peer_certificate()?.to_der().ok()?;
    Some(CertificateDer::from(der))
}
