//! Asks one path: offers a task, listens to its agent, and returns exactly one report.
//!
//! Proposals that may go side by side are lanes of their own; those that need the same account share one and go one
//! after another, each only while the one before was accepted. Logons are in `logon`.
//!
//! INVARIANT: a path begins with the worst answer, silence, and only its own agent's report improves on it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use parallax_faults::LogonOutcome;
use parallax_model::{AccountId, Limits, LogonTask, PathId, PathReport, Report, Silence, Task};
use parallax_store::{NewReport, StoreError};
use parallax_wire::pb;
use parallax_wire::pb::link::Lane;
use parallax_wire::pb::watch_diagnosis_response::{Event, StageEnded};

use super::run::Run;
use crate::agents::{Done, NotOffered, Offered, TaskEvent, TaskPlace};
use crate::plan::Proposal;

/// The longest wait for an anonymous report: what the agent's own limits add up to, and room for its queue.
const ANONYMOUS_STEP: Duration = Duration::from_secs(45);

/// What came of one proposal.
#[derive(Debug)]
pub(super) struct Asked {
    pub path: PathId,
    /// `None`: the path was not asked, because its logon was held.
    pub report: Option<Report>,
    pub logon: Option<LogonEnd>,
}

/// How a proposed logon ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LogonEnd {
    Held { account: AccountId, reason: String },
    Made { account: AccountId, outcome: LogonOutcome },
}

impl LogonEnd {
    fn is_accepted(&self) -> bool {
        matches!(self, Self::Made { outcome: LogonOutcome::Accepted, .. })
    }
}

/// Sorts proposals into lanes that may run side by side. A path is asked once per round; the first proposal has it.
pub(super) fn lanes(proposals: Vec<Proposal>) -> Vec<Vec<Proposal>> {
    let mut paths = BTreeSet::new();
    let mut by_account: BTreeMap<AccountId, Vec<Proposal>> = BTreeMap::new();
    let mut lanes = Vec::new();
    for proposal in proposals {
        if !paths.insert(proposal.path.clone()) {
            continue;
        }
        match &proposal.logon {
            Some(logon) => by_account.entry(logon.account.clone()).or_default().push(proposal),
            None => lanes.push(vec![proposal]),
        }
    }
    lanes.extend(by_account.into_values());
    lanes
}

/// A report of a task that ended, whatever it says.
#[derive(Debug)]
pub(super) struct Heard {
    pub report: Report,
    /// The agent's last word, to be acknowledged once it is on disk; `None`: it never came.
    pub done: Option<Box<Done>>,
}

impl Run {
    /// Walks one lane.
    pub(super) async fn walk(
        &self,
        round: u32,
        lane: Vec<Proposal>,
    ) -> Result<Vec<Asked>, StoreError> {
        let mut asked: Vec<Asked> = Vec::with_capacity(lane.len());
        for proposal in lane {
            let before = asked.last().and_then(|it| it.logon.as_ref());
            let may_go = before.is_none_or(LogonEnd::is_accepted);
            asked.push(match &proposal.logon {
                None => self.look(round, proposal).await,
                Some(_) if may_go => Box::pin(self.log_on(round, proposal)).await?,
                Some(logon) => {
                    let reason = "the logon before it was not accepted".to_owned();
                    let logon = LogonEnd::Held { account: logon.account.clone(), reason };
                    Asked { path: proposal.path, report: None, logon: Some(logon) }
                }
            });
        }
        Ok(asked)
    }

    /// Takes free looks along a path.
    pub(super) async fn look(&self, round: u32, proposal: Proposal) -> Asked {
        let path = proposal.path.clone();
        let task = self.task(&proposal, None);
        let id = self.task_name(&path);
        let heard = match task {
            Some(task) => self.look_with(round, &path, &task).await,
            None => Heard {
                report: Report::Unable { detail: "the endpoint is not in the target".to_owned() },
                done: None,
            },
        };
        let report = heard.report.clone();
        self.write_down(round, &id, &path, heard).await;
        Asked { path, report: Some(report), logon: None }
    }

    async fn look_with(&self, round: u32, path: &PathId, task: &Task) -> Heard {
        let mut offered = match self.offer(round, path, task).await {
            Ok(offered) => offered,
            Err(report) => return Heard { report, done: None },
        };
        let listened = tokio::select! {
            heard = self.listen(path, &mut offered) => Ok(heard),
            silence = self.interrupted() => Err(silence),
            () = tokio::time::sleep(ANONYMOUS_STEP) => Err(Silence::Late),
        };
        let heard = match listened {
            Ok(heard) => heard,
            Err(silence) => {
                self.fleet.cancel(&task.id).await;
                Heard { report: Report::Silent(silence), done: None }
            }
        };
        self.fleet.forget(&task.id).await;
        heard
    }

    /// The name under which the path's task of this round is on disk.
    fn task_name(&self, path: &PathId) -> String {
        // A round names every path it asks; another name would only make its result foreign after a restart.
        self.task_names.get(path).cloned().unwrap_or_else(|| uuid::Uuid::now_v7().to_string())
    }

    /// A task of this diagnosis; `None`: the target has no such endpoint.
    pub(super) fn task(&self, proposal: &Proposal, logon: Option<LogonTask>) -> Option<Task> {
        let endpoint = self.evidence.target.endpoint(&proposal.path.endpoint)?.clone();
        Some(Task {
            id: self.task_name(&proposal.path),
            diagnosis: self.id.clone(),
            endpoint,
            looks: proposal.looks.clone(),
            limits: if logon.is_some() { Limits::LOGON } else { Limits::STANDARD },
            logon,
            only_address: proposal.only_address,
            without_sni: proposal.without_sni,
        })
    }

    /// `Err`: what the path's report is, since nobody can be asked.
    pub(super) async fn offer(
        &self,
        round: u32,
        path: &PathId,
        task: &Task,
    ) -> Result<Offered, Report> {
        let offer = parallax_wire::encode_offer(task, Lane::OnDemand, "");
        let endpoint = path.endpoint.clone();
        let place = TaskPlace { diagnosis: self.id.clone(), round, endpoint };
        self.fleet.offer(&path.vantage, offer, place).await.map_err(|error| match error {
            NotOffered::NoSession => Report::Silent(Silence::NoSession),
            NotOffered::Stopped => Report::Silent(Silence::Cancelled),
            NotOffered::Draining => {
                Report::Unable { detail: "its agent is being drained".to_owned() }
            }
            NotOffered::QueueFull => Report::Unable { detail: "its queue is full".to_owned() },
        })
    }

    /// Listens until the task of an anonymous look ends. Cancel-safe: nothing heard is lost but progress.
    async fn listen(&self, path: &PathId, offered: &mut Offered) -> Heard {
        loop {
            match offered.events.recv().await {
                Some(TaskEvent::Accepted | TaskEvent::Begun(_)) => {}
                Some(TaskEvent::Progress { stage, text }) => {
                    self.tell_stage(path, stage, text).await;
                }
                Some(TaskEvent::Refused { reason }) => {
                    return Heard { report: Report::Refused { rule: reason }, done: None };
                }
                Some(TaskEvent::Done(done)) => {
                    return Heard { report: report_of(&done, path), done: Some(done) };
                }
                Some(TaskEvent::Lost) | None => {
                    return Heard { report: Report::Silent(Silence::Lost), done: None };
                }
            }
        }
    }

    pub(super) async fn tell_stage(&self, path: &PathId, stage: String, text: String) {
        let event = StageEnded { path: Some(path.into()), stage, text };
        self.journal.event(Event::StageEnded(event)).await;
    }

    /// Records a path's report and tells watchers; acknowledges it if an agent sent it.
    pub(super) async fn write_down(&self, round: u32, task: &str, path: &PathId, heard: Heard) {
        if heard.done.is_none() && self.stop.is_cancelled() {
            return; // Silent because we stop: after the restart it is asked again, or counts as lost.
        }
        let report = pb::PathReport::from(&PathReport { path: path.clone(), report: heard.report });
        let new = NewReport {
            diagnosis: self.id.clone(),
            round,
            task: task.to_owned(),
            event: Some(pb::WatchDiagnosisResponse {
                event: Some(Event::PathReported(report.clone())),
                ..Default::default()
            }),
            report,
        };
        let acknowledge = heard.done.map(|_| (path.vantage.clone(), task.to_owned()));
        self.journal.report(new, acknowledge).await;
    }
}

/// What an agent's last word says about the path that was asked.
pub(super) fn report_of(done: &Done, path: &PathId) -> Report {
    match &done.report {
        Ok(report) if report.path == *path => match &report.report {
            // Only the controller knows who is silent.
            Report::Silent(_) => Report::Unable { detail: "the agent reported silence".to_owned() },
            report @ (Report::Seen(_) | Report::Refused { .. } | Report::Unable { .. }) => {
                report.clone()
            }
        },
        Ok(report) => {
            Report::Unable { detail: format!("the agent reported about `{}` instead", report.path) }
        }
        Err(error) => {
            Report::Unable { detail: format!("the agent's report cannot be read: {error}") }
        }
    }
}

#[cfg(test)]
mod tests {
    use parallax_model::{EndpointName, NameForm, Place, UserName, VantageName};

    use super::*;
    use crate::plan::ProposedLogon;

    fn proposal(vantage: &str, account: Option<&str>) -> Proposal {
        Proposal {
            path: PathId {
                vantage: VantageName::new(vantage).expect("a name"),
                endpoint: EndpointName::new("cas").expect("a name"),
            },
            looks: Vec::new(),
            logon: account.map(|account| ProposedLogon {
                account: AccountId::new(account).expect("a name"),
                name: UserName { form: NameForm::Upn, login: "a@b.c".to_owned() },
                place: Place::ActiveSync,
                cost: 1,
                has_proof: false,
                reaches_back_end: false,
            }),
            only_address: None,
            without_sni: false,
        }
    }

    #[test]
    fn logons_of_one_account_go_one_after_another_and_a_path_is_asked_once() {
        let lanes = lanes(vec![
            proposal("a", Some("legacy")),
            proposal("b", None),
            proposal("c", Some("newer")),
            proposal("d", Some("legacy")),
            proposal("b", Some("newer")),
        ]);
        let names: Vec<Vec<&str>> = lanes
            .iter()
            .map(|lane| lane.iter().map(|it| it.path.vantage.as_str()).collect())
            .collect();
        assert_eq!(names, [vec!["b"], vec!["a", "d"], vec!["c"]]);
    }
}
