//! What a watcher of a diagnosis is sent: every event from a sequence number on, each once, in order, to the end.
//!
//! Events are read from the store and never handed round, so that a slow watcher costs nobody anything and a
//! reconnecting one misses nothing.
//!
//! INVARIANT: the stream ends after the diagnosis itself was sent, or with an error that says why it cannot go on.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::Stream;
use parallax_model::DiagnosisId;
use parallax_store::Store;
use parallax_wire::pb;
use parallax_wire::pb::watch_diagnosis_response::Event;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::reasons::{Reason, Refusal};

/// What tells a watcher that there is more to read.
#[derive(Clone, Debug)]
pub(super) struct Signals {
    /// The newest sequence number on disk.
    pub newest: watch::Receiver<i32>,
    /// Cancelled after the last event is on disk, or the run gave up.
    pub ended: CancellationToken,
}

struct Watching {
    store: Arc<Store>,
    id: DiagnosisId,
    after: i32,
    ready: VecDeque<pb::WatchDiagnosisResponse>,
    /// `None`: nobody works on it; what is stored is all.
    signals: Option<Signals>,
    is_over: bool,
}

/// Streams the events after a sequence number.
pub(super) fn stream(
    store: Arc<Store>,
    id: DiagnosisId,
    after: i32,
    signals: Option<Signals>,
) -> impl Stream<Item = Result<pb::WatchDiagnosisResponse, Refusal>> + Send {
    let watching = Watching { store, id, after, ready: VecDeque::new(), signals, is_over: false };
    futures::stream::unfold(watching, |mut watching| async move {
        let item = watching.next().await?;
        watching.is_over = match &item {
            Ok(event) => matches!(event.event, Some(Event::Diagnosis(_))),
            Err(_) => true,
        };
        Some((item, watching))
    })
}

impl Watching {
    async fn next(&mut self) -> Option<Result<pb::WatchDiagnosisResponse, Refusal>> {
        if self.is_over {
            return None;
        }
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.after = event.sequence;
                return Some(Ok(event));
            }
            // Noted before reading: what comes after the reading wakes us again.
            let has_ended = match &mut self.signals {
                Some(signals) => {
                    signals.newest.borrow_and_update();
                    signals.ended.is_cancelled()
                }
                None => true,
            };
            match self.store.events_after(&self.id, self.after).await {
                Ok(events) => self.ready.extend(events),
                Err(error) => return Some(Err(error.into())),
            }
            if !self.ready.is_empty() {
                continue;
            }
            if has_ended {
                let message = "the diagnosis was left unfinished; the controller finishes it when it starts again";
                return Some(Err(Refusal::new(Reason::Stopping, message)));
            }
            if let Some(signals) = &mut self.signals {
                tokio::select! {
                    _ = signals.newest.changed() => {}
                    () = signals.ended.cancelled() => {}
                }
            }
        }
    }
}
