//! From the error of a handshake to what an operator would call it.
//!
//! The old stack's errors have their numbers here too. What it is refused with is kept as it came, for it has all that a server of
//! those years may want.
//!
//! INVARIANT: where our own library may be the reason, the answer is [`TlsFailure::OurLimit`], which accuses nobody.

use std::io;

use parallax_model::TlsFailure;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerMisbehaved};

use crate::records::TooMuchHandshake;

/// What our library can do, for the report.
const ABILITIES: &str =
    "this client speaks TLS 1.2 and 1.3, with AEAD ciphers and forward secrecy only";

/// `was_asked`: whether the server had asked for a client certificate before.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the list of `ErrorKind` grows; the rest has no name of its own here"
)]
pub(super) fn classify(error: &io::Error, was_asked: bool) -> TlsFailure {
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        return from_rustls(tls, was_asked);
    }
    if error.get_ref().and_then(|inner| inner.downcast_ref::<TooMuchHandshake>()).is_some() {
        return TlsFailure::Limit { detail: error.to_string() };
    }
    #[cfg(feature = "legacy-tls")]
    if let Some(old) = old::error_in(error) {
        return match old::alert_in(old) {
            Some(alert) if demands_certificate(alert, was_asked) => {
                TlsFailure::ClientCertificateRequired
            }
            Some(number) => TlsFailure::Alert { number },
            None => old::classify(old),
        };
    }
    match error.kind() {
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => TlsFailure::Reset,
        io::ErrorKind::UnexpectedEof => TlsFailure::Closed,
        _ => TlsFailure::Other { detail: error.to_string() },
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the list of a foreign library grows; the rest is kept as text"
)]
fn from_rustls(error: &Error, was_asked: bool) -> TlsFailure {
    match error {
        Error::AlertReceived(alert) => from_alert(*alert, was_asked),
        Error::PeerIncompatible(reason) => our_limit(&format!("{reason:?}")),
        // A key or signature that only we may be too strict for.
        Error::InvalidCertificate(
            CertificateError::BadEncoding
            | CertificateError::UnsupportedSignatureAlgorithmContext { .. }
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. },
        ) => our_limit("the server's certificate has a form or key that is not supported"),
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::UnknownProtocolVersion
            | InvalidMessage::MessageTooLarge
            | InvalidMessage::InvalidEmptyPayload,
        )
        | Error::PeerSentOversizedRecord => TlsFailure::NotTls,
        Error::InvalidMessage(
            InvalidMessage::HandshakePayloadTooLarge | InvalidMessage::CertificatePayloadTooLarge,
        )
        | Error::PeerMisbehaved(
            PeerMisbehaved::TooManyEmptyFragments
            | PeerMisbehaved::TooManyWarningAlertsReceived
            | PeerMisbehaved::TooManyKeyUpdateRequests
            | PeerMisbehaved::TooManyRenegotiationRequests,
        ) => TlsFailure::Limit { detail: error.to_string() },
        other => TlsFailure::Other { detail: other.to_string() },
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "every other alert is kept by its number")]
fn from_alert(alert: AlertDescription, was_asked: bool) -> TlsFailure {
    if demands_certificate(u8::from(alert), was_asked) {
        return TlsFailure::ClientCertificateRequired;
    }
    match alert {
        AlertDescription::ProtocolVersion
        | AlertDescription::HandshakeFailure
        | AlertDescription::InsufficientSecurity => {
            our_limit(&format!("the server sent alert {} ({alert:?})", u8::from(alert)))
        }
        other => TlsFailure::Alert { number: u8::from(other) },
    }
}

/// The fatal alert that the peer sent, if that is what the error says.
pub(crate) fn alert_of(error: &io::Error) -> Option<u8> {
    #[cfg(feature = "legacy-tls")]
    if let Some(old) = old::error_in(error) {
        return old::alert_in(old);
    }
    match error.get_ref()?.downcast_ref::<Error>() {
        Some(Error::AlertReceived(alert)) => Some(u8::from(*alert)),
        _ => None,
    }
}

/// Whether the peer closed without saying so.
pub(crate) fn is_end(error: &io::Error) -> bool {
    #[cfg(feature = "legacy-tls")]
    if let Some(old) = old::error_in(error) {
        return old::is_end(old);
    }
    error.kind() == io::ErrorKind::UnexpectedEof
}

/// Whether the peer wanted another handshake with which TLS 1.3 asks for a certificate, RFC 8446 section 4.6.2.
pub(crate) fn is_late_certificate_request(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    matches!(
        inner,
        Some(Error::InappropriateHandshakeMessage {
            got_type: rustls::HandshakeType::CertificateRequest,
            ..
        })
    )
}

/// Whether a modern client may have failed where an old one succeeds: nothing in common, or a hello that an old server does not
/// read, to which it answers not one byte.
pub(crate) fn may_be_our_limit(failure: &TlsFailure, has_answered: bool) -> bool {
    match failure {
        TlsFailure::OurLimit { .. } => true,
        TlsFailure::Reset | TlsFailure::Closed => !has_answered,
        TlsFailure::Alert { .. }
        | TlsFailure::TimedOut { .. }
        | TlsFailure::NotTls
        | TlsFailure::ClientCertificateRequired
        | TlsFailure::Limit { .. }
        | TlsFailure::Other { .. } => false,
    }
}

/// Whether a fatal alert means that the server wants a client certificate: `certificate_required`, or, below TLS 1.3, a
/// `handshake_failure` or `bad_certificate` after it had asked for one.
pub(crate) fn demands_certificate(alert: u8, was_asked: bool) -> bool {
    let required = u8::from(AlertDescription::CertificateRequired);
    let refused = [AlertDescription::HandshakeFailure, AlertDescription::BadCertificate];
    alert == required || (was_asked && refused.map(u8::from).contains(&alert))
}

fn our_limit(reason: &str) -> TlsFailure {
    TlsFailure::OurLimit { detail: format!("{reason}; {ABILITIES}") }
}

/// What the errors of the old stack say.
#[cfg(feature = "legacy-tls")]
mod old {
    use std::io;

    use openssl::ssl::{Error, ErrorCode};
    use parallax_model::TlsFailure;

    /// What `OpenSSL` adds to the number of an alert that was received, `SSL_AD_REASON_OFFSET`.
    const ALERTS_FROM: i32 = 1000;
    /// The peer closed without saying so.
    const UNEXPECTED_END: i32 = 294;
    /// Reasons for what is no TLS: a wrong version number, a record that is too long.
    const NOT_TLS: [i32; 2] = [267, 198];
    /// Reasons for a broken bound: a message too large, too many empty records, too many warnings.
    const LIMITS: [i32; 3] = [152, 298, 409];

    pub(super) fn error_in(error: &io::Error) -> Option<&Error> {
        error.get_ref().and_then(|inner| inner.downcast_ref())
    }

    /// The number under which `OpenSSL` keeps why it gave up.
    fn reason(error: &Error) -> i32 {
        let first = error.ssl_error().and_then(|stack| stack.errors().first());
        first.map_or(0, openssl::error::Error::reason_code)
    }

    pub(super) fn is_end(error: &Error) -> bool {
        // Without any error at all it is the end of a stream between two records.
        let is_silent = error.code() == ErrorCode::SYSCALL && error.io_error().is_none();
        is_silent || reason(error) == UNEXPECTED_END
    }

    pub(super) fn alert_in(error: &Error) -> Option<u8> {
        u8::try_from(reason(error) - ALERTS_FROM).ok()
    }

    /// For everything but an alert.
    pub(super) fn classify(error: &Error) -> TlsFailure {
        let reason = reason(error);
        let detail = error.to_string();
        match reason {
            _ if is_end(error) => TlsFailure::Closed,
            _ if NOT_TLS.contains(&reason) => TlsFailure::NotTls,
            _ if LIMITS.contains(&reason) => TlsFailure::Limit { detail },
            _ => TlsFailure::Other { detail },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(error: Error, was_asked: bool, expected: fn(&TlsFailure) -> bool) {
        let failure = from_rustls(&error, was_asked);
        assert!(expected(&failure), "{failure:?}");
    }

    #[test]
    fn alerts_that_may_be_our_own_limit_accuse_nobody() {
        for alert in [
            AlertDescription::ProtocolVersion,
            AlertDescription::HandshakeFailure,
            AlertDescription::InsufficientSecurity,
        ] {
            check(Error::AlertReceived(alert), false, |it| {
                matches!(it, TlsFailure::OurLimit { .. })
            });
        }
        check(Error::AlertReceived(AlertDescription::UnrecognisedName), false, |it| {
            *it == TlsFailure::Alert { number: 112 }
        });
    }

    #[test]
    fn a_demand_for_a_certificate_is_told_apart() {
        let wanted = |it: &TlsFailure| *it == TlsFailure::ClientCertificateRequired;
        check(Error::AlertReceived(AlertDescription::CertificateRequired), false, wanted);
        check(Error::AlertReceived(AlertDescription::HandshakeFailure), true, wanted);
        check(Error::AlertReceived(AlertDescription::BadCertificate), true, wanted);
        check(Error::AlertReceived(AlertDescription::BadCertificate), false, |it| {
            *it == TlsFailure::Alert { number: 42 }
        });
    }
}
