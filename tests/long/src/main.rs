//! Campaigns: long searches for what must never happen. Each is one module and one word on the command line.
//!
//!     parallax-long CAMPAIGN [--short]
//!
//! `--short` is the version that `tests/all` runs; without it the full figures of the closing notes. A campaign prints
//! its figures, one line each, and ends with `N passed, N failed`; exit 1 if anything failed.
//!
//! Absent on purpose: anything of the product. What a campaign finds becomes a test or a fix elsewhere.

mod campaign;

use std::process::ExitCode;

use campaign::{CAMPAIGNS, Scale};

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]
fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (name, scale) = (arguments.next(), arguments.next());
    let scale = match scale.as_deref() {
        None => Scale::Full,
        Some("--short") => Scale::Short,
        Some(other) => {
            eprintln!("`{other}` is not known; give --short or nothing");
            return ExitCode::from(2);
        }
    };
    let Some(campaign) = CAMPAIGNS.iter().find(|it| Some(it.name) == name.as_deref()) else {
        eprintln!("usage: parallax-long CAMPAIGN [--short]");
        for campaign in CAMPAIGNS {
            eprintln!("  {:12} {}", campaign.name, campaign.about);
        }
        return ExitCode::from(2);
    };
    match (campaign.run)(scale) {
        Ok(tally) => {
            println!("{} passed, {} failed", tally.passed, tally.failed);
            ExitCode::from(u8::from(tally.failed > 0))
        }
        Err(error) => {
            eprintln!("{}: {error:#}", campaign.name);
            ExitCode::from(1)
        }
    }
}
