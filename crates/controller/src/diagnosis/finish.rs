//! Brings a diagnosis to its end: runs it, waits until everything is written, and stores the final form with its last event.
//!
//! INVARIANT: the final form is stored after every report of it is on disk.
//! INVARIANT: a diagnosis that a stopping controller leaves is not ended here; the next start does that.

use parallax_failpoint::point;
use parallax_model::Evidence;
use parallax_store::{Store, StoreError};
use parallax_wire::pb;
use parallax_wire::pb::diagnosis::State;
use prost::Message as _;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::facts::leave_history;
use super::journal::JournalTask;
use super::run::{End, Run};
use crate::reasons::chain;

/// Above this the rounds of a stored diagnosis are cut, so that it fits into a message of the API (4 MiB).
const BODY_MAX: usize = 3 * 1024 * 1024 + 512 * 1024;

/// What is left when a run is over.
struct Over {
    end: Result<End, StoreError>,
    message: pb::Diagnosis,
    evidence: Evidence,
}

/// Runs a diagnosis beside its journal, then ends it.
pub(super) async fn run_to_the_end(
    run: Run,
    journal: JournalTask,
    newest: watch::Sender<i32>,
) -> Result<(), StoreError> {
    let (store, cancel) = (std::sync::Arc::clone(&run.store), run.cancel.clone());
    let mut writing = JoinSet::new();
    writing.spawn(async move {
        let written = journal.run().await;
        if written.is_err() {
            // What cannot be written down is not asked any further.
            cancel.cancel();
        }
        written
    });
    let over = drive(run).await;
    let written = match writing.join_next().await {
        Some(Ok(written)) => written,
        Some(Err(error)) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Nobody but the runtime, on its way down, cancels it; the next start ends the diagnosis.
            Err(_cancelled) => return Ok(()),
        },
        None => return Ok(()),
    };
    let Over { end, mut message, evidence } = over;
    let failure = end.as_ref().err().or(written.as_ref().err());
    let (state, reason) = match (&end, failure) {
        (Ok(End::Stopped), _) => return Ok(()),
        (_, Some(error)) => {
            warn!(
                error = chain(error),
                diagnosis = message.name,
                "the store failed during a diagnosis"
            );
            (State::Failed, "the store did not do what it was asked")
        }
        (Ok(End::Complete) | Err(_), None) => (State::Succeeded, ""),
        (Ok(End::Cancelled), None) => {
            (State::Cancelled, "somebody ended it; what was there was judged")
        }
        (Ok(End::Expired), None) => (State::Expired, "its time ran out; what was there was judged"),
    };
    message.set_state(state);
    reason.clone_into(&mut message.state_reason);
    end_diagnosis(&store, message, &evidence, &newest).await
}

async fn drive(mut run: Run) -> Over {
    let end = run.rounds().await;
    if run.judged.is_none() {
        run.judge().await;
    }
    // Dropping the rest of the run closes its journal.
    let Run { message, evidence, .. } = run;
    Over { end, message, evidence }
}

/// Stores the final form, wakes watchers, and leaves what was seen to later diagnoses.
pub(super) async fn end_diagnosis(
    store: &Store,
    mut message: pb::Diagnosis,
    evidence: &Evidence,
    newest: &watch::Sender<i32>,
) -> Result<(), StoreError> {
    message.rounds = evidence.rounds.iter().map(Into::into).collect();
    cut(&mut message);
    point("finish.before");
    let finished = store.finish_diagnosis(message).await?;
    point("finish.after");
    let verdict = finished.diagnosis.verdict.as_ref();
    info!(
        diagnosis = finished.diagnosis.name,
        target = finished.diagnosis.target,
        verdict = verdict.map_or("", |it| it.fault.as_str()),
        standing = verdict.map_or("", |it| it.standing.as_str()),
        "a diagnosis ended"
    );
    newest.send_replace(finished.event.sequence);
    if let Err(error) = store.add_past(&evidence.target.id, &leave_history(evidence)).await {
        warn!(error = chain(&error), "cannot leave history");
    }
    Ok(())
}

/// Bodies first, then whole rounds: each report is an event of its own as well, and can be read there.
fn cut(message: &mut pb::Diagnosis) {
    if message.encoded_len() <= BODY_MAX {
        return;
    }
    for exchange in exchanges(message) {
        if let Some(pb::exchange::Outcome::Done(answer)) = &mut exchange.outcome {
            answer.body_beginning.clear();
        }
    }
    if message.encoded_len() > BODY_MAX {
        message.rounds.clear();
        message
            .state_reason
            .push_str(" (too large for one message: read the rounds by WatchDiagnosis)");
    }
}

fn exchanges(message: &mut pb::Diagnosis) -> impl Iterator<Item = &mut pb::Exchange> {
    message
        .rounds
        .iter_mut()
        .flat_map(|it| &mut it.reports)
        .filter_map(|it| match &mut it.report {
            Some(pb::path_report::Report::Seen(sight)) => Some(sight),
            Some(
                pb::path_report::Report::Refused(_)
                | pb::path_report::Report::Unable(_)
                | pb::path_report::Report::Silent(_),
            )
            | None => None,
        })
        .flat_map(|it| &mut it.observations)
        .flat_map(|it| &mut it.exchanges)
}
