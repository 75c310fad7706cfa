//! How does a remembered observation look in the store?
//!
//! A world says of the past what somebody wrote down: a stage, a status, challenges, a few headers. The record holds that
//! and no more; what an earlier diagnosis would have seen besides is not made up. Absent on purpose: the TLS session and
//! the time taken, which nobody wrote down.
//!
//! INVARIANT: a remembered look is one that the product knows; any other is left out, and said.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use parallax_model::{
    AccountId, Answer, Body, BodyEnd, Connection, Credential, DnsFacts, DnsFailure, DnsSource,
    EndpointName, Exchange, FamilyAnswer, Headers, HttpFailure, HttpVersion, Look, Method,
    NameForm, Observation, Outcome, PathId, Place, Sight, TcpFacts, TcpFailure, TlsFailure,
    Transport, VantageName,
};
use parallax_store::PastRecord;
use sha2::{Digest as _, Sha256};

use super::names::Names;
use super::{LeftOut, before};
use crate::format::{Family, LoginForm, Past, Saw, World};
use crate::network::Addresses;

/// Headers without which an answer to a logon is no success of ActiveSync (MS-ASHTTP 2.2.4.1.2).
const SUCCESS_HEADERS: [&str; 2] = ["MS-ASProtocolVersions", "MS-ASProtocolCommands"];
/// Answers that are said to be slow came at least as late.
const SLOW: Duration = Duration::from_secs(15);
/// Bytes of a body that are kept.
const BODY_MAX: usize = 2048;

pub(super) fn history(
    world: &World,
    addresses: &Addresses,
    names: &Names,
    start: SystemTime,
    left_out: &mut LeftOut,
) -> Vec<PastRecord> {
    let mut records = Vec::new();
    for (number, past) in world.history.iter().enumerate() {
        match record(world, addresses, names, start, past) {
            Some(record) => records.push(record),
            None => left_out
                .say(format!("history[{number}]: `{}` is no look of the product", past.probe)),
        }
    }
    records
}

fn record(
    world: &World,
    addresses: &Addresses,
    names: &Names,
    start: SystemTime,
    past: &Past,
) -> Option<PastRecord> {
    let vantage = VantageName::new(names.vantages.get(&past.from)?.as_str()).ok()?;
    let endpoint = EndpointName::new(names.endpoints.get(&past.to)?.as_str()).ok()?;
    let look = look(world, names, past)?;
    let sight = sight(world, addresses, past, &look)?;
    Some(PastRecord {
        at: before(start, past.at_s),
        path: PathId { vantage, endpoint },
        look: (&look).into(),
        sight: (&sight).into(),
    })
}

/// The probe codes that the product asks too.
fn look(world: &World, names: &Names, past: &Past) -> Option<Look> {
    Some(match past.probe.as_str() {
        "A0" => Look::OPTIONS,
        "A0g" => Look::GET,
        "A1" => logon(world, names, past, Place::ActiveSync)?,
        "A1x" => Look::IMPOSSIBLE_USER,
        "A2t1" => Look::NTLM,
        "HC" => Look::HEALTH_CHECK,
        "P2" => Look::NTLM_PROXY,
        "AD1" if past.account.is_none() => Look::AUTODISCOVER,
        "AD1" => logon(world, names, past, Place::Autodiscover)?,
        "AD2" => Look::AUTODISCOVER_JSON,
        _ => return None,
    })
}

fn logon(world: &World, names: &Names, past: &Past, place: Place) -> Option<Look> {
    let entry = past.account.as_deref()?;
    let account = AccountId::new(names.accounts.get(entry)?.as_str()).ok()?;
    let form = match world.account(entry)?.form {
        LoginForm::Bare => NameForm::Bare,
        LoginForm::Domain => NameForm::Domain,
        LoginForm::Upn => NameForm::Upn,
        LoginForm::Smtp => NameForm::Smtp,
    };
    Some(Look::logon(account, form, place))
}

/// `None`: a stage that is none of the words of the format.
fn sight(world: &World, addresses: &Addresses, past: &Past, look: &Look) -> Option<Sight> {
    let endpoint = world.endpoint(&past.to)?;
    let url = url::Url::parse(&endpoint.url).ok()?;
    let stage = past.saw.stage.as_deref().unwrap_or("http");
    if let Some(how) = stage.strip_prefix("dns:") {
        return Some(Sight { dns: Outcome::Failed(dns_failure(how)?), observations: Vec::new() });
    }
    let host = past.saw.by.as_deref().or(endpoint.connect.as_deref());
    let address =
        host.and_then(|it| addresses.of_host(it, Family::V4)).unwrap_or(IpAddr::from([0, 0, 0, 0]));
    let tcp = match stage.strip_prefix("tcp:") {
        Some(how) => Outcome::Failed(tcp_failure(how)?),
        None => Outcome::Done(TcpFacts { local_port: 0, took: Duration::ZERO }),
    };
    let transport = match (url.scheme(), stage.strip_prefix("tls:")) {
        ("http", _) => Transport::Plain,
        (_, Some(how)) => Transport::Tls(Outcome::Failed(tls_failure(how)?)),
        (_, None) => Transport::Tls(Outcome::NotReached),
    };
    let outcome = match stage.strip_prefix("http") {
        Some("") => answer(&past.saw, look).map(Outcome::Done),
        Some(how) => Some(Outcome::Failed(http_failure(how.trim_start_matches(':'))?)),
        None => None,
    };
    let exchange = outcome.map(|outcome| Exchange {
        look: look.clone(),
        connection: Connection { number: 0, local_port: 0 },
        sent: true,
        asked_for_certificate: false,
        outcome,
    });
    let observation = Observation {
        address: SocketAddr::new(address, url.port_or_known_default()?),
        tcp,
        transport,
        without_sni: Outcome::NotReached,
        exchanges: exchange.into_iter().collect(),
    };
    let dns = DnsFacts {
        source: DnsSource::Declared,
        cname_chain: Vec::new(),
        addresses: vec![address],
        left_out: 0,
        v4: FamilyAnswer::NotAsked,
        v6: FamilyAnswer::NotAsked,
        took: Duration::ZERO,
    };
    Some(Sight { dns: Outcome::Done(dns), observations: vec![observation] })
}

/// `None`: nobody wrote down a status.
fn answer(saw: &Saw, look: &Look) -> Option<Answer> {
    let status = saw.status?;
    let mut headers: Vec<(String, String)> = Vec::new();
    for scheme in saw.challenges.iter().flatten() {
        headers.push(("WWW-Authenticate".to_owned(), scheme.clone()));
    }
    headers.extend(saw.value.iter().map(|(name, value)| (name.clone(), value.clone())));
    let is_success = status == 200
        && look.place == Place::ActiveSync
        && look.method == Method::Options
        && matches!(look.credential, Credential::Account { .. });
    // Who wrote down that a logon gave 200 meant such an answer, unless the file denies it.
    let meant = SUCCESS_HEADERS.iter().filter(|_| is_success).map(|it| (*it).to_owned());
    for name in saw.has.iter().cloned().chain(meant) {
        let is = |it: &String| it.eq_ignore_ascii_case(&name);
        if !headers.iter().any(|(it, _)| is(it)) && !saw.lacks.iter().any(is) {
            headers.push((name, String::new()));
        }
    }
    let headers = Headers(headers);
    let text = saw.body.clone().unwrap_or_default();
    let end = text.floor_char_boundary(BODY_MAX);
    Some(Answer {
        version: HttpVersion::Http11,
        status,
        reason: saw.reason.clone().unwrap_or_default(),
        challenges: headers.challenges(),
        headers,
        headers_left_out: 0,
        body: Body {
            length: u64::try_from(text.len()).unwrap_or(u64::MAX),
            sha256: Sha256::digest(text.as_bytes()).into(),
            beginning: text.get(..end).unwrap_or_default().to_owned(),
            end: if end < text.len() { BodyEnd::Bound } else { BodyEnd::Whole },
        },
        type2: None,
        took: if saw.slow == Some(true) { SLOW } else { Duration::ZERO },
    })
}

fn dns_failure(word: &str) -> Option<DnsFailure> {
    Some(match word {
        "nxdomain" => DnsFailure::NxDomain,
        "servfail" => DnsFailure::ServFail,
        "timeout" => DnsFailure::TimedOut { after: Duration::ZERO },
        "nodata" | "family_absent" => DnsFailure::NoAddress,
        _ => return None,
    })
}

fn tcp_failure(word: &str) -> Option<TcpFailure> {
    Some(match word {
        "refused" => TcpFailure::Refused,
        "reset" => TcpFailure::Reset,
        "timeout" => TcpFailure::TimedOut { after: Duration::ZERO },
        _ => return None,
    })
}

fn tls_failure(word: &str) -> Option<TlsFailure> {
    Some(match word {
        "reset" => TlsFailure::Reset,
        "closed" => TlsFailure::Closed,
        "timeout" => TlsFailure::TimedOut { after: Duration::ZERO },
        "not_tls" => TlsFailure::NotTls,
        "certificate_required" => TlsFailure::ClientCertificateRequired,
        other => TlsFailure::Alert { number: other.strip_prefix("alert")?.parse().ok()? },
    })
}

fn http_failure(word: &str) -> Option<HttpFailure> {
    Some(match word {
        "reset" => HttpFailure::Reset,
        "closed" => HttpFailure::Closed,
        "timeout" => HttpFailure::TimedOut { after: Duration::ZERO },
        _ => return None,
    })
}
