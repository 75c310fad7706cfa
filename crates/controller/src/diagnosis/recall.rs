//! What a stored diagnosis knew: what it started from, as it was then, and the rounds that its events tell.
//!
//! Absent on purpose: what to do with it. A restart takes it up or judges it, a late result is read in its light.
//!
//! INVARIANT: a path that was asked and whose report is not on disk is silent, never broken.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use parallax_model::{DiagnosisId, Evidence, PathId, PathReport, Report, Round, Silence, TargetId};
use parallax_store::{DiagnosisStart, Store, StoreError};
use parallax_wire::pb::watch_diagnosis_response::Event;

use super::facts::{Facts, read_history};
use crate::registry::decode_account;

/// As the store reads them.
const EVENTS_AT_ONCE: usize = 1000;

/// A stored diagnosis, brought to mind.
#[derive(Debug)]
pub(super) struct Recalled {
    /// With every round that was begun.
    pub evidence: Evidence,
    /// Paths of the last round whose report is not on disk.
    pub open: BTreeSet<PathId>,
    /// Whether the evidence is that of its start; else it is today's.
    pub is_of_start: bool,
}

/// Whether it is the record that cannot be read, now and at any other time, and not the disk.
pub(super) fn is_unreadable(error: &StoreError) -> bool {
    matches!(error, StoreError::Undecodable { .. })
}

/// `None`: neither its start nor its target can be read any more; then only its rounds are left.
pub(super) async fn recall(
    store: &Store,
    id: &DiagnosisId,
    target: &TargetId,
) -> Result<(Option<Recalled>, Vec<Round>), StoreError> {
    let Replayed { rounds, open } = replayed(store, id).await?;
    let at_start = match store.diagnosis_start(id).await? {
        Some((at, start)) => evidence_of(store, start, at).await?,
        None => None,
    };
    let is_of_start = at_start.is_some();
    let evidence = match at_start {
        Some(evidence) => Some(evidence),
        None => Facts::gather(store, target).await.ok().map(|it| it.evidence),
    };
    let recalled = evidence.map(|mut evidence| {
        evidence.rounds.clone_from(&rounds);
        Recalled { evidence, open, is_of_start }
    });
    Ok((recalled, rounds))
}

/// `None`: it cannot be read, which is logged where it is read.
async fn evidence_of(
    store: &Store,
    start: DiagnosisStart,
    at: SystemTime,
) -> Result<Option<Evidence>, StoreError> {
    let Ok(target) = super::facts::decode_target(&start.target) else { return Ok(None) };
    let accounts: Result<Vec<_>, _> = start.accounts.iter().map(decode_account).collect();
    let Ok(accounts) = accounts else { return Ok(None) };
    let history = read_history(store, &target, at).await?;
    let history = history.into_iter().filter(|it| it.at <= at).collect();
    let (vantages, rounds) = (start.vantages, Vec::new());
    Ok(Some(Evidence { target, accounts, vantages, rounds, history, now: SystemTime::now() }))
}

#[derive(Default)]
struct Replayed {
    rounds: Vec<Round>,
    open: BTreeSet<PathId>,
}

/// The rounds as their events tell them.
async fn replayed(store: &Store, id: &DiagnosisId) -> Result<Replayed, StoreError> {
    let mut rounds: Vec<BTreeMap<PathId, Report>> = Vec::new();
    let mut open = BTreeSet::new();
    let mut after = 0;
    loop {
        let events = store.events_after(id, after).await?;
        let is_last = events.len() < EVENTS_AT_ONCE;
        for event in events {
            after = event.sequence;
            if let Some(event) = event.event {
                replay(&mut rounds, &mut open, event);
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
    Ok(Replayed { rounds: rounds.map(round).collect(), open })
}

fn replay(rounds: &mut Vec<BTreeMap<PathId, Report>>, open: &mut BTreeSet<PathId>, event: Event) {
    match event {
        Event::RoundBegun(begun) => {
            let paths = begun.paths.into_iter().filter_map(|it| PathId::try_from(it).ok());
            *open = paths.collect();
            let silent = open.iter().map(|it| (it.clone(), Report::Silent(Silence::Lost)));
            // A round that is taken up after a restart begins again, with the paths that are left.
            let is_again = usize::try_from(begun.number).ok() == Some(rounds.len());
            match rounds.last_mut() {
                Some(round) if is_again => round.extend(silent),
                Some(_) | None => rounds.push(silent.collect()),
            }
        }
        Event::PathReported(report) => {
            if let (Ok(report), Some(round)) = (PathReport::try_from(report), rounds.last_mut()) {
                open.remove(&report.path);
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
                open.remove(&path);
            }
        }
        Event::Logon(_)
        | Event::State(_)
        | Event::StageEnded(_)
        | Event::Judged(_)
        | Event::Diagnosis(_) => {}
    }
}
