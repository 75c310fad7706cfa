//! An endpoint and its trust, both ways; mistakes are collected.
//!
//! INVARIANT: the host is kept as the URL's parser normalised it: lower case, punycode, IPv6 without brackets.

use std::fmt::Write as _;
use std::net::IpAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use parallax_model::{Endpoint, EndpointName, Generation, Role, Trust, VantageName};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use url::{Host, Url};

use crate::error::{DecodeError, Violations, quote};
use crate::pb::{self, endpoint, trust};
use crate::scalar::{decode_sha256, encode_hex};

const PATH_DEFAULT: &str = "/Microsoft-Server-ActiveSync";
const URL_CHARACTERS_MAX: usize = 2000;
const PINS_MAX: usize = 8;
const AUTHORITIES_MAX: usize = 16;
const VANTAGES_MAX: usize = 64;
const PUBLISHED_MAX: usize = 16;
const LOGON_COST_MAX: i32 = 10;

impl From<Generation> for pb::Generation {
    fn from(generation: Generation) -> Self {
        match generation {
            Generation::Exchange2003 => Self::Generation2003,
            Generation::Exchange2007 => Self::Generation2007,
            Generation::Exchange2010 => Self::Generation2010,
            Generation::Exchange2013 => Self::Generation2013,
            Generation::Exchange2016 => Self::Generation2016,
            Generation::Exchange2019 => Self::Generation2019,
            Generation::SubscriptionEdition => Self::Se,
            Generation::Online => Self::Online,
            Generation::Other => Self::Other,
        }
    }
}

pub(crate) fn encode_generation(generation: Option<Generation>) -> i32 {
    generation.map_or(pb::Generation::Unspecified, Into::into).into()
}

/// Absent when not given.
pub(crate) fn read_generation(
    number: i32,
    field: &str,
    violations: &mut Violations,
) -> Option<Generation> {
    let Ok(generation) = pb::Generation::try_from(number) else {
        violations.add(field, format!("has no value {number}; see Generation"));
        return None;
    };
    match generation {
        pb::Generation::Unspecified => None,
        pb::Generation::Generation2003 => Some(Generation::Exchange2003),
        pb::Generation::Generation2007 => Some(Generation::Exchange2007),
        pb::Generation::Generation2010 => Some(Generation::Exchange2010),
        pb::Generation::Generation2013 => Some(Generation::Exchange2013),
        pb::Generation::Generation2016 => Some(Generation::Exchange2016),
        pb::Generation::Generation2019 => Some(Generation::Exchange2019),
        pb::Generation::Se => Some(Generation::SubscriptionEdition),
        pb::Generation::Online => Some(Generation::Online),
        pb::Generation::Other => Some(Generation::Other),
    }
}

impl From<Role> for endpoint::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::External => Self::External,
            Role::Cas => Self::Cas,
            Role::Backend => Self::Backend,
            Role::Control => Self::Control,
        }
    }
}

fn read_role(number: i32, field: &str, violations: &mut Violations) -> Option<Role> {
    match endpoint::Role::try_from(number) {
        Ok(endpoint::Role::External) => Some(Role::External),
        Ok(endpoint::Role::Cas) => Some(Role::Cas),
        Ok(endpoint::Role::Backend) => Some(Role::Backend),
        Ok(endpoint::Role::Control) => Some(Role::Control),
        Ok(endpoint::Role::Unspecified) | Err(_) => {
            violations
                .add(field, "is required: ROLE_EXTERNAL, ROLE_CAS, ROLE_BACKEND or ROLE_CONTROL");
            None
        }
    }
}

impl From<&Endpoint> for pb::Endpoint {
    fn from(endpoint: &Endpoint) -> Self {
        Self {
            name: endpoint.name.to_string(),
            role: endpoint::Role::from(endpoint.role).into(),
            url: encode_url(endpoint),
            generation: encode_generation(endpoint.generation),
            connect: endpoint.connect.map(|it| it.to_string()).unwrap_or_default(),
            trust: Some((&endpoint.trust).into()),
            from: endpoint.from.iter().map(VantageName::to_string).collect(),
            published_on: endpoint.published_on.iter().map(IpAddr::to_string).collect(),
            allow_plaintext_logon: endpoint.allow_plaintext_logon,
            logon_cost: endpoint.logon_cost.map_or(0, crate::scalar::encode_count),
        }
    }
}

impl TryFrom<pb::Endpoint> for Endpoint {
    type Error = DecodeError;

    fn try_from(message: pb::Endpoint) -> Result<Self, DecodeError> {
        let mut violations = Violations::default();
        match read_endpoint(&message, "", &mut violations) {
            Some(endpoint) if violations.0.is_empty() => Ok(endpoint),
            Some(_) | None => Err(violations.first()),
        }
    }
}

fn encode_url(endpoint: &Endpoint) -> String {
    let (scheme, usual_port) = if endpoint.is_https { ("https", 443) } else { ("http", 80) };
    let mut url = match endpoint.host.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => format!("{scheme}://[{address}]"),
        Ok(IpAddr::V4(_)) | Err(_) => format!("{scheme}://{}", endpoint.host),
    };
    if endpoint.port != usual_port {
        let _ = write!(url, ":{}", endpoint.port); // Writing to a `String` cannot fail.
    }
    url + &endpoint.path
}

/// Reads one endpoint; every mistake is noted under `prefix`, which ends with a dot or is empty.
pub(crate) fn read_endpoint(
    message: &pb::Endpoint,
    prefix: &str,
    violations: &mut Violations,
) -> Option<Endpoint> {
    let at = |field: &str| format!("{prefix}{field}");
    let name = violations.keep(at("name"), EndpointName::new(message.name.as_str()));
    let role = read_role(message.role, &at("role"), violations);
    let url = violations.keep(at("url"), read_url(&message.url));
    let generation = read_generation(message.generation, &at("generation"), violations);
    let connect = if message.connect.is_empty() {
        None
    } else {
        violations.keep(at("connect"), read_address(&message.connect))
    };
    let trust = match &message.trust {
        None => Some(Trust::default()),
        Some(message) => read_trust(message, &at("trust"), violations),
    };
    let from = read_list(&message.from, VANTAGES_MAX, &at("from"), violations, |it| {
        VantageName::new(it).map_err(|error| error.to_string())
    });
    let published_on = read_list(
        &message.published_on,
        PUBLISHED_MAX,
        &at("published_on"),
        violations,
        read_address,
    );
    let logon_cost = match message.logon_cost {
        0 => None,
        cost @ 1..=LOGON_COST_MAX => u32::try_from(cost).ok(),
        cost => {
            violations.add(at("logon_cost"), format!("is {cost}; give 1 to 10, or 0 for the rule"));
            None
        }
    };
    let url = url?;
    Some(Endpoint {
        name: name?,
        role: role?,
        is_https: url.is_https,
        host: url.host,
        port: url.port,
        path: url.path,
        generation,
        connect,
        trust: trust?,
        from,
        published_on,
        allow_plaintext_logon: message.allow_plaintext_logon,
        logon_cost,
    })
}

/// Reads every entry, notes the bad ones and those that are there twice.
fn read_list<T: PartialEq>(
    texts: &[String],
    max: usize,
    field: &str,
    violations: &mut Violations,
    read: impl Fn(&str) -> Result<T, String>,
) -> Vec<T> {
    let mut found = Vec::new();
    if texts.len() > max {
        violations.add(field, format!("has {} entries; at most {max} are allowed", texts.len()));
        return found;
    }
    for (at, text) in texts.iter().enumerate() {
        let field = format!("{field}[{at}]");
        match violations.keep(&*field, read(text)) {
            Some(value) if found.contains(&value) => {
                violations.add(field, format!("{} is there twice", quote(text)));
            }
            Some(value) => found.push(value),
            None => {}
        }
    }
    found
}

fn read_address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| {
        format!("{} is not an address; give an IPv4 or IPv6 literal, as 192.0.2.10", quote(text))
    })
}

struct EndpointUrl {
    is_https: bool,
    host: String,
    port: u16,
    path: String,
}

fn read_url(text: &str) -> Result<EndpointUrl, String> {
    let wanted = "give `https://host[:port]/path` or `http://…`";
    if text.is_empty() {
        return Err(format!("is required; {wanted}"));
    }
    if text.chars().count() > URL_CHARACTERS_MAX {
        return Err(format!("is longer than {URL_CHARACTERS_MAX} characters"));
    }
    // The parser forgives what follows; what a person wrote that way is a mistake.
    if text.chars().any(|it| it.is_whitespace() || it.is_control() || it == '\\') {
        return Err(format!("holds a space, a control character or a backslash; {wanted}"));
    }
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    // Checked before anything that repeats the text, because it may hold a password.
    if rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@')) {
        return Err("holds a user name or password; register an account instead".to_owned());
    }
    let quoted = quote(text);
    let is_https = match scheme.to_ascii_lowercase().as_str() {
        "https" => true,
        "http" => false,
        _ => return Err(format!("{quoted} has another scheme than https or http; {wanted}")),
    };
    if rest.starts_with('/') {
        return Err(format!("{quoted} has no host; {wanted}"));
    }
    let url =
        Url::parse(text).map_err(|error| format!("{quoted} is no URL ({error}); {wanted}"))?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("holds a query or fragment; {wanted}"));
    }
    let host = match url.host() {
        Some(Host::Domain(name)) => name.to_owned(),
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
        None => return Err(format!("{quoted} has no host; {wanted}")),
    };
    let port = url.port_or_known_default().filter(|it| *it != 0);
    let port = port.ok_or_else(|| format!("{quoted} has port 0; give 1 to 65535"))?;
    let path = match url.path() {
        "" | "/" => PATH_DEFAULT.to_owned(),
        path => path.to_owned(),
    };
    Ok(EndpointUrl { is_https, host, port, path })
}

impl From<&Trust> for pb::Trust {
    fn from(trust: &Trust) -> Self {
        let plain = |mode: trust::Mode| Self { mode: mode.into(), ..Self::default() };
        match trust {
            Trust::PublicOrStore => plain(trust::Mode::Unspecified),
            Trust::Public => plain(trust::Mode::Public),
            Trust::Store => plain(trust::Mode::Store),
            Trust::Authorities(authorities) => Self {
                authorities_pem: authorities.iter().map(|it| encode_pem(it)).collect(),
                ..plain(trust::Mode::Authorities)
            },
            Trust::Pinned(pins) => Self {
                pins: pins.iter().map(|it| encode_hex(it)).collect(),
                ..plain(trust::Mode::Pinned)
            },
        }
    }
}

/// RFC 7468 text of one certificate.
fn encode_pem(der: &[u8]) -> String {
    let body = BASE64_STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for (at, character) in body.chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            pem.push('\n');
        }
        pem.push(character);
    }
    pem + "\n-----END CERTIFICATE-----\n"
}

fn read_trust(message: &pb::Trust, field: &str, violations: &mut Violations) -> Option<Trust> {
    let Ok(mode) = trust::Mode::try_from(message.mode) else {
        violations.add(format!("{field}.mode"), format!("has no value {}", message.mode));
        return None;
    };
    if mode != trust::Mode::Authorities && !message.authorities_pem.is_empty() {
        violations
            .add(format!("{field}.authorities_pem"), "is only read with mode MODE_AUTHORITIES");
    }
    if mode != trust::Mode::Pinned && !message.pins.is_empty() {
        violations.add(format!("{field}.pins"), "is only read with mode MODE_PINNED");
    }
    match mode {
        trust::Mode::Unspecified => Some(Trust::PublicOrStore),
        trust::Mode::Public => Some(Trust::Public),
        trust::Mode::Store => Some(Trust::Store),
        trust::Mode::Authorities => violations
            .keep(format!("{field}.authorities_pem"), read_authorities(&message.authorities_pem))
            .map(Trust::Authorities),
        trust::Mode::Pinned => {
            let field = format!("{field}.pins");
            if message.pins.is_empty() {
                violations.add(&*field, "is required with mode MODE_PINNED");
            }
            let pins = read_list(&message.pins, PINS_MAX, &field, violations, |text| {
                decode_sha256(&text.replace(':', "")).ok_or_else(|| {
                    "is not a SHA-256; give 64 hexadecimal digits of the leaf's DER encoding"
                        .to_owned()
                })
            });
            Some(Trust::Pinned(pins))
        }
    }
}

fn read_authorities(pem: &str) -> Result<Vec<Vec<u8>>, String> {
    let mut found = Vec::new();
    for (at, certificate) in CertificateDer::pem_slice_iter(pem.as_bytes()).enumerate() {
        let number = at + 1;
        let der = certificate.map_err(|_| format!("certificate {number} is not PEM (RFC 7468)"))?;
        x509_parser::parse_x509_certificate(&der)
            .map_err(|_| format!("certificate {number} is not X.509"))?;
        found.push(der.to_vec());
        if found.len() > AUTHORITIES_MAX {
            return Err(format!("has more than {AUTHORITIES_MAX} certificates"));
        }
    }
    if found.is_empty() {
        return Err(
            "is required with mode MODE_AUTHORITIES: PEM blocks `-----BEGIN CERTIFICATE-----`"
                .to_owned(),
        );
    }
    Ok(found)
}
