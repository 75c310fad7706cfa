//! What may happen next?
//!
//! One action is one atomic step: one transaction of the controller, one message handled, one act of
//! the world. Which of them are possible in a state, and what they do, stands with whoever takes
//! them: `controller`, `agent`, `surroundings`.
//! Deliberately absent: losing a message, which is the same as never delivering it.

use crate::protocol::ledger::Terms;
use crate::protocol::state::Report;

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Controller(ControllerStep),
    Agent(AgentStep),
    Surroundings(SurroundingsStep),
}

/// One transaction, and the message that follows its commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControllerStep {
    /// Sets the cost aside and offers the attempt.
    Reserve(Terms),
    /// Gives up an attempt that nobody began.
    VoidReservation { attempt: u8 },
    /// Receives *begin*: commits *started*, then sends *go*; or denies, which sends nothing.
    HandleBegin { attempt: u8, nonce: u8 },
    /// Receives *result*.
    HandleReport { attempt: u8, report: Report },
    /// The limit of a started attempt ran out: charges it as unknown.
    TimeOut { attempt: u8 },
    /// [`crate::defects::Defect::CheckThenInsert`]: one of two tasks looks whether there is room.
    LookForRoom { task: u8 },
    /// The same defect: that task inserts the row.
    InsertAfterLooking { task: u8, terms: Terms },
    /// [`crate::defects::Defect::GoBeforeCommit`]: *go* is out, the commit never happens.
    SendGoAndLoseCommit { attempt: u8, nonce: u8 },
    /// [`crate::defects::Defect::RedispatchOnReconnect`].
    Redispatch { attempt: u8 },
}

/// One thing an agent does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentStep {
    /// Reads the offer, has connected and asked anonymously, says *begin*.
    Begin { attempt: u8 },
    /// Receives *go* and sends the credential.
    Send { attempt: u8, nonce: u8 },
    /// Receives *go*, and the connection turns out to be dead before anything was written.
    FailBeforeSending { attempt: u8, nonce: u8 },
    /// Reads what the target said, reports it.
    ReadAnswer { attempt: u8 },
    /// Crashes, restarts, or gives up waiting: memory is gone.
    Forget { agent: u8 },
    /// Reports "not sent" although it sent.
    Lie { attempt: u8 },
}

/// One thing nobody in the protocol controls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SurroundingsStep {
    /// The target takes up a credential that reached it, and asks the directory.
    JudgeCredential { attempt: u8 },
    /// The target refuses without asking the directory, as a broken path behind it makes it do.
    RefuseOnBrokenPath { attempt: u8 },
    /// Somebody changes the password; no version we hold is good any more.
    ChangePassword,
    /// An operator enters another secret, good or bad.
    RotateSecret,
    /// An operator closes the breaker of the current secret.
    ReleaseAccount,
    /// The present ledger becomes the one that may come back.
    KeepEarlierState,
    /// It comes back.
    ReturnToEarlierState,
}
