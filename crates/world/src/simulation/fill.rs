//! What stands where a header value has a word in braces?
//!
//! `{date}`, `{date+N}`, `{date-N}` by the clock of the host that writes the value, `{guid}`, `{n}`
//! and `{type2}`. Anything else in braces stays as it is. Absent on purpose: bodies, which are
//! written as they stand.

use rand::RngExt as _;
use time::OffsetDateTime;
use time::macros::format_description;

use super::{Headers, ntlm};
use crate::format::{Host, Ntlm};

/// Values with their words in braces filled in by `host` at `wall` (true time).
pub(super) fn headers(list: &[[String; 2]], host: &Host, wall: OffsetDateTime) -> Headers {
    let clock = host_clock(host, wall);
    list.iter().map(|[name, value]| [name.clone(), fill(value, host, clock)]).collect()
}

fn host_clock(host: &Host, wall: OffsetDateTime) -> OffsetDateTime {
    wall.checked_add(time::Duration::seconds(host.clock_offset_s)).unwrap_or(wall)
}

fn fill(value: &str, host: &Host, clock: OffsetDateTime) -> String {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, tail)) = rest.split_once('{') {
        out.push_str(before);
        let word = tail
            .split_once('}')
            .and_then(|(word, after)| Some((meaning(word, host, clock)?, after)));
        if let Some((text, after)) = word {
            out.push_str(&text);
            rest = after;
        } else {
            out.push('{');
            rest = tail;
        }
    }
    out.push_str(rest);
    out
}

fn meaning(word: &str, host: &Host, clock: OffsetDateTime) -> Option<String> {
    match word {
        "guid" => Some(guid()),
        "n" => Some(rand::rng().random_range(100_000..1_000_000_u32).to_string()),
        "type2" => Some(ntlm::type2(&facts(host), rand::random(), clock)),
        _ => {
            let offset = word.strip_prefix("date")?;
            let seconds: i64 = if offset.is_empty() { 0 } else { offset.parse().ok()? };
            http_date(clock.checked_add(time::Duration::seconds(seconds))?)
        }
    }
}

/// RFC 9110 section 5.6.7.
fn http_date(at: OffsetDateTime) -> Option<String> {
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    at.format(&format).ok()
}

/// RFC 9562 section 5.4.
fn guid() -> String {
    let bits: u128 = rand::random();
    let bits = bits & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// A host without NTLM facts is a machine of its own, named after itself.
fn facts(host: &Host) -> Ntlm {
    host.ntlm.clone().unwrap_or_else(|| Ntlm {
        nb_computer: host.name.to_uppercase(),
        nb_domain: host.name.to_uppercase(),
        dns_computer: host.name.clone(),
        dns_domain: host.name.clone(),
        os: String::new(),
        timestamp: true,
    })
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[track_caller]
    fn check(value: &str, expected: &str) {
        let host: Host =
            serde_json::from_str(r#"{"name": "ex1", "clock_offset_s": 60}"#).expect("a host");
        let filled = headers(
            &[["X".to_owned(), value.to_owned()]],
            &host,
            datetime!(2024-03-01 23:59:30 UTC),
        );
        assert_eq!(filled[0][1], expected);
    }

    #[test]
    fn dates_follow_the_clock_of_the_host() {
        check("{date}", "Sat, 02 Mar 2024 00:00:30 GMT");
        check("a {date-30} b", "a Sat, 02 Mar 2024 00:00:00 GMT b");
        check("{date+5}", "Sat, 02 Mar 2024 00:00:35 GMT");
    }

    #[test]
    fn other_braces_stay() {
        check("{other} {date", "{other} {date");
        check("{{n", "{{n");
    }

    #[test]
    fn guid_has_version_4() {
        let guid = guid();
        assert_eq!(guid.len(), 36);
        assert_eq!(&guid[14..15], "4");
        assert!(matches!(&guid[19..20], "8" | "9" | "a" | "b"));
    }
}
