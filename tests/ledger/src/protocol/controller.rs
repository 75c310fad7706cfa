//! What does the controller decide, and when does it let an agent send?
//!
//! Every function is one transaction: it looks at the ledger and writes it in one step, and sends
//! only what the commit permits. Two steps belong to defects and say so.
//! Deliberately absent: the controller's memory. It may crash between any two steps; whatever it
//! does next it reads from the ledger.
//!
//! INVARIANT: *go* for an attempt is sent at most once, after *started* was written for that nonce.

use crate::defects::Defect;
use crate::protocol::Protocol;
use crate::protocol::actions::{Action, ControllerStep as Step};
use crate::protocol::ledger::{Row, RowState, Terms};
use crate::protocol::limits::{BEGINS_MAX, DIAGNOSES_MAX};
use crate::protocol::state::{Agent, Breach, Report, State};

/// Everything the controller may do now.
pub(super) fn possible(protocol: &Protocol, state: &State, actions: &mut Vec<Action>) {
    let mut add = |step| actions.push(Action::Controller(step));
    if protocol.has(Defect::CheckThenInsert) {
        looks_and_insertions(protocol, state, &mut add);
    } else if next_unused(protocol, state).is_some() {
        for terms in reservable(protocol, state) {
            if has_room(protocol, state, terms) {
                add(Step::Reserve(terms));
            }
        }
    }
    for attempt in 0..protocol.limits.attempts {
        let messages = state.attempt(attempt);
        for nonce in messages.begins.iter() {
            add(Step::HandleBegin { attempt, nonce });
            if protocol.has(Defect::GoBeforeCommit) {
                add(Step::SendGoAndLoseCommit { attempt, nonce });
            }
        }
        let reports = Report::ALL.iter().filter(|&&it| messages.reports.contains(it as u8));
        for &report in reports {
            add(Step::HandleReport { attempt, report });
        }
        match state.ledger.row(attempt).state {
            RowState::Reserved => add(Step::VoidReservation { attempt }),
            RowState::Started if protocol.has(Defect::RedispatchOnReconnect) => {
                add(Step::TimeOut { attempt });
                add(Step::Redispatch { attempt });
            }
            RowState::Started => add(Step::TimeOut { attempt }),
            RowState::Succeeded | RowState::Charged | RowState::Void
                if protocol.has(Defect::TimeoutRewritesSettledRow) =>
            {
                add(Step::TimeOut { attempt });
            }
            RowState::Absent | RowState::Succeeded | RowState::Charged | RowState::Void => {}
        }
    }
}

fn looks_and_insertions(protocol: &Protocol, state: &State, add: &mut impl FnMut(Step)) {
    for (task, &found_room) in (0_u8..).zip(&state.found_room) {
        for terms in reservable(protocol, state) {
            if found_room {
                add(Step::InsertAfterLooking { task, terms });
            } else if has_room(protocol, state, terms) {
                add(Step::LookForRoom { task });
            }
        }
    }
}

/// Takes one step; `None` where it changes nothing.
pub(super) fn take(protocol: &Protocol, state: &mut State, step: Step) -> Option<()> {
    match step {
        Step::Reserve(terms) => reserve(protocol, state, terms),
        Step::VoidReservation { attempt } => {
            state.settle(attempt, RowState::Void);
            Some(())
        }
        Step::HandleBegin { attempt, nonce } => handle_begin(protocol, state, attempt, nonce),
        Step::HandleReport { attempt, report } => {
            handle_report(protocol, state, attempt, report);
            Some(())
        }
        Step::TimeOut { attempt } => {
            let refund = protocol.has(Defect::RefundUnknownOutcome);
            state.settle(attempt, if refund { RowState::Void } else { RowState::Charged });
            Some(())
        }
        Step::LookForRoom { task } => {
            state.found_room[usize::from(task)] = true;
            Some(())
        }
        Step::InsertAfterLooking { task, terms } => {
            state.found_room[usize::from(task)] = false;
            reserve(protocol, state, terms)
        }
        Step::SendGoAndLoseCommit { attempt, nonce } => {
            may_start(protocol, state, state.ledger.row(attempt)).then_some(())?;
            state.attempt_mut(attempt).gos.insert(nonce);
            Some(())
        }
        Step::Redispatch { attempt } => redispatch(state, attempt),
    }
}

/// The attempt that a reservation would take: numbers are never used again, not even those of rows
/// that the database lost.
fn next_unused(protocol: &Protocol, state: &State) -> Option<u8> {
    (0..protocol.limits.attempts).find(|&attempt| state.attempt(attempt).offer.is_none())
}

/// The terms on which an attempt could be reserved. Agents and diagnoses are alike, so the first
/// attempt is always given to the first agent, and a diagnosis is opened only after the one before.
fn reservable(protocol: &Protocol, state: &State) -> Vec<Terms> {
    let first = state.attempts.iter().all(|it| it.offer.is_none());
    let agents = if first { 1 } else { protocol.limits.agents };
    let used = state.attempts.iter().filter_map(|it| it.offer).map(|terms| terms.diagnosis + 1);
    let diagnoses =
        if protocol.all_guards() { (used.max().unwrap_or(0) + 1).min(DIAGNOSES_MAX) } else { 1 };
    let secret_version = state.ledger.secret_version;
    let mut terms = Vec::new();
    for agent in 0..agents {
        for diagnosis in 0..diagnoses {
            for &cost in protocol.limits.costs {
                terms.push(Terms { agent, diagnosis, secret_version, cost });
            }
        }
    }
    terms
}

/// Everything a reservation has to find true.
fn has_room(protocol: &Protocol, state: &State, terms: Terms) -> bool {
    let ledger = &state.ledger;
    let affordable = ledger.exposure(protocol) + terms.cost <= protocol.limits.budget;
    !ledger.frozen && affordable && (!protocol.all_guards() || guards_allow(protocol, state, terms))
}

/// Single flight, the breaker, and one failure per diagnosis.
fn guards_allow(protocol: &Protocol, state: &State, terms: Terms) -> bool {
    let ledger = &state.ledger;
    let single_flight = ledger.rows.iter().all(|row| !row.state.is_open());
    let breaker_closed = protocol.has(Defect::BreakerIgnored)
        || !ledger.breaker_open_for.contains(terms.secret_version);
    let diagnosis_is_over = ledger
        .rows
        .iter()
        .any(|row| row.state == RowState::Charged && row.terms.diagnosis == terms.diagnosis);
    let may_go_on = !diagnosis_is_over || protocol.has(Defect::DiagnosisGoesOnAfterCharge);
    single_flight && breaker_closed && may_go_on
}

fn reserve(protocol: &Protocol, state: &mut State, terms: Terms) -> Option<()> {
    let attempt = next_unused(protocol, state)?;
    state.write_row(attempt, Row::reserved(terms));
    state.attempt_mut(attempt).offer = Some(terms);
    Some(())
}

/// A begin that finds its attempt anything but reserved is denied, and a denial says nothing.
fn handle_begin(protocol: &Protocol, state: &mut State, attempt: u8, nonce: u8) -> Option<()> {
    let row = state.ledger.row(attempt);
    if may_start(protocol, state, row) {
        start(protocol, state, attempt, nonce);
    } else {
        let go_all_the_same = match row.state {
            RowState::Started => protocol.has(Defect::AnswerDuplicateBegin),
            RowState::Void => protocol.has(Defect::GoAfterVoid),
            RowState::Absent | RowState::Reserved | RowState::Succeeded | RowState::Charged => {
                false
            }
        };
        go_all_the_same.then_some(())?;
    }
    state.attempt_mut(attempt).gos.insert(nonce);
    Some(())
}

/// The conditions in the transaction that writes *started*. What the reservation found true is asked
/// again where it may have changed since: the freeze, and the breaker, which a late refusal of an
/// earlier attempt may have opened.
fn may_start(protocol: &Protocol, state: &State, row: Row) -> bool {
    let state_allows = if protocol.has(Defect::StartWithoutStateGuard) {
        row.state != RowState::Absent
    } else {
        row.state == RowState::Reserved
    };
    let freeze_allows = !state.ledger.frozen || protocol.has(Defect::FreezeNotCheckedAtStart);
    let breaker_allows = !protocol.all_guards()
        || protocol.has(Defect::BreakerIgnored)
        || protocol.has(Defect::BreakerCheckedOnlyAtReserve)
        || !state.ledger.breaker_open_for.contains(row.terms.secret_version);
    state_allows && freeze_allows && breaker_allows
}

fn start(protocol: &Protocol, state: &mut State, attempt: u8, nonce: u8) {
    let row = state.ledger.row(attempt);
    if state.ledger.frozen {
        state.history.record(Breach::StartedWhileFrozen);
    }
    let refused_before = state.history.refused_without_proof.contains(row.terms.secret_version);
    if protocol.all_guards() && refused_before {
        state.history.record(Breach::StartedBehindBreaker);
    }
    state.history.started_after_release |= state.history.released;
    state.write_row(attempt, Row { state: RowState::Started, begin_nonce: Some(nonce), ..row });
    state.attempt_mut(attempt).started_for.insert(nonce);
}

/// The first terminal state wins; only a charge may still be lifted, by proof that came late.
fn handle_report(protocol: &Protocol, state: &mut State, attempt: u8, report: Report) {
    let row = state.ledger.row(attempt);
    if !matches!(row.state, RowState::Started | RowState::Charged) {
        return;
    }
    match report {
        Report::Accepted => state.settle(attempt, RowState::Succeeded),
        Report::Refused if row.refusal_known => {}
        Report::Refused => {
            if !state.ledger.is_proven_good(row.terms) {
                state.history.refused_without_proof.insert(row.terms.secret_version);
            }
            if opens_breaker(protocol, state, row) {
                state.ledger.breaker_open_for.insert(row.terms.secret_version);
            }
            let charged = Row { state: RowState::Charged, refusal_known: true, ..row };
            state.write_row(attempt, charged);
        }
        Report::NotSent => {
            let believed = state.ledger.may_refund_not_sent(protocol, row.terms.cost);
            state.settle(attempt, if believed { RowState::Void } else { RowState::Charged });
        }
    }
}

/// A refusal opens the breaker of the secret, also when the time limit has charged the row before;
/// not where the same diagnosis has seen the secret accepted, for then the path is to blame.
fn opens_breaker(protocol: &Protocol, state: &State, refused: Row) -> bool {
    let ledger = &state.ledger;
    let proven = if protocol.has(Defect::ProofOfAnotherVersion) {
        ledger.accepted_in(refused.terms.diagnosis).next().is_some()
    } else {
        ledger.is_proven_good(refused.terms)
    };
    let late = refused.state == RowState::Charged;
    let heard = !(late && protocol.has(Defect::LateRefusalIgnored));
    protocol.all_guards() && heard && !proven
}

/// The agent is back, so the attempt is offered, begun and released once more.
fn redispatch(state: &mut State, attempt: u8) -> Option<()> {
    let agent = state.ledger.row(attempt).terms.agent;
    let nonce = state.attempt(attempt).nonces_drawn;
    let possible = state.agent(agent) == Agent::Idle && nonce < BEGINS_MAX;
    possible.then_some(())?;
    state.set_agent(agent, Agent::AwaitingGo { attempt, nonce });
    let messages = state.attempt_mut(attempt);
    messages.nonces_drawn += 1;
    messages.gos.insert(nonce);
    Some(())
}
