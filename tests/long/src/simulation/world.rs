//! One run's world: a store on disk, at most one process of the controller on it, agents, the network, the directory, and
//! the clocks of them all. What happens next is decided in `events`.
//!
//! INVARIANT: one thing happens at a time. A call to the store is waited for to its end, and every agent is at rest, before
//! the next event; so the order is the scheduler's alone.
//! INVARIANT: after everything that happened the checks look.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use parallax_agent::simulation::SimulatedAgent;
use parallax_controller::simulation::{Note, SimulatedController};
use parallax_model::{AccountId, Endpoint, VantageName};
use parallax_probe::Instrument;
use parallax_store::simulation::SimulatedTime;
use parallax_store::{LogonResult, Nonce, Store, StoreError};
use parallax_wire::pb::link as wire;
use parallax_wire::pb::link::session_request::Message as Said;
use parallax_wire::pb::link::session_response::Message as Told;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::runtime::Runtime;

use super::board::{SharedBoard, StandIn, lock};
use super::bugs::{Bug, Forger, sealed_go};
use super::checks::{Checks, Sights, Violation};
use super::directory::{Directory, Principal};
use super::figures::Figures;
use super::ground::{
    ACCOUNTS, DATABASE, Ground, START_MS, agent_name, endpoints, first_password, instrument,
};
use super::network::{Body, InFlight, Network, describe};
use super::trace::Trace;

/// Why a run ends early.
#[derive(Debug)]
pub(super) enum Stop {
    Violated(Violation),
    /// The simulation itself cannot go on.
    Failed(anyhow::Error),
}

impl From<Violation> for Stop {
    fn from(violation: Violation) -> Self {
        Self::Violated(violation)
    }
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

/// No store fails here by itself: one that does has found itself in contradiction.
impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        let text = format!("{:#}", anyhow::Error::from(error));
        Self::Violated(Violation { invariant: "R14 the ledger agrees with itself", text })
    }
}

/// The runtimes, which outlive a run: the store's in real time, the agents' with a clock that stands still.
pub(super) struct Rooms {
    pub store: Runtime,
    pub agents: Runtime,
}

/// One vantage and the process of its agent.
pub(super) struct Seat {
    pub vantage: VantageName,
    pub process: Option<SimulatedAgent>,
    /// The session as the agent sees it, and when it last could hear the controller.
    pub epoch: i64,
    pub heard_at: Duration,
    /// The session as the controller sees it, and when it last could hear the agent.
    pub seen_epoch: Option<i64>,
    pub seen_at: Duration,
    pub lies: bool,
    forger: Option<Forger>,
    /// The nonce of the go that was delivered last.
    last_go: Option<Vec<u8>>,
}

/// A begin that the controller heard, for bugs that answer it twice.
pub(super) type Begins = Vec<(usize, wire::Begin)>;

pub(super) struct World<'a> {
    pub rooms: &'a Rooms,
    pub rng: ChaCha8Rng,
    pub trace: Trace,
    pub now: Duration,
    pub time: SimulatedTime,
    pub folder: PathBuf,
    pub store: Option<Arc<Store>>,
    pub controller: Option<SimulatedController>,
    /// Counts the processes of the controller.
    pub process: u32,
    pub seats: Vec<Seat>,
    pub network: Network,
    pub directory: Directory,
    pub board: SharedBoard,
    pub checks: Checks,
    pub bug: Option<Bug>,
    pub figures: Figures,
    pub endpoints: Vec<Endpoint>,
    pub backup: Option<PathBuf>,
    begins: Begins,
    redispatched: Vec<String>,
    pub swept_at: Duration,
    /// Something may have been written since the last look.
    pub is_touched: bool,
    /// Diagnoses and tasks are numbered.
    pub next: u32,
    /// The newest diagnosis, and the process that accepted it.
    pub diagnosis: String,
    pub diagnosis_of: u32,
}

impl Drop for World<'_> {
    fn drop(&mut self) {
        let _inside = self.rooms.agents.enter();
        for seat in &mut self.seats {
            seat.process = None;
        }
    }
}

impl<'a> World<'a> {
    pub(super) fn begin(
        rooms: &'a Rooms,
        ground: &Ground,
        seed: u64,
        bug: Option<Bug>,
    ) -> Result<Self, Stop> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let lies_always = bug == Some(Bug::UncappedNotSent);
        let has_liars = lies_always || rng.random_range(0..6) == 0;
        let count = rng.random_range(2..=5);
        let mut seats = Vec::with_capacity(count);
        for index in 0..count {
            let name = VantageName::new(agent_name(index));
            seats.push(Seat {
                vantage: name.map_err(|error| anyhow!("{error}"))?,
                process: None,
                epoch: 0,
                heard_at: Duration::ZERO,
                seen_epoch: None,
                seen_at: Duration::ZERO,
                lies: has_liars && (lies_always || rng.random_range(0..2) == 0),
                forger: None,
                last_go: None,
            });
        }
        let mut directory = Directory::default();
        for listed in &ACCOUNTS {
            let is_right = !lies_always && rng.random_range(0..2) == 0;
            let first = first_password(listed.id);
            let password = if is_right { first } else { format!("changed-{first}") };
            let principal = Principal::new(password, listed.window);
            directory.principals.insert(listed.id.to_owned(), principal);
        }
        let mut world = Self {
            rooms,
            rng,
            trace: Trace::default(),
            now: Duration::ZERO,
            time: SimulatedTime::new(START_MS),
            folder: ground.copy("run")?,
            store: None,
            controller: None,
            process: 0,
            seats,
            network: Network::new(count),
            directory,
            board: SharedBoard::default(),
            checks: Checks::new(has_liars),
            bug,
            figures: Figures::default(),
            endpoints: endpoints()?,
            backup: None,
            begins: Vec::new(),
            redispatched: Vec::new(),
            swept_at: Duration::ZERO,
            is_touched: true,
            next: 1,
            diagnosis: String::new(),
            diagnosis_of: 0,
        };
        world.start_controller(false)?;
        if let (Some(bug), Some(store)) = (bug, &world.store)
            && let Some(statements) = bug.at_open()
        {
            rooms.store.block_on(store.run_unguarded(statements))?;
        }
        for index in 0..count {
            world.start_agent(index)?;
        }
        Ok(world)
    }

    pub(super) fn say(&mut self, line: &str) {
        self.trace.note(self.now, line);
    }

    /// The number of an attempt in the trace.
    pub(super) fn number(&mut self, attempt: &str) -> usize {
        self.trace.number(attempt)
    }

    // The controller.

    pub(super) fn start_controller(&mut self, was_put_back: bool) -> Result<(), Stop> {
        let opening = Store::open_simulated(&self.folder, &self.time);
        let store = Arc::new(self.rooms.store.block_on(opening)?);
        if let Some(statements) = self.bug.and_then(|it| it.at_restart(was_put_back))
            && self.process > 0
        {
            self.rooms.store.block_on(store.run_unguarded(statements))?;
        }
        self.process += 1;
        self.controller = Some(SimulatedController::start(Arc::clone(&store)));
        self.store = Some(store);
        self.is_touched = true;
        Ok(())
    }

    /// The process is gone with all it held in memory; what it had said but not sent is lost with it.
    pub(super) fn crash_controller(&mut self) -> Result<(), Stop> {
        self.controller = None;
        self.network.forget_process();
        for seat in &mut self.seats {
            seat.seen_epoch = None;
        }
        let Some(store) = self.store.take() else { return Ok(()) };
        let store = Arc::into_inner(store).context("somebody else holds the store")?;
        self.rooms.store.block_on(store.close());
        Ok(())
    }

    pub(super) fn database(&self) -> PathBuf {
        self.folder.join(DATABASE)
    }

    // The agents.

    pub(super) fn start_agent(&mut self, index: usize) -> Result<(), Stop> {
        let spool = self.folder.join(agent_name(index));
        let instrument: Instrument = instrument()?;
        let stand_in = StandIn {
            agent: index,
            board: Arc::clone(&self.board),
            sends_twice: self.bug == Some(Bug::HttpRetry),
        };
        let forger = match self.bug {
            Some(Bug::NoncePerStart) => Some(Forger::new(Some(self.rng.random()))),
            Some(Bug::NoNonceCheck) => Some(Forger::new(None)),
            _ => None,
        };
        let _inside = self.rooms.agents.enter();
        let agent = SimulatedAgent::start(instrument, Arc::new(stand_in), &self.endpoints, &spool);
        let seat = &mut self.seats[index];
        seat.process = Some(agent);
        seat.forger = forger;
        seat.last_go = None;
        Ok(())
    }

    /// The process is gone; what its spool has on the disk stays.
    pub(super) fn crash_agent(&mut self, index: usize) {
        let _inside = self.rooms.agents.enter();
        self.seats[index].process = None;
        self.seats[index].forger = None;
        lock(&self.board).preparing.retain(|it| it.agent != index);
    }

    /// Begins a session, if nothing is in the way.
    pub(super) fn join(&mut self, index: usize) -> Result<(), Stop> {
        let (Some(controller), Some(agent)) = (&mut self.controller, &self.seats[index].process)
        else {
            return Ok(());
        };
        let hello = agent.hello();
        let vantage = self.seats[index].vantage.clone();
        let joined = self.rooms.store.block_on(controller.join(&vantage, &hello))?;
        self.is_touched = true;
        self.seats[index].seen_epoch = joined;
        self.seats[index].seen_at = self.now;
        let line = format!("{vantage} joins: {}", if joined.is_some() { "welcome" } else { "no" });
        self.say(&line);
        self.redispatch(index);
        self.settle()
    }

    fn redispatch(&mut self, index: usize) {
        if self.bug != Some(Bug::Redispatch) {
            return;
        }
        let agent = agent_name(index);
        let is_open = |state: &str| state == "started";
        let open = self.checks.rows().filter(|it| it.agent == agent && is_open(&it.state));
        let open: Vec<String> = open.map(|it| it.attempt_id.clone()).collect();
        for attempt in open {
            if let Some(offer) = self.network.offer_of(&attempt) {
                self.network.in_flight.push(offer);
                self.redispatched.push(attempt);
            }
        }
    }

    // Messages.

    /// Delivers one message, or loses it.
    pub(super) fn deliver(&mut self, message: InFlight) -> Result<(), Stop> {
        let (word, attempt, detail) = describe(&message.body);
        let number = attempt.map_or(String::new(), |it| format!(" #{}", self.trace.number(it)));
        let what = format!("{word}{number} {detail}");
        let who = self.seats[message.agent].vantage.clone();
        match message.body {
            Body::ToAgent(told) => {
                self.say(&format!("{who} <- {what}"));
                self.hear(message.agent, told);
            }
            Body::ToController { epoch, process, said } => {
                self.say(&format!("{who} -> {what}"));
                let is_there = process == self.process;
                if let Some(controller) = self.controller.as_mut().filter(|_| is_there) {
                    if let Said::Begin(begin) = &said {
                        self.begins.push((message.agent, begin.clone()));
                    }
                    let said = wire::SessionRequest { message: Some(said) };
                    let hearing = controller.hear(self.now, &who, epoch, said);
                    self.rooms.store.block_on(hearing)?;
                    self.is_touched = true;
                }
            }
        }
        self.settle()
    }

    fn hear(&mut self, index: usize, told: Told) {
        let seat = &mut self.seats[index];
        let told = match (told, &mut seat.forger) {
            (Told::Go(go), Some(forger)) => match forger.go(go, &seat.vantage) {
                Some(go) => Told::Go(go),
                None => return,
            },
            (told, _) => told,
        };
        if let Told::Go(go) = &told {
            seat.last_go = Some(go.nonce.clone());
        }
        let Some(agent) = &mut seat.process else { return };
        let answer = self.rooms.agents.block_on(async { agent.hear(told) });
        if let Some(answer) = answer {
            self.send_up(index, answer);
        }
    }

    fn send_up(&mut self, index: usize, said: Said) {
        let seat = &mut self.seats[index];
        let said = match (said, &mut seat.forger) {
            (Said::Begin(begin), Some(forger)) => Said::Begin(forger.begin(begin)),
            (said, _) => said,
        };
        let body = Body::ToController { epoch: seat.epoch, process: self.process, said };
        self.network.send(InFlight { agent: index, body });
    }

    /// Lets everybody come to rest, carries what they say to the network, and looks.
    pub(super) fn settle(&mut self) -> Result<(), Stop> {
        loop {
            for index in 0..self.seats.len() {
                let Some(agent) = &mut self.seats[index].process else { continue };
                let said = self.rooms.agents.block_on(agent.come_to_rest());
                for said in said {
                    self.send_up(index, said);
                }
            }
            self.take_emissions()?;
            if !self.take_told() {
                break;
            }
        }
        self.take_notes()?;
        if let (Some(statements), Some(store)) = (self.bug.and_then(Bug::after_event), &self.store)
        {
            self.rooms.store.block_on(store.run_unguarded(statements))?;
            self.is_touched = true;
        }
        self.look()
    }

    fn take_emissions(&mut self) -> Result<(), Stop> {
        let emissions = std::mem::take(&mut lock(&self.board).emissions);
        for emission in emissions {
            let number = self.number(&emission.attempt);
            let seat = &self.seats[emission.agent];
            let (lies, nonce) = (seat.lies, seat.last_go.clone());
            let line = format!("{} sends the credential of #{number}", seat.vantage);
            self.say(&line);
            self.figures.count("credentials sent");
            // What a forger made of a go has another nonce than the start.
            let nonce = nonce.filter(|_| seat_is_honest(self.bug));
            self.look()?;
            self.checks.emitted(&emission.attempt, nonce.as_deref())?;
            let cost = self.checks.row(&emission.attempt).map_or(1, |it| it.cost);
            let lies_always = self.bug == Some(Bug::UncappedNotSent);
            let lies = lies && (lies_always || self.rng.random_range(0..3) > 0);
            let now = self.now;
            self.directory.arrive(now, emission, cost, lies, &mut self.rng);
        }
        Ok(())
    }

    /// Carries what the controller says. True: an agent was told something at once.
    fn take_told(&mut self) -> bool {
        let Some(controller) = &mut self.controller else { return false };
        let mut is_heard = false;
        for (vantage, epoch, told) in controller.told() {
            let Some(index) = self.seats.iter().position(|it| it.vantage == vantage) else {
                continue;
            };
            if let Told::Welcome(welcome) = told {
                is_heard |= self.welcome(index, epoch, welcome);
                continue;
            }
            let told = self.answer_wrongly(index, told);
            self.network.send(InFlight { agent: index, body: Body::ToAgent(told) });
        }
        is_heard
    }

    fn welcome(&mut self, index: usize, epoch: i64, welcome: wire::Welcome) -> bool {
        if self.rng.random_range(0..20) == 0 {
            self.say("the welcome is lost");
            return false;
        }
        let seat = &mut self.seats[index];
        let Some(agent) = &mut seat.process else { return false };
        seat.epoch = epoch;
        seat.heard_at = self.now;
        let said = self.rooms.agents.block_on(async { agent.welcome(welcome) });
        for said in said {
            self.send_up(index, said);
        }
        true
    }

    /// For bugs: a go where the controller says deny.
    fn answer_wrongly(&self, index: usize, told: Told) -> Told {
        let Told::Deny(deny) = &told else { return told };
        let Some(row) = self.checks.row(&deny.attempt) else { return told };
        let is_granted = match self.bug {
            Some(Bug::SecondGo) => row.started_ms.is_some(),
            Some(Bug::GoWithoutGuard) => row.state == "void",
            Some(Bug::Redispatch) => self.redispatched.contains(&deny.attempt),
            _ => false,
        };
        let begin =
            self.begins.iter().rev().find(|(of, it)| *of == index && it.nonce == deny.nonce);
        let (true, Some((_, begin)), Some(store)) = (is_granted, begin, &self.store) else {
            return told;
        };
        let Ok(account) = AccountId::new(row.account.clone()) else { return told };
        let version = u64::try_from(row.secret_version).unwrap_or_default();
        let secret = self.rooms.store.block_on(store.secret(&account, version));
        let newest = self.checks.rows().filter_map(|it| it.ledger_sequence).max();
        let go = secret.ok().and_then(|secret| {
            sealed_go(begin, newest.unwrap_or(1), &secret, &self.seats[index].vantage)
        });
        go.map_or(told, Told::Go)
    }

    fn take_notes(&mut self) -> Result<(), Stop> {
        let notes = self.controller.as_mut().map(SimulatedController::notes).unwrap_or_default();
        for note in notes {
            self.figures.note(&note);
            let line = match &note {
                Note::Held { task, why } => format!("{task} is held: {why}"),
                Note::Reserved { task, attempt } => {
                    format!("{task} is reserved as #{}", self.number(attempt.as_str()))
                }
                Note::Granted { attempt, .. } => {
                    format!("#{} is started", self.number(attempt.as_str()))
                }
                Note::Denied { task } => format!("{task} is denied"),
                Note::Ended { attempt, outcome, .. } => {
                    format!("#{} ends: {outcome:?}", self.number(attempt.as_str()))
                }
                Note::Late { task, is_kept } => {
                    format!("{task} comes late, {}", if *is_kept { "kept" } else { "disowned" })
                }
            };
            self.say(&line);
            self.settle_wrongly(&note)?;
        }
        Ok(())
    }

    /// For bugs: what else is written.
    fn settle_wrongly(&mut self, note: &Note) -> Result<(), Stop> {
        let wrong: Option<(_, Nonce, LogonResult)> = match (self.bug, note) {
            (Some(Bug::ChargeAfterResult), Note::Granted { attempt, nonce, .. }) => {
                Some((attempt, *nonce, LogonResult::Accepted))
            }
            (
                Some(Bug::RefundOnTimeout),
                Note::Ended { attempt, nonce: Some(nonce), is_silent: true, .. },
            ) => Some((attempt, *nonce, LogonResult::NotSent)),
            (
                Some(Bug::UncappedNotSent),
                Note::Ended {
                    attempt,
                    nonce: Some(nonce),
                    outcome: parallax_faults::LogonOutcome::NotSent,
                    ..
                },
            ) => Some((attempt, *nonce, LogonResult::Accepted)),
            _ => None,
        };
        if wrong.is_none() {
            return Ok(());
        }
        self.look()?;
        if let (Some((attempt, nonce, result)), Some(store)) = (wrong, &self.store) {
            // A result that the ledger does not believe is no bug any more.
            let _ = self.rooms.store.block_on(store.settle(attempt, &nonce, result))?;
            self.is_touched = true;
        }
        Ok(())
    }

    /// Holds everything against the invariants.
    pub(super) fn look(&mut self) -> Result<(), Stop> {
        let Some(store) = self.store.as_ref().filter(|_| self.is_touched) else { return Ok(()) };
        let (attempts, guards) = self.rooms.store.block_on(async {
            Ok::<_, StoreError>((store.attempt_rows().await?, store.guard_rows().await?))
        })?;
        let sights = Sights {
            attempts,
            guards,
            directory: &self.directory,
            now: self.now,
            wall_ms: self.time.wall_ms(),
        };
        self.checks.look(sights)?;
        self.is_touched = false;
        Ok(())
    }
}

/// Whether the nonce of a go says whose start it is.
fn seat_is_honest(bug: Option<Bug>) -> bool {
    !matches!(bug, Some(Bug::NoNonceCheck | Bug::NoncePerStart))
}
