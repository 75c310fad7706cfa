//! After a restart: diagnoses that were under way are judged by what is on disk and ended as interrupted.
//!
//! Absent on purpose: going on asking. Whoever waited has gone, and a logon is never made twice.
//!
//! INVARIANT: a path that was asked and whose report is not on disk is silent, never broken.

use std::collections::BTreeMap;

use parallax_faults::Language;
use parallax_model::{DiagnosisId, Evidence, PathId, PathReport, Report, Round, Silence};
use parallax_store::{Store, StoreError};
use parallax_wire::pb;
use parallax_wire::pb::watch_diagnosis_response::Event;
use tokio::sync::watch;
use tracing::{info, warn};

use super::facts::{Facts, zone_of};
use super::finish::end_diagnosis;
use crate::reasons::Refusal;
use crate::registry::read_id;
use crate::render;

/// As the store reads them.
const EVENTS_AT_ONCE: usize = 1000;

/// Ends what a process before left unfinished.
pub(crate) async fn finish_interrupted(store: &Store) -> Result<(), StoreError> {
    for message in store.mark_interrupted().await? {
        let name = message.name.clone();
        info!(diagnosis = name, "a diagnosis was interrupted by a restart");
        match finish(store, message).await {
            Ok(()) => {}
            Err(Failure::Store(error)) => return Err(error),
            Err(Failure::Unreadable) => {
                warn!(diagnosis = name, "an interrupted diagnosis cannot be read");
            }
        }
    }
    Ok(())
}

enum Failure {
    Store(StoreError),
    /// Its name; the store would not have taken it.
    Unreadable,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

async fn finish(store: &Store, mut message: pb::Diagnosis) -> Result<(), Failure> {
    let read = |name: &str| read_id(name, "name", "diagnoses", DiagnosisId::new);
    let id = read(&message.name).map_err(|_: Refusal| Failure::Unreadable)?;
    let target = read_id(&message.target, "target", "targets", parallax_model::TargetId::new)
        .map_err(|_: Refusal| Failure::Unreadable)?;
    message.set_state(pb::diagnosis::State::Interrupted);
    "the controller restarted in the middle; what was on disk was judged"
        .clone_into(&mut message.state_reason);
    let rounds = stored_rounds(store, &id).await?;
    let Ok(Facts { mut evidence, .. }) = Facts::gather(store, &target).await else {
        // Its target is gone meanwhile, so nothing can be judged.
        message.rounds = rounds.iter().map(Into::into).collect();
        store.finish_diagnosis(message).await?;
        return Ok(());
    };
    evidence.rounds = rounds;
    judge(&mut message, &evidence);
    let (newest, _) = watch::channel(0);
    Ok(end_diagnosis(store, message, &evidence, &newest).await?)
}

fn judge(message: &mut pb::Diagnosis, evidence: &Evidence) {
    let judged = parallax_faults::diagnose(evidence);
    parallax_wire::fill_judgement(message, &judged, zone_of(&evidence.vantages));
    let language = Language::from_tag(&message.language).unwrap_or_default();
    render::render(message, language);
}

/// The rounds as their events tell them.
async fn stored_rounds(store: &Store, id: &DiagnosisId) -> Result<Vec<Round>, StoreError> {
    let mut rounds: Vec<BTreeMap<PathId, Report>> = Vec::new();
    let mut after = 0;
    loop {
        let events = store.events_after(id, after).await?;
        let is_last = events.len() < EVENTS_AT_ONCE;
        for event in events {
            after = event.sequence;
            if let Some(event) = event.event {
                replay(&mut rounds, event);
            }
        }
        if is_last {
            break;
        }
    }
    let rounds = rounds.into_iter().filter(|it| !it.is_empty()).zip(1..);
    let round = |(reports, number): (BTreeMap<PathId, Report>, u32)| {
        let reports = reports.into_iter().map(|(path, report)| PathReport { path, report });
        Round { number, reports: reports.collect() }
    };
    Ok(rounds.map(round).collect())
}

fn replay(rounds: &mut Vec<BTreeMap<PathId, Report>>, event: Event) {
    match event {
        Event::RoundBegun(begun) => {
            let paths = begun.paths.into_iter().filter_map(|it| PathId::try_from(it).ok());
            rounds.push(paths.map(|path| (path, Report::Silent(Silence::Lost))).collect());
        }
        Event::PathReported(report) => {
            if let (Ok(report), Some(round)) = (PathReport::try_from(report), rounds.last_mut()) {
                round.insert(report.path, report.report);
            }
        }
        Event::Logon(logon) if logon.what == "held" => {
            // It was not asked after all, unless free looks were taken there.
            let path = logon.path.and_then(|it| PathId::try_from(it).ok());
            if let (Some(path), Some(round)) = (path, rounds.last_mut())
                && round.get(&path) == Some(&Report::Silent(Silence::Lost))
            {
                round.remove(&path);
            }
        }
        Event::Logon(_)
        | Event::State(_)
        | Event::StageEnded(_)
        | Event::Judged(_)
        | Event::Diagnosis(_) => {}
    }
}
