//! One diagnosis from its first round to its verdict.
//!
//! Plan, ask, gather, judge, and again with what would decide more, at most four rounds. Absent on purpose: what to ask
//! (`plan`), what it means (`faults`), what it may cost (the ledger).
//!
//! INVARIANT: every path asked in a round has exactly one report in it; silence is one.
//! INVARIANT: whatever ends a diagnosis early, what is there is judged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use futures::future::join_all;
use parallax_failpoint::point;
use parallax_faults::Language;
use parallax_model::{
    AccountId, Diagnosis, DiagnosisId, Evidence, PathId, PathReport, Round, Silence,
};
use parallax_store::{Budget, OfferedTask, Store, StoreError};
use parallax_wire::pb;
use parallax_wire::pb::watch_diagnosis_response::{Event, LogonEvent, RoundBegun};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::facts::zone_of;
use super::journal::Journal;
use super::lanes::{Asked, LogonEnd, lanes};
use super::tally::{Tally, count};
use crate::agents::Fleet;
use crate::plan::{self, AccountBudget, HeldLogon, Proposal};
use crate::render;

/// Why a diagnosis stopped asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Nothing more would help, or nothing more may be asked.
    Complete,
    Cancelled,
    Expired,
    /// The controller stops; the next start finishes it.
    Stopped,
}

/// The round to be asked next.
pub(super) struct Next {
    pub number: u32,
    pub proposals: Vec<Proposal>,
    /// Reports of this round that are there already.
    pub kept: Vec<PathReport>,
}

/// What a diagnosis works with. Only its own task changes it.
pub(super) struct Run {
    pub id: DiagnosisId,
    pub principal: String,
    pub language: Language,
    pub anonymous_only: bool,
    pub deadline: Instant,
    pub evidence: Evidence,
    /// Of a diagnosis that goes on after a restart: paths of its last round that have to be asked again.
    pub taken_up: Option<BTreeSet<PathId>>,
    pub judged: Option<Diagnosis>,
    pub tally: Tally,
    pub journal: Journal,
    pub store: Arc<Store>,
    pub fleet: Fleet,
    pub cancel: CancellationToken,
    pub stop: CancellationToken,
    /// The tasks of the round that is being asked; a path is asked once in a round.
    pub task_names: BTreeMap<PathId, String>,
    /// The stored message; brought forward after every round.
    pub message: pb::Diagnosis,
}

impl Run {
    /// Asks round after round. On `Err` the store failed; then nothing can be promised any more.
    pub(super) async fn rounds(&mut self) -> Result<End, StoreError> {
        self.message.set_state(pb::diagnosis::State::Running);
        self.message.state_reason.clear();
        let message = self.message.clone();
        self.journal.event(Event::State(message.state)).await;
        self.journal.forward(message).await;
        let Next { number: first, mut proposals, mut kept } = match self.taken_up.take() {
            Some(open) => self.take_up(open).await?,
            None => self.first(),
        };
        if proposals.is_empty() && kept.is_empty() {
            // Taken up after its last round.
            return Ok(End::Complete);
        }
        for number in first..=plan::ROUNDS_MAX {
            if let Some(end) = self.interruption() {
                return Ok(end);
            }
            let mut round = self.round(number, proposals).await?;
            round.reports.append(&mut kept);
            let is_empty = round.reports.is_empty();
            if !is_empty {
                self.evidence.rounds.push(round);
            }
            let judged = self.judge().await;
            if let Some(end) = self.interruption() {
                return Ok(end);
            }
            proposals = self.propose(&judged, number).await?;
            // A round in which everything was held would be proposed again, with the same end.
            if proposals.is_empty() || is_empty {
                break;
            }
            // The last judgement is stored with the final form.
            self.journal.forward(self.message.clone()).await;
        }
        Ok(End::Complete)
    }

    pub(super) fn first(&self) -> Next {
        let Evidence { target, accounts, vantages, .. } = &self.evidence;
        let proposals = plan::first_round(target, accounts, vantages);
        Next { number: 1, proposals, kept: Vec::new() }
    }

    /// What is worth asking after a round; what is held is noted.
    pub(super) async fn propose(
        &mut self,
        judged: &Diagnosis,
        number: u32,
    ) -> Result<Vec<Proposal>, StoreError> {
        let next = plan::next_round(&self.evidence, judged, &self.budgets().await?, number);
        for HeldLogon { path, account, reason } in next.held {
            self.hold(&account, &path, &reason).await;
        }
        Ok(next.proposals)
    }

    /// Judges what is there, and shows it as provisional.
    pub(super) async fn judge(&mut self) -> Diagnosis {
        self.evidence.now = SystemTime::now();
        let judged = parallax_faults::diagnose(&self.evidence);
        self.fill(&judged);
        self.tally.show(&mut self.message);
        if let Some(verdict) = &self.message.verdict {
            self.journal.event(Event::Judged(verdict.clone())).await;
        }
        self.judged = Some(judged.clone());
        judged
    }

    /// The engine's answer and its texts.
    fn fill(&mut self, judged: &Diagnosis) {
        parallax_wire::fill_judgement(&mut self.message, judged, zone_of(&self.evidence.vantages));
        render::render(&mut self.message, self.language);
    }

    async fn round(&mut self, number: u32, proposals: Vec<Proposal>) -> Result<Round, StoreError> {
        let (proposals, forbidden) = self.permitted(proposals);
        for (account, path) in forbidden {
            self.hold(&account, &path, "the diagnosis was asked to send no credential").await;
        }
        let paths: Vec<pb::Path> = proposals.iter().map(|it| (&it.path).into()).collect();
        info!(diagnosis = %self.id, target = %self.evidence.target.id, round = number, paths = paths.len(), "a round begins");
        let tasks = self.name_tasks(&proposals);
        let begun = RoundBegun { number: count(number), paths };
        if !self.journal.round(begun, tasks).await {
            // What is not on disk is not offered.
            self.cancel.cancel();
            return Ok(Round { number, reports: Vec::new() });
        }
        point("round.offer.before");
        let walks = lanes(proposals).into_iter().map(|lane| self.walk(number, lane));
        // Every lane comes to its end, whatever happens in another: what was started has to be settled.
        let walks = walks.map(|walk| async {
            // What cannot be written down is not asked any further.
            walk.await.inspect_err(|_| self.cancel.cancel())
        });
        let asked = join_all(walks).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        point("round.ended");
        let mut reports = BTreeMap::new();
        for Asked { path, report, logon } in asked.into_iter().flatten() {
            if let Some(logon) = logon {
                self.note(&path, logon).await?;
            }
            if let Some(report) = report {
                reports.insert(path, report);
            }
        }
        let reports =
            reports.into_iter().map(|(path, report)| PathReport { path, report }).collect();
        Ok(Round { number, reports })
    }

    /// Gives every path of a round the name of its task.
    fn name_tasks(&mut self, proposals: &[Proposal]) -> Vec<OfferedTask> {
        let name = |it: &Proposal| (it.path.clone(), uuid::Uuid::now_v7().to_string());
        self.task_names = proposals.iter().map(name).collect();
        let offered = |(path, task): (&PathId, &String)| OfferedTask {
            task: task.clone(),
            path: path.clone(),
        };
        self.task_names.iter().map(offered).collect()
    }

    /// Without those that would log on, if that was not wanted; these are returned apart.
    fn permitted(&self, proposals: Vec<Proposal>) -> (Vec<Proposal>, Vec<(AccountId, PathId)>) {
        let mut forbidden = Vec::new();
        let may_be_asked = |proposal: &Proposal| match &proposal.logon {
            Some(logon) if self.anonymous_only => {
                forbidden.push((logon.account.clone(), proposal.path.clone()));
                false
            }
            Some(_) | None => true,
        };
        let permitted = proposals.into_iter().filter(may_be_asked).collect();
        (permitted, forbidden)
    }

    async fn note(&mut self, path: &PathId, logon: LogonEnd) -> Result<(), StoreError> {
        match logon {
            LogonEnd::Held { account, reason } => self.hold(&account, path, &reason).await,
            LogonEnd::Made { account, outcome } => {
                self.tally.made(&account, outcome);
                self.tally.no_longer_held(&account, path);
                let budget = self.store.budget(&account).await?;
                self.tally.charged(&account, &budget);
            }
        }
        Ok(())
    }

    /// Notes a logon that is deliberately not made, and tells watchers once.
    async fn hold(&mut self, account: &AccountId, path: &PathId, reason: &str) {
        if self.tally.held(account, path, reason) {
            // After the last judgement nobody else would count it.
            self.tally.show(&mut self.message);
            self.tell_logon(path, account, "held", reason).await;
        }
    }

    pub(super) async fn tell_logon(
        &self,
        path: &PathId,
        account: &AccountId,
        what: &str,
        reason: &str,
    ) {
        let event = LogonEvent {
            path: Some(path.into()),
            account: parallax_wire::account_name(account),
            what: what.to_owned(),
            reason: reason.to_owned(),
        };
        self.journal.event(Event::Logon(event)).await;
    }

    async fn budgets(&self) -> Result<Vec<AccountBudget>, StoreError> {
        let mut budgets = Vec::with_capacity(self.evidence.accounts.len());
        for account in &self.evidence.accounts {
            let budget: Budget = self.store.budget(&account.id).await?;
            budgets.push(self.tally.account_budget(&account.id, &budget));
        }
        Ok(budgets)
    }

    fn interruption(&self) -> Option<End> {
        if self.stop.is_cancelled() {
            Some(End::Stopped)
        } else if self.cancel.is_cancelled() {
            Some(End::Cancelled)
        } else if Instant::now() >= self.deadline {
            Some(End::Expired)
        } else {
            None
        }
    }

    /// Ends when nothing more is to be waited for; then, what a path that did not answer is called.
    pub(super) async fn interrupted(&self) -> Silence {
        tokio::select! {
            () = self.stop.cancelled() => Silence::Cancelled,
            () = self.cancel.cancelled() => Silence::Cancelled,
            () = tokio::time::sleep_until(self.deadline) => Silence::Late,
        }
    }
}
