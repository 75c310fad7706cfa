//! What does the product say of worlds, and is it right? `parallax world check` asks here.
//!
//! Every world gets a controller, agents and sockets of its own, and runs in real time. Worlds run side by side, because
//! most of their time is waiting. Absent on purpose: the grading (`grade`) and the starting (`installation`).
//!
//! INVARIANT: a file that cannot be read ends the check before anything runs; a world that cannot be run counts as wrong.
//! INVARIANT: no world runs longer than [`WORLD_LIMIT`] and what it takes to stop.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parallax_model::Evidence;
use parallax_wire::pb;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::format::{LoadError, World, find};
use crate::grade::{Graded, Summary, grade, grade_unrun};
use crate::installation::{Installation, InstallationError};

/// Worlds that run at once, if enough files may be open. A world is work for a fifth of a second and waits for the rest.
const WORLDS_AT_ONCE: u16 = 64;
/// Sockets and files that one world may have open; 50 to 100 were seen.
const FILES_PER_WORLD: u16 = 120;
/// What the program itself has open.
const FILES_BESIDE: u16 = 100;
/// Worlds that are starting at once: keys and handshakes are work, not waiting.
const STARTING_AT_ONCE: usize = 2;
/// A world has to end within this time.
const WORLD_LIMIT: Duration = Duration::from_mins(4);
/// What the diagnosis of a world is given of that.
const DIAGNOSIS_LIMIT: Duration = Duration::from_secs(210);

/// What a world came to.
#[derive(Debug)]
pub struct Played {
    /// The answer, or why there is none.
    pub answer: Result<pb::Diagnosis, Unplayed>,
    /// What the answer was judged by.
    pub evidence: Option<Evidence>,
    /// By how much the counter of the account hit most rose, as its directory counts.
    pub risen: u32,
}

/// Why a world has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unplayed {
    #[error(transparent)]
    Installation(#[from] InstallationError),
    #[error("it did not end within {} s", WORLD_LIMIT.as_secs())]
    Late,
}

/// Plays every world of these paths and grades the answers; `each` is told of every world as it ends.
///
/// # Errors
/// When a path or a world cannot be read; then nothing was run.
pub async fn check(paths: &[PathBuf], mut each: impl FnMut(&Graded)) -> Result<Summary, LoadError> {
    let worlds = load(paths)?;
    let places = Arc::new(Semaphore::new(worlds_at_once()));
    let starting = Arc::new(Semaphore::new(STARTING_AT_ONCE));
    let mut running = JoinSet::new();
    for (number, world) in worlds.iter().enumerate() {
        let (world, places, starting) =
            (Arc::clone(world), Arc::clone(&places), Arc::clone(&starting));
        running.spawn(async move {
            // The semaphores are never closed; without them a world would run all the same.
            let _place = places.acquire().await;
            let played = play(Arc::clone(&world), &starting).await;
            (number, graded(&world, &played), played.answer.ok())
        });
    }
    let mut grades: Vec<Option<Graded>> = vec![None; worlds.len()];
    let mut summary = Summary::default();
    while let Some(ended) = running.join_next().await {
        // A panic is reported where it happens; its world is missing below.
        let Ok((number, one, answer)) = ended else { continue };
        each(&one);
        if let Some(world) = worlds.get(number) {
            summary.cover(&world.expect, answer.as_ref());
        }
        if let Some(place) = grades.get_mut(number) {
            *place = Some(one);
        }
    }
    for (world, one) in worlds.iter().zip(grades) {
        let missing = || grade_unrun(&world.id, &world.expect, "the run of this world broke", 0);
        summary.add(one.unwrap_or_else(missing));
    }
    Ok(summary)
}

/// As many as the limit on open files allows, which is raised as far as needed and permitted.
#[cfg(unix)]
pub fn worlds_at_once() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let wanted = u64::from(WORLDS_AT_ONCE) * u64::from(FILES_PER_WORLD) + u64::from(FILES_BESIDE);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let mut limit = current.unwrap_or(wanted);
    if limit < wanted {
        let raised = maximum.unwrap_or(wanted).min(wanted);
        if setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }).is_ok() {
            limit = raised;
        }
    }
    let fitting = limit.saturating_sub(FILES_BESIDE.into()) / u64::from(FILES_PER_WORLD);
    usize::try_from(fitting).unwrap_or(usize::MAX).clamp(1, WORLDS_AT_ONCE.into())
}

#[cfg(not(unix))]
pub fn worlds_at_once() -> usize {
    WORLDS_AT_ONCE.into()
}

/// Every world of these paths, each file once, in the order of the paths.
fn load(paths: &[PathBuf]) -> Result<Vec<Arc<World>>, LoadError> {
    let mut seen = BTreeSet::new();
    let mut worlds = Vec::new();
    for path in paths {
        let found = find(path)?;
        if found.is_empty() {
            return Err(LoadError::NoWorld { path: path.clone() });
        }
        for (file, world) in found {
            if seen.insert(canonical(&file)) {
                worlds.push(Arc::new(world));
            }
        }
    }
    Ok(worlds)
}

fn canonical(file: &Path) -> PathBuf {
    file.canonicalize().unwrap_or_else(|_| file.to_owned())
}

/// Plays one world: starts everything, diagnoses, stops everything. `starting` bounds how many worlds start at once.
pub async fn play(world: Arc<World>, starting: &Semaphore) -> Played {
    let folder = match tempfile::tempdir() {
        Ok(folder) => folder,
        Err(error) => return unplayed(InstallationError::from(error)),
    };
    let turn = starting.acquire().await;
    let started = Installation::start(world, folder.path()).await;
    drop(turn);
    let installation = match started {
        Ok(installation) => installation,
        Err(error) => return unplayed(error),
    };
    let asked = tokio::time::timeout(WORLD_LIMIT, ask(&installation)).await;
    let answer = asked.map_or(Err(Unplayed::Late), |it| it.map_err(Unplayed::from));
    let evidence = match &answer {
        Ok(diagnosis) => installation.evidence(diagnosis).await.ok(),
        Err(_) => None,
    };
    let world = installation.stop().await;
    let risen = world.highest_rise();
    world.stop().await;
    Played { answer, evidence, risen }
}

fn unplayed(error: InstallationError) -> Played {
    Played { answer: Err(error.into()), evidence: None, risen: 0 }
}

async fn ask(installation: &Installation) -> Result<pb::Diagnosis, InstallationError> {
    let registration = installation.registration();
    installation.bring_in(registration).await?;
    installation.diagnose(&registration.target_id, DIAGNOSIS_LIMIT).await
}

fn graded(world: &World, played: &Played) -> Graded {
    match &played.answer {
        Ok(diagnosis) => grade(&world.id, &world.expect, diagnosis, played.risen),
        Err(reason) => grade_unrun(&world.id, &world.expect, &chain(reason), played.risen),
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
