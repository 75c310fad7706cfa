//! Points in time and durations of the API, as text.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// RFC 3339 in UTC with whole seconds; `-` for none.
pub(super) fn moment(time: Option<&pbjson_types::Timestamp>) -> String {
    time.and_then(|it| OffsetDateTime::from_unix_timestamp(it.seconds).ok())
        .and_then(|it| it.format(&Rfc3339).ok())
        .unwrap_or_else(|| "-".to_owned())
}

/// `30m`, `90s`: the largest unit that divides it.
pub(super) fn span(duration: &pbjson_types::Duration) -> String {
    let seconds = duration.seconds;
    for (unit, size) in [("d", 86_400), ("h", 3600), ("m", 60)] {
        if seconds >= size && seconds % size == 0 {
            return format!("{}{unit}", seconds / size);
        }
    }
    format!("{seconds}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_unit_that_divides() {
        let text = |seconds| span(&pbjson_types::Duration { seconds, nanos: 0 });
        assert_eq!([text(1800), text(90), text(86_400), text(7200)], ["30m", "90s", "1d", "2h"]);
    }

    #[test]
    fn times_are_utc() {
        let time = pbjson_types::Timestamp { seconds: 1_772_361_600, nanos: 5 };
        assert_eq!(moment(Some(&time)), "2026-03-01T10:40:00Z");
        assert_eq!(moment(None), "-");
    }
}
