//! What does the protocol do, step by step, when everything around it may go wrong?
//!
//! One account, a few attempts, a few agents. [`ledger`] is what the database holds, [`state`] that
//! and the world around it, [`actions`] what may happen next, `controller`, `agent` and
//! `surroundings` how it changes the state, [`invariants`] what must hold in every state.
//! Deliberately absent: time. A limit may run out at any moment and a message may take for ever,
//! which covers every order in which clocks could make these things happen.
//!
//! INVARIANT: only `controller` writes rows, so the ledger alone decides what is allowed.

pub mod actions;
pub mod invariants;
pub mod ledger;
pub mod limits;
pub mod state;

mod agent;
mod controller;
mod surroundings;

use stateright::{Model, Property};

use crate::defects::Defect;
use actions::Action;
use invariants::{Goal, Invariant};
use limits::Limits;
use state::State;

/// The protocol in one configuration; the checker explores everything it can do.
#[derive(Clone, Copy, Debug)]
pub struct Protocol {
    pub limits: Limits,
    pub guards: Guards,
    pub durability: Durability,
    pub honesty: Honesty,
    /// `None` is the protocol as it should be.
    pub defect: Option<Defect>,
}

/// Which rules stand beside the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guards {
    /// The budget has to hold by itself; any number of attempts may be open at once.
    BudgetAlone,
    /// Also single flight, the breaker of the secret, and one failure per diagnosis. This is what we run.
    All,
}

/// What the database may do with commits that it confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It keeps them.
    Kept,
    /// Once, an earlier state may come back: asynchronous failover, restored backup, lost write.
    EarlierStateMayReturn,
}

/// Whether an agent tells the truth about "not sent".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Honesty {
    Honest,
    /// May report that it sent nothing after every logon that it did send.
    LiesAboutNotSent,
}

impl Protocol {
    pub(crate) fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    pub(crate) fn all_guards(&self) -> bool {
        self.guards == Guards::All
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        State::initial(self)
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        controller::possible(self, state, actions);
        agent::possible(self, state, actions);
        surroundings::possible(self, state, actions);
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut after = *before;
        match action {
            Action::Controller(step) => controller::take(self, &mut after, step)?,
            Action::Agent(step) => agent::take(self, &mut after, step)?,
            Action::Surroundings(step) => surroundings::take(self, &mut after, step)?,
        }
        (after != *before).then_some(after)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let invariants = Invariant::ALL.iter().map(|it| Property::always(it.name(), it.holds()));
        let goals = Goal::ALL.iter().map(|it| Property::sometimes(it.name(), it.is_reached()));
        invariants.chain(goals).collect()
    }
}
