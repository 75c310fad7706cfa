//! How long the engine takes to judge a diagnosis of many paths, and whether that grows with their number and no faster.
//!
//! One core, no I/O; what counts is processor time, for the machine may be busy with something else. Each size is judged until half
//! a second is used, at least three times; the median counts. Prints the figures
//! beside the goals and ends with 1 if one is missed. Numbers as arguments are sizes to measure instead.

mod evidence;

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use evidence::{Mix, evidence};

const SIZES: [usize; 4] = [10, 100, 1_000, 10_000];
const AT_LEAST: usize = 3;
const TIME: Duration = Duration::from_millis(500);
/// 1,000 paths in four rounds.
const GOAL: Duration = Duration::from_millis(20);
/// Ten times as many paths may take at most this many times as long: ten, and as much again for memory that no longer fits a cache.
const GROWTH_GOAL: f64 = 20.0;

#[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
fn main() -> ExitCode {
    let mut is_reached = true;
    println!("faults in the catalogue: {}", parallax_faults::catalogue().count());
    for mix in Mix::ALL {
        let mut last: Option<Duration> = None;
        for size in sizes() {
            let took = median(size, mix);
            let growth = last.map(|it| took.as_secs_f64() / it.as_secs_f64());
            is_reached &= size != 1_000 || took <= GOAL;
            // Below a hundred paths, what a diagnosis costs at all is most of it.
            is_reached &= size <= 100 || growth.is_none_or(|it| it <= GROWTH_GOAL);
            let growth = growth.map(|it| format!("{it:>6.1} x")).unwrap_or_default();
            println!("{:>9} {size:>6} paths {:>9.2} ms {growth}", mix.word(), milliseconds(took));
            last = Some(took);
        }
    }
    println!("goals: 1,000 paths {} ms, ten times as many {GROWTH_GOAL} x", GOAL.as_millis());
    if is_reached { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn sizes() -> Vec<usize> {
    let given: Vec<usize> = std::env::args().filter_map(|it| it.parse().ok()).collect();
    if given.is_empty() { SIZES.to_vec() } else { given }
}

/// What this thread has used so far.
fn processor_time() -> Duration {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), u32::try_from(used.tv_nsec).unwrap_or_default())
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn median(size: usize, mix: Mix) -> Duration {
    let evidence = evidence(size, mix);
    let begun = processor_time();
    let mut times = Vec::new();
    while times.len() < AT_LEAST || processor_time().saturating_sub(begun) < TIME {
        let started = processor_time();
        black_box(parallax_faults::diagnose(black_box(&evidence)));
        times.push(processor_time().saturating_sub(started));
    }
    times.sort_unstable();
    times[times.len() / 2]
}
