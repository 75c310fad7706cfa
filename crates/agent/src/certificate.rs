//! What a certificate says of itself, as far as an agent needs it: its times, its issuer, its key, whom it names.
//!
//! Absent on purpose: whether it is good; rustls decides that.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls_pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::macros::format_description;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

/// What the SPIFFE id of an agent begins with; the vantage's name follows.
const SPIFFE_PREFIX: &str = "spiffe://parallax/agent/";
/// Longest name shown, in characters.
const NAME_MAX: usize = 120;

/// From when to when a certificate holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) from: SystemTime,
    pub(crate) until: SystemTime,
}

impl Validity {
    /// The time at which this part of it has passed; 0 is its begin, 1 its end.
    pub(crate) fn at(&self, part: f64) -> SystemTime {
        let whole = self.until.duration_since(self.from).unwrap_or_default();
        self.from + whole.mul_f64(part.clamp(0.0, 1.0))
    }
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    x509_parser::parse_x509_certificate(certificate).ok().map(|it| it.1)
}

/// `None`: it cannot be read.
pub(crate) fn validity(certificate: &CertificateDer<'_>) -> Option<Validity> {
    let parsed = parse(certificate)?;
    let time = |seconds: i64| match u64::try_from(seconds) {
        Ok(after) => UNIX_EPOCH.checked_add(Duration::from_secs(after)),
        Err(_) => UNIX_EPOCH.checked_sub(Duration::from_secs(seconds.unsigned_abs())),
    };
    Some(Validity {
        from: time(parsed.validity().not_before.timestamp())?,
        until: time(parsed.validity().not_after.timestamp())?,
    })
}

/// Who signed it, by its own word, for people.
pub(crate) fn issuer(certificate: &CertificateDer<'_>) -> Option<String> {
    let name = parse(certificate)?.issuer().to_string();
    Some(name.chars().filter(|it| !it.is_control()).take(NAME_MAX).collect())
}

/// SHA-256 over its `SubjectPublicKeyInfo`, DER (RFC 5280 section 4.1.2.7).
pub(crate) fn key_digest(certificate: &CertificateDer<'_>) -> Option<[u8; 32]> {
    parse(certificate).map(|it| Sha256::digest(it.public_key().raw).into())
}

/// The same of a key that has no certificate yet.
pub(crate) fn digest_of_key(key: &rcgen::KeyPair) -> [u8; 32] {
    Sha256::digest(rcgen::PublicKeyData::subject_public_key_info(key)).into()
}

/// The vantage that an agent's certificate stands for: the name in its SPIFFE id.
pub(crate) fn vantage(certificate: &CertificateDer<'_>) -> Option<String> {
    let parsed = parse(certificate)?;
    let names = parsed.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(|name| {
        let GeneralName::URI(uri) = name else { return None };
        uri.strip_prefix(SPIFFE_PREFIX).map(str::to_owned)
    })
}

/// As `2026-03-01T08:30:00Z` (RFC 3339), to the second.
pub(crate) fn moment(time: SystemTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    OffsetDateTime::from(time).format(format).unwrap_or_else(|_| "a time out of range".to_owned())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType, date_time_ymd};

    use super::*;

    #[test]
    fn times_key_and_vantage_are_read() {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2026, 1, 31);
        let id = "spiffe://parallax/agent/hq-dmz".to_owned();
        params.subject_alt_names = vec![SanType::URI(id.try_into().expect("a URI"))];
        let made = params.self_signed(&key).expect("a certificate");
        let validity = validity(made.der()).expect("times");
        assert_eq!(moment(validity.from), "2026-01-01T00:00:00Z");
        assert_eq!(moment(validity.at(0.5)), "2026-01-16T00:00:00Z");
        assert_eq!(validity.at(2.0), validity.until);
        assert_eq!(vantage(made.der()).as_deref(), Some("hq-dmz"));
        assert_eq!(key_digest(made.der()), Some(digest_of_key(&key)));
        assert_eq!(super::validity(&CertificateDer::from(vec![0x30, 0])), None);
    }
}
