//! The fleet's owner, driven by commands one after another, with the ends of its sessions in hand. For simulations.

use parallax_model::VantageName;
use parallax_wire::pb::link as wire;
use parallax_wire::pb::link::session_response::Message;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::handle::{Command, Fleet, Joining};
use super::outgoing::Cut;
use super::session::read;
use super::{FleetTask, FleetView, LateResult, NotOffered, OUTGOING_MAX, TaskEvent, TaskPlace};

/// Late results that wait; the simulation takes them after every event.
const LATE_MAX: usize = 64;

type Wire = mpsc::Receiver<Result<wire::SessionResponse, Status>>;

pub(crate) struct SimulatedFleet {
    task: FleetTask,
    /// Keeps the task's queue of commands open, too.
    fleet: Fleet,
    late: mpsc::Receiver<LateResult>,
    wires: Vec<(VantageName, i64, Wire)>,
}

impl SimulatedFleet {
    pub(crate) fn new() -> Self {
        let (sender, late) = mpsc::channel(LATE_MAX);
        let (fleet, task) = FleetTask::new(watch::Sender::new(FleetView::default()), sender);
        Self { task, fleet, late, wires: Vec::new() }
    }

    /// Begins a session. False: a newer one has begun.
    pub(crate) fn join(&mut self, vantage: &VantageName, epoch: i64) -> bool {
        let (outgoing, told) = mpsc::channel(OUTGOING_MAX);
        let joining = Joining {
            vantage: vantage.clone(),
            ticket: self.fleet.ticket(),
            epoch,
            certificate_sha256: [0; 32],
            outgoing,
            closed: CancellationToken::new(),
            cut: Cut::default(),
        };
        self.wires.push((vantage.clone(), epoch, told));
        let (reply, mut answer) = oneshot::channel();
        self.task.handle(Command::Join { joining, reply });
        answer.try_recv().unwrap_or(false)
    }

    pub(crate) fn leave(&mut self, vantage: &VantageName, epoch: i64) {
        self.task.handle(Command::Leave { vantage: vantage.clone(), epoch });
    }

    /// Hears an agent. False: the session would end for what it said.
    pub(crate) fn hear(
        &mut self,
        vantage: &VantageName,
        epoch: i64,
        said: wire::SessionRequest,
    ) -> bool {
        match read(said) {
            Ok(Some(heard)) => {
                let vantage = vantage.clone();
                self.task.handle(Command::Heard { vantage, epoch, heard });
                true
            }
            Ok(None) => true,
            Err(_) => false,
        }
    }

    pub(crate) fn offer(
        &mut self,
        vantage: &VantageName,
        offer: wire::Offer,
        place: TaskPlace,
    ) -> Result<mpsc::Receiver<TaskEvent>, NotOffered> {
        let (reply, mut answer) = oneshot::channel();
        let (vantage, offer) = (vantage.clone(), Box::new(offer));
        self.task.handle(Command::Offer { vantage, offer, place, reply });
        answer.try_recv().unwrap_or(Err(NotOffered::Stopped))
    }

    pub(crate) fn answer(&mut self, task: &str, message: Box<Message>) {
        self.task.handle(Command::Answer { task: task.to_owned(), message });
    }

    pub(crate) fn acknowledge(&mut self, vantage: &VantageName, task: &str) {
        let (vantage, task) = (vantage.clone(), task.to_owned());
        self.task.handle(Command::Acknowledge { vantage, task });
    }

    pub(crate) fn disown(&mut self, vantage: &VantageName, task: &str) {
        let (vantage, task) = (vantage.clone(), task.to_owned());
        self.task.handle(Command::Disown { vantage, task });
    }

    pub(crate) fn cancel(&mut self, task: &str) {
        self.task.handle(Command::Cancel { task: task.to_owned() });
    }

    pub(crate) fn forget(&mut self, task: &str) {
        self.task.handle(Command::Forget { task: task.to_owned() });
    }

    /// The next late result.
    pub(crate) fn late(&mut self) -> Option<LateResult> {
        self.late.try_recv().ok()
    }

    /// What it has to say, to whom and in which session.
    pub(crate) fn told(&mut self) -> Vec<(VantageName, i64, Message)> {
        let mut all = Vec::new();
        self.wires.retain_mut(|(vantage, epoch, wire)| {
            loop {
                match wire.try_recv() {
                    Ok(Ok(wire::SessionResponse { message: Some(message) })) => {
                        all.push((vantage.clone(), *epoch, message));
                    }
                    Ok(Ok(wire::SessionResponse { message: None }) | Err(_)) => {}
                    Err(mpsc::error::TryRecvError::Empty) => return true,
                    Err(mpsc::error::TryRecvError::Disconnected) => return false,
                }
            }
        });
        all
    }
}
