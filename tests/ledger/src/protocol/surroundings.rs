//! What happens to the protocol that it does not control: targets, directory, people, storage.
//!
//! The target judges a credential whenever it likes, also long after the agent has given up. The
//! directory counts a failure when the secret is bad at that moment.
//! Deliberately absent: other clients of the account. Their failures are what the unused half of
//! the lockout threshold is for.
//!
//! INVARIANT: nothing here reads or writes a row, except that storage may return an earlier ledger.

use crate::defects::Defect;
use crate::protocol::Protocol;
use crate::protocol::actions::{Action, SurroundingsStep as Step};
use crate::protocol::state::{Agent, Answer, Backup, State};
use crate::small_set::SmallSet;

/// Everything that may happen now.
pub(super) fn possible(protocol: &Protocol, state: &State, actions: &mut Vec<Action>) {
    let mut add = |step| actions.push(Action::Surroundings(step));
    for attempt in 0..protocol.limits.attempts {
        let sent = state.attempt(attempt);
        if sent.emissions > sent.judged {
            add(Step::JudgeCredential { attempt });
            add(Step::RefuseOnBrokenPath { attempt });
        }
    }
    if !state.good_secrets.is_empty() {
        add(Step::ChangePassword);
    }
    if protocol.all_guards() {
        let current = state.ledger.secret_version;
        if current == 0 {
            add(Step::RotateSecret);
        }
        if state.ledger.breaker_open_for.contains(current) && !state.history.released {
            add(Step::ReleaseAccount);
        }
    }
    match state.backup {
        Backup::Possible => add(Step::KeepEarlierState),
        Backup::Taken(_) => add(Step::ReturnToEarlierState),
        Backup::Over => {}
    }
}

/// Takes one step; `None` where it cannot be taken.
pub(super) fn take(protocol: &Protocol, state: &mut State, step: Step) -> Option<()> {
    match step {
        Step::JudgeCredential { attempt } => {
            let version = state.attempt(attempt).offer?.secret_version;
            if state.good_secrets.contains(version) {
                answer(state, attempt, Answer::Accepted)?;
            } else {
                state.attempt_mut(attempt).failures += 1;
                answer(state, attempt, Answer::Refused)?;
            }
        }
        Step::RefuseOnBrokenPath { attempt } => answer(state, attempt, Answer::Refused)?,
        Step::ChangePassword => state.good_secrets = SmallSet::EMPTY,
        Step::RotateSecret => state.ledger.secret_version = 1,
        Step::ReleaseAccount => {
            let current = state.ledger.secret_version;
            state.ledger.breaker_open_for.remove(current);
            state.history.refused_without_proof.remove(current);
            state.history.released = true;
        }
        Step::KeepEarlierState => state.backup = Backup::Taken(state.ledger),
        Step::ReturnToEarlierState => {
            let Backup::Taken(earlier) = state.backup else { return None };
            state.ledger = earlier;
            state.ledger.frozen = !protocol.has(Defect::RestoreWithoutFreeze);
            state.backup = Backup::Over;
        }
    }
    Some(())
}

/// One credential is judged; the answer reaches the agent only if it still waits on that connection.
fn answer(state: &mut State, attempt: u8, answer: Answer) -> Option<()> {
    let agent = state.attempt(attempt).offer?.agent;
    let waits = state.agent(agent) == Agent::AwaitingAnswer { attempt };
    let sent = state.attempt_mut(attempt);
    sent.judged += 1;
    if waits {
        sent.answer = Some(answer);
    }
    Some(())
}
