//! A point in time as a date for people, in UTC, and the date of an HTTP header, without a clock and without a library.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

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

/// `2026-10-01 08:49`.
pub(crate) fn date_and_time(time: SystemTime) -> String {
    let of_day = time.duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs() % 86_400);
    format!("{} {:02}:{:02}", date(time), of_day / 3_600, of_day % 3_600 / 60)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, the only form that servers may send (RFC 9110 section 5.6.7).
pub(crate) fn http_date(text: &str) -> Option<SystemTime> {
    let mut words = text.split_once(',')?.1.split_whitespace();
    let day: u64 = words.next()?.parse().ok().filter(|it| (1..=31).contains(it))?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|it| it.eq_ignore_ascii_case(month))?;
    let year: u64 = words.next()?.parse().ok().filter(|it| (1970..=9999).contains(it))?;
    let mut parts = words.next()?.split(':').map(|it| it.parse::<u64>().ok());
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    if hour > 23 || minute > 59 || second > 60 || words.next() != Some("GMT") {
        return None;
    }
    // Days are counted in years that begin with March, as in `date`.
    let month_from_march = (u64::try_from(month).ok()? + 10) % 12;
    let year = if month_from_march >= 10 { year - 1 } else { year };
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year;
    let since = days.checked_sub(719_468)? * 86_400 + hour * 3_600 + minute * 60 + second;
    UNIX_EPOCH.checked_add(Duration::from_secs(since))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_of_http_is_read_and_nothing_else() {
        let at = |seconds| Some(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), at(784_111_777));
        assert_eq!(http_date("Tue, 29 Feb 2000 23:59:59 GMT"), at(951_868_799));
        assert_eq!(http_date("Thu, 01 Jan 1970 00:00:00 GMT"), at(0));
        let rubbish =
            ["", "now", "Sun, 06 Nov 1994 08:49:37 +0100", "Sun, 32 Foo 9 9:9:9 GMT", ","];
        assert!(rubbish.iter().all(|it| http_date(it).is_none()));
        let time = UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(date_and_time(time), "1994-11-06 08:49");
    }

    #[test]
    fn known_days() {
        let day = |days: u64| date(UNIX_EPOCH + Duration::from_secs(days * 86_400 + 3_599));
        assert_eq!(day(0), "1970-01-01");
        assert_eq!(day(11_016), "2000-02-29");
        assert_eq!(day(20_779), "2026-11-22");
        assert_eq!(date(UNIX_EPOCH - Duration::from_secs(1)), "1969-12-31");
    }
}
