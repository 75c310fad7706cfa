//! Times, durations, addresses, hashes, resource names and counters, both ways.
//!
//! INVARIANT: encoding never fails; what is beyond the wire's range is brought to its end.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parallax_model::{AccountId, DiagnosisId, EndpointName, InvalidName, PathId, VantageName};

use crate::error::{DecodeError, Decoded, quote};
use crate::pb;

/// The longest `google.protobuf.Duration`: 10,000 years.
const DURATION_SECONDS_MAX: i64 = 315_576_000_000;
/// `google.protobuf.Timestamp`: 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z.
const TIMESTAMP_SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

pub fn encode_duration(value: Duration) -> pbjson_types::Duration {
    let seconds = i64::try_from(value.as_secs()).unwrap_or(i64::MAX).min(DURATION_SECONDS_MAX);
    pbjson_types::Duration { seconds, nanos: value.subsec_nanos().cast_signed() }
}

/// Reads a duration that is not negative.
pub fn decode_duration(
    value: Option<pbjson_types::Duration>,
    field: &str,
) -> Result<Duration, DecodeError> {
    let value = value.ok_or_else(|| DecodeError::missing(field))?;
    let out_of_range = || DecodeError::out_of_range(field, "0 s to 315576000000 s");
    if value.seconds > DURATION_SECONDS_MAX || value.nanos > 999_999_999 {
        return Err(out_of_range());
    }
    let seconds = u64::try_from(value.seconds).map_err(|_| out_of_range())?;
    let nanos = u32::try_from(value.nanos).map_err(|_| out_of_range())?;
    Ok(Duration::new(seconds, nanos))
}

pub fn encode_time(value: SystemTime) -> pbjson_types::Timestamp {
    let (seconds, nanos) = match value.duration_since(UNIX_EPOCH) {
        Ok(after) => {
            (i64::try_from(after.as_secs()).unwrap_or(i64::MAX), after.subsec_nanos().cast_signed())
        }
        Err(before) => {
            let before = before.duration();
            let whole = -i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
            match before.subsec_nanos().cast_signed() {
                0 => (whole, 0),
                nanos => (whole.saturating_sub(1), 1_000_000_000 - nanos),
            }
        }
    };
    let seconds = seconds.clamp(*TIMESTAMP_SECONDS.start(), *TIMESTAMP_SECONDS.end());
    pbjson_types::Timestamp { seconds, nanos }
}

pub fn decode_time(
    value: Option<pbjson_types::Timestamp>,
    field: &str,
) -> Result<SystemTime, DecodeError> {
    let value = value.ok_or_else(|| DecodeError::missing(field))?;
    read_time(&value).ok_or_else(|| {
        DecodeError::out_of_range(field, "0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z")
    })
}

fn read_time(value: &pbjson_types::Timestamp) -> Option<SystemTime> {
    if !TIMESTAMP_SECONDS.contains(&value.seconds) || !(0..1_000_000_000).contains(&value.nanos) {
        return None;
    }
    let seconds = Duration::from_secs(value.seconds.unsigned_abs());
    let whole = if value.seconds < 0 {
        UNIX_EPOCH.checked_sub(seconds)
    } else {
        UNIX_EPOCH.checked_add(seconds)
    };
    whole?.checked_add(Duration::from_nanos(value.nanos.unsigned_abs().into()))
}

pub(crate) fn decode_address(text: &str, field: &str) -> Decoded<IpAddr> {
    text.parse().map_err(|_| DecodeError::malformed(field, "an IPv4 or IPv6 literal"))
}

pub(crate) fn decode_addresses(texts: &[String], field: &str, max: usize) -> Decoded<Vec<IpAddr>> {
    crate::error::bounded(texts, field, max)?;
    texts.iter().enumerate().map(|(at, it)| decode_address(it, &format!("{field}[{at}]"))).collect()
}

pub(crate) fn decode_port(number: i32, field: &str) -> Decoded<u16> {
    u16::try_from(number).map_err(|_| DecodeError::out_of_range(field, "0 to 65535"))
}

/// A counter of ours on the wire, where counters are `int32`.
pub(crate) fn encode_count(number: impl TryInto<i32>) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}

pub(crate) fn decode_count(number: i32, field: &str) -> Decoded<u32> {
    u32::try_from(number).map_err(|_| DecodeError::out_of_range(field, "0 to 2147483647"))
}

pub(crate) fn encode_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // Writing to a `String` cannot fail.
        text
    })
}

/// A SHA-256 in hexadecimal of either letter case.
pub(crate) fn decode_sha256(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(out)
}

/// An empty text means absent.
pub(crate) fn present(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// The id of a resource name that a person wrote, as `targets/{id}`.
pub(crate) fn read_resource<T>(
    text: &str,
    collection: &str,
    new: impl Fn(&str) -> Result<T, InvalidName>,
) -> Result<T, String> {
    let id = text.strip_prefix(collection).and_then(|rest| rest.strip_prefix('/'));
    let id = id.ok_or_else(|| format!("{} is not `{collection}/{{id}}`", quote(text)))?;
    let wanted = "1 to 63 of a-z, 0-9 and -, starting and ending with a letter or digit";
    new(id).map_err(|_| format!("{} is not a name: use {wanted}", quote(id)))
}

const NAME: &str = "1 to 63 of a-z, 0-9 and -";

/// `accounts/{id}`.
pub fn account_name(id: &AccountId) -> String {
    format!("accounts/{id}")
}

pub(crate) fn decode_account_name(text: &str, field: &str) -> Decoded<AccountId> {
    text.strip_prefix("accounts/")
        .and_then(|id| AccountId::new(id).ok())
        .ok_or_else(|| DecodeError::malformed(field, "`accounts/{id}`"))
}

/// `diagnoses/{id}`.
pub fn diagnosis_name(id: &DiagnosisId) -> String {
    format!("diagnoses/{id}")
}

pub(crate) fn decode_diagnosis_name(text: &str, field: &str) -> Decoded<DiagnosisId> {
    text.strip_prefix("diagnoses/")
        .and_then(|id| DiagnosisId::new(id).ok())
        .ok_or_else(|| DecodeError::malformed(field, "`diagnoses/{id}`"))
}

impl From<&PathId> for pb::Path {
    fn from(path: &PathId) -> Self {
        Self { vantage: path.vantage.to_string(), endpoint: path.endpoint.to_string() }
    }
}

impl TryFrom<pb::Path> for PathId {
    type Error = DecodeError;

    fn try_from(path: pb::Path) -> Decoded<Self> {
        let wrong = |field| move |_: InvalidName| DecodeError::malformed(field, NAME);
        Ok(Self {
            vantage: VantageName::new(path.vantage).map_err(wrong("vantage"))?,
            endpoint: EndpointName::new(path.endpoint).map_err(wrong("endpoint"))?,
        })
    }
}
