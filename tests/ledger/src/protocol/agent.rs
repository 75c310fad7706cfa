//! What does an agent do with an offer, and what does it forget?
//!
//! An agent keeps one pending begin in memory and sends the credential once, on the *go* that answers
//! it. Connecting, TLS and the anonymous question come before *begin* and cost nothing, so they are
//! not steps here.
//! Deliberately absent: disk. What an agent does not remember it may not act on.
//!
//! INVARIANT: the pending begin is gone from memory before the credential is written.

use crate::defects::Defect;
use crate::protocol::actions::{Action, AgentStep as Step};
use crate::protocol::limits::{BEGINS_MAX, EMISSIONS_MAX};
use crate::protocol::state::{Agent, Answer, Breach, Report, State};
use crate::protocol::{Honesty, Protocol};

/// Everything the agents may do now.
pub(super) fn possible(protocol: &Protocol, state: &State, actions: &mut Vec<Action>) {
    let mut add = |step| actions.push(Action::Agent(step));
    for attempt in 0..protocol.limits.attempts {
        let messages = state.attempt(attempt);
        let Some(offer) = messages.offer else { continue };
        let memory = state.agent(offer.agent);
        let may_draw = messages.nonces_drawn < BEGINS_MAX;
        if memory == Agent::Idle && (may_draw || protocol.has(Defect::NoncePerProcessStart)) {
            add(Step::Begin { attempt });
        }
        for nonce in messages.gos.iter() {
            if obeys(protocol, memory, attempt, nonce) && messages.emissions < EMISSIONS_MAX {
                add(Step::Send { attempt, nonce });
            }
            if (memory == Agent::AwaitingGo { attempt, nonce }) {
                add(Step::FailBeforeSending { attempt, nonce });
            }
        }
        if memory == (Agent::AwaitingAnswer { attempt }) && messages.answer.is_some() {
            add(Step::ReadAnswer { attempt });
        }
        if protocol.honesty == Honesty::LiesAboutNotSent && messages.emissions > 0 {
            add(Step::Lie { attempt });
        }
    }
    for agent in 0..protocol.limits.agents {
        if state.agent(agent) != Agent::Idle {
            add(Step::Forget { agent });
        }
    }
}

/// Whether the agent acts on this *go*: only if it answers the begin that it has in memory.
fn obeys(protocol: &Protocol, memory: Agent, attempt: u8, nonce: u8) -> bool {
    if protocol.has(Defect::NonceNotChecked) {
        return !matches!(memory, Agent::AwaitingAnswer { .. });
    }
    memory == Agent::AwaitingGo { attempt, nonce }
}

/// Takes one step; `None` where it cannot be taken.
pub(super) fn take(protocol: &Protocol, state: &mut State, step: Step) -> Option<()> {
    match step {
        Step::Begin { attempt } => {
            let agent = state.attempt(attempt).offer?.agent;
            let nonce = draw_nonce(protocol, state, attempt);
            state.set_agent(agent, Agent::AwaitingGo { attempt, nonce });
            state.attempt_mut(attempt).begins.insert(nonce);
        }
        Step::Send { attempt, nonce } => {
            let agent = state.attempt(attempt).offer?.agent;
            state.set_agent(agent, Agent::AwaitingAnswer { attempt });
            if !state.attempt(attempt).started_for.contains(nonce) {
                state.history.record(Breach::SentWithoutStart);
            }
            let copies = if protocol.has(Defect::HttpRetry) { 2 } else { 1 };
            state.attempt_mut(attempt).emissions += copies;
        }
        Step::FailBeforeSending { attempt, .. } => {
            let agent = state.attempt(attempt).offer?.agent;
            state.set_agent(agent, Agent::Idle);
            state.attempt_mut(attempt).reports.insert(Report::NotSent as u8);
        }
        Step::ReadAnswer { attempt } => {
            let agent = state.attempt(attempt).offer?.agent;
            state.set_agent(agent, Agent::Idle);
            let answer = state.attempt_mut(attempt).answer.take()?;
            let report = classify(protocol, answer);
            state.attempt_mut(attempt).reports.insert(report as u8);
        }
        Step::Forget { agent } => forget(state, agent),
        Step::Lie { attempt } => state.attempt_mut(attempt).reports.insert(Report::NotSent as u8),
    }
    Some(())
}

/// A fresh nonce for every begin. This is what makes an old *go* useless after a crash.
fn draw_nonce(protocol: &Protocol, state: &mut State, attempt: u8) -> u8 {
    if protocol.has(Defect::NoncePerProcessStart) {
        return 0;
    }
    let messages = state.attempt_mut(attempt);
    let nonce = messages.nonces_drawn;
    messages.nonces_drawn += 1;
    nonce
}

fn classify(protocol: &Protocol, answer: Answer) -> Report {
    match answer {
        Answer::Accepted => Report::Accepted,
        Answer::Refused if protocol.has(Defect::AcceptOnWeakEvidence) => Report::Accepted,
        Answer::Refused => Report::Refused,
    }
}

/// An answer on its way dies with the connection that it would have come on.
fn forget(state: &mut State, agent: u8) {
    if let Agent::AwaitingAnswer { attempt } = state.agent(agent) {
        state.attempt_mut(attempt).answer = None;
    }
    state.set_agent(agent, Agent::Idle);
}
