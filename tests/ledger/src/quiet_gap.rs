//! When may a spent budget be used again? Rules about time, held against the directory's own counter.
//!
//! A directory counts on as long as failures come within its observation window *of each other*: it
//! falls back to zero only after a gap without any. So "n per window" rules lock accounts, however
//! the window is cut. A rule sees the times at which logons were started; the directory sees them
//! later, when the agent has sent and the target has asked.
//! Deliberately absent: accepted logons (they only ever lower the counter) and the protocol, which
//! [`crate::protocol`] checks; every logon fails here.
//!
//! INVARIANT: a rule knows ledger time only; real time belongs to the directory.

use stateright::{Model, Property};

use crate::findings::Findings;

/// K, in counts; every logon costs one.
pub const BUDGET: u8 = 2;
/// Ticks after the last failure at which the directory starts again from one (O).
pub const OBSERVATION: u8 = 3;
/// Ticks for which a started logon may still be sent (D).
pub const GRANT: u8 = 1;
/// Ticks for which a target may sit on a credential before it asks the directory (H).
pub const HOLD: u8 = 2;
/// Ticks by which the ledger's clock may jump ahead unnoticed (J).
pub const CLOCK_JUMP: u8 = 3;
/// Logons in one run.
pub const LOGONS_MAX: usize = 5;
/// Ticks in one run: enough for the longest gap, logons before it and logons after it.
pub const TICKS_MAX: u8 = 18;

/// How a ledger decides that one more logon may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// At most K starts in the last O ticks.
    SlidingWindow,
    /// At most K starts in each of the intervals 0..O, O..2·O and so on.
    FixedWindow,
    /// K tokens at first, one more every O ticks, never more than K.
    TokenBucket,
    /// At most K starts, until nothing was started for so many ticks.
    QuietGap { ticks: u8 },
}

/// Whether the ledger's clock can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerClock {
    Steady,
    /// Once, at any moment, it goes [`CLOCK_JUMP`] ticks ahead.
    MayJump,
}

/// One rule on one clock.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub rule: Rule,
    pub clock: LedgerClock,
}

/// One logon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Logon {
    Unused,
    /// *Started* is committed; the agent has not sent yet.
    Started {
        at: u8,
    },
    /// The credential is with the target.
    Sent {
        at: u8,
    },
    /// The directory counted a failure.
    Counted,
}

/// What the ledger remembers for its rule, in ledger time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Memory {
    starts: [Option<u8>; LOGONS_MAX],
    /// For the quiet gap: starts since the last one.
    charged: u8,
    /// For the token bucket.
    tokens: u8,
    refilled_at: u8,
}

/// Everything at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    now: u8,
    clock_ahead: u8,
    logons: [Logon; LOGONS_MAX],
    memory: Memory,
    directory_count: u8,
    last_failure_at: u8,
    directory_count_highest: u8,
}

/// One step. Steps at the same tick happen in any order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Tick,
    Start,
    Send { logon: usize },
    Count { logon: usize },
    ClockJumps,
}

pub const WITHIN_BUDGET: &str = "directory counter within budget";
pub const BUDGET_USED_AGAIN: &str = "budget used again after a reset";

impl Memory {
    /// The memory after one more start at `now`; `None` where the rule forbids it.
    fn after_start(mut self, rule: Rule, now: u8) -> Option<Self> {
        match rule {
            Rule::SlidingWindow => self.require_fewer_than_budget(|at| now - at < OBSERVATION)?,
            Rule::FixedWindow => {
                let interval = now / OBSERVATION;
                self.require_fewer_than_budget(|at| at / OBSERVATION == interval)?;
            }
            Rule::TokenBucket => {
                let earned = (now - self.refilled_at) / OBSERVATION;
                self.tokens = (self.tokens + earned).min(BUDGET).checked_sub(1)?;
                self.refilled_at += earned * OBSERVATION;
            }
            Rule::QuietGap { ticks } => {
                if self.last_start().is_some_and(|at| now - at >= ticks) {
                    self.charged = 0;
                }
                self.charged += 1;
                (self.charged <= BUDGET).then_some(())?;
            }
        }
        let free = self.starts.iter_mut().find(|it| it.is_none())?;
        *free = Some(now);
        Some(self)
    }

    fn require_fewer_than_budget(&self, counts: impl Fn(u8) -> bool) -> Option<()> {
        let counted = self.starts.iter().flatten().filter(|&&at| counts(at)).count();
        (counted < usize::from(BUDGET)).then_some(())
    }

    fn last_start(&self) -> Option<u8> {
        self.starts.iter().flatten().max().copied()
    }
}

impl State {
    fn ledger_now(&self) -> u8 {
        self.now + self.clock_ahead
    }

    fn next_unused(&self) -> Option<usize> {
        self.logons.iter().position(|it| *it == Logon::Unused)
    }

    /// A target that has held a credential for [`HOLD`] ticks asks before time goes on.
    fn somebody_must_act(&self) -> bool {
        let overdue = |it: &Logon| matches!(*it, Logon::Sent { at } if self.now >= at + HOLD);
        self.logons.iter().any(overdue)
    }

    fn count_failure(&mut self) {
        let quiet = self.now - self.last_failure_at >= OBSERVATION;
        self.directory_count = if quiet { 1 } else { self.directory_count + 1 };
        self.last_failure_at = self.now;
        self.directory_count_highest = self.directory_count_highest.max(self.directory_count);
    }
}

impl Model for Window {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let memory =
            Memory { starts: [None; LOGONS_MAX], charged: 0, tokens: BUDGET, refilled_at: 0 };
        vec![State {
            now: 0,
            clock_ahead: 0,
            logons: [Logon::Unused; LOGONS_MAX],
            memory,
            directory_count: 0,
            last_failure_at: 0,
            directory_count_highest: 0,
        }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        if state.now < TICKS_MAX && !state.somebody_must_act() {
            steps.push(Step::Tick);
        }
        if state.memory.after_start(self.rule, state.ledger_now()).is_some() {
            steps.push(Step::Start);
        }
        for (logon, it) in state.logons.iter().enumerate() {
            match *it {
                Logon::Started { at } if state.now <= at + GRANT => {
                    steps.push(Step::Send { logon });
                }
                Logon::Sent { .. } => steps.push(Step::Count { logon }),
                Logon::Unused | Logon::Started { .. } | Logon::Counted => {}
            }
        }
        if self.clock == LedgerClock::MayJump && state.clock_ahead == 0 {
            steps.push(Step::ClockJumps);
        }
    }

    fn next_state(&self, before: &State, step: Step) -> Option<State> {
        let mut after = *before;
        match step {
            Step::Tick => after.now += 1,
            Step::Start => {
                let logon = before.next_unused()?;
                after.memory = before.memory.after_start(self.rule, before.ledger_now())?;
                after.logons[logon] = Logon::Started { at: before.now };
            }
            Step::Send { logon } => after.logons[logon] = Logon::Sent { at: before.now },
            Step::Count { logon } => {
                after.logons[logon] = Logon::Counted;
                after.count_failure();
            }
            Step::ClockJumps => after.clock_ahead = CLOCK_JUMP,
        }
        Some(after)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(WITHIN_BUDGET, |_, state: &State| {
                state.directory_count_highest <= BUDGET
            }),
            Property::sometimes(BUDGET_USED_AGAIN, |_, state: &State| {
                state.memory.starts.iter().flatten().count() > usize::from(BUDGET)
            }),
        ]
    }
}

/// One rule and whether it holds.
#[derive(Clone, Copy, Debug)]
pub struct WindowVariant {
    pub name: &'static str,
    pub window: Window,
    pub holds: bool,
}

impl WindowVariant {
    /// Explores the rule. `Err` says how the findings differ from what the table promises.
    pub fn check(&self) -> Result<Findings, String> {
        let findings = Findings::of(self.window);
        let holds = findings.violated.is_empty();
        if holds == self.holds && findings.unreached.is_empty() {
            return Ok(findings);
        }
        Err(format!(
            "{}: holds is {holds}, should be {}; never reaches {:?}; {:#?}",
            self.name, self.holds, findings.unreached, findings.violated,
        ))
    }
}

/// Every rule that was considered. The one we run is the last.
pub fn variants() -> Vec<WindowVariant> {
    let margins = GRANT + HOLD;
    let gap = |ticks| Rule::QuietGap { ticks };
    let row =
        |name, rule, clock, holds| WindowVariant { name, window: Window { rule, clock }, holds };
    vec![
        row("sliding window", Rule::SlidingWindow, LedgerClock::Steady, false),
        row("fixed window", Rule::FixedWindow, LedgerClock::Steady, false),
        row("token bucket", Rule::TokenBucket, LedgerClock::Steady, false),
        row("gap O, no margins", gap(OBSERVATION), LedgerClock::Steady, false),
        row("gap O+D+H, one tick less", gap(OBSERVATION + margins - 1), LedgerClock::Steady, false),
        row("gap O+D+H", gap(OBSERVATION + margins), LedgerClock::Steady, true),
        row("gap O+D+H, clock jumps", gap(OBSERVATION + margins), LedgerClock::MayJump, false),
        row(
            "gap O+D+H+J, clock jumps",
            gap(OBSERVATION + margins + CLOCK_JUMP),
            LedgerClock::MayJump,
            true,
        ),
        row(
            "gap 2·O+D+H+J, clock jumps",
            gap(2 * OBSERVATION + margins + CLOCK_JUMP),
            LedgerClock::MayJump,
            true,
        ),
    ]
}
