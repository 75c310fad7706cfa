//! Where the agents' tasks stand: what waits for its free part to end, and every credential that left.
//!
//! Absent on purpose: what the target makes of a credential; that is `directory`'s.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use parallax_agent::simulation::{Hands, Later};
use parallax_auth::Secret;
use parallax_model::{Report, Task};
use tokio::sync::oneshot;

use super::reports::{Ending, free_part, logon};

/// A task in its free part.
pub(super) struct Preparing {
    pub agent: usize,
    pub task: String,
    pub done: oneshot::Sender<Result<(), Report>>,
}

/// A credential that left its agent.
pub(super) struct Emission {
    pub agent: usize,
    pub attempt: String,
    pub account: String,
    pub secret: String,
    /// Takes what the agent hears of it.
    pub heard: oneshot::Sender<Ending>,
}

/// Shared with every agent's stand-in for the probe.
#[derive(Default)]
pub(super) struct Board {
    pub preparing: Vec<Preparing>,
    pub emissions: Vec<Emission>,
}

pub(super) type SharedBoard = Arc<Mutex<Board>>;

pub(super) fn lock(board: &SharedBoard) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What stands in for the probe of one agent.
pub(super) struct StandIn {
    pub agent: usize,
    pub board: SharedBoard,
    /// A seeded bug: the credential is sent again on its own.
    pub sends_twice: bool,
}

impl Hands for StandIn {
    fn prepare(&self, task: &Task) -> Later<Result<(), Report>> {
        let (done, waits) = oneshot::channel();
        let preparing = Preparing { agent: self.agent, task: task.id.clone(), done };
        lock(&self.board).preparing.push(preparing);
        let limit = task.limits.observation;
        Box::pin(async move {
            match tokio::time::timeout(limit, waits).await {
                Ok(Ok(prepared)) => prepared,
                Ok(Err(_)) | Err(_) => Err(free_part()),
            }
        })
    }

    fn send(&self, task: &Task, secret: &Secret) -> Later<Report> {
        let (agent, board, task) = (self.agent, Arc::clone(&self.board), task.clone());
        let times = if self.sends_twice { 2 } else { 1 };
        let secret = secret.expose().to_owned();
        Box::pin(async move {
            let mut heard = None;
            for _ in 0..times {
                heard = Some(emit(agent, &board, &task, &secret));
            }
            let answer = async {
                match heard {
                    Some(heard) => heard.await.unwrap_or(Ending::Lost),
                    None => Ending::Lost,
                }
            };
            let limit: Duration = task.limits.credentialed;
            let ending = tokio::time::timeout(limit, answer).await.unwrap_or(Ending::Lost);
            logon(&task, &ending)
        })
    }

    fn abandon(&self, task: &Task, reason: &str) -> Report {
        logon(task, &Ending::NotSent(reason.to_owned()))
    }
}

fn emit(agent: usize, board: &SharedBoard, task: &Task, secret: &str) -> oneshot::Receiver<Ending> {
    let (heard, answer) = oneshot::channel();
    if let Some(logon) = &task.logon {
        lock(board).emissions.push(Emission {
            agent,
            attempt: logon.attempt.clone(),
            account: logon.account.to_string(),
            secret: secret.to_owned(),
            heard,
        });
    }
    answer
}
