//! The probing side: a process that looks once at a hostile server, measures itself, and says in one line what came of it.
//!
//! INVARIANT: the look that is measured is the second one; the first goes to a server that means well, so that what every look
//! costs once (code, tables, certificates) is not taken for growth.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use parallax_auth::Secret;
use parallax_model::{
    AccountId, DiagnosisId, Endpoint, EndpointName, Limits, LogonTask, Look, NameForm, Place, Role,
    Sight, Task, Trust, UserName,
};
use parallax_probe::{
    Dial, Instrument, Mapped, Preparation, ProbeError, Progress, Route, Rule, observe, prepare,
};
use rustls_pki_types::CertificateDer;

use super::bounds;
use super::certificates::HOST;
use super::errand::{Errand, Report, Sabotage};
use super::label;
use super::measure::{self, Before, Control};
use super::mode::Mode;

const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 10));
pub(super) const PASSWORD: &str = "Planted-Xyzzy-17";
/// Beyond the deadline of a look that a sabotaged one takes.
const LATE: Duration = Duration::from_millis(600);

/// Entry of the child process.
#[expect(clippy::print_stdout, reason = "the report goes to the process that started this one")]
pub(super) fn run(words: &[String]) -> Result<()> {
    measure::count_panics();
    let errand = Errand::read(words)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(carry_out(&errand))?;
    println!("{}", report.line());
    Ok(())
}

async fn carry_out(errand: &Errand) -> Result<Report> {
    let warm = instrument(errand, errand.benign, errand.benign_names)?;
    let task = task(errand)?;
    let secret = Secret::new(PASSWORD.to_owned())?;
    look(&task, &warm, &secret, errand.mode).await?;
    let instrument = instrument(errand, errand.server, errand.names)?;
    let before = Before::take()?;
    let control = Control::start();
    let mut looked = look(&task, &instrument, &secret, errand.mode).await?;
    match errand.sabotage {
        Sabotage::None => {}
        Sabotage::Late => {
            let started = Instant::now();
            while started.elapsed() < looked.deadline + LATE {}
            looked.late = started.elapsed().saturating_sub(looked.deadline);
        }
        Sabotage::Greedy => {
            // Written to, or the kernel would not give it.
            let hoard = vec![1_u8; 8 << 20];
            std::hint::black_box(&hoard);
        }
        Sabotage::Panic => {
            let _ = tokio::spawn(async { std::hint::black_box(Vec::<u8>::new())[0] }).await;
        }
        Sabotage::Twice => {
            look(&task, &instrument, &secret, errand.mode).await?;
        }
    }
    let lateness = control.stop();
    let cost = before.cost()?;
    Ok(report(&looked, lateness, cost))
}

fn report(looked: &Looked, lateness: Duration, cost: measure::Cost) -> Report {
    let first = looked.sight.as_ref().and_then(|it| it.observations.first());
    let exchange = match looked.mode {
        Mode::Anonymous => first.and_then(|it| it.exchanges.first()),
        Mode::Basic | Mode::Ntlm => first.and_then(|it| it.exchanges.last()),
    };
    let dns = looked.sight.as_ref().map_or_else(|| "refused".to_owned(), label::dns);
    let transport = first.map_or_else(|| "none".to_owned(), label::transport);
    Report {
        dns,
        transport,
        exchange: label::exchange(exchange),
        growth_kib: cost.growth_kib,
        cpu: cost.cpu,
        took: looked.took,
        late: looked.late,
        lateness,
        panics: measure::panics(),
        complaints: looked.sight.as_ref().map(bounds::complaints).unwrap_or_default().join("; "),
    }
}

/// What one look came to.
struct Looked {
    /// `None`: the policy forbids every address.
    sight: Option<Sight>,
    mode: Mode,
    took: Duration,
    deadline: Duration,
    /// By how much a deadline was missed at most.
    late: Duration,
}

async fn look(task: &Task, instrument: &Instrument, secret: &Secret, mode: Mode) -> Result<Looked> {
    let started = Instant::now();
    let dns_ended = Mutex::new(None);
    let listen = |progress: Progress<'_>| {
        if let Progress::Dns(_) = progress {
            *dns_ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(started.elapsed());
        }
    };
    let (observation, credentialed) = (task.limits.observation, task.limits.credentialed);
    let mut late;
    let sight = if mode == Mode::Basic {
        let prepared = prepare(task, instrument, &allow, &listen).await;
        late = started.elapsed().saturating_sub(observation);
        match prepared? {
            Preparation::Stopped(sight) => Some(sight),
            Preparation::Ready(prepared) => {
                let started = Instant::now();
                let sight = prepared.send(secret).await;
                late = late.max(started.elapsed().saturating_sub(credentialed));
                Some(sight)
            }
        }
    } else {
        let seen = observe(task, instrument, &allow, &listen).await;
        late = started.elapsed().saturating_sub(observation);
        match seen {
            Ok(sight) => Some(sight),
            Err(ProbeError::Refused(_)) => None,
            Err(error) => return Err(error.into()),
        }
    };
    let dns = dns_ended.into_inner().unwrap_or_else(PoisonError::into_inner).unwrap_or_default();
    late = late.max(dns.saturating_sub(task.limits.dns));
    let deadline = if mode == Mode::Basic { observation + credentialed } else { observation };
    Ok(Looked { sight, mode, took: started.elapsed(), deadline, late })
}

/// The policy of every look here: the documentation's and the benchmark's addresses, nothing else.
fn allow(address: SocketAddr, _path: &str) -> Result<(), Rule> {
    match address.ip() {
        IpAddr::V4(it) if matches!(it.octets(), [192, 0, 2, _] | [198, 18 | 19, ..]) => Ok(()),
        IpAddr::V4(_) | IpAddr::V6(_) => Err(Rule("outside".to_owned())),
    }
}

/// A network in which the allowed addresses lead to the server, and all others to the listener that must stay alone.
fn instrument(
    errand: &Errand,
    server: SocketAddr,
    names: Option<SocketAddr>,
) -> Result<Instrument> {
    let benchmark = (0..32).map(|last| IpAddr::from([198, 18, 0, last]));
    let routes: BTreeMap<SocketAddr, Route> = benchmark
        .chain([ADDRESS])
        .flat_map(|address| {
            [80, 443].map(|port| (SocketAddr::new(address, port), Route::To(server)))
        })
        .collect();
    let mapped = Mapped {
        routes,
        otherwise: Route::To(errand.forbidden),
        name_servers: names.into_iter().collect(),
        public_roots: vec![CertificateDer::from(errand.root.clone())],
        store_roots: Vec::new(),
    };
    Ok(Instrument::new(Dial::Mapped(Arc::new(mapped)))?)
}

fn task(errand: &Errand) -> Result<Task> {
    let looks = match errand.mode {
        // All that are ever taken without a credential.
        _ if errand.names.is_some() => vec![
            Look::OPTIONS,
            Look::GET,
            Look::HEALTH_CHECK,
            Look::OWA,
            Look::AUTODISCOVER,
            Look::EWS,
            Look::AUTODISCOVER_JSON,
        ],
        Mode::Anonymous => vec![Look::OPTIONS, Look::GET, Look::AUTODISCOVER_JSON],
        Mode::Basic => vec![Look::OPTIONS],
        Mode::Ntlm => vec![Look::OPTIONS, Look::NTLM],
    };
    let logon = LogonTask {
        attempt: "a-1".to_owned(),
        account: AccountId::new("alice").context("an account's name")?,
        name: UserName { form: NameForm::Upn, login: "alice@corp.example".to_owned() },
        place: Place::ActiveSync,
    };
    let limits = Limits {
        dns: errand.dns,
        tcp: errand.limit,
        tls: errand.limit,
        exchange: errand.limit,
        observation: errand.observation,
        credentialed: errand.credentialed,
    };
    Ok(Task {
        id: "t-1".to_owned(),
        diagnosis: DiagnosisId::new("d-1").context("a diagnosis' name")?,
        endpoint: Endpoint {
            name: EndpointName::new("published").context("an endpoint's name")?,
            role: Role::External,
            is_https: errand.is_https,
            host: HOST.to_owned(),
            port: if errand.is_https { 443 } else { 80 },
            path: "/Microsoft-Server-ActiveSync".to_owned(),
            generation: None,
            connect: errand.names.is_none().then_some(ADDRESS),
            trust: Trust::PublicOrStore,
            from: Vec::new(),
            published_on: Vec::new(),
            allow_plaintext_logon: false,
            logon_cost: None,
        },
        looks,
        logon: (errand.mode == Mode::Basic).then_some(logon),
        only_address: None,
        without_sni: false,
        limits,
    })
}
