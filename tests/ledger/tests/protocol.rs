//! Is the protocol of the logon ledger clean, and would we notice if it were not?
//!
//! One test per group of variants, so that they share the cores. What each variant must come to is
//! in the table of `variants`; the large bounds are run by `ledger-model-full`.

use std::collections::BTreeSet;

use parallax_ledger_model::defects::Defect;
use parallax_ledger_model::protocol::Guards;
use parallax_ledger_model::protocol::invariants::Invariant;
use parallax_ledger_model::variants::{self, RunsIn, Variant};

#[track_caller]
fn check(variants: impl IntoIterator<Item = Variant>) {
    let of_test = variants.into_iter().filter(|it| it.runs_in == RunsIn::Test);
    let outcomes: Vec<_> = of_test.map(|it| it.check()).collect();
    let wrong: Vec<_> = outcomes.iter().filter_map(|it| it.as_ref().err()).collect();
    assert!(!outcomes.is_empty(), "nothing was checked");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn guarded(variant: &Variant) -> bool {
    variant.protocol.guards == Guards::All
}

/// The budget holds by itself, whatever single flight, breaker and diagnoses add.
#[test]
fn the_budget_alone_is_enough() {
    check(variants::correct().into_iter().filter(|it| !guarded(it)));
}

#[test]
fn the_protocol_with_all_guards_is_clean() {
    check(variants::correct().into_iter().filter(guarded));
}

/// Nor does an agent that lies about every logon: it costs the budget twice, which is below the threshold.
#[test]
fn lying_agents_cost_at_most_twice_the_budget() {
    check(variants::dishonest());
}

#[test]
fn every_mistake_against_the_budget_is_caught() {
    check(variants::seeded().into_iter().filter(|it| !guarded(it)));
}

#[test]
fn every_mistake_against_the_guards_is_caught() {
    check(variants::seeded().into_iter().filter(guarded));
}

#[test]
fn every_defect_has_a_variant_that_is_caught() {
    let caught: BTreeSet<_> = variants::all()
        .into_iter()
        .filter(|it| it.runs_in == RunsIn::Test && !it.violates.is_empty())
        .filter_map(|it| it.protocol.defect)
        .collect();
    assert_eq!(caught, BTreeSet::from(Defect::ALL));
}

/// An invariant that no mistake violates would say nothing.
#[test]
fn every_invariant_is_violated_by_some_defect() {
    let violated: BTreeSet<_> = variants::seeded()
        .into_iter()
        .filter(|it| it.runs_in == RunsIn::Test)
        .flat_map(|it| it.violates)
        .copied()
        .collect();
    assert_eq!(violated, BTreeSet::from(Invariant::ALL));
}
