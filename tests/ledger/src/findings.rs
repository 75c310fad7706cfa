//! What did the checker find in one model?
//!
//! Runs a model breadth first on one thread, so the same model always gives the same findings. Deliberately absent: any judgement; what a
//! variant should come to stands in [`crate::variants`].

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::time::{Duration, Instant};

use stateright::{Checker, Expectation, HasDiscoveries, Model};

/// What was explored, summed up.
#[derive(Clone, Debug)]
pub struct Findings {
    pub distinct_states: usize,
    pub took: Duration,
    /// Names of the violated invariants, each with the steps that lead there.
    pub violated: BTreeMap<&'static str, Vec<String>>,
    /// Names of the goals that no state reaches.
    pub unreached: Vec<&'static str>,
}

impl Findings {
    /// Explores `model` completely.
    pub fn of<M>(model: M) -> Self
    where
        M: Model + Send + Sync + 'static,
        M::State: Debug + Hash + Clone + PartialEq + Send + Sync + 'static,
        M::Action: Debug + Clone + PartialEq + Send + Sync + 'static,
    {
        Self::search(model, HasDiscoveries::All)
    }

    /// Explores `model` until every one of these invariants was seen violated, or to the end.
    pub fn until<M>(model: M, violated: &[&'static str]) -> Self
    where
        M: Model + Send + Sync + 'static,
        M::State: Debug + Hash + Clone + PartialEq + Send + Sync + 'static,
        M::Action: Debug + Clone + PartialEq + Send + Sync + 'static,
    {
        Self::search(model, HasDiscoveries::AllOf(violated.iter().copied().collect()))
    }

    fn search<M>(model: M, until: HasDiscoveries) -> Self
    where
        M: Model + Send + Sync + 'static,
        M::State: Debug + Hash + Clone + PartialEq + Send + Sync + 'static,
        M::Action: Debug + Clone + PartialEq + Send + Sync + 'static,
    {
        let began = Instant::now();
        let checker = model.checker().finish_when(until).spawn_bfs().join();
        let mut violated = BTreeMap::new();
        let mut unreached = Vec::new();
        for property in checker.model().properties() {
            match (property.expectation, checker.discovery(property.name)) {
                (Expectation::Always, Some(path)) => {
                    let steps = path.into_actions().iter().map(|it| format!("{it:?}")).collect();
                    violated.insert(property.name, steps);
                }
                (Expectation::Sometimes | Expectation::Eventually, None) => {
                    unreached.push(property.name);
                }
                (Expectation::Always, None)
                | (Expectation::Sometimes | Expectation::Eventually, Some(_)) => {}
            }
        }
        let distinct_states = checker.unique_state_count();
        Self { distinct_states, took: began.elapsed(), violated, unreached }
    }

    pub fn violated_names(&self) -> Vec<&'static str> {
        self.violated.keys().copied().collect()
    }
}
