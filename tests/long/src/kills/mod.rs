//! Does anything get lost, or an account locked, when processes die anywhere?
//!
//! A simulated network with a directory that counts refused logons as Active Directory does stands in this process. Around it
//! a controller and three agents run as processes of their own; the controller and the agent that logs on are killed, at
//! random times and at named points of the code, while diagnoses with a wrong password go on. Each account has T = 10, so
//! K = 4 refused logons may be caused, and exactly so many are asked for.
//!
//! Absent on purpose: faults of the disk and of the network; `simulation` and the store's own tests have those.
//!
//! INVARIANT: only processes that this campaign started are killed, by their own handle.

mod calls;
mod children;
mod network;
mod processes;
mod runs;
mod verify;

use std::time::Duration;

use anyhow::Context as _;

use crate::campaign::{Campaign, Child, Plan, Scale, Tally};

pub(crate) const CAMPAIGN: Campaign = Campaign {
    name: "kills",
    about: "controller and agents killed anywhere: nothing acknowledged is lost, no account is locked",
    run,
};

pub(crate) const CONTROLLER: Child =
    Child { name: children::CONTROLLER, run: children::run_controller };
pub(crate) const AGENT: Child = Child { name: children::AGENT, run: children::run_agent };

/// K of the accounts: ⌊(10 − 1) / 2⌋.
const BUDGET: u32 = 4;

/// How much is to be done.
#[derive(Clone, Copy, Debug)]
struct Goal {
    controller_kills: u64,
    agent_kills: u64,
    /// Accounts that have to reach exactly K.
    full_accounts: u64,
    accounts: usize,
    seed: u64,
    limit: Duration,
}

impl Goal {
    fn of(plan: &Plan) -> anyhow::Result<Self> {
        let seed = match plan.words.first() {
            Some(word) => word.parse().context("the one word is a seed, a number")?,
            None => 1,
        };
        Ok(match plan.scale {
            Scale::Short => Self {
                controller_kills: 5,
                agent_kills: 3,
                full_accounts: 1,
                accounts: 6,
                seed,
                limit: Duration::from_secs(90),
            },
            Scale::Full => Self {
                controller_kills: 200,
                agent_kills: 100,
                full_accounts: 20,
                accounts: 160,
                seed,
                limit: Duration::from_hours(1),
            },
        })
    }
}

fn run(plan: &Plan) -> anyhow::Result<Tally> {
    let goal = Goal::of(plan)?;
    // Somebody may have been first; there is only one provider in this program.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let stage = network::Stage::set_up(goal.accounts).await?;
        let mut campaign = runs::Runs::new(&stage, goal);
        let found = campaign.go().await;
        campaign.end();
        let seen = found?;
        verify::verify(stage, goal, seen).await
    })
}
