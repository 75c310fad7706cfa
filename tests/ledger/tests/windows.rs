//! Which rule about time keeps a directory's bad-password counter within the budget?
//!
//! Only a quiet gap with all its margins; the common rate limits do not. The table is in `quiet_gap`.

use parallax_ledger_model::quiet_gap::{self, WindowVariant};

#[test]
fn only_a_quiet_gap_with_margins_holds() {
    let outcomes: Vec<_> = quiet_gap::variants().iter().map(WindowVariant::check).collect();
    let wrong: Vec<_> = outcomes.iter().filter_map(|it| it.as_ref().err()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Otherwise the last rows of the table would show nothing.
#[test]
fn the_table_has_rules_that_hold_and_rules_that_do_not() {
    let holding = quiet_gap::variants().iter().filter(|it| it.holds).count();
    assert_eq!((holding, quiet_gap::variants().len()), (3, 9));
}
