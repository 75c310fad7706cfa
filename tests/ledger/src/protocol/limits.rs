//! How large is the world that the checker explores, and how large is a budget?
//!
//! Deliberately absent: time; the quiet gap is checked by [`crate::quiet_gap`].
//! INVARIANT: `2 × budget < lockout threshold`, which is what makes the cap on believed "not sent"
//! reports safe: even agents that lie about every logon cannot lock the account.

/// Room for attempts in a state.
pub const ATTEMPTS_MAX: usize = 3;
/// Room for agents in a state.
pub const AGENTS_MAX: usize = 2;
/// How often one attempt may be begun: the first time, and once more after a crash.
pub const BEGINS_MAX: u8 = 2;
/// More emissions of one attempt than this are cut off; two are already one too many.
pub const EMISSIONS_MAX: u8 = 2;
/// Diagnoses that may use the account.
pub const DIAGNOSES_MAX: u8 = 2;

/// The bounds of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// At most [`ATTEMPTS_MAX`].
    pub attempts: u8,
    /// At most [`AGENTS_MAX`].
    pub agents: u8,
    /// K: how many counts of the directory we may use up between two quiet gaps.
    pub budget: u8,
    /// What one refused logon may add to the directory's counter; a reservation picks any of them.
    pub costs: &'static [u8],
}

/// K of an account whose directory locks at `lockout_threshold` failures: less than half, the rest
/// is for the people who own it. 0 refuses credentials.
pub const fn budget_for(lockout_threshold: u32) -> u32 {
    lockout_threshold.saturating_sub(1) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_the_budget_never_locks() {
        for threshold in 1..1000 {
            assert!(2 * budget_for(threshold) < threshold, "threshold {threshold}");
        }
        assert_eq!([1, 2, 3, 5, 10].map(budget_for), [0, 0, 1, 2, 4]);
    }
}
