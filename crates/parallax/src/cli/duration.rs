//! Durations as people type them: `90s`, `30m`, `12h`, `7d`.

use std::time::Duration;

/// Reads a whole number with its unit.
pub(super) fn read_duration(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("`{text}` is no duration; give a number and a unit, as 90s, 30m, 12h or 7d");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit() {
        assert_eq!(read_duration("30m"), Ok(Duration::from_mins(30)));
        assert_eq!(read_duration("7d"), Ok(Duration::from_hours(7 * 24)));
        for wrong in [
            "",
            "s",
            "30",
            "1.5h",
            "-1s",
            "30 m",
            "3日",
            "99999999999999999999s",
            "9999999999999999999d",
        ] {
            assert!(read_duration(wrong).is_err(), "{wrong}");
        }
    }
}
