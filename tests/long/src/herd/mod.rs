//! A whole fleet comes back at once: does the controller take it in time, and does the API answer meanwhile?
//!
//! `herd` registers light agents and connects them, then restarts the controller twice: it is killed and comes back a while later, and
//! it stops by itself and tells everybody to go away. The agents come back by the rule of the real agent. Absent on purpose: what a
//! session costs in memory, which `tests/bench/fleet` compares with a bare stream.
//!
//! INVARIANT: a restart passes only if every agent has a session at one moment within [`BACK_MAX`], and every call of the API was
//! answered, 99 of 100 within [`Size::call_max`].

pub(crate) mod bed;
mod controller;
pub(crate) mod light;
pub(crate) mod process;
mod storm;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use self::bed::Bed;
use self::light::{Watch, live};
use self::storm::{Roll, Storm};
use crate::campaign::{Campaign, Child, Plan, Scale, Tally};

/// A restart of the controller.
pub(crate) const CAMPAIGN: Campaign = Campaign {
    name: "herd",
    about: "after a restart all agents are back within 120 s, while the API answers within 1 s (p99)",
    run,
};

/// The controller that is restarted.
pub(crate) const CHILD: Child = Child { name: "herd-controller", run: controller::run };

/// With these words this program becomes the controller.
const WORDS: [&str; 2] = ["child", CHILD.name];
/// The promise.
const BACK_MAX: Duration = Duration::from_mins(2);
/// A target that a single agent looks at.
const TARGET: &str = "small";
const DIAGNOSIS_LIMIT: Duration = Duration::from_secs(30);
/// For the first session of every agent.
const FIRST_LIMIT: Duration = Duration::from_mins(5);

#[derive(Clone, Copy)]
struct Size {
    agents: usize,
    /// New agents a second, at the beginning.
    pace: u32,
    /// From the end of one controller to the start of the next.
    down: Duration,
    /// Between two restarts; sessions that lasted a minute start the waits anew.
    quiet: Duration,
    /// For 99 of 100 calls. The promise is that of the full version; the short one is not optimised, and the gate has company.
    call_max: Duration,
}

const SHORT: Size = Size {
    agents: 300,
    pace: 200,
    down: Duration::from_millis(300),
    quiet: Duration::ZERO,
    call_max: Duration::from_secs(3),
};
const FULL: Size = Size {
    agents: 10_000,
    pace: 1000,
    down: Duration::from_secs(5),
    quiet: Duration::from_secs(61),
    call_max: Duration::from_secs(1),
};

/// How a controller ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Killed,
    Stopped,
}

fn run(plan: &Plan) -> Result<Tally> {
    let size = match plan.scale {
        Scale::Short => SHORT,
        Scale::Full => FULL,
    };
    process::raise_descriptors()?;
    process::check_descriptors(size.agents)?;
    let runtime = tokio::runtime::Runtime::new().context("no runtime")?;
    runtime.block_on(restart_twice(size))
}

#[expect(clippy::print_stdout, reason = "a program for the terminal")]
async fn restart_twice(size: Size) -> Result<Tally> {
    let begun = Instant::now();
    let mut bed = Bed::make(size.agents).await?;
    println!("{} agents registered in {:.1?}", size.agents, begun.elapsed());
    let (mut process, mut api) = bed.start(&WORDS).await?;
    let roll = Arc::new(Roll::of(size.agents));
    let mut herd = JoinSet::new();
    let begun = Instant::now();
    for agent in &bed.agents {
        let watch: Arc<dyn Watch> = Arc::<Roll>::clone(&roll);
        herd.spawn(live(agent.clone(), bed.port, watch));
        sleep(Duration::from_secs(1) / size.pace).await;
    }
    roll.complete(FIRST_LIMIT).await.context("not every agent had a first session")?;
    println!("first sessions of all in {:.1?}", begun.elapsed());
    api.create_target(TARGET, vec![bed::vantage(0)]).await?;
    let diagnosis = api.diagnose(TARGET, DIAGNOSIS_LIMIT).await?.name;
    let mut tally = Tally::default();
    for end in [End::Killed, End::Stopped] {
        sleep(size.quiet).await;
        roll.begin();
        match end {
            End::Killed => process.kill().await?,
            End::Stopped => process.end(Duration::from_mins(1)).await?,
        }
        let ended = Instant::now();
        sleep(size.down).await;
        (process, api) = bed.start(&WORDS).await?;
        let storm = Storm::watch(&roll, bed.api, &diagnosis, &process, ended).await?;
        println!("{storm}");
        for is_good in [storm.is_back(BACK_MAX), storm.has_answered(size.call_max)] {
            if is_good { tally.passed += 1 } else { tally.failed += 1 }
        }
        // It does what it is there for.
        api.diagnose(TARGET, DIAGNOSIS_LIMIT).await.context("a diagnosis afterwards")?;
    }
    herd.shutdown().await;
    process.end(Duration::from_mins(1)).await?;
    Ok(tally)
}
