//! A point in time as a date for people, in UTC, without a clock and without a library.

use std::time::{SystemTime, UNIX_EPOCH};

/// `2026-10-01`; civil date from days since the epoch (proleptic Gregorian calendar).
pub(crate) fn date(time: SystemTime) -> String {
    let days = match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs() / 86_400).unwrap_or(i64::MAX / 2),
        Err(before) => {
            -i64::try_from(before.duration().as_secs().div_ceil(86_400)).unwrap_or(i64::MAX / 2)
        }
    };
    // Days are counted from 0000-03-01 in eras of 400 years, so that the leap day ends its year.
    let shifted = days.saturating_add(719_468);
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn known_days() {
        let day = |days: u64| date(UNIX_EPOCH + Duration::from_secs(days * 86_400 + 3_599));
        assert_eq!(day(0), "1970-01-01");
        assert_eq!(day(11_016), "2000-02-29");
        assert_eq!(day(20_779), "2026-11-22");
        assert_eq!(date(UNIX_EPOCH - Duration::from_secs(1)), "1969-12-31");
    }
}
