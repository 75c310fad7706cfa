//! When all is over: is everything there that was promised, and did nobody lose more than was granted?

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use parallax_model::{AccountId, DiagnosisId, VantageName};
use parallax_store::Store;

use super::network::Stage;
use super::runs::Seen;
use super::{BUDGET, Goal};
use crate::campaign::Tally;

pub(super) async fn verify(stage: Stage, goal: Goal, seen: Seen) -> anyhow::Result<Tally> {
    // It looks at the whole file before it opens it.
    let store = Store::open(&stage.data(), Duration::from_secs(5)).await?;
    let mut failures = seen.failures.clone();
    let acknowledged = acknowledged(&stage, &store, &mut failures).await?;
    ends(&store, &seen, &mut failures).await?;
    let sent = emissions(&stage, &store, &seen, &mut failures).await?;
    let counted = stage.counted();
    let full = counted.values().filter(|it| **it == BUDGET).count();
    let above = counted.values().filter(|it| **it > BUDGET).count();
    if above > 0 {
        failures.push(format!("{above} accounts above {BUDGET}"));
    }
    if (full as u64) < goal.full_accounts {
        failures.push(format!("only {full} accounts reached exactly {BUDGET}"));
    }
    let mut ready = seen.ready.clone();
    ready.sort_unstable();
    let longest = ready.last().copied().unwrap_or_default();
    show(&seen, acknowledged, (full, sent), longest);
    for failure in &failures {
        say(failure);
    }
    store.close().await;
    stage.world.stop().await;
    let failed = failures.len() as u64;
    Ok(Tally { passed: seen.controller_kills + seen.agent_kills, failed })
}

/// Every result that an agent saw acknowledged is in the database.
async fn acknowledged(
    stage: &Stage,
    store: &Store,
    failures: &mut Vec<String>,
) -> anyhow::Result<usize> {
    let mut count = 0;
    for agent in &stage.agents {
        let name = VantageName::new(agent.as_str()).context("a name")?;
        for task in tasks(&stage.home(agent).join("log"))? {
            let known = store.granted_task(&task, &name, i64::MAX).await?;
            if !known.is_some_and(|it| it.is_reported) {
                failures.push(format!("task {task} of {agent} was acknowledged and is not there"));
            }
            count += 1;
        }
    }
    Ok(count)
}

/// The tasks whose acknowledgement the agent noted.
fn tasks(log: &Path) -> anyhow::Result<BTreeSet<String>> {
    let text = std::fs::read_to_string(log)?;
    let lines = text.lines().filter(|it| it.contains("parallax_agent::desk: acknowledged"));
    let tasks =
        lines.filter_map(|it| Some(it.split_once("task=\"")?.1.split_once('"')?.0.to_owned()));
    Ok(tasks.collect())
}

async fn ends(store: &Store, seen: &Seen, failures: &mut Vec<String>) -> anyhow::Result<()> {
    for (id, _) in &seen.answered {
        let name = DiagnosisId::new(id.as_str()).context("an id")?;
        match store.diagnosis(&name).await {
            Ok(it) if it.end_time.is_some() => {}
            Ok(_) => failures.push(format!("diagnosis {id} has no end")),
            Err(error) => failures.push(format!("diagnosis {id}: {error}")),
        }
    }
    Ok(())
}

/// No more credentials arrived at any box than logons were started, account by account. Returns how many arrived.
async fn emissions(
    stage: &Stage,
    store: &Store,
    seen: &Seen,
    failures: &mut Vec<String>,
) -> anyhow::Result<u64> {
    let mut arrived = 0;
    for it in &stage.targets {
        let Some(account) = it.accounts.first() else { continue };
        let id = AccountId::new(account.id.as_str()).context("an id")?;
        let mut started = 0;
        let asked: BTreeSet<&String> = seen
            .asked
            .iter()
            .filter(|(_, target)| *target == it.target_id)
            .map(|(id, _)| id)
            .collect();
        for diagnosis in asked {
            let name = DiagnosisId::new(diagnosis.as_str()).context("an id")?;
            started += store.standing(&id, &name).await.map_or(0, |it| it.used);
        }
        let mut most = 0;
        for (logon, count) in stage.world.logons() {
            if logon.account.as_ref() == Some(&account.entry) {
                most = most.max(count);
            }
        }
        arrived += u64::from(most);
        if most > started {
            failures.push(format!(
                "{}: {most} credentials arrived, {started} logons started",
                it.target_id
            ));
        }
    }
    Ok(arrived)
}

#[expect(clippy::print_stdout, reason = "a program for the terminal")]
fn show(seen: &Seen, acknowledged: usize, (full, sent): (usize, u64), longest: Duration) {
    println!(
        "  {} runs: controller killed {} times, agent {} times",
        seen.runs, seen.controller_kills, seen.agent_kills
    );
    let deaths: Vec<String> = seen.deaths.iter().map(|(name, it)| format!("{name} {it}")).collect();
    println!("  deaths: {}", deaths.join(", "));
    let states: Vec<String> = seen.states.iter().map(|(name, it)| format!("{name} {it}")).collect();
    println!("  {} diagnoses answered; ended: {}", seen.answered.len(), states.join(", "));
    println!("  {acknowledged} results acknowledged, each looked up in the database");
    println!(
        "  {full} accounts at exactly {BUDGET} refused logons, none above; {sent} credentials arrived"
    );
    println!("  {} starts, ready after at most {} ms", seen.ready.len(), longest.as_millis());
}

#[expect(clippy::print_stdout, reason = "a program for the terminal")]
fn say(failure: &str) {
    println!("  FAILED: {failure}");
}
