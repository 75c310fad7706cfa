//! Where does what was seen differ from what a file says is seen?
//!
//! Certificates are judged by the TLS library against the roots that stand for the public ones, not by
//! what the world says of itself.

#![expect(clippy::panic, reason = "what cannot be judged fails the test")]

use std::sync::Arc;
use std::time::Duration;

use parallax_world::certificates::serial;
use parallax_world::format::{Ciphers, Show, TlsVersion, World};
use parallax_world::network::RunningWorld;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, Error, RootCertStore};
use url::Url;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::client::Seen;

/// Answers as late as this are slow.
const SLOW: Duration = Duration::from_secs(15);

/// `Some` if the listener that was reached has no TLS for a modern client and the file says what an
/// old client would see behind it: then the right alert is all there is to see.
pub(crate) fn refusal_of_old_tls(world: &World, show: &Show, seen: &Seen) -> Option<Vec<String>> {
    let url = Url::parse(&world.endpoint(&show.to)?.url).ok()?;
    let port = url.port_or_known_default()?;
    let landed = world.host(seen.landed.as_ref()?)?;
    let listener = landed.listeners.iter().find(|it| it.port == port)?;
    let tls = listener.tls.as_ref().filter(|_| url.scheme() == "https")?;
    let says_refused = show.saw.stage.as_ref().is_some_and(|it| it.starts_with("tls:"));
    let expected = match (tls.max_version < TlsVersion::V12, tls.ciphers) {
        _ if says_refused => return None,
        (true, _) => "tls:alert70",
        (false, Ciphers::CbcOnly | Ciphers::RsaOnly | Ciphers::Windows2003) => "tls:alert40",
        (false, Ciphers::Modern | Ciphers::NoneCommon) => return None,
    };
    let wrong =
        (seen.stage != expected).then(|| format!("stage: expected {expected}, saw {}", seen.stage));
    Some(wrong.into_iter().collect())
}

pub(crate) fn differences(running: &RunningWorld, show: &Show, seen: &Seen) -> Vec<String> {
    let saw = &show.saw;
    let mut wrong = Vec::new();
    let mut want = |name: &str, expected: String, got: String| {
        if expected != got {
            wrong.push(format!("{name}: expected {expected}, saw {got}"));
        }
    };
    if let Some(stage) = &saw.stage {
        want("stage", on_the_wire(running, stage, seen).to_owned(), seen.stage.clone());
    }
    if let Some(status) = saw.status {
        let got = seen.status.map_or_else(|| seen.stage.clone(), |it| it.to_string());
        want("status", status.to_string(), got);
    }
    if let Some(reason) = &saw.reason {
        want("reason", reason.clone(), seen.reason.clone());
    }
    if let Some(expected) = &saw.challenges {
        let expected: Vec<String> = expected.iter().map(|it| it.to_lowercase()).collect();
        want("challenges", format!("{expected:?}"), format!("{:?}", challenges(seen)));
    }
    if let Some(slow) = saw.slow {
        want("slow", slow.to_string(), (seen.delay >= SLOW).to_string());
    }
    if let Some(version) = &saw.tls_max {
        want("tls_max", version.clone(), seen.tls_version.unwrap_or("none").to_owned());
    }
    if let Some(by) = &saw.by {
        want("by", by.clone(), seen.by.clone().unwrap_or_default());
    }
    if let Some(counted) = saw.counted {
        want("counted", counted.to_string(), seen.counted.to_string());
    }
    if let Some(body) = &saw.body
        && !seen.body.contains(body)
    {
        wrong.push(format!("body lacks {body:?}: {:?}", seen.body));
    }
    wrong.extend(header_differences(show, seen));
    wrong.extend(certificate_differences(running, show, seen));
    wrong
}

/// Below TLS 1.3 a missing client certificate has no alert of its own.
fn on_the_wire<'s>(running: &RunningWorld, stage: &'s str, seen: &Seen) -> &'s str {
    let host = seen.by.as_ref().and_then(|it| running.world().host(it));
    let mut listeners =
        host.into_iter().flat_map(|it| &it.listeners).filter_map(|it| it.tls.as_ref());
    if stage == "tls:certificate_required" && listeners.any(|it| it.max_version < TlsVersion::V13) {
        return "tls:alert40";
    }
    stage
}

fn header_differences(show: &Show, seen: &Seen) -> Vec<String> {
    let values = |name: &str| -> Vec<&str> {
        let found = seen.headers.iter().filter(|(it, _)| it.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str()).collect()
    };
    let mut wrong = Vec::new();
    wrong.extend(
        show.saw
            .has
            .iter()
            .filter(|it| values(it).is_empty())
            .map(|it| format!("lacks header {it}")),
    );
    wrong.extend(
        show.saw
            .lacks
            .iter()
            .filter(|it| !values(it).is_empty())
            .map(|it| format!("has header {it}")),
    );
    for (name, part) in &show.saw.value {
        if !values(name).iter().any(|it| it.contains(part.as_str())) {
            wrong.push(format!("{name} has no value with {part:?}: {:?}", values(name)));
        }
    }
    wrong
}

/// Scheme names in order, split at commas outside quotes, RFC 9110 section 11.6.1.
fn challenges(seen: &Seen) -> Vec<String> {
    let mut names = Vec::new();
    for (_, value) in
        seen.headers.iter().filter(|(it, _)| it.eq_ignore_ascii_case("www-authenticate"))
    {
        let (mut parts, mut quoted, mut escaped) = (vec![String::new()], false, false);
        for letter in value.chars() {
            if letter == ',' && !quoted {
                parts.push(String::new());
                continue;
            }
            quoted ^= letter == '"' && !escaped;
            escaped = quoted && letter == '\\' && !escaped;
            parts.last_mut().expect("never empty").push(letter);
        }
        let words = parts.iter().filter_map(|it| it.split_whitespace().next());
        names.extend(words.filter(|it| !it.contains('=')).map(str::to_lowercase));
    }
    names
}

fn certificate_differences(running: &RunningWorld, show: &Show, seen: &Seen) -> Vec<String> {
    let mut wrong = Vec::new();
    let parsed = |it: &CertificateDer<'static>| {
        X509Certificate::from_der(it).expect("a certificate").1.raw_serial().to_vec()
    };
    if let Some(leaf) = &show.saw.leaf {
        let got = seen.chain.first().map(parsed);
        if got != Some(serial(leaf).to_bytes()) {
            wrong.push(format!("leaf: expected the serial of {leaf}, saw {got:?}"));
        }
    }
    if let Some(expected) = &show.saw.cert {
        let got = kinds(running, show, seen);
        if !got.contains(&expected.as_str()) {
            wrong.push(format!("cert: expected {expected}, saw {got:?}"));
        }
    }
    wrong
}

/// The words of the format that fit a chain as it was sent, judged against the public roots.
fn kinds(running: &RunningWorld, show: &Show, seen: &Seen) -> Vec<&'static str> {
    let Some((leaf, others)) = seen.chain.split_first() else { return vec![] };
    let url =
        Url::parse(&running.world().endpoint(&show.to).expect("checked").url).expect("checked");
    let name = ServerName::try_from(url.host_str().expect("a host").to_owned()).expect("a name");
    let mut roots = RootCertStore::empty();
    for root in &running.view(&show.from).expect("a vantage").public_roots {
        roots.add(root.clone()).expect("a root");
    }
    let verifier = WebPkiServerVerifier::builder(Arc::new(roots)).build().expect("roots");
    let judged = verifier.verify_server_cert(leaf, others, &name, &[], UnixTime::now());
    let (_, parsed) = X509Certificate::from_der(leaf).expect("a certificate");
    let own_issuer = parsed.issuer() == parsed.subject();
    match judged {
        Ok(_) => vec!["good"],
        Err(Error::InvalidCertificate(
            CertificateError::ExpiredContext { .. } | CertificateError::Expired,
        )) => vec!["expired"],
        Err(Error::InvalidCertificate(
            CertificateError::NotValidYetContext { .. } | CertificateError::NotValidYet,
        )) => {
            vec!["not_yet"]
        }
        Err(Error::InvalidCertificate(
            CertificateError::NotValidForNameContext { .. } | CertificateError::NotValidForName,
        )) => vec!["name_mismatch", "good"],
        Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => match others.len() {
            0 if own_issuer => vec!["self_signed"],
            0 => vec!["leaf_only"],
            // A private issuer, whose root is sent along: which of these it is, only people know.
            _ => vec!["private_ca", "inspection_ca", "good"],
        },
        Err(other) => panic!("judged {other:?}"),
    }
}
