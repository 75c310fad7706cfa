//! One look at a target as a task would take it: DNS, TCP, TLS, one anonymous OPTIONS, all through the policy.

use std::sync::Arc;
use std::time::Duration;

use parallax_model::{
    DiagnosisId, Endpoint, EndpointName, HttpFailure, Limits, Look, Outcome, Report, Role, Sight,
    Task, Transport, Trust,
};
use parallax_probe::Instrument;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Finding, Verdict};
use crate::policy::{NamedHost, Policy, Resolved};
use crate::settings::split;
use crate::work::Work;

const ACTIVE_SYNC_PATH: &str = "/Microsoft-Server-ActiveSync";
/// Events that nobody reads; more are left out.
const EVENTS_MAX: usize = 1;

/// Looks at the URL, or at the first host of the policy.
pub(super) async fn look(policy: Policy, instrument: Instrument, url: Option<&str>) -> Finding {
    let bad = |text: String| Finding::new("target", Verdict::Bad, text);
    let endpoint = match (url, policy.hosts().first()) {
        (Some(url), _) => match read(url) {
            Some(endpoint) => endpoint,
            None => {
                return bad("--target is no URL; give one as https://mail.example.org".to_owned());
            }
        },
        (None, Some(host)) => match first_door(host) {
            Some(endpoint) => endpoint,
            None => return bad(format!("{}: the policy opens no port of it", host.name)),
        },
        (None, None) => {
            return Finding::new("target", Verdict::Caution, "none to look at: give --target URL");
        }
    };
    let shown = shown(&endpoint);
    let Some(task) = task(endpoint) else { return bad(format!("{shown} cannot be looked at")) };
    let resolved = Arc::new(Resolved::default());
    if let Err(rule) = policy.permits_task(&task, &resolved) {
        return bad(format!("{shown}: {}", rule.0));
    }
    let (events, _unread) = mpsc::channel(EVENTS_MAX);
    let work = Work {
        task,
        instrument: Arc::new(instrument),
        policy: Arc::new(policy),
        resolved,
        events,
        cancel: CancellationToken::new(),
        go_wait: Duration::ZERO,
    };
    match work.run().await {
        Report::Seen(sight) => {
            let (verdict, text) = told(&sight);
            Finding::new("target", verdict, format!("{shown}: {text}"))
        }
        Report::Refused { rule } => bad(format!("{shown}: {rule}")),
        Report::Unable { detail } => bad(format!("{shown}: {detail}")),
        Report::Silent(silence) => bad(format!("{shown}: {silence:?}")),
    }
}

/// What it came to, to the stage that failed. Any HTTP answer is good: this is about the way, not about the target.
fn told(sight: &Sight) -> (Verdict, String) {
    let addresses = match &sight.dns {
        Outcome::Done(facts) => facts.addresses.len(),
        Outcome::Failed(failure) => return (Verdict::Bad, format!("DNS {failure:?}")),
        Outcome::NotReached => return (Verdict::Bad, "not looked up".to_owned()),
    };
    let mut parts =
        vec![format!("{addresses} {}", if addresses == 1 { "address" } else { "addresses" })];
    let mut verdict = Verdict::Bad;
    for seen in &sight.observations {
        let (good, text) = match (&seen.tcp, &seen.transport) {
            (Outcome::Failed(failure), _) => (false, format!("TCP {failure:?}")),
            (_, Transport::Tls(Outcome::Failed(failure))) => (false, format!("TLS {failure:?}")),
            (Outcome::Done(_) | Outcome::NotReached, _) => match seen.exchanges.first() {
                None => (false, "nothing asked".to_owned()),
                Some(exchange) => match &exchange.outcome {
                    Outcome::Done(answer) => (true, format!("OPTIONS {}", answer.status)),
                    Outcome::Failed(HttpFailure::NotPermitted { reason }) => {
                        (false, format!("not permitted: {reason}"))
                    }
                    Outcome::Failed(failure) => (false, format!("HTTP {failure:?}")),
                    Outcome::NotReached => (false, "nothing asked".to_owned()),
                },
            },
        };
        if good {
            verdict = Verdict::Good;
        }
        parts.push(format!("{} {text}", seen.address));
    }
    (verdict, parts.join(", "))
}

fn shown(endpoint: &Endpoint) -> String {
    let scheme = if endpoint.is_https { "https" } else { "http" };
    format!("{scheme}://{}:{}{}", endpoint.host, endpoint.port, endpoint.path)
}

/// `https://host[:port][/path]`.
fn read(url: &str) -> Option<Endpoint> {
    let (is_https, rest) = match url.split_once("://")? {
        ("https", rest) => (true, rest),
        ("http", rest) => (false, rest),
        _ => return None,
    };
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    if authority.contains('@') || path.contains(['?', '#', ' ']) {
        return None;
    }
    let usual = if is_https { 443 } else { 80 };
    let (host, port) = match split(authority) {
        Ok(parts) => parts,
        Err(_) => split(&format!("{authority}:{usual}")).ok()?,
    };
    let path = if matches!(path, "" | "/") { ACTIVE_SYNC_PATH } else { path };
    endpoint(is_https, &host, port, path)
}

/// Its first door, TLS before plain.
fn first_door(host: &NamedHost) -> Option<Endpoint> {
    let door = host.doors.iter().find(|it| it.is_https).or_else(|| host.doors.first())?;
    endpoint(door.is_https, &host.name, door.port, &host.active_sync_path)
}

fn endpoint(is_https: bool, host: &str, port: u16, path: &str) -> Option<Endpoint> {
    Some(Endpoint {
        name: EndpointName::new("self-test").ok()?,
        role: Role::Control,
        is_https,
        host: host.to_owned(),
        port,
        path: path.to_owned(),
        generation: None,
        connect: None,
        trust: Trust::default(),
        from: Vec::new(),
        published_on: Vec::new(),
        allow_plaintext_logon: false,
        logon_cost: None,
    })
}

fn task(endpoint: Endpoint) -> Option<Task> {
    Some(Task {
        id: "self-test".to_owned(),
        diagnosis: DiagnosisId::new("self-test").ok()?,
        endpoint,
        looks: vec![Look::OPTIONS],
        logon: None,
        only_address: None,
        without_sni: false,
        limits: Limits::STANDARD,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_read() {
        for (url, wanted) in [
            (
                "https://mail.example.org",
                "https://mail.example.org:443/Microsoft-Server-ActiveSync",
            ),
            (
                "https://mail.example.org/",
                "https://mail.example.org:443/Microsoft-Server-ActiveSync",
            ),
            ("http://be03:81/x", "http://be03:81/x"),
            ("https://[2001:db8::1]:444/owa/", "https://2001:db8::1:444/owa/"),
        ] {
            assert_eq!(read(url).map(|it| shown(&it)).as_deref(), Some(wanted), "{url}");
        }
        for wrong in ["mail", "ftp://mail", "https://a@b", "https://a/?x", "https://"] {
            assert!(read(wrong).is_none(), "{wrong}");
        }
    }
}
