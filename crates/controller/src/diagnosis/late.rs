//! Results that come when nobody waits for them any more: kept, acknowledged, and used for the ledger alone. Also those of
//! tasks that a process before this one granted.
//!
//! INVARIANT: the diagnosis they belong to does not change by them; the report it has for that path stays.
//! INVARIANT: a result counts exactly if its task was granted to the agent that sends it; any other is disowned.
//! INVARIANT: a late answer settles its logon by the nonce of its start, once, as the ledger allows; what it cannot be read
//! from stays charged.

use std::sync::Arc;

use parallax_failpoint::point;
use parallax_faults::LogonOutcome;
use parallax_model::{Evidence, Exchange, PathId, PathReport, Report, Round, VantageName};
use parallax_store::{AttemptId, GrantedTask, LogonResult, NewReport, Store, StoreError};
use parallax_wire::pb;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::recall::{is_unreadable, recall};
use crate::agents::{Done, Fleet, LateResult, TaskPlace};
use crate::reasons::chain;
use crate::registry::read_id;

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
            Ok(true) => {
                point("late.acknowledge.before");
                info!(%vantage, "a late result was kept");
                fleet.acknowledge(&vantage, &task).await;
            }
            Ok(false) => fleet.disown(&vantage, &task).await,
            Err(error) => {
                warn!(error = chain(&error), %vantage, %task, "a late result cannot be kept");
            }
        }
    }
}

/// Keeps a result and settles its logon. False: its task was not granted to this agent.
pub(super) async fn keep(store: &Store, result: LateResult) -> Result<bool, StoreError> {
    let LateResult { task, place, vantage, epoch, done } = result;
    let place = match place {
        Some(place) => place,
        None => match store.granted_task(&task, &vantage, epoch).await? {
            Some(GrantedTask { diagnosis, round, endpoint, .. }) => {
                TaskPlace { diagnosis, round, endpoint }
            }
            None => return Ok(false),
        },
    };
    let Done { report, attempt, nonce } = *done;
    let path = PathId { vantage, endpoint: place.endpoint.clone() };
    let report = read(report, path, &task);
    if let (false, Ok(nonce)) = (attempt.is_empty(), nonce.try_into())
        && let Some(logon) = logon_of(&report)
    {
        let result = meaning(store, &place, &report, logon).await?;
        let settled = store.settle(&AttemptId::new(attempt), &nonce, result).await?;
        info!(?result, ?settled, "a late result tells what a logon came to");
    }
    let new = NewReport {
        diagnosis: place.diagnosis,
        round: place.round,
        task,
        report: pb::PathReport::from(&report),
        event: None,
    };
    // A path has its report already, by the same task; then this is a second copy and changes nothing.
    store.record_report(new).await?;
    Ok(true)
}

/// What cannot be read proves nothing, so a logon of it stays charged. It is kept all the same, or the agent would send it
/// for ever.
fn read(report: Result<PathReport, String>, path: PathId, task: &str) -> PathReport {
    let vantage: &VantageName = &path.vantage;
    let detail = match report {
        Ok(report) if report.path == path => return report,
        Ok(report) => format!("the agent reported about `{}` instead", report.path),
        Err(error) => {
            warn!(%vantage, task, error, "a late report cannot be read");
            format!("the agent's report cannot be read: {error}")
        }
    };
    PathReport { path, report: Report::Unable { detail } }
}

/// The exchange that carried a credential, or was to carry it.
fn logon_of(report: &PathReport) -> Option<&Exchange> {
    let Report::Seen(sight) = &report.report else { return None };
    sight.observations.iter().flat_map(|it| &it.exchanges).find(|it| it.look.is_logon())
}

/// What a late answer means, in the light of what its diagnosis knew.
async fn meaning(
    store: &Store,
    place: &TaskPlace,
    report: &PathReport,
    logon: &Exchange,
) -> Result<LogonResult, StoreError> {
    if !logon.sent {
        return Ok(LogonResult::NotSent);
    }
    let at_start = match evidence_at_start(store, place).await {
        // Its record can never be read again, so the result must not be sent again for that.
        Err(error) if is_unreadable(&error) => {
            warn!(error = chain(&error), diagnosis = %place.diagnosis, "what a diagnosis knew cannot be read");
            None
        }
        read => read?,
    };
    // Read in the light of another target it could be taken for an acceptance.
    let Some(evidence) = at_start else { return Ok(LogonResult::Unproven) };
    let evidence = with_report(evidence, place, report);
    Ok(match parallax_faults::classify(&evidence, &report.path, logon) {
        LogonOutcome::Accepted => LogonResult::Accepted,
        // Who could tell what spoke against an earlier proof has gone; so there is none.
        LogonOutcome::Refused => LogonResult::Refused { proof: false },
        LogonOutcome::Unproven => LogonResult::Unproven,
        LogonOutcome::NotSent => LogonResult::NotSent,
    })
}

/// What the diagnosis knew. `None`: that is not on disk any more.
async fn evidence_at_start(
    store: &Store,
    place: &TaskPlace,
) -> Result<Option<Evidence>, StoreError> {
    let stored = store.diagnosis(&place.diagnosis).await?;
    let target = read_id(&stored.target, "target", "targets", parallax_model::TargetId::new);
    let Ok(target) = target else { return Ok(None) };
    let (recalled, _) = recall(store, &place.diagnosis, &target).await?;
    Ok(recalled.filter(|it| it.is_of_start).map(|it| it.evidence))
}

/// The evidence with the report where its diagnosis missed it.
fn with_report(mut evidence: Evidence, place: &TaskPlace, report: &PathReport) -> Evidence {
    match evidence.rounds.iter_mut().find(|it| it.number == place.round) {
        Some(round) => {
            round.reports.retain(|it| it.path != report.path);
            round.reports.push(report.clone());
        }
        None => evidence.rounds.push(Round { number: place.round, reports: vec![report.clone()] }),
    }
    evidence
}
