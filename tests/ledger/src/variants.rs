//! Which protocols are checked, and what must each of them come to?
//!
//! The correct ones violate nothing and reach every goal; those with an agent that lies show what is
//! lost then, and what is not; every [`Defect`] violates exactly what its row says, on the budget
//! alone and behind all guards, wherever it makes sense there. Where the search is
//! complete, a row that says less than the checker finds is as wrong as one that says more.
//! Deliberately absent: the window rules, whose table is in [`crate::quiet_gap`].

use crate::defects::Defect;
use crate::findings::Findings;
use crate::protocol::invariants::{Goal, Invariant};
use crate::protocol::limits::Limits;
use crate::protocol::{Durability, Guards, Honesty, Protocol};

use Defect as D;
use Guards::{All, BudgetAlone};
use Invariant::{
    AtMostOnce, Breaker, Budget, Dominance, Freeze, OneFailurePerDiagnosis, SettledStays,
    SingleFlight, StartBeforeSend, TwiceTheBudget, VoidIsFinal,
};

/// One protocol and what the checker must say about it.
#[derive(Clone, Debug)]
pub struct Variant {
    pub name: String,
    pub protocol: Protocol,
    pub violates: &'static [Invariant],
    pub reaches: &'static [Goal],
    pub runs_in: RunsIn,
    pub search: Search,
}

/// Who runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunsIn {
    /// `cargo test`, which has a minute for all of them, and `ledger-model-full`.
    Test,
    /// `ledger-model-full` only.
    Full,
}

/// How far the checker goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// Every reachable state.
    Complete,
    /// Until all of [`Variant::violates`] is found; for state spaces that do not fit into memory.
    UntilCaught,
}

impl Variant {
    /// Explores the protocol. `Err` says how the findings differ from what the table promises.
    pub fn check(&self) -> Result<Findings, String> {
        let mut promised: Vec<_> = self.violates.iter().map(|it| it.name()).collect();
        promised.sort_unstable();
        let findings = match self.search {
            Search::Complete => Findings::of(self.protocol),
            Search::UntilCaught => Findings::until(self.protocol, &promised),
        };
        let found = findings.violated_names();
        let missed: Vec<_> = self
            .reaches
            .iter()
            .map(|goal| goal.name())
            .filter(|name| findings.unreached.contains(name))
            .collect();
        let as_promised = match self.search {
            Search::Complete => found == promised,
            Search::UntilCaught => promised.iter().all(|it| found.contains(it)),
        };
        if as_promised && missed.is_empty() {
            return Ok(findings);
        }
        let traces = findings.violated.iter().filter(|(name, _)| !promised.contains(name));
        Err(format!(
            "{}: violates {found:?}, should violate {promised:?}; never reaches {missed:?}; \
             traces of the unexpected: {:#?}",
            self.name,
            traces.collect::<Vec<_>>(),
        ))
    }
}

const GOALS_OF_BUDGET: &[Goal] =
    &[Goal::SuccessSettled, Goal::RefundAfterNotSent, Goal::BudgetUsedUp, Goal::AllAttemptsUsed];
const GOALS_OF_GUARDS: &[Goal] = &Goal::ALL;

/// Two attempts, of which one failure uses up the budget.
const TWO: Limits = Limits { attempts: 2, agents: 2, budget: 1, costs: &[1] };
/// Two attempts that may both fail: what stops the second is a guard, not the budget.
const TWO_ROOMY: Limits = Limits { budget: 2, ..TWO };
/// The same with one agent, where a second one would take the tests too long.
const TWO_ONE_AGENT: Limits = Limits { agents: 1, ..TWO_ROOMY };
/// Logons that count twice beside those that count once.
const TWO_COSTS: Limits = Limits { costs: &[1, 2], ..TWO_ROOMY };
const THREE: Limits = Limits { attempts: 3, agents: 2, budget: 2, costs: &[1] };
const THREE_ONE_AGENT: Limits = Limits { agents: 1, ..THREE };
/// Three attempts against a budget of one: what an agent gains by lying shows at once.
const THREE_TIGHT: Limits = Limits { budget: 1, ..THREE };
/// The same with logons that count twice, which tells a cap on cost from a cap on number.
const THREE_COST_TWO: Limits = Limits { costs: &[2], ..THREE };

/// Everything, in the order of the table.
pub fn all() -> Vec<Variant> {
    [correct(), dishonest(), seeded()].concat()
}

/// The protocol as it should be: clean, and everything that should be possible is.
pub fn correct() -> Vec<Variant> {
    let kept = Durability::Kept;
    let may_return = Durability::EarlierStateMayReturn;
    let rows = [
        (BudgetAlone, kept, TWO, RunsIn::Test),
        (BudgetAlone, kept, TWO_COSTS, RunsIn::Test),
        (BudgetAlone, kept, THREE, RunsIn::Test),
        (BudgetAlone, may_return, TWO_ROOMY, RunsIn::Test),
        (BudgetAlone, may_return, TWO_COSTS, RunsIn::Full),
        (BudgetAlone, may_return, THREE_ONE_AGENT, RunsIn::Full),
        (All, kept, TWO_ROOMY, RunsIn::Test),
        (All, kept, TWO_COSTS, RunsIn::Test),
        (All, kept, THREE_ONE_AGENT, RunsIn::Full),
        (All, kept, THREE, RunsIn::Full),
        (All, may_return, TWO_ONE_AGENT, RunsIn::Test),
        (All, may_return, TWO_ROOMY, RunsIn::Full),
        (All, may_return, TWO_COSTS, RunsIn::Full),
    ];
    let variant = |(guards, durability, limits, runs_in)| Variant {
        name: format!("correct, {}", describe(guards, durability, limits)),
        protocol: Protocol { limits, guards, durability, honesty: Honesty::Honest, defect: None },
        violates: &[],
        reaches: if guards == All { GOALS_OF_GUARDS } else { GOALS_OF_BUDGET },
        runs_in,
        search: Search::Complete,
    };
    rows.into_iter().map(variant).collect()
}

/// Agents that say "not sent" about logons they did send. The budget cannot hold; twice the budget
/// does, thanks to the cap on believed reports, and falls with the cap.
pub fn dishonest() -> Vec<Variant> {
    const CAPPED: &[Invariant] = &[Budget, Dominance, VoidIsFinal];
    const UNCAPPED: &[Invariant] = &[Budget, Dominance, VoidIsFinal, TwiceTheBudget];
    const CAPPED_BEHIND_GUARDS: &[Invariant] =
        &[Budget, Dominance, VoidIsFinal, OneFailurePerDiagnosis];
    let number: Option<Defect> = Some(D::NotSentCapCountsAttempts);
    let none = Some(D::NotSentRefundUncapped);
    let guarded = Limits { agents: 1, ..THREE_TIGHT };
    let rows = [
        (BudgetAlone, THREE_TIGHT, None, CAPPED, RunsIn::Test),
        (BudgetAlone, THREE_COST_TWO, None, CAPPED, RunsIn::Test),
        (BudgetAlone, THREE_TIGHT, none, UNCAPPED, RunsIn::Test),
        (BudgetAlone, THREE_COST_TWO, number, UNCAPPED, RunsIn::Test),
        (All, guarded, None, CAPPED_BEHIND_GUARDS, RunsIn::Full),
    ];
    let durability = Durability::Kept;
    let honesty = Honesty::LiesAboutNotSent;
    let variant = |(guards, limits, defect, violates, runs_in)| Variant {
        name: format!(
            "lying agents, {}, {}",
            describe(guards, durability, limits),
            match defect {
                Some(defect) => format!("{defect:?}"),
                None => "capped".to_owned(),
            },
        ),
        protocol: Protocol { limits, guards, durability, honesty, defect },
        violates,
        reaches: GOALS_OF_BUDGET,
        runs_in,
        search: Search::Complete,
    };
    rows.into_iter().map(variant).collect()
}

/// One mistake each, honest agents.
pub fn seeded() -> Vec<Variant> {
    /// What goes wrong when a credential is sent twice, or by an attempt that counts no longer.
    const SENT_TWICE: &[Invariant] = &[AtMostOnce, Budget, Dominance, TwiceTheBudget, VoidIsFinal];
    const SENT_UNASKED: &[Invariant] =
        &[AtMostOnce, Budget, Dominance, StartBeforeSend, TwiceTheBudget, VoidIsFinal];
    let on_budget_alone: [(Defect, &'static [Invariant]); 14] = [
        (D::NoncePerProcessStart, SENT_TWICE),
        (D::NonceNotChecked, SENT_TWICE),
        (D::ChargeOnlyAfterResult, &[Budget, Dominance]),
        (D::RefundUnknownOutcome, &[Budget, Dominance, VoidIsFinal]),
        (D::AnswerDuplicateBegin, SENT_UNASKED),
        (D::GoAfterVoid, SENT_UNASKED),
        (D::RedispatchOnReconnect, SENT_UNASKED),
        (D::RestoreWithoutFreeze, &[AtMostOnce, Budget, Dominance, VoidIsFinal]),
        (D::FreezeNotCheckedAtStart, &[AtMostOnce, Budget, Freeze]),
        (D::HttpRetry, &[AtMostOnce, Budget, Dominance, TwiceTheBudget]),
        (D::CheckThenInsert, &[Budget]),
        (D::GoBeforeCommit, SENT_UNASKED),
        (
            D::StartWithoutStateGuard,
            &[AtMostOnce, Budget, Dominance, SettledStays, TwiceTheBudget, VoidIsFinal],
        ),
        (D::AcceptOnWeakEvidence, &[Budget, Dominance]),
    ];
    let elsewhere: [(Defect, Guards, Limits, &'static [Invariant], RunsIn); 11] = [
        (D::TimeoutRewritesSettledRow, BudgetAlone, TWO, &[SettledStays], RunsIn::Test),
        (
            D::CheckThenInsert,
            All,
            TWO,
            &[Budget, OneFailurePerDiagnosis, SingleFlight],
            RunsIn::Test,
        ),
        (D::BreakerIgnored, All, TWO_ROOMY, &[Breaker], RunsIn::Test),
        (D::BreakerCheckedOnlyAtReserve, All, TWO_ROOMY, &[Breaker], RunsIn::Test),
        (D::LateRefusalIgnored, All, TWO_ROOMY, &[Breaker], RunsIn::Test),
        (D::ProofOfAnotherVersion, All, THREE_ONE_AGENT, &[Breaker], RunsIn::Test),
        (D::DiagnosisGoesOnAfterCharge, All, TWO_ROOMY, &[OneFailurePerDiagnosis], RunsIn::Test),
        (D::RotationResetsBudget, All, TWO, &[Budget, Dominance], RunsIn::Test),
        // The guards hide this one from the budget, not from dominance.
        (D::ChargeOnlyAfterResult, All, TWO, &[Dominance], RunsIn::Full),
        (
            D::RestoreWithoutFreeze,
            All,
            TWO,
            &[AtMostOnce, Breaker, Budget, Dominance, OneFailurePerDiagnosis, VoidIsFinal],
            RunsIn::Full,
        ),
        (
            D::FreezeNotCheckedAtStart,
            All,
            TWO,
            &[AtMostOnce, Breaker, Budget, Freeze, OneFailurePerDiagnosis],
            RunsIn::Full,
        ),
    ];
    let mut variants = Vec::new();
    for (defect, violates) in on_budget_alone {
        variants.push(one_defect(defect, BudgetAlone, TWO, violates, RunsIn::Test));
        variants.push(one_defect(defect, BudgetAlone, THREE_TIGHT, violates, RunsIn::Full));
    }
    for (defect, guards, limits, violates, runs_in) in elsewhere {
        variants.push(one_defect(defect, guards, limits, violates, runs_in));
    }
    variants
}

fn one_defect(
    defect: Defect,
    guards: Guards,
    limits: Limits,
    violates: &'static [Invariant],
    runs_in: RunsIn,
) -> Variant {
    let needs_restore = matches!(defect, D::RestoreWithoutFreeze | D::FreezeNotCheckedAtStart);
    let durability =
        if needs_restore { Durability::EarlierStateMayReturn } else { Durability::Kept };
    Variant {
        name: format!("{defect:?}, {}", describe(guards, durability, limits)),
        protocol: Protocol {
            limits,
            guards,
            durability,
            honesty: Honesty::Honest,
            defect: Some(defect),
        },
        violates,
        reaches: &[],
        runs_in,
        search: if limits == THREE_TIGHT { Search::UntilCaught } else { Search::Complete },
    }
}

fn describe(guards: Guards, durability: Durability, limits: Limits) -> String {
    let guards = match guards {
        BudgetAlone => "budget alone",
        All => "all guards",
    };
    let durability = match durability {
        Durability::Kept => "",
        Durability::EarlierStateMayReturn => ", earlier state may return",
    };
    let Limits { attempts, agents, budget, costs } = limits;
    format!("{guards}{durability}: N={attempts} G={agents} K={budget} cost={costs:?}")
}
