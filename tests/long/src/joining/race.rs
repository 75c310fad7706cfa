//! Many tasks, released from one barrier, present one token: does exactly one join, and does what it was told count?
//!
//! INVARIANT: a race passes only if one asker won, every other one was told that the token was used, and the register holds the
//! winner's certificate.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use parallax_model::{Vantage, VantageName, Zone};
use parallax_store::{JoinRefused, NewCertificate, NewJoinToken, Store};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::campaign::{Plan, Scale, Tally};

const RACES_FULL: u32 = 1000;
const RACES_SHORT: u32 = 50;
const ASKERS: u32 = 100;
const TTL: Duration = Duration::from_mins(10);
const MONTH: Duration = Duration::from_hours(30 * 24);

pub(super) fn run(plan: &Plan) -> Result<Tally> {
    let runtime = tokio::runtime::Runtime::new().context("no runtime")?;
    runtime.block_on(race_all(plan.scale))
}

#[expect(clippy::print_stdout, reason = "a program for the terminal")]
async fn race_all(scale: Scale) -> Result<Tally> {
    let races = match scale {
        Scale::Short => RACES_SHORT,
        Scale::Full => RACES_FULL,
    };
    let folder = tempfile::tempdir()?;
    let store = Arc::new(Store::open(folder.path(), Duration::ZERO).await?);
    let started = Instant::now();
    let mut tally = Tally::default();
    for number in 0..races {
        match race(&store, number).await {
            Ok(()) => tally.passed += 1,
            Err(error) => {
                println!("race {number}: {error:#}");
                tally.failed += 1;
            }
        }
    }
    let joins = races * ASKERS;
    println!(
        "{} of {races} races of {ASKERS} had one winner; {joins} attempts in {:.1} s",
        tally.passed,
        started.elapsed().as_secs_f64()
    );
    Ok(tally)
}

async fn race(store: &Arc<Store>, number: u32) -> Result<()> {
    let agent = VantageName::new(format!("agent-{number}"))?;
    let token_sha256 = digest(number, u32::MAX);
    let vantage = Vantage { name: agent.clone(), zone: Zone::External, site: String::new() };
    let principal = "campaign".to_owned();
    let token = NewJoinToken { token_sha256, vantage, may_replace: false, principal, ttl: TTL };
    store.create_join_token(&token).await?;
    let barrier = Arc::new(Barrier::new(ASKERS as usize));
    let mut askers = JoinSet::new();
    for asker in 0..ASKERS {
        let (store, barrier) = (Arc::clone(store), Arc::clone(&barrier));
        askers.spawn(async move {
            let certificate = NewCertificate {
                der: asker.to_be_bytes().to_vec(),
                sha256: digest(number, asker),
                public_key_sha256: digest(asker, number),
                expires: std::time::SystemTime::now() + MONTH,
            };
            barrier.wait().await;
            (certificate.sha256, store.join(&token_sha256, &certificate).await)
        });
    }
    let used = JoinRefused::TokenUsed { agent: agent.clone() };
    let mut winners = Vec::new();
    while let Some(asked) = askers.join_next().await {
        let (certificate, outcome) = asked?;
        match outcome? {
            Ok(_) => winners.push(certificate),
            Err(refused) => ensure!(refused == used, "refused for another reason: {refused}"),
        }
    }
    let [winner] = winners.as_slice() else { anyhow::bail!("{} won", winners.len()) };
    let record = store.agent(&agent).await?;
    ensure!(record.certificate_sha256 == *winner, "the register holds another's certificate");
    Ok(())
}

/// A number of 32 bytes that belongs to this race and asker alone.
fn digest(race: u32, asker: u32) -> [u8; 32] {
    let mut digest = [0; 32];
    digest[..4].copy_from_slice(&race.to_be_bytes());
    digest[4..8].copy_from_slice(&asker.to_be_bytes());
    digest
}
