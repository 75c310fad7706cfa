//! Bans against live sessions, each at another moment: is the stream cut in time, and is the agent out for good?
//!
//! Half of the victims have renewed their certificate since their session began, and used the new one, so that the register no
//! longer knows the one that the session showed. Beside every victim a witness looks at the same target. After the ban a diagnosis
//! begins: the witness is offered its task, the victim never is. So no figure here depends on how long a message was on its way.
//!
//! INVARIANT: a ban passes only if the stream ended within [`CUT_MAX`], the witness had work that the victim was not offered, and
//! the victim was refused when it came back.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::time::{Instant, timeout};
use tonic::Code;

use super::agent::{Agent, Manner, Shown};
use super::bed::Bed;
use crate::campaign::{Plan, Scale, Tally};

const VICTIMS_FULL: usize = 50;
const VICTIMS_SHORT: usize = 5;
/// The promise.
const CUT_MAX: Duration = Duration::from_secs(5);
/// Longer than anything else takes here.
const SOON: Duration = Duration::from_secs(20);
const WITNESS: &str = "witness";

/// What the victim is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Idle,
    /// It holds a task.
    Probing,
    /// Its result crosses the ban.
    Reporting,
    /// It begins one session after another.
    Reconnecting,
}

const MOMENTS: [Moment; 4] =
    [Moment::Idle, Moment::Probing, Moment::Reporting, Moment::Reconnecting];

pub(super) fn run(plan: &Plan) -> Result<Tally> {
    let runtime = tokio::runtime::Runtime::new().context("no runtime")?;
    runtime.block_on(ban_all(plan.scale))
}

#[expect(clippy::print_stdout, reason = "a program for the terminal")]
async fn ban_all(scale: Scale) -> Result<Tally> {
    let victims = match scale {
        Scale::Short => VICTIMS_SHORT,
        Scale::Full => VICTIMS_FULL,
    };
    let mut names: Vec<String> = (0..victims).map(|it| format!("victim-{it}")).collect();
    names.push(WITNESS.to_owned());
    let (bed, mut identities) = Bed::start(&names).await?;
    let witness = identities.last().context("no witness")?;
    let witness = Agent::connect(&bed, witness, Manner::Answers).await??;
    // All are there before the first is banned.
    let mut agents = Vec::with_capacity(victims);
    for identity in &identities[..victims] {
        agents.push(Agent::connect(&bed, identity, Manner::Holds).await??);
    }
    // Half of them go on with a session whose certificate is no longer the newest, nor the one before.
    for (number, shown) in identities[..victims].iter_mut().enumerate() {
        if is_renewed(number) {
            *shown = shown.renewed(&bed).await?.renewed(&bed).await?.renewed(&bed).await?;
        }
    }
    let mut tally = Tally::default();
    let mut slowest = Duration::ZERO;
    for (number, agent) in agents.into_iter().enumerate() {
        let moment = MOMENTS[number % MOMENTS.len()];
        let name = names[number].as_str();
        match one(&bed, name, &identities[number], agent, &witness, moment).await {
            Ok(took) => {
                slowest = slowest.max(took);
                tally.passed += 1;
            }
            Err(error) => {
                println!("{name} ({moment:?}): {error:#}");
                tally.failed += 1;
            }
        }
    }
    println!(
        "{} of {victims} sessions were cut, the slowest after {} ms; no task afterwards",
        tally.passed,
        slowest.as_millis()
    );
    drop(witness);
    bed.end().await?;
    Ok(tally)
}

/// Every moment once with, once without.
const fn is_renewed(victim: usize) -> bool {
    (victim + victim / MOMENTS.len()) % 2 == 1
}

/// Bans one agent. Gives how long it took from the operator's call to the end of the stream.
async fn one(
    bed: &Bed,
    name: &str,
    identity: &Shown,
    mut agent: Agent,
    witness: &Agent,
    moment: Moment,
) -> Result<Duration> {
    bed.target(name, &[name, WITNESS]).await?;
    let held = match moment {
        Moment::Idle | Moment::Reconnecting => None,
        Moment::Probing | Moment::Reporting => {
            bed.diagnose(name).await?;
            let offered = agent.offers.wait_for(|it| !it.is_empty());
            let offer = timeout(SOON, offered).await??.first().cloned();
            Some(offer.context("no offer")?)
        }
    };
    let started = Instant::now();
    match (moment, &held) {
        (Moment::Reconnecting, _) => {
            let (banned, last) = tokio::join!(bed.ban(name), reconnect(bed, identity));
            banned?;
            agent = last?.unwrap_or(agent);
        }
        (Moment::Reporting, Some(offer)) => {
            let (banned, reported) = tokio::join!(bed.ban(name), agent.report(offer));
            banned.and(reported)?;
        }
        (Moment::Idle | Moment::Probing | Moment::Reporting, _) => bed.ban(name).await?,
    }
    ensure!(!bed.view.borrow().connected.iter().any(|it| it.as_str() == name), "still connected");
    let (ended, mut offers) =
        timeout(SOON, agent.ended()).await.context("the stream goes on")??;
    let took = ended.saturating_duration_since(started);
    ensure!(took <= CUT_MAX, "the stream was cut after {took:?}");

    let later = bed.diagnose(name).await?;
    let mut seen = witness.offers.clone();
    let witnessed = seen.wait_for(|it| it.iter().any(|it| it.diagnosis == later));
    timeout(SOON, witnessed).await.context("the witness was offered nothing")??;
    match Agent::connect(bed, identity, Manner::Holds).await? {
        Err(status) if status.code() == Code::PermissionDenied => {}
        Err(status) => bail!("refused for another reason: {status}"),
        Ok(again) => {
            offers.extend(again.offers.borrow().clone());
            bail!("it came back");
        }
    }
    ensure!(offers.iter().all(|it| it.diagnosis != later), "it was offered a task after its ban");
    Ok(took)
}

/// Comes back until it is refused. Gives the last session that it had.
async fn reconnect(bed: &Bed, identity: &Shown) -> Result<Option<Agent>> {
    let until = Instant::now() + SOON;
    let mut last = None;
    while Instant::now() < until {
        match Agent::connect(bed, identity, Manner::Holds).await? {
            Ok(agent) => last = Some(agent),
            Err(status) if status.code() == Code::PermissionDenied => return Ok(last),
            // Between two of its own sessions.
            Err(status) if status.code() == Code::Aborted => {}
            Err(status) => bail!("refused for another reason: {status}"),
        }
    }
    bail!("it was never refused")
}
