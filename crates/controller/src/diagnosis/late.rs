//! Results that come when nobody waits for them any more: kept, acknowledged, and used for the ledger alone.
//!
//! INVARIANT: the diagnosis they belong to does not change by them; the report it has for that path stays.
//! INVARIANT: only one thing is believed of a late logon: that its credential was never sent.

use std::sync::Arc;

use parallax_model::{PathId, PathReport, Report};
use parallax_store::{AttemptId, LogonResult, NewReport, Store, StoreError};
use parallax_wire::pb;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::agents::{Done, Fleet, LateResult};
use crate::reasons::chain;

/// Late results that wait for the disk; more are sent again by their agents.
pub(crate) const LATE_MAX: usize = 256;

/// Serves late results until `stop`.
pub(crate) async fn settle_late_results(
    store: Arc<Store>,
    fleet: Fleet,
    mut late: mpsc::Receiver<LateResult>,
    stop: CancellationToken,
) {
    while let Some(Some(result)) = stop.run_until_cancelled(late.recv()).await {
        let (vantage, task) = (result.vantage.clone(), result.task.clone());
        match keep(&store, result).await {
            Ok(()) => {
                info!(%vantage, "a late result was kept");
                fleet.acknowledge(&vantage, &task).await;
            }
            Err(error) => {
                warn!(error = chain(&error), %vantage, %task, "a late result cannot be kept");
            }
        }
    }
}

pub(super) async fn keep(store: &Store, result: LateResult) -> Result<(), StoreError> {
    let LateResult { task, place, vantage, done } = result;
    let Done { report, attempt, nonce } = *done;
    let report = report.unwrap_or_else(|error| {
        // It proves nothing, so a logon of it stays charged. Kept all the same, or the agent would send it for ever.
        warn!(%vantage, %task, attempt, error, "a late report cannot be read");
        let path = PathId { vantage, endpoint: place.endpoint };
        let detail = format!("the agent's report cannot be read: {error}");
        PathReport { path, report: Report::Unable { detail } }
    });
    if let (false, Ok(nonce), true) = (attempt.is_empty(), nonce.try_into(), was_not_sent(&report))
    {
        let settled = store.settle(&AttemptId::new(attempt), &nonce, LogonResult::NotSent).await?;
        info!(?settled, "a late result tells that a credential was not sent");
    }
    // A path has its report already, by the same task; then this is a second copy and changes nothing.
    let report = pb::PathReport::from(&report);
    let new =
        NewReport { diagnosis: place.diagnosis, round: place.round, task, report, event: None };
    store.record_report(new).await?;
    Ok(())
}

/// Whether a logon was prepared and no byte of it was handed to the socket.
fn was_not_sent(report: &PathReport) -> bool {
    let Report::Seen(sight) = &report.report else { return false };
    let mut logons = sight
        .observations
        .iter()
        .flat_map(|it| &it.exchanges)
        .filter(|it| it.look.is_logon())
        .peekable();
    logons.peek().is_some() && logons.all(|it| !it.sent)
}
