//! Rules that hold for the evidence of every world, whatever it shows: it is judged, changed a little, and judged anew.
//!
//! Evidence that a generator makes up explores what nobody would meet; the worlds are what people meet.
//!
//! INVARIANT: a world is played once; all rules are tried on what it left.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parallax_faults::diagnose;
use parallax_model::{
    Diagnosis, Evidence, Exchange, FaultId, PathCondition, Report, Silence, Standing, Vantage,
    VantageName, Verdict,
};
use parallax_world::check::{play, worlds_at_once};
use parallax_world::format::{World, find};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const STARTING_AT_ONCE: usize = 2;
/// Removals of reports, and of single exchanges, tried of one world, spread over all of them.
const REMOVALS_TRIED: usize = 12;

fn worlds() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/worlds")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rules_of_judging_hold_in_every_world() {
    let found = find(&worlds()).expect("the worlds");
    assert!(found.len() > 100, "only {} worlds", found.len());
    let places = Arc::new(Semaphore::new(worlds_at_once()));
    let starting = Arc::new(Semaphore::new(STARTING_AT_ONCE));
    let mut running = JoinSet::new();
    for (_, world) in found {
        let (places, starting) = (Arc::clone(&places), Arc::clone(&starting));
        running.spawn(async move {
            let _place = places.acquire().await;
            broken_rules(Arc::new(world), &starting).await
        });
    }
    let mut broken = Vec::new();
    while let Some(ended) = running.join_next().await {
        broken.extend(ended.expect("a world that can be judged"));
    }
    broken.sort();
    assert!(broken.is_empty(), "{} rules broken:\n{}", broken.len(), broken.join("\n"));
}

async fn broken_rules(world: Arc<World>, starting: &Semaphore) -> Vec<String> {
    let id = world.id.clone();
    let played = play(world, starting).await;
    let Some(evidence) = played.evidence else { return vec![format!("{id}: not played")] };
    let before = diagnose(&evidence);
    let rules = [
        order_matters(&evidence, &before),
        removal_confirms(&evidence, &before),
        a_twin_changes_the_cause(&evidence, &before),
        silence_speaks(&evidence),
    ];
    rules.into_iter().flatten().map(|it| format!("{id}: {it}")).collect()
}

/// The order of paths, vantages and accounts never matters.
fn order_matters(evidence: &Evidence, before: &Diagnosis) -> Vec<String> {
    let mut turned = evidence.clone();
    for round in &mut turned.rounds {
        round.reports.reverse();
        for report in &mut round.reports {
            if let Report::Seen(sight) = &mut report.report {
                sight.observations.reverse();
            }
        }
    }
    turned.vantages.reverse();
    let after = diagnose(&turned);
    let is_same = after.verdict == before.verdict
        && faults(&after) == faults(before)
        && ruled_out(&after) == ruled_out(before);
    if is_same { Vec::new() } else { vec!["the order of paths matters".to_owned()] }
}

fn faults(diagnosis: &Diagnosis) -> Vec<(FaultId, Standing)> {
    diagnosis.findings.iter().map(|it| (it.fault, it.standing)).collect()
}

fn ruled_out(diagnosis: &Diagnosis) -> BTreeSet<FaultId> {
    diagnosis.ruled_out.iter().map(|it| it.fault).collect()
}

/// Removing an observation never turns *ruled out* into *confirmed*.
fn removal_confirms(evidence: &Evidence, before: &Diagnosis) -> Vec<String> {
    let ruled_out = ruled_out(before);
    let mut broken = Vec::new();
    let mut judge_without = |less: &Evidence, what: String| {
        let after = diagnose(less);
        let wrong = after
            .findings
            .iter()
            .find(|it| it.standing == Standing::Confirmed && ruled_out.contains(&it.fault));
        broken.extend(wrong.map(|it| format!("without {what}, {} is confirmed", it.fault)));
    };
    let mut less = evidence.clone();
    for [round, report] in spread(reports(evidence)) {
        let silent = Report::Silent(Silence::Late);
        let removed = std::mem::replace(&mut less.rounds[round].reports[report].report, silent);
        let path = less.rounds[round].reports[report].path.clone();
        judge_without(&less, format!("round {} of {path}", round + 1));
        less.rounds[round].reports[report].report = removed;
    }
    for [round, report, observation, exchange] in spread(exchanges(evidence)) {
        let path = less.rounds[round].reports[report].path.clone();
        let removed = exchanges_at(&mut less, round, report, observation).remove(exchange);
        judge_without(&less, format!("{:?} of {path} in round {}", removed.look, round + 1));
        exchanges_at(&mut less, round, report, observation).insert(exchange, removed);
    }
    broken
}

/// Some of them, evenly.
fn spread<const N: usize>(places: Vec<[usize; N]>) -> impl Iterator<Item = [usize; N]> {
    let step = places.len().div_ceil(REMOVALS_TRIED).max(1);
    places.into_iter().step_by(step)
}

fn exchanges_at(
    evidence: &mut Evidence,
    round: usize,
    report: usize,
    observation: usize,
) -> &mut Vec<Exchange> {
    match &mut evidence.rounds[round].reports[report].report {
        Report::Seen(sight) => &mut sight.observations[observation].exchanges,
        Report::Refused { .. } | Report::Unable { .. } | Report::Silent(_) => {
            unreachable!("only what was seen is looked for")
        }
    }
}

/// Where every report of something seen stands.
fn reports(evidence: &Evidence) -> Vec<[usize; 2]> {
    let rounds = evidence.rounds.iter().enumerate();
    let places = rounds.flat_map(|(round, it)| {
        let reports = it.reports.iter().enumerate();
        reports.filter(|(_, it)| it.report.seen().is_some()).map(move |(at, _)| [round, at])
    });
    places.collect()
}

/// Where every exchange stands.
fn exchanges(evidence: &Evidence) -> Vec<[usize; 4]> {
    let mut found = Vec::new();
    for [round, report] in reports(evidence) {
        let sight = evidence.rounds[round].reports[report].report.seen();
        for (at, it) in sight.into_iter().flat_map(|it| &it.observations).enumerate() {
            found.extend((0..it.exchanges.len()).map(|it| [round, report, at, it]));
        }
    }
    found
}

/// A further vantage that sees exactly what a healthy one sees never changes the cause.
fn a_twin_changes_the_cause(evidence: &Evidence, before: &Diagnosis) -> Vec<String> {
    let is_healthy = |vantage: &&Vantage| {
        let mut own = before.matrix.iter().filter(|it| it.path.vantage == vantage.name).peekable();
        own.peek().is_some() && own.all(|it| it.condition == PathCondition::Works)
    };
    let mut broken = Vec::new();
    for vantage in evidence.vantages.iter().filter(is_healthy) {
        let more = with_twin(evidence, vantage);
        let after = diagnose(&more);
        if cause(after.verdict) != cause(before.verdict) {
            let (was, is) = (cause(before.verdict), cause(after.verdict));
            broken.push(format!("a twin of {} makes {is} of {was}", vantage.name));
        }
    }
    broken
}

fn cause(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Fault { fault, .. } => fault.0,
        Verdict::Healthy => "healthy",
        Verdict::Undetermined => "undetermined",
    }
}

/// The twin is asked for no logon of its own: a credential goes out once.
fn with_twin(evidence: &Evidence, vantage: &Vantage) -> Evidence {
    let name = VantageName::new(format!("{}-twin", vantage.name)).expect("a name");
    let mut more = evidence.clone();
    more.vantages.push(Vantage { name: name.clone(), ..vantage.clone() });
    for endpoint in &mut more.target.endpoints {
        if endpoint.from.contains(&vantage.name) {
            endpoint.from.push(name.clone());
        }
    }
    for round in &mut more.rounds {
        let own = round.reports.iter().filter(|it| it.path.vantage == vantage.name);
        let mut twins: Vec<_> = own.cloned().collect();
        for twin in &mut twins {
            twin.path.vantage = name.clone();
            if let Report::Seen(sight) = &mut twin.report {
                for observation in &mut sight.observations {
                    observation.exchanges.retain(|it| !it.look.is_logon());
                }
            }
        }
        round.reports.extend(twins);
        round.reports.sort_by(|a, b| a.path.cmp(&b.path));
    }
    more
}

/// Where nobody reports, nothing is said.
fn silence_speaks(evidence: &Evidence) -> Vec<String> {
    let mut silent = evidence.clone();
    for report in silent.rounds.iter_mut().flat_map(|it| &mut it.reports) {
        report.report = Report::Silent(Silence::Late);
    }
    let verdict = diagnose(&silent).verdict;
    if verdict == Verdict::Undetermined {
        Vec::new()
    } else {
        vec![format!("silence everywhere makes {}", cause(verdict))]
    }
}
