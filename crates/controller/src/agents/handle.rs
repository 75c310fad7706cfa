//! How others speak to the fleet: commands to the one task that owns it.
//!
//! INVARIANT: a command that nobody answers any more means that the controller stops; then nothing is owed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parallax_model::VantageName;
use parallax_wire::pb::link as wire;
use parallax_wire::pb::link::session_response::Message;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::outgoing::Cut;
use super::standing::Ticket;
use super::{Begin, Done, FleetView, NotOffered, Offered, TaskEvent, TaskPlace};

/// What the session of an agent reports.
#[derive(Debug)]
pub(super) enum Heard {
    Accept { task: String },
    Refuse { task: String, reason: String },
    Begin { task: String, begin: Begin },
    Progress { task: String, stage: String, text: String },
    Result { task: String, epoch: i64, done: Box<Done> },
}

/// An agent that wants a session.
#[derive(Debug)]
pub(super) struct Joining {
    pub vantage: VantageName,
    /// Taken before the store was asked.
    pub ticket: Ticket,
    /// From the store; grows with every session of this agent.
    pub epoch: i64,
    pub certificate_sha256: [u8; 32],
    pub outgoing: mpsc::Sender<Result<wire::SessionResponse, tonic::Status>>,
    /// Cancelled when the session is over.
    pub closed: CancellationToken,
    /// Ends its stream at once.
    pub cut: Cut,
}

pub(super) enum Command {
    Join {
        joining: Joining,
        reply: oneshot::Sender<bool>,
    },
    Leave {
        vantage: VantageName,
        epoch: i64,
    },
    Heard {
        vantage: VantageName,
        epoch: i64,
        heard: Heard,
    },
    Offer {
        vantage: VantageName,
        offer: Box<wire::Offer>,
        place: TaskPlace,
        reply: oneshot::Sender<Result<mpsc::Receiver<TaskEvent>, NotOffered>>,
    },
    Answer {
        task: String,
        message: Box<Message>,
    },
    Acknowledge {
        vantage: VantageName,
        task: String,
    },
    Disown {
        vantage: VantageName,
        task: String,
    },
    Cancel {
        task: String,
    },
    Forget {
        task: String,
    },
    /// From the owner's [`Abandon`]; nothing if the task is forgotten already.
    Abandon {
        task: String,
    },
    /// Whatever sessions an agent has or asked for, they are worth nothing; save those with a certificate that is spared.
    Cut {
        vantage: VantageName,
        spared: Vec<[u8; 32]>,
        reason: String,
        reply: oneshot::Sender<()>,
    },
    /// An agent has seen a start that the ledger does not know.
    Ahead {
        vantage: VantageName,
    },
    /// An agent is given nothing new, or is again.
    Drain {
        vantage: VantageName,
        drained: bool,
        reply: oneshot::Sender<()>,
    },
}

/// Tells the fleet when the owner of a task is gone, however that came about.
#[derive(Debug)]
pub(super) struct Abandon {
    commands: mpsc::Sender<Command>,
    task: String,
}

impl Drop for Abandon {
    fn drop(&mut self) {
        // Cannot wait here. If the queue is full, the fleet finds the owner gone when the result comes.
        let _ = self.commands.try_send(Command::Abandon { task: std::mem::take(&mut self.task) });
    }
}

/// How others speak to the fleet.
#[derive(Clone, Debug)]
pub(crate) struct Fleet {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) view: watch::Receiver<FleetView>,
    /// How many cuts there were.
    pub(super) cuts: Arc<AtomicU64>,
}

impl Fleet {
    /// Vantages whose agent has a session now.
    pub(crate) fn view(&self) -> FleetView {
        self.view.borrow().clone()
    }

    /// Waits until all of these vantages have a session, without a limit of its own.
    pub(crate) async fn connected(&self, wanted: &BTreeSet<VantageName>) {
        let mut view = self.view.clone();
        // An error: the fleet has ended, and with it everybody who could wait.
        let _ = view.wait_for(|it| wanted.is_subset(&it.connected)).await;
    }

    /// Offers a task to the agent of a vantage. What becomes of it arrives as [`TaskEvent`]s.
    pub(crate) async fn offer(
        &self,
        vantage: &VantageName,
        offer: wire::Offer,
        place: TaskPlace,
    ) -> Result<Offered, NotOffered> {
        let (reply, answer) = oneshot::channel();
        // Made first, so that an asker who does not wait for the answer leaves nothing behind either.
        let abandon = Abandon { commands: self.commands.clone(), task: offer.task.clone() };
        let command =
            Command::Offer { vantage: vantage.clone(), offer: Box::new(offer), place, reply };
        self.commands.send(command).await.map_err(|_| NotOffered::Stopped)?;
        let events = answer.await.map_err(|_| NotOffered::Stopped)??;
        Ok(Offered { events, _abandon: abandon })
    }

    /// Answers a begin with go or deny; it leaves only into the session that asked, once.
    pub(crate) async fn answer(&self, task: &str, message: Box<Message>) {
        self.send(Command::Answer { task: task.to_owned(), message }).await;
    }

    /// Says that a result is on disk.
    pub(crate) async fn acknowledge(&self, vantage: &VantageName, task: &str) {
        self.send(Command::Acknowledge { vantage: vantage.clone(), task: task.to_owned() }).await;
    }

    /// Says that a task was never granted to this agent.
    pub(crate) async fn disown(&self, vantage: &VantageName, task: &str) {
        self.send(Command::Disown { vantage: vantage.clone(), task: task.to_owned() }).await;
    }

    /// Asks the agent to stop; its owner goes on listening until it forgets the task.
    pub(crate) async fn cancel(&self, task: &str) {
        self.send(Command::Cancel { task: task.to_owned() }).await;
    }

    /// Nobody waits for this task any more; its result may still be recorded when it comes.
    pub(crate) async fn forget(&self, task: &str) {
        self.send(Command::Forget { task: task.to_owned() }).await;
    }

    /// Cuts the session of an agent, and lets none begin that was asked for before. Back when it is done. What asks afterwards
    /// is the store's to refuse: cut again once it does.
    pub(crate) async fn cut(&self, vantage: &VantageName, reason: &str) {
        self.cut_others(vantage, Vec::new(), reason).await;
    }

    /// As [`Fleet::cut`], but not a session with one of these certificates.
    pub(crate) async fn cut_others(
        &self,
        vantage: &VantageName,
        spared: Vec<[u8; 32]>,
        reason: &str,
    ) {
        let (reply, done) = oneshot::channel();
        let (vantage, reason) = (vantage.clone(), reason.to_owned());
        self.send(Command::Cut { vantage, spared, reason, reply }).await;
        let _ = done.await;
    }

    /// To be taken before the store is asked who wants a session.
    pub(super) fn ticket(&self) -> Ticket {
        Ticket(self.cuts.load(Ordering::SeqCst))
    }

    /// Notes that the first words of an agent froze the ledger.
    pub(super) async fn note_ahead(&self, vantage: &VantageName) {
        self.send(Command::Ahead { vantage: vantage.clone() }).await;
    }

    /// Gives an agent nothing new, or ends that. What it holds it finishes. Back when it is done.
    pub(crate) async fn drain(&self, vantage: &VantageName, drained: bool) {
        let (reply, done) = oneshot::channel();
        self.send(Command::Drain { vantage: vantage.clone(), drained, reply }).await;
        let _ = done.await;
    }

    /// Begins a session. False: a newer one has begun meanwhile, it was cut, or the controller stops.
    pub(super) async fn join(&self, joining: Joining) -> bool {
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.send(Command::Join { joining, reply }).await;
        sent.is_ok() && answer.await.unwrap_or(false)
    }

    pub(super) async fn leave(&self, vantage: VantageName, epoch: i64) {
        self.send(Command::Leave { vantage, epoch }).await;
    }

    pub(super) async fn hear(&self, vantage: VantageName, epoch: i64, heard: Heard) {
        self.send(Command::Heard { vantage, epoch, heard }).await;
    }

    async fn send(&self, command: Command) {
        // The fleet outlives everybody who sends to it, save while the controller stops; then nobody listens and
        // nothing is owed.
        let _ = self.commands.send(command).await;
    }
}
