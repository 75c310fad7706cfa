//! From the error of a handshake to what an operator would call it.
//!
//! INVARIANT: where our own library may be the reason, the answer is [`TlsFailure::OurLimit`], which accuses nobody.

use std::io;

use parallax_model::TlsFailure;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerMisbehaved};

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
