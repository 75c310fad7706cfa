//! What goes to one agent: the messages of its session, until the session is over or cut.
//!
//! A session that ends is told its last words first. One that is cut is told that alone: what still waited is dropped, so that
//! an agent that was shut out gets no task that was meant for it a moment before.
//!
//! INVARIANT: after a cut nothing but its reason goes out.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use parallax_wire::pb::link as wire;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;

/// Cuts a session.
#[derive(Clone, Debug, Default)]
pub(super) struct Cut {
    token: CancellationToken,
    reason: Arc<OnceLock<String>>,
}

impl Cut {
    pub(super) fn now(&self, reason: &str) {
        // The first reason stays.
        let _ = self.reason.set(reason.to_owned());
        self.token.cancel();
    }

    pub(super) fn is_done(&self) -> bool {
        self.token.is_cancelled()
    }
}

/// The stream of one session.
#[derive(Debug)]
pub(crate) struct Outgoing {
    messages: mpsc::Receiver<Result<wire::SessionResponse, Status>>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    reason: Arc<OnceLock<String>>,
    is_over: bool,
}

impl Outgoing {
    pub(super) fn new(
        messages: mpsc::Receiver<Result<wire::SessionResponse, Status>>,
        cut: &Cut,
    ) -> Self {
        let token = cut.token.clone();
        let reason = Arc::clone(&cut.reason);
        Self { messages, cut: Box::pin(token.cancelled_owned()), reason, is_over: false }
    }
}

impl Stream for Outgoing {
    type Item = Result<wire::SessionResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        if self.cut.as_mut().poll(context).is_ready() {
            self.is_over = true;
            self.messages.close();
            let reason = self.reason.get().map_or("shut out", String::as_str);
            return Poll::Ready(Some(Err(Status::permission_denied(reason))));
        }
        self.messages.poll_recv(context)
    }
}
