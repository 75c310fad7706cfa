//! The ledger against a small model of its rules: the same random operations, the same answers, the same budget after each.

use std::time::Duration;

use parallax_model::Threshold;
use proptest::prelude::*;

use super::{Fixture, PASSWORD, account_id, request, secret};
use crate::{AttemptId, FreezeScope, LogonResult, Nonce, ReserveRefused, ReserveRequest};

const K: u32 = 3;
const WINDOW_S: i64 = 60;
const QUIET_S: i64 = 2 * WINDOW_S + 10 + 120 + 60;
const CASES: u32 = 64;

#[derive(Clone, Debug)]
enum Operation {
    /// Reserved, started and settled at once.
    Logon {
        diagnosis: u8,
        cost: u32,
        result: LogonResult,
    },
    /// Reserved and started.
    Begin {
        diagnosis: u8,
        cost: u32,
    },
    Reserve {
        diagnosis: u8,
        cost: u32,
    },
    Start {
        attempt: usize,
    },
    Settle {
        attempt: usize,
        result: LogonResult,
    },
    Void {
        attempt: usize,
    },
    Sweep,
    Pass {
        seconds: i64,
    },
    /// To another secret, or to the one that is held.
    Rotate {
        same: bool,
    },
    Release,
    Freeze {
        seconds: i64,
    },
    Restart,
}

fn operation() -> impl Strategy<Value = Operation> {
    let result = || {
        prop_oneof![
            2 => Just(LogonResult::Accepted),
            2 => any::<bool>().prop_map(|proof| LogonResult::Refused { proof }),
            1 => Just(LogonResult::Unproven),
            3 => Just(LogonResult::NotSent),
        ]
    };
    // Small numbers lead back to the newest attempts.
    let attempt = || prop_oneof![4 => Just(0_usize), 1 => 1..6_usize];
    let logon = || (0..5_u8, prop_oneof![3 => Just(1_u32), 1 => 2..=4_u32]);
    // On both sides of every limit; rarely so long that the charges fall away.
    let pass = prop_oneof![
        5 => proptest::sample::select(vec![1, 60, 61, 130, 131]),
        1 => proptest::sample::select(vec![QUIET_S - 1, QUIET_S, 601, 901]),
    ];
    prop_oneof![
        8 => (logon(), result())
            .prop_map(|((diagnosis, cost), result)| Operation::Logon { diagnosis, cost, result }),
        3 => logon().prop_map(|(diagnosis, cost)| Operation::Begin { diagnosis, cost }),
        2 => logon().prop_map(|(diagnosis, cost)| Operation::Reserve { diagnosis, cost }),
        2 => attempt().prop_map(|attempt| Operation::Start { attempt }),
        4 => (attempt(), result())
            .prop_map(|(attempt, result)| Operation::Settle { attempt, result }),
        1 => attempt().prop_map(|attempt| Operation::Void { attempt }),
        3 => Just(Operation::Sweep),
        4 => pass.prop_map(|seconds| Operation::Pass { seconds }),
        2 => any::<bool>().prop_map(|same| Operation::Rotate { same }),
        4 => Just(Operation::Release),
        1 => (1..100_i64).prop_map(|seconds| Operation::Freeze { seconds }),
        1 => Just(Operation::Restart),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Reserved,
    Started,
    Accepted,
    Refused,
    Unproven,
    NotSent,
    NeverStarted,
}

#[derive(Clone, Debug)]
struct ModelAttempt {
    diagnosis: u8,
    cost: u32,
    version: u32,
    period: u32,
    state: State,
    reserved: i64,
    started: i64,
    settled: i64,
}

#[derive(Default)]
struct Model {
    now: i64,
    version: u32,
    period: u32,
    refunds: u32,
    last_start: i64,
    frozen_until: i64,
    broken: Vec<u32>,
    attempts: Vec<ModelAttempt>,
}

impl Model {
    fn sum(&self, states: &[State]) -> u32 {
        let counts = self.attempts.iter().filter(|it| states.contains(&it.state));
        counts.filter(|it| it.period == self.period).map(|it| it.cost).sum()
    }

    fn open(&self) -> u32 {
        self.sum(&[State::Reserved, State::Started])
    }

    fn charged(&self) -> u32 {
        self.sum(&[State::Refused, State::Unproven])
    }

    fn is_quiet(&self) -> bool {
        let has_any = self.charged() > 0 || self.refunds > 0;
        self.open() == 0 && has_any && self.now >= self.last_start + QUIET_S
    }

    fn reserve(&mut self, diagnosis: u8, cost: u32) -> &'static str {
        if self.is_quiet() {
            self.period += 1;
            self.refunds = 0;
        }
        let ended =
            |state| self.attempts.iter().any(|it| it.diagnosis == diagnosis && it.state == state);
        if self.now < self.frozen_until {
            return "frozen";
        }
        if self.broken.contains(&self.version) {
            return "breaker";
        }
        if ended(State::Refused) {
            return "refused before";
        }
        if ended(State::Unproven) {
            return "unproven before";
        }
        if cost > K {
            return "above limit";
        }
        if self.open() > 0 {
            return "in flight";
        }
        if cost > K - self.charged() {
            return "over budget";
        }
        self.attempts.push(ModelAttempt {
            diagnosis,
            cost,
            version: self.version,
            period: self.period,
            state: State::Reserved,
            reserved: self.now,
            started: 0,
            settled: 0,
        });
        "granted"
    }

    fn start(&mut self, index: usize) -> bool {
        let attempt = &self.attempts[index];
        let may = attempt.state == State::Reserved
            && self.now - attempt.reserved <= 60
            && self.now >= self.frozen_until
            && attempt.version == self.version
            && !self.broken.contains(&self.version);
        if may {
            self.attempts[index].state = State::Started;
            self.attempts[index].started = self.now;
            self.last_start = self.last_start.max(self.now);
        }
        may
    }

    /// Whether anything changed; `None`: not believed.
    fn settle(&mut self, index: usize, result: LogonResult) -> Option<bool> {
        let attempt = self.attempts[index].clone();
        let outcome = match (attempt.state, result) {
            (State::Reserved, LogonResult::NotSent) => State::NeverStarted,
            (State::Reserved, _) => return None,
            (State::Started | State::Unproven, LogonResult::Accepted) => State::Accepted,
            (State::Started | State::Unproven, LogonResult::Refused { .. }) => State::Refused,
            (State::Started | State::Unproven, LogonResult::NotSent)
                if attempt.period != self.period || self.refunds + attempt.cost <= K =>
            {
                State::NotSent
            }
            (State::Started, LogonResult::NotSent | LogonResult::Unproven) => State::Unproven,
            (
                State::Unproven
                | State::Accepted
                | State::Refused
                | State::NotSent
                | State::NeverStarted,
                _,
            ) => {
                return Some(false);
            }
        };
        if outcome == State::NotSent && attempt.period == self.period {
            self.refunds += attempt.cost;
        }
        if outcome == State::Refused {
            let claimed = matches!(result, LogonResult::Refused { proof: true });
            if !(claimed && self.has_proof(&attempt)) {
                self.broken.push(attempt.version);
            }
        }
        self.attempts[index].state = outcome;
        self.attempts[index].settled = self.now;
        Some(true)
    }

    fn has_proof(&self, of: &ModelAttempt) -> bool {
        let good = |it: &&ModelAttempt| it.state == State::Accepted && it.version == of.version;
        let accepted: Vec<_> =
            self.attempts.iter().enumerate().filter(|(_, it)| good(it)).collect();
        accepted.iter().any(|(index, it)| {
            let cached = accepted.iter().any(|(other, earlier)| {
                other != index
                    && earlier.started <= it.started
                    && earlier.settled >= it.started - 900
            });
            it.diagnosis == of.diagnosis && it.settled >= self.now - 600 && !cached
        })
    }

    fn sweep(&mut self, reserved_max: i64) -> (u32, u32) {
        let mut swept = (0, 0);
        for attempt in &mut self.attempts {
            if attempt.state == State::Reserved && self.now - attempt.reserved > reserved_max {
                attempt.state = State::NeverStarted;
                swept.0 += 1;
            } else if attempt.state == State::Started && self.now - attempt.started > 130 {
                attempt.state = State::Unproven;
                swept.1 += 1;
            }
        }
        swept
    }
}

fn word(refused: &ReserveRefused) -> &'static str {
    match refused {
        ReserveRefused::Frozen(_) => "frozen",
        ReserveRefused::BreakerOpen { .. } => "breaker",
        ReserveRefused::RefusedInDiagnosis => "refused before",
        ReserveRefused::UnprovenInDiagnosis => "unproven before",
        ReserveRefused::CostAboveLimit { .. } => "above limit",
        ReserveRefused::InFlight => "in flight",
        ReserveRefused::OverBudget { .. } => "over budget",
        ReserveRefused::UnknownAccount
        | ReserveRefused::NoSecret
        | ReserveRefused::ThresholdTooLow
        | ReserveRefused::NoCost
        | ReserveRefused::EndpointBreakerOpen { .. }
        | ReserveRefused::Wait { .. } => "not in this model",
    }
}

struct Both {
    real: Fixture,
    model: Model,
    ids: Vec<(AttemptId, Nonce)>,
}

impl Both {
    /// The attempt meant by a small number, counted from the newest.
    fn pick(&self, back: usize) -> Option<usize> {
        self.ids.len().checked_sub(back + 1)
    }

    /// Whether it was granted.
    async fn reserve(&mut self, diagnosis: u8, cost: u32) -> bool {
        let request = ReserveRequest { cost, ..request("a", &format!("d{diagnosis}"), "x") };
        let real = match self.real.reserve(&request).await {
            Ok(attempt) => {
                self.ids.push((attempt.id, self.real.nonce()));
                "granted"
            }
            Err(refused) => word(&refused),
        };
        assert_eq!(real, self.model.reserve(diagnosis, cost));
        real == "granted"
    }

    async fn start(&mut self, index: usize) {
        let (id, nonce) = self.ids[index].clone();
        let agent = request("a", "d0", "x").agent;
        let started = self.real.store.start(&id, &nonce, &agent).await.expect("answers");
        assert_eq!(started.is_ok(), self.model.start(index), "{started:?}");
    }

    async fn settle(&mut self, index: usize, result: LogonResult) {
        let (id, nonce) = self.ids[index].clone();
        let settled = self.real.store.settle(&id, &nonce, result).await.expect("answers");
        let changed = settled.as_ref().ok().map(|it| it.changed);
        assert_eq!(changed, self.model.settle(index, result), "{settled:?}");
    }

    async fn void(&mut self, index: usize) {
        let voided = self.real.store.void_unstarted(&self.ids[index].0).await.expect("answers");
        let attempt = &mut self.model.attempts[index];
        assert_eq!(voided, attempt.state == State::Reserved);
        if voided {
            attempt.state = State::NeverStarted;
        }
    }

    async fn step(mut self, operation: &Operation) -> Self {
        match operation {
            Operation::Logon { diagnosis, cost, result } => {
                if self.reserve(*diagnosis, *cost).await {
                    self.start(self.ids.len() - 1).await;
                    self.settle(self.ids.len() - 1, *result).await;
                }
            }
            Operation::Begin { diagnosis, cost } => {
                if self.reserve(*diagnosis, *cost).await {
                    self.start(self.ids.len() - 1).await;
                }
            }
            Operation::Reserve { diagnosis, cost } => {
                self.reserve(*diagnosis, *cost).await;
            }
            Operation::Start { attempt } => {
                if let Some(index) = self.pick(*attempt) {
                    self.start(index).await;
                }
            }
            Operation::Settle { attempt, result } => {
                if let Some(index) = self.pick(*attempt) {
                    self.settle(index, *result).await;
                }
            }
            Operation::Void { attempt } => {
                if let Some(index) = self.pick(*attempt) {
                    self.void(index).await;
                }
            }
            Operation::Sweep => {
                let swept = self.real.store.sweep().await.expect("swept");
                assert_eq!((swept.voided, swept.charged), self.model.sweep(60));
            }
            Operation::Pass { seconds } => {
                self.model.now += seconds;
                self.real.pass(Duration::from_secs(seconds.unsigned_abs()));
            }
            Operation::Rotate { .. } | Operation::Release | Operation::Freeze { .. } => {
                self.administer(operation).await;
            }
            Operation::Restart => {
                self.real = self.real.reopen().await;
                self.model.sweep(-1);
            }
        }
        self.compare().await;
        self
    }

    async fn administer(&mut self, operation: &Operation) {
        let id = account_id("a");
        if let Operation::Freeze { seconds } = operation {
            let until_ms = 1_900_000_000_000 + (self.model.now + seconds) * 1000;
            let until = Some(crate::clock::system_time(until_ms));
            let scope = FreezeScope::Account(id);
            self.real.store.freeze(&scope, until, "admin", "a test").await.expect("frozen");
            self.model.frozen_until = self.model.frozen_until.max(self.model.now + seconds);
        } else if let Operation::Rotate { same } = operation {
            self.model.version += u32::from(!same);
            let next = match self.model.version {
                1 => secret(PASSWORD),
                version => secret(&format!("Secret-Of-Version-{version}")),
            };
            self.real.store.rotate_account(&id, &next, "admin", None).await.expect("rotated");
        } else {
            self.real.store.release(&id, "admin", "looked").await.expect("released");
            let version = self.model.version;
            self.model.broken.retain(|it| *it != version);
            self.model.frozen_until = 0;
        }
    }

    async fn compare(&self) {
        let budget = self.real.store.budget(&account_id("a")).await.expect("known");
        let charged = if self.model.is_quiet() { 0 } else { self.model.charged() };
        assert_eq!((budget.charged, budget.reserved), (charged, self.model.open()));
        assert!(budget.charged + budget.reserved <= K);
        assert_eq!(budget.breaker.is_some(), self.model.broken.contains(&self.model.version));
        assert_eq!(budget.frozen.is_some(), self.model.now < self.model.frozen_until);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: CASES,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_ledger_does_what_its_model_does(operations in proptest::collection::vec(operation(), 20..70)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let real = Fixture::new().await;
            let window = Duration::from_secs(WINDOW_S.unsigned_abs());
            real.add_account("a", Threshold::At(7), window).await;
            let mut both = Both { real, model: Model { version: 1, ..Model::default() }, ids: Vec::new() };
            for operation in &operations {
                both = both.step(operation).await;
            }
        });
    }
}
