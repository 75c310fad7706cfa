//! What the controller's TLS says after the handshake: in TLS 1.3 a client certificate is refused only then
//! (RFC 8446 section 4.4.2.4), as an alert on the first read.
//!
//! HTTP/2 above it reports a broken connection and not why; so the stream itself listens.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use rustls::{AlertDescription, Error};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::{Code, Status};

use crate::trouble::Trouble;

/// The alert of one connection, once there was one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alerts(Arc<Mutex<Option<AlertDescription>>>);

impl Alerts {
    fn note(&self, error: &io::Error) {
        let tls = error.get_ref().and_then(|it| it.downcast_ref::<Error>());
        if let (Some(Error::AlertReceived(alert)), Ok(mut heard)) = (tls, self.0.lock()) {
            heard.get_or_insert(*alert);
        }
    }

    fn heard(&self) -> Option<AlertDescription> {
        self.0.lock().ok().and_then(|it| *it)
    }

    /// What the alert means.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        let alert = self.heard()?;
        let detail = format!("TLS alert {alert:?}");
        #[expect(clippy::wildcard_enum_match_arm, reason = "the enum of rustls is open")]
        Some(match alert {
            AlertDescription::CertificateExpired => Trouble::IdentityExpired { detail },
            AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError => Trouble::IdentityRefused { detail },
            _ => Trouble::Tls { detail },
        })
    }

    /// What a refused or broken call means.
    pub(crate) fn of_call(&self, status: &Status) -> Trouble {
        if let Some(trouble) = self.trouble() {
            return trouble;
        }
        let detail = said(status);
        match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => Trouble::IdentityRefused { detail },
            Code::FailedPrecondition | Code::Unimplemented => Trouble::TooOld { detail },
            Code::InvalidArgument | Code::OutOfRange | Code::DataLoss => {
                Trouble::OutOfTurn { detail }
            }
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::DeadlineExceeded
            | Code::NotFound
            | Code::AlreadyExists
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::Internal
            | Code::Unavailable => Trouble::NoSession { detail },
        }
    }
}

/// The text of a status: the other side's, so without control characters and not without end.
pub(crate) fn said(status: &Status) -> String {
    let text: String = status.message().chars().filter(|it| !it.is_control()).take(300).collect();
    if text.is_empty() { format!("{:?}", status.code()) } else { text }
}

/// A stream that listens for the alert.
pub(crate) struct Listened<S> {
    stream: S,
    alerts: Alerts,
}

impl<S> Listened<S> {
    pub(crate) fn new(stream: S, alerts: Alerts) -> Self {
        Self { stream, alerts }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Listened<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Poll::Ready(Err(error)) = &read {
            self.alerts.note(error);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Listened<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
