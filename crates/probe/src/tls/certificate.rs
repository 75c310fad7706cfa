//! From the DER of a certificate to the facts kept of it.
//!
//! INVARIANT: a certificate that cannot be read is kept all the same, by its hash, with everything else empty.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime};

use parallax_model::Certificate;
use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// The most names kept of one certificate.
const NAMES_MAX: usize = 100;
/// The longest text kept of a name, in characters.
const TEXT_MAX: usize = 1024;

pub(super) fn hash(der: &[u8]) -> [u8; 32] {
    Sha256::digest(der).into()
}

pub(super) fn read(der: &CertificateDer<'_>) -> Certificate {
    let sha256 = hash(der);
    let Ok((_, parsed)) = X509Certificate::from_der(der) else {
        return Certificate {
            sha256,
            subject: String::new(),
            issuer: String::new(),
            serial: String::new(),
            names: Vec::new(),
            not_before: SystemTime::UNIX_EPOCH,
            not_after: SystemTime::UNIX_EPOCH,
        };
    };
    Certificate {
        sha256,
        subject: distinguished(parsed.subject()),
        issuer: distinguished(parsed.issuer()),
        serial: cut(hexadecimal(parsed.raw_serial())),
        names: names(&parsed),
        not_before: time(parsed.validity().not_before),
        not_after: time(parsed.validity().not_after),
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "mail addresses, directory names and the like identify no server"
)]
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    extension
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(text) => Some(cut((*text).to_owned())),
            GeneralName::IPAddress(bytes) => address(bytes).map(|it| it.to_string()),
            _ => None,
        })
        .take(NAMES_MAX)
        .collect()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(bytes).into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).into())
}

fn time(time: ASN1Time) -> SystemTime {
    let seconds = time.timestamp();
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let moved = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    };
    moved.unwrap_or(SystemTime::UNIX_EPOCH)
}

/// RFC 4514: the last relative name first, parts of one joined by `+`.
fn distinguished(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = name
        .iter_rdn()
        .map(|relative| relative.iter().map(attribute).collect::<Vec<_>>().join("+"))
        .collect();
    parts.reverse();
    cut(parts.join(","))
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type().to_id_string();
    // RFC 4514 section 3, and the mail address that every tool shows by name.
    let short = match oid.as_str() {
        "2.5.4.3" => "CN",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "emailAddress",
        _ => oid.as_str(),
    };
    match attribute.as_str() {
        Ok(text) => format!("{short}={}", escaped(text)),
        Err(_) => format!("{short}=#{}", hexadecimal(attribute.attr_value().data)),
    }
}

/// RFC 4514 section 2.4; control characters are escaped too, since the text is shown to people.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let last = text.chars().count().saturating_sub(1);
    for (at, character) in text.chars().enumerate() {
        let is_edge =
            (at == 0 && matches!(character, ' ' | '#')) || (at == last && character == ' ');
        if is_edge || matches!(character, '"' | '+' | ',' | ';' | '<' | '>' | '\\') {
            out.push('\\');
        }
        if character.is_control() {
            for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                let _ = write!(out, "\\{byte:02x}");
            }
        } else {
            out.push(character);
        }
    }
    out
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().take(TEXT_MAX).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn cut(text: String) -> String {
    match text.char_indices().nth(TEXT_MAX) {
        Some((at, _)) => text[..at].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType, SerialNumber};

    use super::*;

    #[test]
    fn names_numbers_and_dates_are_read() {
        let mut params =
            CertificateParams::new(vec!["mail.corp.example".to_owned()]).expect("params");
        params.subject_alt_names.push(SanType::IpAddress("192.0.2.7".parse().expect("address")));
        params.distinguished_name.push(DnType::OrganizationName, "Corp, Inc. ");
        params.distinguished_name.push(DnType::CommonName, "mail");
        params.serial_number = Some(SerialNumber::from_slice(&[0x0a, 0xbc]));
        params.not_before = rcgen::date_time_ymd(2009, 1, 2);
        params.not_after = rcgen::date_time_ymd(2010, 1, 2);
        let key = KeyPair::generate().expect("key");
        let certificate = params.self_signed(&key).expect("certificate");
        let read = read(certificate.der());
        assert!(read.is_self_issued());
        assert!(read.subject.contains("O=Corp\\, Inc.\\ "), "{}", read.subject);
        assert!(read.subject.contains("CN=mail"), "{}", read.subject);
        assert_eq!(read.serial, "0abc");
        assert_eq!(read.names, ["mail.corp.example", "192.0.2.7"]);
        assert_eq!(read.not_before, SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 14_246));
    }

    #[test]
    fn rubbish_is_kept_by_its_hash() {
        let read = read(&CertificateDer::from(vec![1, 2, 3]));
        assert_eq!(read.sha256, hash(&[1, 2, 3]));
        assert_eq!(read.subject, "");
    }
}
