//! What happens next: one event after another, drawn by the seed; at the end everything heals and comes to an end.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use parallax_auth::Secret;
use parallax_controller::simulation::Asked;
use parallax_model::{AccountId, DiagnosisId, NameForm, PathId, TargetId, UserName};
use parallax_store::FreezeScope;
use parallax_wire::pb::link::session_request::Message as Said;
use rand::RngExt as _;

use super::board::lock;
use super::bugs::{Bug, INSERT_UNCHECKED};
use super::ground::{ACCOUNTS, ENDPOINTS, TARGET, endpoint_name};
use super::network::Body;
use super::reports::free_part;
use super::world::{Stop, World};

/// Events of one run.
pub(super) const EVENTS: u32 = 220;
/// After the last event: longer than an attempt may stay open (60 s + D + H), and time for every result to arrive.
const HEALED: Duration = Duration::from_secs(5);
const HEALED_TIMES: u32 = 42;
/// The wall clock may be moved by this much without harm.
const JUMP_BORNE_MS: i64 = 60_000;

/// Kinds of events, and how often each is drawn.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Deliver,
    Repeat,
    Replay,
    Lose,
    Pass,
    Proceed,
    Join,
    LogOn,
    GiveUp,
    Cut,
    Heal,
    AgentCrash,
    ControllerCrash,
    Backup,
    PasswordChange,
    Rotate,
    Release,
    Jump,
    Freeze,
}

const WEIGHTS: [(Kind, u32); 19] = [
    (Kind::Deliver, 400),
    (Kind::Repeat, 30),
    (Kind::Replay, 40),
    (Kind::Lose, 10),
    (Kind::Pass, 110),
    (Kind::Proceed, 110),
    (Kind::Join, 60),
    (Kind::LogOn, 110),
    (Kind::GiveUp, 4),
    (Kind::Cut, 8),
    (Kind::Heal, 20),
    (Kind::AgentCrash, 10),
    (Kind::ControllerCrash, 6),
    (Kind::Backup, 3),
    (Kind::PasswordChange, 4),
    (Kind::Rotate, 16),
    (Kind::Release, 36),
    (Kind::Jump, 2),
    (Kind::Freeze, 1),
];

impl World<'_> {
    /// Draws an event and lets it happen.
    pub(super) fn happen(&mut self) -> Result<(), Stop> {
        self.figures.count("events");
        let kind = self.draw();
        match kind {
            Kind::Repeat => self.repeat_one(),
            Kind::Lose => self.lose_one(),
            Kind::Cut => self.cut_one(),
            Kind::Heal => self.heal_one(),
            Kind::Jump => self.jump_clock(),
            Kind::PasswordChange => self.change_password(),
            Kind::Deliver => self.deliver_one()?,
            Kind::Replay => self.replay_one()?,
            Kind::Pass => self.pass_some_time()?,
            Kind::Proceed => self.proceed_one()?,
            Kind::Join => self.join_one()?,
            Kind::LogOn => self.log_on()?,
            Kind::GiveUp => self.give_up_one()?,
            Kind::AgentCrash => self.crash_or_start_agent()?,
            Kind::ControllerCrash => self.crash_or_start_controller()?,
            Kind::Backup => self.keep_backup()?,
            Kind::Rotate => self.rotate_secret()?,
            Kind::Release => self.release_account()?,
            Kind::Freeze => self.freeze_account()?,
        }
        Ok(())
    }

    fn draw(&mut self) -> Kind {
        let all: u32 = WEIGHTS.iter().map(|(_, weight)| weight).sum();
        let mut drawn = self.rng.random_range(0..all);
        for (kind, weight) in WEIGHTS {
            if drawn < weight {
                return kind;
            }
            drawn -= weight;
        }
        Kind::Deliver
    }

    fn any_agent(&mut self) -> usize {
        self.rng.random_range(0..self.seats.len())
    }

    fn any_account(&mut self) -> &'static str {
        ACCOUNTS[self.rng.random_range(0..ACCOUNTS.len())].id
    }

    /// Mostly one of which no logon is under way.
    fn any_free_account(&mut self) -> &'static str {
        let free: Vec<_> =
            ACCOUNTS.iter().map(|it| it.id).filter(|it| !self.checks.is_open(it)).collect();
        if free.is_empty() || self.rng.random_range(0..8) == 0 {
            return self.any_account();
        }
        free[self.rng.random_range(0..free.len())]
    }

    /// Mostly one with a session.
    fn any_seated_agent(&mut self) -> usize {
        let seated: Vec<usize> = (0..self.seats.len())
            .filter(|it| {
                let process = self.seats[*it].process.as_ref();
                process.is_some_and(parallax_agent::simulation::SimulatedAgent::has_session)
            })
            .collect();
        if seated.is_empty() || self.rng.random_range(0..12) == 0 {
            return self.any_agent();
        }
        seated[self.rng.random_range(0..seated.len())]
    }

    // The network.

    /// Mostly the oldest message, at times any: so messages overtake each other, and do not wait for ever.
    fn deliver_one(&mut self) -> Result<(), Stop> {
        let open = self.network.deliverable();
        if open.is_empty() {
            return Ok(());
        }
        let is_in_order = self.rng.random_range(0..4) > 0;
        let which = if is_in_order { 0 } else { self.rng.random_range(0..open.len()) };
        let message = self.network.in_flight.remove(open[which]);
        self.deliver(message)
    }

    /// Something that was said is said once more.
    fn repeat_one(&mut self) {
        let known = self.network.remembered();
        if known.is_empty() {
            return;
        }
        let recent = known.len().min(12);
        let index = known.len() - 1 - self.rng.random_range(0..recent);
        let message = known[index].clone();
        self.figures.count("duplicates");
        self.network.in_flight.push(message);
    }

    /// Somebody plays an attempt's offer again, or, to a begin that is on its way, the go that was once recorded.
    fn replay_one(&mut self) -> Result<(), Stop> {
        let begun = self.network.in_flight.iter().find_map(|it| match &it.body {
            Body::ToController { said: Said::Begin(begin), .. } => Some(begin.attempt.clone()),
            Body::ToController { .. } | Body::ToAgent(_) => None,
        });
        if let Some(go) = begun.and_then(|it| self.network.go_of(&it)) {
            self.say("a go is played again");
            self.figures.count("duplicates");
            return self.deliver(go);
        }
        let started: Vec<String> = self
            .checks
            .rows()
            .filter(|it| it.started_ms.is_some() || it.state == "void")
            .map(|it| it.attempt_id.clone())
            .collect();
        let mut offers: Vec<_> =
            started.iter().filter_map(|it| self.network.offer_of(it)).collect();
        if offers.is_empty() {
            return Ok(());
        }
        // By task: the names of attempts are drawn by chance.
        offers.sort_by_key(|it| super::network::describe(&it.body).2.to_owned());
        let offer = offers.swap_remove(self.rng.random_range(0..offers.len()));
        self.say("an offer is played again");
        self.figures.count("duplicates");
        self.network.in_flight.push(offer);
        Ok(())
    }

    fn lose_one(&mut self) {
        if self.network.in_flight.is_empty() {
            return;
        }
        let index = self.rng.random_range(0..self.network.in_flight.len());
        let lost = self.network.in_flight.remove(index);
        let (word, _, _) = super::network::describe(&lost.body);
        self.say(&format!("a message is lost: {word}"));
        self.figures.count("losses");
    }

    fn cut_one(&mut self) {
        let agent = self.any_agent();
        let link = &mut self.network.links[agent];
        let (what, figure) = match self.rng.random_range(0..3) {
            0 => {
                link.up_is_cut = true;
                ("to the controller", "cuts one way")
            }
            1 => {
                link.down_is_cut = true;
                ("from the controller", "cuts one way")
            }
            _ => {
                link.up_is_cut = true;
                link.down_is_cut = true;
                ("both ways", "cuts both ways")
            }
        };
        self.figures.count(figure);
        let who = self.seats[agent].vantage.clone();
        self.say(&format!("{who} is cut off, {what}"));
    }

    fn heal_one(&mut self) {
        let cut = |it: &super::network::Link| it.up_is_cut || it.down_is_cut;
        if let Some(agent) = self.network.links.iter().position(cut) {
            self.network.links[agent] = super::network::Link::default();
            let who = self.seats[agent].vantage.clone();
            self.say(&format!("{who} is reached again"));
        }
    }

    // Processes.

    pub(super) fn join_all(&mut self) -> Result<(), Stop> {
        (0..self.seats.len()).try_for_each(|_| self.join_one())
    }

    fn join_one(&mut self) -> Result<(), Stop> {
        for agent in 0..self.seats.len() {
            let link = self.network.links[agent];
            let is_free = self.seats[agent].process.as_ref().is_some_and(|it| !it.has_session());
            if is_free && !link.up_is_cut && !link.down_is_cut {
                return self.join(agent);
            }
        }
        Ok(())
    }

    fn crash_or_start_agent(&mut self) -> Result<(), Stop> {
        let dead = self.seats.iter().position(|it| it.process.is_none());
        let (agent, line) = if let Some(agent) = dead {
            self.start_agent(agent)?;
            (agent, "starts")
        } else {
            let agent = self.any_agent();
            self.figures.count("agent crashes");
            self.crash_agent(agent);
            (agent, "crashes")
        };
        let who = self.seats[agent].vantage.clone();
        self.say(&format!("{who} {line}"));
        self.settle()
    }

    fn crash_or_start_controller(&mut self) -> Result<(), Stop> {
        if self.controller.is_some() {
            self.figures.count("controller crashes");
            self.say("the controller crashes");
            self.crash_controller()?;
            if self.rng.random_range(0..3) > 0 {
                self.restart_controller()?;
            }
            return Ok(());
        }
        self.restart_controller()
    }

    fn restart_controller(&mut self) -> Result<(), Stop> {
        let puts_back = self.backup.is_some() && self.rng.random_range(0..3) == 0;
        if puts_back && let Some(backup) = self.backup.take() {
            fs::copy(&backup, self.database()).context("put a backup back")?;
            self.figures.count("backups put back");
            self.say("a backup is put back");
            let wall_ms = self.time.wall_ms();
            self.checks.put_back(wall_ms);
        }
        self.start_controller(puts_back)?;
        self.say("a controller starts");
        self.settle()
    }

    /// A copy of the database alone, while nobody has it open.
    fn keep_backup(&mut self) -> Result<(), Stop> {
        if self.backup.is_some() || self.controller.is_none() {
            return Ok(());
        }
        self.say("the controller stops for a backup");
        self.crash_controller()?;
        let copy = self.folder.join("backup.db");
        fs::copy(self.database(), &copy).context("keep a backup")?;
        self.backup = Some(copy);
        self.start_controller(false)?;
        self.settle()
    }

    // Time.

    fn pass_some_time(&mut self) -> Result<(), Stop> {
        let ms = match self.rng.random_range(0..100) {
            0..70 => self.rng.random_range(10..3_000),
            70..90 => self.rng.random_range(3_000..20_000),
            90..97 => self.rng.random_range(20_000..180_000),
            97..99 => self.rng.random_range(180_000..2_000_000),
            _ => self.rng.random_range(3_600_000..8_000_000),
        };
        self.say(&format!("{ms} ms pass"));
        self.pass(Duration::from_millis(ms))
    }

    /// Within what is borne, or far beyond it: then everything has to freeze.
    fn jump_clock(&mut self) {
        let ms = match self.rng.random_range(0..3) {
            0 => self.rng.random_range(-JUMP_BORNE_MS / 4..=JUMP_BORNE_MS / 4),
            1 => self.rng.random_range(120_000..20_000_000),
            _ => -self.rng.random_range(120_000..20_000_000),
        };
        self.time.jump_ms(ms);
        self.checks.clock_was_moved = true;
        if ms.abs() > JUMP_BORNE_MS {
            self.checks.clock_moved(self.now);
        }
        self.figures.count("clock jumps");
        self.say(&format!("the wall clock is moved by {ms} ms"));
    }

    // Agents.

    /// A task's free part comes to its end, well or not.
    fn proceed_one(&mut self) -> Result<(), Stop> {
        let preparing = {
            let mut board = lock(&self.board);
            board.preparing.retain(|it| !it.done.is_closed());
            if board.preparing.is_empty() {
                return Ok(());
            }
            board.preparing.remove(0)
        };
        let who = self.seats[preparing.agent].vantage.clone();
        let is_ready = self.rng.random_range(0..12) > 0;
        let word = if is_ready { "is ready to send" } else { "gives up" };
        self.say(&format!("{who} {word} for {}", preparing.task));
        // A task that was cancelled meanwhile does not listen.
        let _ = preparing.done.send(if is_ready { Ok(()) } else { Err(free_part()) });
        self.settle()
    }

    // People.

    fn log_on(&mut self) -> Result<(), Stop> {
        let account = self.any_free_account();
        let agent = self.any_seated_agent();
        let endpoint = self.rng.random_range(0..ENDPOINTS.len());
        let number = self.next;
        self.next += 1;
        // Several logons of one diagnosis, now and then.
        let is_same = !self.diagnosis.is_empty() && self.rng.random_range(0..3) == 0;
        let diagnosis = if is_same { self.diagnosis.clone() } else { format!("d{number}") };
        let asked = Asked {
            task: format!("t{number:04}"),
            diagnosis: DiagnosisId::new(diagnosis.as_str()).map_err(|error| anyhow!("{error}"))?,
            round: number,
            path: PathId {
                vantage: self.seats[agent].vantage.clone(),
                endpoint: endpoint_name(endpoint)?,
            },
            account: AccountId::new(account).map_err(|error| anyhow!("{error}"))?,
            name: UserName { form: NameForm::Upn, login: format!("{account}@example.com") },
            cost: [1, 1, 1, 2][self.rng.random_range(0..4)],
            has_proof: self.rng.random_range(0..3) > 0,
            reaches_back_end: self.rng.random_range(0..3) == 0,
        };
        let Some(controller) = &mut self.controller else { return Ok(()) };
        let claims = asked.has_proof;
        let target = TargetId::new(TARGET).map_err(|error| anyhow!("{error}"))?;
        let (now, store) = (self.now, &self.rooms.store);
        let is_known = is_same && self.diagnosis_of == self.process;
        if is_same && !is_known {
            return Ok(());
        }
        if !is_known {
            self.diagnosis.clone_from(&diagnosis);
            self.diagnosis_of = self.process;
            store.block_on(controller.accept(&asked.diagnosis, &target))?;
        }
        let task = asked.task.clone();
        store.block_on(controller.log_on(now, asked))?;
        self.is_touched = true;
        self.trace
            .note(now, &format!("{task} of {diagnosis}: {account} at {}", ENDPOINTS[endpoint].0));
        if self.bug == Some(Bug::CheckThenInsert)
            && let Some(open) = &self.store
        {
            store.block_on(open.run_unguarded(INSERT_UNCHECKED))?;
        }
        self.note_claims(claims)?;
        self.settle()
    }

    /// Which attempt was made under the claim that its secret is proven.
    fn note_claims(&mut self, claims: bool) -> Result<(), Stop> {
        let Some(store) = &self.store else { return Ok(()) };
        let rows = self.rooms.store.block_on(store.attempt_rows())?;
        if let Some(newest) = rows.last().filter(|it| claims && it.state == "reserved") {
            self.checks.claims.insert(newest.attempt_id.clone());
        }
        Ok(())
    }

    fn give_up_one(&mut self) -> Result<(), Stop> {
        let Some(controller) = &mut self.controller else { return Ok(()) };
        let tasks = controller.under_way();
        if tasks.is_empty() {
            return Ok(());
        }
        let task = &tasks[self.rng.random_range(0..tasks.len())];
        self.rooms.store.block_on(controller.give_up(self.now, task))?;
        self.is_touched = true;
        self.say(&format!("{task} is given up"));
        self.settle()
    }

    fn change_password(&mut self) {
        let account = self.any_account();
        let number = self.next;
        self.next += 1;
        if let Some(principal) = self.directory.principals.get_mut(account) {
            principal.password = format!("changed-{account}-{number:04}");
        }
        self.say(&format!("the password of {account} is changed in the directory"));
    }

    /// To the right password, or to a wrong one.
    fn rotate_secret(&mut self) -> Result<(), Stop> {
        let account = self.any_account();
        let number = self.next;
        self.next += 1;
        let is_right = self.rng.random_range(0..2) == 0;
        let right = self.directory.principals.get(account).map(|it| it.password.clone());
        let secret =
            right.filter(|_| is_right).unwrap_or(format!("mistyped-{account}-{number:04}"));
        let Some(store) = &self.store else { return Ok(()) };
        let id = AccountId::new(account).map_err(|error| anyhow!("{error}"))?;
        let secret = Secret::new(secret).map_err(|error| anyhow!("{error}"))?;
        self.rooms.store.block_on(store.rotate_account(&id, &secret, "operator", None))?;
        self.is_touched = true;
        self.figures.count("rotations");
        let word = if is_right { "the right password" } else { "a wrong one" };
        self.say(&format!("{account} is given {word}"));
        self.settle()
    }

    /// An operator looked, and lets an account go on whose breaker is open. A freeze he leaves alone.
    fn release_account(&mut self) -> Result<(), Stop> {
        let Some(account) = self.checks.refused_account() else { return Ok(()) };
        let Some(store) = &self.store else { return Ok(()) };
        let id = AccountId::new(account.as_str()).map_err(|error| anyhow!("{error}"))?;
        let budget = self.rooms.store.block_on(store.budget(&id))?;
        if budget.breaker.is_none() || budget.frozen.is_some() {
            return Ok(());
        }
        self.rooms.store.block_on(store.release(&id, "operator", "looked"))?;
        // The clock is looked at in the same breath, and may freeze it; that stays.
        if self.rooms.store.block_on(store.budget(&id))?.frozen.is_none() {
            self.checks.released(&account);
        }
        self.is_touched = true;
        self.say(&format!("{account} is released"));
        self.settle()
    }

    fn freeze_account(&mut self) -> Result<(), Stop> {
        let account = self.any_account();
        let Some(store) = &self.store else { return Ok(()) };
        let id = AccountId::new(account).map_err(|error| anyhow!("{error}"))?;
        let scope = FreezeScope::Account(id);
        self.rooms.store.block_on(store.freeze(&scope, None, "operator", "maintenance"))?;
        self.is_touched = true;
        self.say(&format!("{account} is frozen by hand"));
        self.settle()
    }

    // The end.

    /// Everything heals; every attempt has to come to its end.
    pub(super) fn come_to_an_end(&mut self) -> Result<(), Stop> {
        self.say("everything heals");
        for link in &mut self.network.links {
            *link = super::network::Link::default();
        }
        if self.controller.is_none() {
            self.start_controller(false)?;
        }
        for agent in 0..self.seats.len() {
            if self.seats[agent].process.is_none() {
                self.start_agent(agent)?;
            }
        }
        for _ in 0..HEALED_TIMES {
            while !self.network.in_flight.is_empty() {
                let message = self.network.in_flight.remove(0);
                self.deliver(message)?;
            }
            self.join_one()?;
            self.pass(HEALED)?;
        }
        self.is_touched = true;
        self.look()?;
        self.checks.look_at_end()?;
        self.figure();
        Ok(())
    }

    fn figure(&mut self) {
        for listed in &ACCOUNTS {
            let Some(k) = self.checks.guard(listed.id).map(|it| it.k) else { continue };
            let peak = self.directory.principals.get(listed.id).map_or(0, |it| it.peak);
            self.figures.add("counters at exactly K", u64::from(peak == k));
            self.figures.add("counters above K, of liars", u64::from(peak > k));
        }
        let refunds = self.checks.rows().filter(|it| it.outcome.as_deref() == Some("not_sent"));
        let refunds = refunds.count() as u64;
        self.figures.add("refunds", refunds);
        self.figures.add("freezes", u64::from(self.checks.was_frozen));
        self.figures.add("budgets used up", u64::from(self.checks.was_used_up));
        self.figures.add("runs with liars", u64::from(self.checks.has_liars));
    }
}
