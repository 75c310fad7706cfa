//! Campaigns: long searches for what must never happen. Each is one module and one word on the command line.
//!
//!     parallax-long all|CAMPAIGN [--short | WORD…]
//!
//! `--short` is the version that `tests/all` runs; without it the full figures of the closing notes. Other words are the
//! campaign's own, as the seed to replay. A campaign prints its figures, one line each, and ends with
//! `N passed, N failed`; exit 1 if anything failed.
//!
//! Absent on purpose: anything of the product. What a campaign finds becomes a test or a fix elsewhere.

mod abuse;
mod campaign;
mod herd;
mod hostile;
mod joining;
mod kills;
mod policy;
mod simulation;

use std::process::ExitCode;

use campaign::{CAMPAIGNS, CHILDREN, Campaign, Plan, Scale};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, words)) = words.split_first() else { return usage() };
    if name == "child" {
        return child(words);
    }
    let plan = match words {
        [] => Plan { scale: Scale::Full, words: Vec::new() },
        [word] if word == "--short" => Plan { scale: Scale::Short, words: Vec::new() },
        words => Plan { scale: Scale::Full, words: words.to_vec() },
    };
    let chosen: Vec<&Campaign> =
        CAMPAIGNS.iter().filter(|it| name == "all" || it.name == name).collect();
    if chosen.is_empty() {
        return usage();
    }
    let mut is_good = true;
    for campaign in chosen {
        is_good &= run(campaign, &plan);
    }
    ExitCode::from(u8::from(!is_good))
}

/// A process that a campaign started.
#[expect(clippy::print_stderr, reason = "a program for the terminal")]
fn child(words: &[String]) -> ExitCode {
    let known = words.split_first().and_then(|(name, words)| {
        let child = CHILDREN.iter().find(|it| it.name == name)?;
        Some((child.run)(words))
    });
    match known {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => {
            eprintln!("child: {error:#}");
            ExitCode::from(1)
        }
        None => usage(),
    }
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]
fn run(campaign: &Campaign, plan: &Plan) -> bool {
    println!("{}: {}", campaign.name, campaign.about);
    match (campaign.run)(plan) {
        Ok(tally) => {
            println!("{} passed, {} failed", tally.passed, tally.failed);
            tally.failed == 0 && tally.passed > 0
        }
        Err(error) => {
            eprintln!("{}: {error:#}", campaign.name);
            println!("0 passed, 1 failed");
            false
        }
    }
}

#[expect(clippy::print_stderr, reason = "a program for the terminal")]
fn usage() -> ExitCode {
    eprintln!("usage: parallax-long all|CAMPAIGN [--short]");
    for campaign in CAMPAIGNS {
        eprintln!("  {:12} {}", campaign.name, campaign.about);
    }
    ExitCode::from(2)
}
