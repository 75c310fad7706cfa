//! After a restart: a diagnosis that had sent no credential goes on where it was; any other is judged by what is on disk, in
//! the light of what it started from, and ended as interrupted.
//!
//! Going on means: the same id, watchers attach again with their sequence number, paths that have no report are asked again.
//!
//! INVARIANT: a diagnosis for which the ledger knows a logon is never taken up, so no credential is dispatched twice.
//! INVARIANT: a record that cannot be read ends its own diagnosis, and keeps no controller from starting.
//! INVARIANT: whoever asks for an unfinished diagnosis after the start finds somebody working on it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use parallax_faults::Language;
use parallax_model::{AccountId, DiagnosisId, Evidence, PathId, Round, TargetId, VantageName};
use parallax_store::{Budget, StoreError};
use parallax_wire::{decode_duration, diagnosis_name, pb};
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use super::facts::zone_of;
use super::finish::end_diagnosis;
use super::recall::{Recalled, is_unreadable, recall};
use super::run::{Next, Run};
use super::{Begin, Coordinator};
use crate::reasons::chain;
use crate::registry::read_id;
use crate::render;

/// With less than this left a diagnosis is not taken up: nothing would be asked any more.
const TIME_MIN: Duration = Duration::from_secs(10);
/// How long the agents are waited for that a diagnosis needs next: they call again within a second or two.
const AGENTS_WAIT: Duration = Duration::from_secs(15);
/// Why a diagnosis was interrupted.
const JUDGED: &str = "the controller restarted in the middle; what was on disk was judged";
const UNREADABLE: &str =
    "the controller restarted in the middle, and what was on disk cannot be read";

/// What is known of an unfinished diagnosis.
struct Unfinished {
    id: DiagnosisId,
    message: pb::Diagnosis,
    recalled: Option<Recalled>,
    rounds: Vec<Round>,
}

impl Coordinator {
    /// Takes up what a process before left unfinished, or ends it as interrupted, in tasks of their own. Returns when every
    /// one of them is known to those who ask.
    pub(crate) async fn take_up_unfinished(&self) -> Result<(), StoreError> {
        for id in self.shared.store.unfinished_ids().await? {
            match self.take_up_one(&id).await {
                Err(error) if is_unreadable(&error) => {
                    warn!(error = chain(&error), diagnosis = %id, "an unfinished diagnosis cannot be read; it ends as interrupted");
                    self.end_unreadable(id).await?;
                }
                taken_up => taken_up?,
            }
        }
        Ok(())
    }

    async fn take_up_one(&self, id: &DiagnosisId) -> Result<(), StoreError> {
        let message = self.shared.store.diagnosis(id).await?;
        let Ok(target) = read_id(&message.target, "target", "targets", TargetId::new) else {
            // The store would not have taken it.
            warn!(diagnosis = %id, "the target of an unfinished diagnosis cannot be read");
            self.interrupt(id.clone(), message, None, Vec::new(), UNREADABLE);
            return Ok(());
        };
        let (recalled, rounds) = recall(&self.shared.store, id, &target).await?;
        let unfinished = Unfinished { id: id.clone(), message, recalled, rounds };
        match self.begin_again(unfinished).await? {
            Ok(begin) => match self.slot() {
                Ok(slot) => {
                    info!(diagnosis = %id, "a diagnosis goes on after a restart");
                    self.start(*begin, slot);
                }
                Err(_full) => {
                    let Begin { id, message, evidence, .. } = *begin;
                    self.interrupt(id, message, Some(evidence), Vec::new(), JUDGED);
                }
            },
            Err(it) => {
                info!(diagnosis = %id, "a diagnosis was interrupted by a restart");
                let Unfinished { id, message, recalled, rounds } = *it;
                self.interrupt(id, message, recalled.map(|it| it.evidence), rounds, JUDGED);
            }
        }
        Ok(())
    }

    /// Something of its record cannot be read; what of it can be is kept.
    async fn end_unreadable(&self, id: DiagnosisId) -> Result<(), StoreError> {
        let message = match self.shared.store.diagnosis(&id).await {
            Err(error) if is_unreadable(&error) => {
                pb::Diagnosis { name: diagnosis_name(&id), ..pb::Diagnosis::default() }
            }
            read => read?,
        };
        self.interrupt(id, message, None, Vec::new(), UNREADABLE);
        Ok(())
    }

    /// What it goes on with; `Err`: it cannot.
    async fn begin_again(
        &self,
        it: Unfinished,
    ) -> Result<Result<Box<Begin>, Box<Unfinished>>, StoreError> {
        let time = time_left(&it.message);
        let has_all = it.recalled.as_ref().is_some_and(|it| it.is_of_start);
        if time < TIME_MIN || !has_all || self.shared.store.has_logons(&it.id).await? {
            return Ok(Err(Box::new(it)));
        }
        let accounts = it.recalled.iter().flat_map(|it| &it.evidence.accounts);
        let mut budgets: BTreeMap<AccountId, Budget> = BTreeMap::new();
        for account in accounts {
            match self.shared.store.budget(&account.id).await {
                Ok(budget) => budgets.insert(account.id.clone(), budget),
                // The account is gone; without it the rest would be another question.
                Err(StoreError::NotFound { .. }) => return Ok(Err(Box::new(it))),
                Err(error) => return Err(error),
            };
        }
        let Unfinished { id, message, recalled, rounds } = it;
        let Some(Recalled { evidence, open, .. }) = recalled else {
            return Ok(Err(Box::new(Unfinished { id, message, recalled: None, rounds })));
        };
        Ok(Ok(Box::new(Begin {
            id,
            principal: message.principal.clone(),
            language: Language::from_tag(&message.language).unwrap_or_default(),
            anonymous_only: message.anonymous_only,
            time,
            evidence,
            budgets,
            taken_up: Some(open),
            message,
        })))
    }

    /// Judges what is there, and ends the diagnosis.
    fn interrupt(
        &self,
        id: DiagnosisId,
        mut message: pb::Diagnosis,
        evidence: Option<Evidence>,
        rounds: Vec<Round>,
        reason: &'static str,
    ) {
        let (newest, entered) = self.enter(&id);
        let store = std::sync::Arc::clone(&self.shared.store);
        self.shared.tracker.spawn(self.clone().see_through(entered, async move {
            message.set_state(pb::diagnosis::State::Interrupted);
            reason.clone_into(&mut message.state_reason);
            let Some(evidence) = evidence else {
                // Its target is gone meanwhile, or its record cannot be read, so nothing can be judged.
                message.rounds = rounds.iter().map(Into::into).collect();
                let finished = store.finish_diagnosis(message).await?;
                newest.send_replace(finished.event.sequence);
                return Ok(());
            };
            judge(&mut message, &evidence);
            end_diagnosis(&store, message, &evidence, &newest).await
        }));
    }
}

/// Of the time that the diagnosis was given.
fn time_left(message: &pb::Diagnosis) -> Duration {
    let Ok(whole) = decode_duration(message.time_limit, "time_limit") else {
        return Duration::ZERO;
    };
    let begun = message.create_time.and_then(|it| {
        let seconds = Duration::from_secs(u64::try_from(it.seconds).ok()?);
        SystemTime::UNIX_EPOCH.checked_add(seconds)
    });
    // A clock that was moved back gives no more than there was.
    let spent = begun.and_then(|it| SystemTime::now().duration_since(it).ok()).unwrap_or_default();
    whole.saturating_sub(spent)
}

fn judge(message: &mut pb::Diagnosis, evidence: &Evidence) {
    let judged = parallax_faults::diagnose(evidence);
    parallax_wire::fill_judgement(message, &judged, zone_of(&evidence.vantages));
    let language = Language::from_tag(&message.language).unwrap_or_default();
    render::render(message, language);
}

impl Run {
    /// Where a diagnosis goes on after a restart: with the paths of its last round that have no report, or with the round
    /// after it.
    pub(super) async fn take_up(&mut self, open: BTreeSet<PathId>) -> Result<Next, StoreError> {
        self.wait_for_agents(&open).await;
        let Some(mut last) = self.evidence.rounds.pop() else { return Ok(self.first()) };
        let number = last.number;
        let mut next = match number {
            1 => self.first(),
            _ => self.after_round(number - 1).await?,
        };
        next.proposals.retain(|it| open.contains(&it.path));
        if !next.proposals.is_empty() {
            last.reports.retain(|it| !open.contains(&it.path));
            next.kept = last.reports;
            return Ok(next);
        }
        self.evidence.rounds.push(last);
        self.after_round(number).await
    }

    async fn after_round(&mut self, number: u32) -> Result<Next, StoreError> {
        let judged = self.judge().await;
        let proposals = self.propose(&judged, number).await?;
        Ok(Next { number: number + 1, proposals, kept: Vec::new() })
    }

    /// The agents call again soon; before that every path would be silent.
    async fn wait_for_agents(&self, open: &BTreeSet<PathId>) {
        let mut wanted: BTreeSet<VantageName> = open.iter().map(|it| it.vantage.clone()).collect();
        if wanted.is_empty() {
            wanted = self.first().proposals.into_iter().map(|it| it.path.vantage).collect();
        }
        let until = self.deadline.min(Instant::now() + AGENTS_WAIT);
        let connected = timeout_at(until, self.fleet.connected(&wanted));
        tokio::select! {
            _ = connected => {}
            _ = self.interrupted() => {}
        }
    }
}
