//! Hostile callers and agents: does the controller keep its memory, its agents' sessions and its operators' calls?
//!
//! `abuse` runs a controller with a fleet of light agents and an operator who diagnoses a target all the while. Then raw frames of
//! HTTP/2 against both ports, one attack after another; a flood of calls with a good token; a flood by a registered agent.
//!
//! INVARIANT: an attack passes only if no honest session was lost, every honest diagnosis was made, and the controller grew by no
//! more than [`GROWTH_MAX_KIB`] over what it was when all agents had come.

mod calm;
mod flood;
mod frames;
mod siege;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use self::calm::{Roll, Times, all_welcomed, diagnose_until};
use self::flood::{flood_api, flood_session};
use self::frames::ATTACKS;
use self::siege::{Port, besiege};
use crate::campaign::{Campaign, Plan, Scale, Tally};
use crate::herd::bed::{Api, Bed, vantage};
use crate::herd::light::live;
use crate::herd::process::Process;

pub(crate) const CAMPAIGN: Campaign = Campaign {
    name: "abuse",
    about: "attacks on HTTP/2 and floods from people and agents cost at most 64 MiB, and nobody else anything",
    run,
};

const GROWTH_MAX_KIB: u64 = 64 * 1024;
/// Honest agents that look at the target.
const LOOKING: usize = 4;
const TARGET: &str = "small";
/// Attackers at once.
const ATTACKERS: usize = 8;
/// Callers of the flood.
const CALLERS: usize = 32;

#[derive(Clone, Copy)]
struct Size {
    agents: usize,
    /// Of one attack on one port.
    attack: Duration,
    flood: Duration,
}

const SHORT: Size =
    Size { agents: 20, attack: Duration::from_millis(600), flood: Duration::from_secs(3) };
const FULL: Size =
    Size { agents: 200, attack: Duration::from_secs(10), flood: Duration::from_mins(1) };

fn run(plan: &Plan) -> Result<Tally> {
    let size = match plan.scale {
        Scale::Short => SHORT,
        Scale::Full => FULL,
    };
    let runtime = tokio::runtime::Runtime::new().context("no runtime")?;
    runtime.block_on(play(size))
}

/// Everything that is attacked, and who must not notice.
struct Field {
    process: Process,
    api: Api,
    roll: Arc<Roll>,
    /// Before anything was tried.
    calm_kib: u64,
    tally: Tally,
}

async fn play(size: Size) -> Result<Tally> {
    // One more agent than come: the last is the hostile one.
    let mut bed = Bed::make(size.agents + 1).await?;
    let (process, api) = bed.start(&["child", crate::herd::CHILD.name]).await?;
    let roll = Arc::new(Roll::default());
    let mut herd = JoinSet::new();
    for agent in bed.agents.iter().take(size.agents).cloned() {
        herd.spawn(live(agent, bed.port, Arc::clone(&roll) as _));
    }
    let count = u64::try_from(size.agents)?;
    ensure!(all_welcomed(&roll, count, Duration::from_mins(1)).await, "not every agent came");
    api.create_target(TARGET, (0..LOOKING).map(vantage).collect()).await?;
    let calm = diagnose_until(&api, TARGET, Instant::now() + Duration::from_secs(2)).await?;
    let calm_kib = process.memory()?.now_kib;
    let mut field = Field { process, api, roll, calm_kib, tally: Tally::default() };
    field.judge("nothing", String::new(), calm)?;

    let authority = CertificateDer::from_pem_file(
        bed.folder.path().join(parallax_controller::authority::AUTHORITY_FILE),
    )?;
    let stranger = Some(Arc::new(stranger(authority)?));
    let ports = [
        ("API", Port { address: bed.api, tls: None }),
        ("agents", Port { address: bed.port, tls: stranger }),
    ];
    for (name, port) in &ports {
        for attack in ATTACKS {
            let until = Instant::now() + size.attack;
            let (seen, times) = tokio::join!(
                besiege(port, *attack, ATTACKERS, until),
                diagnose_until(&field.api, TARGET, until)
            );
            let figure = |it: &std::sync::atomic::AtomicU64| it.load(Ordering::Relaxed);
            let told = format!(
                "{} connections, {} ended by the controller, {} KiB",
                figure(&seen.connections),
                figure(&seen.ended),
                figure(&seen.bytes) / 1024
            );
            field.judge(&format!("{attack:?} on the port of the {name}"), told, times?)?;
        }
    }
    let until = Instant::now() + size.flood;
    let (answers, times) =
        tokio::join!(flood_api(bed.api, CALLERS, until), diagnose_until(&field.api, TARGET, until));
    let answers = answers?;
    let told = format!("{answers:?}");
    field.check(
        "the flood is refused, and in no other way",
        answers.refused > 0 && answers.other == 0,
    );
    field.judge("a flood of calls", told, times?)?;

    let hostile = bed.agents.last().cloned().context("no agent")?;
    let until = Instant::now() + size.flood;
    let (sent, times) = tokio::join!(
        flood_session(hostile, bed.port, until),
        diagnose_until(&field.api, TARGET, until)
    );
    let told = format!("{} results in {:?}", sent?, size.flood);
    field.judge("a flood from one agent", told, times?)?;

    herd.shutdown().await;
    sleep(Duration::from_millis(100)).await;
    field.process.end(Duration::from_mins(1)).await?;
    Ok(field.tally)
}

impl Field {
    #[expect(clippy::print_stdout, reason = "a program for the terminal")]
    fn judge(&mut self, what: &str, told: String, mut times: Times) -> Result<()> {
        let memory = self.process.memory()?;
        let growth = memory.peak_kib.saturating_sub(self.calm_kib);
        let lost = self.roll.lost.load(Ordering::Relaxed);
        let is_good =
            growth <= GROWTH_MAX_KIB && lost == 0 && times.failed == 0 && times.count() > 0;
        println!(
            "{} {what}: {told}; grew {growth} KiB, {lost} sessions lost, {} diagnoses, p99 {:?}, {} failed",
            if is_good { "good" } else { "BAD " },
            times.count(),
            times.p99(),
            times.failed
        );
        self.count(is_good);
        Ok(())
    }

    #[expect(clippy::print_stdout, reason = "a program for the terminal")]
    fn check(&mut self, what: &str, is_good: bool) {
        println!("{} {what}", if is_good { "good" } else { "BAD " });
        self.count(is_good);
    }

    fn count(&mut self, is_good: bool) {
        if is_good { self.tally.passed += 1 } else { self.tally.failed += 1 }
    }
}

/// TLS of somebody who knows the authority and has no certificate of it.
fn stranger(authority: CertificateDer<'static>) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(authority)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}
