//! Hostile targets and hostile name servers: whatever they do, a look ends in time, stays small, and says where it ended.
//!
//!     parallax-long hostile [--short | NAME…]
//!
//! Each behaviour meets the real probe in a process of its own, which measures itself. The short form runs every behaviour once
//! under shortened limits; the full one runs each in every mode of authentication under the real limits; with names, those
//! alone run, and each says what it saw.
//!
//! INVARIANT: a credential is counted at the server, not where it was sent from.

mod behaviours;
mod below;
mod bounds;
mod case;
mod certificates;
mod errand;
mod label;
mod measure;
mod mode;
mod names;
mod probe;
mod seal;
mod server;
mod step;

use std::time::Duration;

use anyhow::Result;
use futures::StreamExt as _;

use crate::campaign::{Campaign, Child, Plan, Scale, Tally};
use behaviours::Conduct;
use case::{Case, Ground, Subject, Verdict};
use errand::Sabotage;
use mode::Mode;

pub(crate) const CAMPAIGN: Campaign = Campaign {
    name: "hostile",
    about: "targets and name servers that mean harm: no panic, no growth, no lateness, one credential at most",
    run,
};

pub(crate) const CHILD: Child = Child { name: "hostile", run: probe::run };

/// Looks at a time. Most of them wait.
const AT_ONCE: usize = 12;

fn run(plan: &Plan) -> Result<Tally> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run_all(plan))
}

#[expect(clippy::print_stdout, reason = "a campaign prints its figures")]
async fn run_all(plan: &Plan) -> Result<Tally> {
    let ground = Ground::prepare(plan.scale).await?;
    let chosen = cases(plan);
    let verdicts: Vec<Verdict> = futures::stream::iter(chosen)
        .map(|case| case.run(&ground))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let mut tally = Tally::default();
    for verdict in &verdicts {
        if verdict.problems.is_empty() {
            tally.passed += 1;
        } else {
            tally.failed += 1;
        }
        for problem in &verdict.problems {
            println!("  {}: {problem}", verdict.name);
        }
        if !plan.words.is_empty() {
            println!("  {}: {}", verdict.name, verdict.report.line());
        }
    }
    for line in figures(&verdicts) {
        println!("  {line}");
    }
    Ok(tally)
}

/// What to run: every behaviour and script, in the modes of the plan, and the looks that are spoiled on purpose.
fn cases(plan: &Plan) -> Vec<Case> {
    let is_chosen = |name: &str| plan.words.is_empty() || plan.words.iter().any(|it| it == name);
    let mut found = Vec::new();
    for (family, behaviour) in behaviours::all().filter(|(_, it)| is_chosen(it.name)) {
        for mode in modes(plan.scale, family, &behaviour.conduct) {
            found.push(Case {
                subject: Subject::Server(behaviour, *mode),
                sabotage: Sabotage::None,
            });
        }
    }
    for script in names::all().filter(|it| is_chosen(it.name)) {
        found.push(Case { subject: Subject::Names(script), sabotage: Sabotage::None });
    }
    let crowd = names::all()
        .filter(|it| is_chosen(it.name) && it.says.starts_with("dns found 16"))
        .flat_map(|script| behaviours::all().map(move |(_, it)| (script, it)))
        .filter(|(_, it)| matches!(it.name, "head-and-body-at-what-is-kept" | "header-of-60-kib"));
    found.extend(crowd.map(|(script, behaviour)| Case {
        subject: Subject::Crowd(script, behaviour),
        sabotage: Sabotage::None,
    }));
    if plan.words.is_empty() {
        let asked_again =
            behaviours::all().map(|(_, it)| it).find(|it| it.name == "refused-and-asked-again");
        if let Some(behaviour) = asked_again {
            let spoiled =
                |sabotage| Case { subject: Subject::Server(behaviour, Mode::Basic), sabotage };
            found.extend(Sabotage::REAL.map(spoiled));
        }
    }
    found
}

/// In the short form what can make a client repeat itself meets the credential, the rest comes once.
fn modes(scale: Scale, family: &str, conduct: &Conduct) -> &'static [Mode] {
    let is_tempting = matches!(family, "redirects" | "endings" | "challenges");
    match (scale, conduct) {
        (Scale::Full, _) => &Mode::ALL,
        (Scale::Short, Conduct::Answer(_)) if is_tempting => &[Mode::Basic],
        (Scale::Short, Conduct::Answer(_) | Conduct::Below(_)) => &[Mode::Anonymous],
    }
}

fn figures(verdicts: &[Verdict]) -> Vec<String> {
    let real = || verdicts.iter().filter(|it| !it.is_control);
    let worst = |name: &str, value: &dyn Fn(&Verdict) -> u128, unit: &str| {
        real().max_by_key(|it| value(it)).map_or_else(String::new, |it| {
            format!("worst {name}: {} {unit} ({})", value(it), it.name)
        })
    };
    let milliseconds = |it: Duration| it.as_millis();
    let credentialed = || real().filter(|it| it.credentials_at_most == 1);
    vec![
        format!(
            "{} looks at hostile servers, {} at hostile name servers, {} spoiled on purpose and noticed",
            real().filter(|it| !it.is_names).count(),
            real().filter(|it| it.is_names).count(),
            verdicts.iter().filter(|it| it.is_control && it.problems.is_empty()).count(),
        ),
        format!("panics: {}", real().map(|it| it.report.panics).sum::<u64>()),
        worst(
            "lateness",
            &|it| milliseconds(it.report.late),
            "ms beyond the deadline, as measured",
        ),
        worst(
            "lateness",
            &|it| milliseconds(it.own_lateness()),
            "ms, less what an idle thread was late",
        ),
        worst("growth", &|it| u128::from(it.report.growth_kib), "KiB"),
        worst("CPU", &|it| milliseconds(it.report.cpu), "ms"),
        format!(
            "attempts with a secret: {}; servers that got it once: {}, more than once: {}",
            credentialed().count(),
            credentialed().filter(|it| it.credentials == 1).count(),
            credentialed().filter(|it| it.credentials > 1).count(),
        ),
        format!("connections to forbidden places: {}", real().map(|it| it.trespasses).sum::<u64>()),
    ]
}
