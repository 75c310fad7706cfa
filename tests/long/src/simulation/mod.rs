//! The logon protocol in a simulation: the real ledger, the real steps of the controller and its fleet, the real desk and
//! begins of agents, between a network that cuts, loses, doubles and overtakes, a directory that counts as Active Directory
//! does, and targets that take their time. Processes crash, backups are put back, clocks are moved, agents lie.
//!
//!     parallax-long simulation [--short | SEED | BUG SEED]
//!
//! A seed decides everything that happens; the same seed gives the same trace. After every event the invariants are looked
//! at. Then [`bugs`] are put in one after another, and each has to be found.
//!
//! Absent on purpose: TLS and HTTP/2 between controller and agent, the bytes at the target, and disks that fail.

mod board;
mod bugs;
mod checks;
mod clockwork;
mod directory;
mod events;
mod figures;
mod ground;
mod network;
mod reports;
mod trace;
mod world;

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use self::bugs::Bug;
use self::events::EVENTS;
use self::figures::Figures;
use self::ground::Ground;
use self::trace::Trace;
use self::world::{Rooms, Stop, World};
use crate::campaign::{Campaign, Plan, Scale, Tally};

pub(crate) const CAMPAIGN: Campaign = Campaign {
    name: "simulation",
    about: "the logon protocol under crashes, partitions, duplicates: invariants hold, seeded bugs are found",
    run,
};

const SEEDS: u64 = 1000;
/// In the gate: as many as fit, and no fewer than this.
const SHORT: Duration = Duration::from_secs(10);
const SHORT_SEEDS_MIN: u64 = 12;
/// Seeds run a second time, whose trace has to be the same.
const AGAIN_FULL: u64 = 50;
const AGAIN_SHORT: u64 = 2;
/// A bug has to be found within so many seeds.
const BUG_SEEDS: u64 = 150;
/// Lines of a trace that are shown of a run that failed.
const TAIL: usize = 60;

/// What a run came to.
struct Ran {
    trace: Trace,
    figures: Figures,
    stop: Option<Stop>,
}

/// Runs the campaign.
#[expect(clippy::print_stdout, reason = "a program for the terminal")]
fn run(plan: &Plan) -> anyhow::Result<Tally> {
    let rooms = rooms()?;
    let ground = rooms.store.block_on(Ground::prepare())?;
    if !plan.words.is_empty() {
        return replay(&rooms, &ground, &plan.words);
    }
    let mut tally = Tally::default();
    let is_full = plan.scale == Scale::Full;
    let mut figures = Figures::default();
    let (begun, again) = (Instant::now(), if is_full { AGAIN_FULL } else { AGAIN_SHORT });
    let mut seeds = 0;
    while if is_full { seeds < SEEDS } else { seeds < SHORT_SEEDS_MIN || begun.elapsed() < SHORT } {
        seeds += 1;
        let ran = run_seed(&rooms, &ground, seeds, None)?;
        figures.take_up(&ran.figures);
        let mut is_good = ran.stop.is_none();
        if let Some(stop) = &ran.stop {
            println!("  seed {seeds}: {}", tell(stop));
            println!("  replay: parallax-long simulation {seeds}");
            for line in ran.trace.tail(TAIL) {
                println!("    {line}");
            }
        }
        if seeds <= again {
            let second = run_seed(&rooms, &ground, seeds, None)?;
            if second.trace.digest() != ran.trace.digest() {
                println!(
                    "  seed {seeds}: two runs, two traces ({} and {} lines)",
                    ran.trace.len(),
                    second.trace.len()
                );
                is_good = false;
            }
        }
        count(&mut tally, is_good);
    }
    println!(
        "  {seeds} seeds of {EVENTS} events in {:.1} s: {}",
        begun.elapsed().as_secs_f64(),
        figures.tell()
    );
    println!("  {} of them run twice, same trace", again.min(seeds));
    // A short search is too short for everything to happen in it.
    let missing = if is_full { figures.missing() } else { Vec::new() };
    if !missing.is_empty() {
        println!("  never happened: {}", missing.join(", "));
    }
    count(&mut tally, missing.is_empty());
    for bug in Bug::ALL {
        count(&mut tally, is_found(&rooms, &ground, bug, is_full)?);
    }
    Ok(tally)
}

fn count(tally: &mut Tally, is_good: bool) {
    if is_good {
        tally.passed += 1;
    } else {
        tally.failed += 1;
    }
}

/// Looks for a seeded bug until it is found.
#[expect(clippy::print_stdout, reason = "a program for the terminal")]
fn is_found(rooms: &Rooms, ground: &Ground, bug: Bug, is_full: bool) -> anyhow::Result<bool> {
    let first = (!is_full).then(|| bug.shown_by());
    for seed in first.into_iter().chain(1..=BUG_SEEDS) {
        let ran = run_seed(rooms, ground, seed, Some(bug))?;
        match ran.stop {
            None => {}
            Some(Stop::Violated(violation)) => {
                println!("  {:24} found by seed {seed:3}, {violation}", bug.word());
                return Ok(true);
            }
            Some(Stop::Failed(error)) => return Err(error.context(bug.word())),
        }
    }
    println!("  {:24} NOT found in {BUG_SEEDS} seeds", bug.word());
    Ok(false)
}

/// `SEED` or `BUG SEED`: one run, line by line.
#[expect(clippy::print_stdout, reason = "a program for the terminal")]
fn replay(rooms: &Rooms, ground: &Ground, words: &[String]) -> anyhow::Result<Tally> {
    let (bug, seed) = match words {
        [seed] => (None, seed),
        [bug, seed] => {
            let known = Bug::ALL.into_iter().find(|it| it.word() == bug);
            let all: Vec<&str> = Bug::ALL.into_iter().map(Bug::word).collect();
            (Some(known.with_context(|| format!("`{bug}`: one of {}", all.join(", ")))?), seed)
        }
        _ => bail!("SEED, or BUG SEED"),
    };
    let seed: u64 = seed.parse().with_context(|| format!("`{seed}`: has to be a number"))?;
    let ran = run_seed(rooms, ground, seed, bug)?;
    for line in ran.trace.tail(usize::MAX) {
        println!("{line}");
    }
    println!("{} lines, {}", ran.trace.len(), ran.trace.digest_text());
    println!("{}", ran.figures.tell());
    if let Some(stop) = &ran.stop {
        println!("{}", tell(stop));
    }
    // What a bug was put in for has to happen.
    let is_good = ran.stop.is_some() == bug.is_some();
    Ok(Tally { passed: u64::from(is_good), failed: u64::from(!is_good) })
}

fn run_seed(rooms: &Rooms, ground: &Ground, seed: u64, bug: Option<Bug>) -> anyhow::Result<Ran> {
    let mut world = match World::begin(rooms, ground, seed, bug) {
        Ok(world) => world,
        Err(Stop::Violated(violation)) => bail!("seed {seed} cannot begin: {violation}"),
        Err(Stop::Failed(error)) => return Err(error),
    };
    let mut going = || {
        world.join_all()?;
        for _ in 0..EVENTS {
            world.happen()?;
        }
        world.come_to_an_end()
    };
    let stop = going().err();
    world.crash_controller().ok();
    let trace = std::mem::take(&mut world.trace);
    Ok(Ran { trace, figures: world.figures.clone(), stop })
}

fn tell(stop: &Stop) -> String {
    match stop {
        Stop::Violated(violation) => violation.to_string(),
        Stop::Failed(error) => format!("{error:#}"),
    }
}

fn rooms() -> anyhow::Result<Rooms> {
    let store = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let agents =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    Ok(Rooms { store, agents })
}
