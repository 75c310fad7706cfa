//! From a lockout policy to a budget and a quiet gap .

use std::time::Duration;

use parallax_model::{LockoutPolicy, Threshold};

use super::{CLOCK_JUMP, GRANT_VALID, TARGET_HOLDS};

/// K when the directory's threshold is unknown, or it never locks.
const LIMIT_UNKNOWN: u32 = 2;
/// Q when the observation window is unknown.
pub(super) const QUIET_UNKNOWN: Duration = Duration::from_hours(24);

/// K = ⌊(T−1)/2⌋, and none at all for T ≤ 2.
pub(super) fn limit(policy: &LockoutPolicy) -> u32 {
    match policy.threshold {
        Threshold::At(threshold) => threshold.saturating_sub(1) / 2,
        Threshold::Never | Threshold::Unknown => LIMIT_UNKNOWN,
    }
}

/// Q = 2·O + D + H + J; 24 h when O is unknown, and at least that when T is.
pub(super) fn quiet(policy: &LockoutPolicy) -> Duration {
    let by_window = policy.window.map(|window| {
        window.saturating_mul(2).saturating_add(GRANT_VALID + TARGET_HOLDS + CLOCK_JUMP)
    });
    match (policy.threshold, by_window) {
        (_, None) => QUIET_UNKNOWN,
        (Threshold::Unknown, Some(quiet)) => quiet.max(QUIET_UNKNOWN),
        (Threshold::At(_) | Threshold::Never, Some(quiet)) => quiet,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_follow_the_threshold() {
        let limit_at = |threshold| limit(&LockoutPolicy { threshold, window: None });
        for (threshold, expected) in
            [(0, 0), (1, 0), (2, 0), (3, 1), (4, 1), (5, 2), (10, 4), (999, 499)]
        {
            assert_eq!(limit_at(Threshold::At(threshold)), expected, "T = {threshold}");
        }
        assert_eq!(limit_at(Threshold::Never), 2);
        assert_eq!(limit_at(Threshold::Unknown), 2);
    }

    #[test]
    fn quiet_gaps_have_their_margins() {
        let half_hour = Some(Duration::from_mins(30));
        let quiet = |threshold, window| quiet(&LockoutPolicy { threshold, window }).as_secs();
        assert_eq!(quiet(Threshold::At(10), half_hour), 3600 + 190);
        assert_eq!(quiet(Threshold::At(10), None), 86_400);
        assert_eq!(quiet(Threshold::Never, half_hour), 3600 + 190);
        assert_eq!(quiet(Threshold::Unknown, half_hour), 86_400);
        assert_eq!(quiet(Threshold::Unknown, Some(Duration::from_hours(24))), 2 * 86_400 + 190);
    }
}
