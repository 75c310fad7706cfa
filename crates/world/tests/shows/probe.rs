//! Does the product's own probe see through [`parallax_probe::Dial`] what the plain client sees?
//!
//! Two copies of a world, the same looks in the same order; what differs is who looks. Only anonymous
//! `OPTIONS` at single addresses: how the product asks for more is tested where it is built.

use std::sync::Arc;
use std::time::Duration;

use parallax_model::{
    DiagnosisId, DnsFailure, Endpoint, EndpointName, Limits, Look, Observation, Outcome, Role,
    Sight, Task, TcpFailure, TlsFailure, Trust,
};
use parallax_probe::{Instrument, observe};
use parallax_world::format::{Family, Saw, Show, ShowProbe, World};
use parallax_world::network::RunningWorld;
use parallax_world::simulation::Pace;
use url::Url;

use crate::client::{self, Seen};

/// Shorter than the product's own, so that silence does not hold up the test; loopback needs a thousandth.
const LIMITS: Limits =
    Limits { tcp: Duration::from_secs(1), tls: Duration::from_secs(2), ..Limits::STANDARD };

/// Looks of one world from every place at every endpoint; what the probe saw otherwise.
pub(crate) async fn compare(world: World) -> Vec<String> {
    let world = Arc::new(world);
    let plain = RunningWorld::start(Arc::clone(&world), Pace::Stepped).await.expect("it starts");
    let probed = RunningWorld::start(Arc::clone(&world), Pace::Stepped).await.expect("it starts");
    let (mut wrong, mut silent) = (Vec::new(), 0);
    for vantage in &world.vantages {
        let instrument =
            Instrument::new(probed.dial(&vantage.name).expect("a vantage")).expect("an instrument");
        for endpoint in &world.target.endpoints {
            let seen = client::look(&plain, &anonymous(&vantage.name, &endpoint.name)).await;
            let expected = said_by_client(&seen);
            if expected == "tcp:timeout" {
                silent += 1;
                if silent > 1 {
                    continue; // Once a world is enough; each takes its whole limit.
                }
            }
            let sight = look(&probed, &instrument, &endpoint.name, Look::OPTIONS).await;
            let got = match sight.observations.as_slice() {
                [] => said_by_names(&sight),
                [one] if one.address.is_ipv4() => said(one),
                // The plain client looks at the first address of IPv4 only.
                _ => continue,
            };
            if !is_same(&expected, &got) {
                wrong.push(format!(
                    "{} {} {}: {expected}, the probe {got}",
                    world.id, vantage.name, endpoint.name
                ));
            }
        }
    }
    plain.stop().await;
    probed.stop().await;
    wrong
}

/// The probe knows more: which alerts are the limit of our own library, and which of them answer a
/// client without a certificate.
fn is_same(expected: &str, got: &str) -> bool {
    expected == got
        || expected.starts_with("tls:alert") && got == "tls:limit"
        || expected == "tls:alert40" && got == "tls:certificate_required"
}

/// One look of the probe at an endpoint of a world.
pub(crate) async fn look(
    running: &RunningWorld,
    instrument: &Instrument,
    endpoint: &str,
    look: Look,
) -> Sight {
    see(&task(running, endpoint, look), instrument).await
}

/// Takes a task with a policy that allows everything.
pub(crate) async fn see(task: &Task, instrument: &Instrument) -> Sight {
    observe(task, instrument, &|_, _| Ok(()), &|_| {}).await.expect("we can look")
}

/// One look at an endpoint of a world, as a task.
pub(crate) fn task(running: &RunningWorld, endpoint: &str, look: Look) -> Task {
    let written = running.world().endpoint(endpoint).expect("an endpoint");
    let url = Url::parse(&written.url).expect("checked on reading");
    let connect = written.connect.as_deref().map(|it| {
        running.addresses().of_host(it, Family::V4).expect("a dialled host has an address")
    });
    Task {
        id: "t".to_owned(),
        diagnosis: DiagnosisId::new("d").expect("a name"),
        endpoint: Endpoint {
            name: EndpointName::new(endpoint).expect("a name"),
            role: Role::Control,
            is_https: url.scheme() == "https",
            host: url.host_str().expect("a host").to_owned(),
            port: url.port_or_known_default().expect("a port"),
            path: url.path().to_owned(),
            generation: None,
            connect,
            trust: Trust::default(),
            from: vec![],
            published_on: vec![],
            allow_plaintext_logon: false,
            logon_cost: None,
        },
        looks: vec![look],
        logon: None,
        only_address: None,
        without_sni: false,
        limits: LIMITS,
    }
}

fn anonymous(from: &str, to: &str) -> Show {
    Show {
        fact: None,
        from: from.to_owned(),
        to: to.to_owned(),
        probe: ShowProbe::A0,
        account: None,
        path: None,
        headers: std::collections::BTreeMap::new(),
        charset: None,
        family: None,
        http: None,
        times: None,
        at_s: None,
        saw: Saw::default(),
    }
}

fn said_by_client(seen: &Seen) -> String {
    match seen.status {
        Some(status) => answered(status, seen.headers.iter().map(|(name, _)| name.as_str())),
        None if seen.stage.starts_with("http") => "http".to_owned(),
        None => seen.stage.clone(),
    }
}

/// Values hold dates and identifiers of the moment, so the names have to do.
fn answered<'n>(status: u16, names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<String> = names.map(str::to_lowercase).collect();
    format!("{status} {}", names.join(" "))
}

fn said_by_names(sight: &Sight) -> String {
    let Outcome::Failed(failure) = &sight.dns else { return format!("{:?}", sight.dns) };
    match failure {
        DnsFailure::NxDomain => "dns:nxdomain".to_owned(),
        DnsFailure::ServFail => "dns:servfail".to_owned(),
        DnsFailure::TimedOut { .. } => "dns:timeout".to_owned(),
        DnsFailure::NoAddress => "dns:nodata".to_owned(),
        DnsFailure::Refused
        | DnsFailure::NoNameServer
        | DnsFailure::ChainTooLong
        | DnsFailure::Other { .. } => {
            format!("{failure:?}")
        }
    }
}

fn said(observation: &Observation) -> String {
    match &observation.tcp {
        Outcome::Done(_) => {}
        Outcome::Failed(TcpFailure::Refused) => return "tcp:refused".to_owned(),
        Outcome::Failed(TcpFailure::TimedOut { .. }) => return "tcp:timeout".to_owned(),
        Outcome::Failed(_) | Outcome::NotReached => return format!("{:?}", observation.tcp),
    }
    // What the plain client meets is what the modern stack does.
    if let Some(failure) = observation.transport.modern_failure() {
        return match failure {
            TlsFailure::Alert { number } => format!("tls:alert{number}"),
            TlsFailure::Reset => "tls:reset".to_owned(),
            TlsFailure::TimedOut { .. } => "tls:timeout".to_owned(),
            TlsFailure::NotTls => "tls:not_tls".to_owned(),
            TlsFailure::ClientCertificateRequired => "tls:certificate_required".to_owned(),
            TlsFailure::OurLimit { .. } => "tls:limit".to_owned(),
            TlsFailure::Closed | TlsFailure::Limit { .. } | TlsFailure::Other { .. } => {
                format!("{failure:?}")
            }
        };
    }
    match observation.exchanges.first().map(|it| &it.outcome) {
        Some(Outcome::Done(answer)) => {
            answered(answer.status, answer.headers.0.iter().map(|(name, _)| name.as_str()))
        }
        Some(Outcome::Failed(_)) => "http".to_owned(),
        other => format!("{other:?}"),
    }
}
