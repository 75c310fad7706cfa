//! The runs: diagnoses are asked for, something dies, everything is started again and has to come to its end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use parallax_wire::pb::diagnosis::State;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use super::network::Stage;
use super::processes::{AGENT_POINTS, CONTROLLER_POINTS, Process, until_ready};
use super::{BUDGET, Goal, calls};

/// Diagnoses under way when something dies.
const AT_ONCE: usize = 3;
/// The longest that a run goes on before something is killed.
const LIFE_MAX: Duration = Duration::from_millis(700);
/// How long a process is waited for that is to die at a named point.
const POINT_WAIT: Duration = Duration::from_millis(1500);
/// A controller answers again within this.
const READY_MAX: Duration = Duration::from_secs(5);
/// Nothing is stuck after this.
const END_MAX: Duration = Duration::from_secs(75);
/// How long a run waits for the ends of its diagnoses.
const END_SOON: Duration = Duration::from_secs(2);
/// An account whose logon was lost is left alone for so long: until the ledger has charged it.
const LOST: Duration = Duration::from_secs(135);
/// The one agent that logs on.
const LOGS_ON: &str = "cas";

/// What the runs found.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) runs: u64,
    pub(super) controller_kills: u64,
    pub(super) agent_kills: u64,
    /// Deaths by point; the random ones are `random`.
    pub(super) deaths: BTreeMap<&'static str, u64>,
    pub(super) ready: Vec<Duration>,
    pub(super) failures: Vec<String>,
    /// Diagnoses that were asked for, answered or not, with their target.
    pub(super) asked: Vec<(String, String)>,
    /// Those that were answered to a caller.
    pub(super) answered: Vec<(String, String)>,
    pub(super) states: BTreeMap<&'static str, u64>,
}

/// One target with its account.
#[derive(Debug, Default)]
struct Account {
    is_registered: bool,
    is_full: bool,
    asked: u64,
    not_before: Option<Instant>,
}

pub(super) struct Runs<'s> {
    stage: &'s Stage,
    goal: Goal,
    random: StdRng,
    controller: Option<Process>,
    agents: BTreeMap<String, Process>,
    accounts: Vec<Account>,
    open: Vec<Open>,
    seen: Seen,
}

/// A diagnosis that has not ended yet.
#[derive(Debug)]
struct Open {
    at: usize,
    id: String,
    until: Instant,
}

impl<'s> Runs<'s> {
    pub(super) fn new(stage: &'s Stage, goal: Goal) -> Self {
        Self {
            stage,
            goal,
            random: StdRng::seed_from_u64(goal.seed),
            controller: None,
            agents: BTreeMap::new(),
            accounts: stage.targets.iter().map(|_| Account::default()).collect(),
            open: Vec::new(),
            seen: Seen::default(),
        }
    }

    /// Runs until enough died.
    pub(super) async fn go(&mut self) -> anyhow::Result<Seen> {
        let until = Instant::now() + self.goal.limit;
        while self.seen.controller_kills < self.goal.controller_kills
            || self.seen.agent_kills < self.goal.agent_kills
            || self.full() < self.goal.full_accounts
        {
            if Instant::now() > until {
                self.seen.failures.push("the campaign's time was over".to_owned());
                break;
            }
            self.one().await.with_context(|| format!("run {}", self.seen.runs))?;
            self.seen.runs += 1;
        }
        self.see_ends(Vec::new(), END_MAX).await?;
        Ok(std::mem::take(&mut self.seen))
    }

    /// Ends every process.
    pub(super) fn end(&mut self) {
        self.controller = None;
        self.agents.clear();
    }

    fn full(&self) -> u64 {
        let counted = self.stage.counted();
        counted.values().map(|it| u64::from(*it == BUDGET)).sum()
    }

    async fn one(&mut self) -> anyhow::Result<()> {
        let kills_agent = self.seen.agent_kills * self.goal.controller_kills
            < self.seen.controller_kills * self.goal.agent_kills;
        let is_named = self.random.random_bool(0.6);
        // Whoever is to die is started anew, armed; the others live on.
        if kills_agent {
            let point = is_named.then(|| self.armed(&AGENT_POINTS));
            self.agents.remove(LOGS_ON);
            self.start_controller(None).await?;
            self.start_agents(point)?;
        } else {
            let point = is_named.then(|| self.armed(&CONTROLLER_POINTS));
            self.controller = None;
            self.start_agents(None)?;
            self.start_controller(point).await?;
        }
        self.wait_for_agents().await;
        let asked = self.ask().await;
        let life = LIFE_MAX.mul_f64(self.random.random_range(0.0..1.0));
        self.let_die(kills_agent, is_named, life).await;
        self.start_controller(None).await?;
        self.start_agents(None)?;
        self.see_ends(asked, END_SOON).await?;
        for (target, counted) in self.stage.counted() {
            if counted > BUDGET {
                bail!("the counter of {target} is {counted}, above {BUDGET}");
            }
        }
        Ok(())
    }

    fn armed(&mut self, points: &[&'static str]) -> (&'static str, u64) {
        let point = points.choose(&mut self.random).copied().unwrap_or("none");
        // Every commit passes the points of the store, so that the later ones are worth more.
        let passages = if point.starts_with("store.") { 20 } else { 3 };
        (point, self.random.random_range(1..=passages))
    }

    /// Starts the controller if it does not run, and sees that it is ready in time.
    async fn start_controller(&mut self, point: Option<(&'static str, u64)>) -> anyhow::Result<()> {
        if self.controller.as_mut().is_some_and(|it| !it.is_dead()) {
            return Ok(());
        }
        let mut process = Process::controller(self.stage, point)?;
        match until_ready(self.stage, &mut process, READY_MAX).await {
            Some(ready) => self.seen.ready.push(ready),
            // It was to die, and did so while it started.
            None if process.is_dead() && point.is_some() => {}
            None => {
                let log = self.stage.data();
                bail!("the controller is not ready within {READY_MAX:?}; see {}", log.display());
            }
        }
        self.controller = Some(process);
        Ok(())
    }

    fn start_agents(&mut self, point: Option<(&'static str, u64)>) -> anyhow::Result<()> {
        for name in &self.stage.agents {
            if self.agents.get_mut(name).is_some_and(|it| !it.is_dead()) {
                continue;
            }
            let point = point.filter(|_| name == LOGS_ON);
            self.agents.insert(name.clone(), Process::agent(self.stage, name, point)?);
        }
        Ok(())
    }

    /// Without its agents a diagnosis would end at once, with nothing to interrupt. A controller that dies meanwhile is as
    /// good as one that dies later.
    async fn wait_for_agents(&mut self) {
        let until = Instant::now() + READY_MAX;
        while Instant::now() < until
            && self.controller.as_mut().is_some_and(|it| !it.is_dead())
            && !calls::all_connected(self.stage).await.unwrap_or(false)
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks for diagnoses of a few accounts; those that were answered.
    async fn ask(&mut self) -> Vec<(usize, String)> {
        let now = Instant::now();
        let is_free = |it: &Account| !it.is_full && it.not_before.is_none_or(|at| at <= now);
        let free: Vec<usize> = (0..self.accounts.len())
            .filter(|it| is_free(&self.accounts[*it]))
            .take(AT_ONCE)
            .collect();
        let mut asked = Vec::new();
        for at in free {
            let registration = &self.stage.targets[at];
            let account = &mut self.accounts[at];
            if !account.is_registered {
                // A call that was not answered may have done its work; then this one fails for good.
                if calls::bring_in(self.stage, registration).await.is_err() {
                    account.is_full = true;
                    continue;
                }
                account.is_registered = true;
            }
            account.asked += 1;
            let id = format!("{}-{}", registration.target_id, account.asked);
            self.seen.asked.push((id.clone(), registration.target_id.clone()));
            if calls::create(self.stage, &registration.target_id, &id).await.is_ok() {
                self.seen.answered.push((id.clone(), registration.target_id.clone()));
                asked.push((at, id));
            }
        }
        asked
    }

    /// Waits for the death at a point, or brings it about.
    async fn let_die(&mut self, is_agent: bool, is_named: bool, life: Duration) {
        let process =
            if is_agent { self.agents.get_mut(LOGS_ON) } else { self.controller.as_mut() };
        let Some(process) = process else { return };
        // At a named point it dies by itself, if it comes there.
        let life = if is_named { POINT_WAIT } else { life };
        let until = Instant::now() + life;
        while Instant::now() < until && !process.is_dead() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let point = process.point.filter(|_| process.is_dead()).unwrap_or("random");
        process.kill();
        *self.seen.deaths.entry(point).or_default() += 1;
        *if is_agent { &mut self.seen.agent_kills } else { &mut self.seen.controller_kills } += 1;
    }

    /// Every diagnosis that was answered exists and ends; then its account may be asked again. One that waits for an answer
    /// that its agent took into the grave is left for later runs.
    async fn see_ends(
        &mut self,
        asked: Vec<(usize, String)>,
        wait: Duration,
    ) -> anyhow::Result<()> {
        let now = Instant::now();
        self.open.extend(asked.into_iter().map(|(at, id)| Open { at, id, until: now + END_MAX }));
        loop {
            for Open { at, id, until } in std::mem::take(&mut self.open) {
                let found = calls::diagnosis(self.stage, &id).await.context("get a diagnosis")?;
                let found = found.with_context(|| format!("{id} was answered and is gone"))?;
                if found.end_time.is_some() {
                    *self.seen.states.entry(word(found.state())).or_default() += 1;
                    self.settle(at).await?;
                } else if Instant::now() > until {
                    bail!("{id} did not end within {END_MAX:?}");
                } else {
                    self.accounts[at].not_before = Some(until);
                    self.open.push(Open { at, id, until });
                }
            }
            if self.open.is_empty() || now.elapsed() > wait {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn settle(&mut self, at: usize) -> anyhow::Result<()> {
        let Some(id) = self.stage.targets[at].accounts.first().map(|it| &it.id) else {
            return Ok(());
        };
        let found = calls::account(self.stage, id).await?.context("an account is gone")?;
        let budget = found.budget.unwrap_or_default();
        let account = &mut self.accounts[at];
        account.not_before = (budget.reserved > 0).then(|| Instant::now() + LOST);
        account.is_full = budget.charged + budget.reserved >= budget.limit;
        if budget.frozen_until_time.is_some() {
            bail!("account {id} is frozen: {}", budget.freeze_reason);
        }
        if budget.breaker_open && !account.is_full {
            calls::release(self.stage, id).await?;
        }
        Ok(())
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Succeeded => "succeeded",
        State::Interrupted => "interrupted",
        State::Expired => "expired",
        State::Cancelled => "cancelled",
        State::Failed => "failed",
        State::Unspecified | State::Pending | State::Running => "under way",
    }
}
