//! Can anything make an agent send one packet where its policy does not permit it?
//!
//! Two searches. First the policy as a function, against a naive second one (`oracle`, `generated`). Then some hundred tricks
//! (`tricks.toml`) by a hostile controller, hostile name servers and hostile targets, played to real agents with policies
//! from files; in a network namespace of their own, the kernel's packet filter counts what leaves them.
//!
//! Needs `ip` (iproute2), `nft` (nftables) and `unshare` (util-linux), and a kernel that gives this user a network namespace.
//! Where it does not, the campaign says so and fails.
//!
//! INVARIANT: a count of nothing means something: the same counters are shown to count, permitted packets and others.

mod bed;
mod controller;
mod generated;
mod names;
mod namespace;
mod oracle;
mod play;
mod target;
mod tricks;
mod watch;

use std::time::Instant;

use crate::campaign::{Campaign, Child, Plan, Scale, Tally};

pub(crate) const CAMPAIGN: Campaign = Campaign {
    name: "policy",
    about: "nothing makes an agent send a packet where its policy does not permit it",
    run,
};

/// Plays the tricks in the namespace.
pub(crate) const CHILD: Child = Child { name: "policy-tricks", run: child };

const QUESTIONS_SHORT: usize = 10_000;
const QUESTIONS_FULL: usize = 1_000_000;

/// Words: `tricks NAME…` plays only tricks whose name begins so; `questions SEED` asks the generated questions of a seed.
#[expect(clippy::print_stdout, reason = "figures of a campaign")]
fn run(plan: &Plan) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    let words: Vec<&str> = plan.words.iter().map(String::as_str).collect();
    if words.first() != Some(&"tricks") {
        let seed = match words.get(1) {
            Some(seed) => seed.parse()?,
            None => 1,
        };
        let questions = if plan.scale == Scale::Short { QUESTIONS_SHORT } else { QUESTIONS_FULL };
        let started = Instant::now();
        let permitted = generated::compare(questions, seed)?;
        anyhow::ensure!(permitted > questions / 10, "only {permitted} questions were permitted");
        let took = started.elapsed().as_secs();
        println!(
            "{questions} generated questions (seed {seed}, {took} s): {permitted} permitted, 0 disagreements"
        );
        tally.passed += 1;
    }
    if words.first() != Some(&"questions") {
        let only: Vec<String> = plan.words.iter().skip(1).cloned().collect();
        let played = namespace::play(CHILD.name, &only)?;
        tally.passed += played.passed;
        tally.failed += played.failed;
    }
    Ok(tally)
}

/// In the namespace: plays the tricks, and says `tally PASSED FAILED` at the end.
#[expect(clippy::print_stdout, reason = "the parent reads it")]
fn child(words: &[String]) -> anyhow::Result<()> {
    namespace::furnish()?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let tally = runtime.block_on(play::all(words))?;
    println!("{} {} {}", namespace::TALLY, tally.passed, tally.failed);
    Ok(())
}
