//! The old stack: a handshake as clients made it fifteen years ago, for servers with which the modern one cannot speak.
//!
//! `OpenSSL`, with TLS 1.0 to 1.2, CBC, 3DES, RC4, RSA key exchange, SHA-1, servers without secure renegotiation, and renegotiation,
//! to which it answers without a certificate. Absent on purpose: TLS 1.3, whose large hello is what old servers stumble over; suites
//! without a certificate, which prove nobody.
//!
//! INVARIANT: nothing is resumed, no certificate of ours is sent, and the chain is judged by the code that judges every other.

use std::fmt;
use std::io;
use std::pin::Pin;

use openssl::error::ErrorStack;
use openssl::provider::Provider;
use openssl::ssl::{
    Ssl, SslCipherRef, SslContext, SslMethod, SslMode, SslOptions, SslVerifyMode, SslVersion,
};
use parallax_model::TlsVersion;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio_openssl::SslStream;

use super::{CHAIN_MAX, Seen};
use crate::stream::Wire;

/// All that a server of those years may have. Without families that are younger, so that the hello stays small, and without
/// anonymous and empty ones.
const CIPHERS: &str = "ALL:!aNULL:!eNULL:!PSK:!SRP:!ARIA:!AESCCM:@SECLEVEL=0";

/// One connection of the old stack.
pub(crate) type Session = SslStream<Wire>;

/// What every connection of the old stack shares.
pub(crate) struct Old {
    context: SslContext,
    /// RC4 is in the legacy provider.
    _legacy: Provider,
}

impl fmt::Debug for Old {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Old")
    }
}

impl Old {
    pub(super) fn new() -> Result<Option<Self>, ErrorStack> {
        let legacy = Provider::try_load(None, "legacy", true)?;
        let mut context = SslContext::builder(SslMethod::tls_client())?;
        context.set_mode(
            SslMode::AUTO_RETRY
                | SslMode::ACCEPT_MOVING_WRITE_BUFFER
                | SslMode::ENABLE_PARTIAL_WRITE,
        );
        context.set_security_level(0);
        context.set_min_proto_version(Some(SslVersion::TLS1))?;
        context.set_max_proto_version(Some(SslVersion::TLS1_2))?;
        context.set_cipher_list(CIPHERS)?;
        context.set_verify(SslVerifyMode::NONE);
        context.set_alpn_protos(b"\x08http/1.1")?;
        context.set_options(
            SslOptions::ALL
                | SslOptions::NO_TICKET
                | SslOptions::NO_COMPRESSION
                | SslOptions::NO_SESSION_RESUMPTION_ON_RENEGOTIATION
                | SslOptions::ALLOW_UNSAFE_LEGACY_RENEGOTIATION,
        );
        Ok(Some(Self { context: context.build(), _legacy: legacy }))
    }

    /// Finishes a handshake. Has no limit of its own: the caller puts one around it. Cancel-safe.
    pub(super) async fn connect(
        &self,
        wire: Wire,
        server_name: Option<&ServerName<'static>>,
    ) -> io::Result<Session> {
        let mut ssl = Ssl::new(&self.context)?;
        // An address is no server name, RFC 6066 section 3.
        if let Some(ServerName::DnsName(name)) = server_name {
            ssl.set_hostname(name.as_ref())?;
        }
        let mut session = SslStream::new(ssl, wire)?;
        match Pin::new(&mut session).connect().await {
            Ok(()) => Ok(session),
            Err(error) => Err(error.into_io_error().unwrap_or_else(io::Error::other)),
        }
    }
}

/// What a finished handshake came to.
pub(super) fn seen(session: &Session) -> Result<Seen, String> {
    let ssl = session.ssl();
    let version = match ssl.version2() {
        Some(SslVersion::TLS1) => TlsVersion::Tls10,
        Some(SslVersion::TLS1_1) => TlsVersion::Tls11,
        Some(SslVersion::TLS1_2) => TlsVersion::Tls12,
        _ => return Err("no protocol version".to_owned()),
    };
    let cipher = ssl.current_cipher().and_then(SslCipherRef::standard_name).unwrap_or("unknown");
    let alpn = ssl.selected_alpn_protocol();
    let sent = ssl.peer_cert_chain().into_iter().flatten().take(CHAIN_MAX);
    let sent: Result<Vec<_>, _> = sent.map(|it| it.to_der().map(CertificateDer::from)).collect();
    Ok(Seen {
        version,
        cipher: cipher.to_owned(),
        alpn: alpn.map(|protocol| String::from_utf8_lossy(protocol).into_owned()),
        sent: sent.map_err(|error| error.to_string())?,
        client_certificate_requested: session.get_ref().tally().has_certificate_request(),
    })
}
