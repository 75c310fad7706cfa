//! Time of a run: how far to the next thing that is due, and what is done when it is.
//!
//! Absent on purpose: real time. All clocks here move only because an event says so.

use std::time::Duration;

use parallax_agent::simulation::SimulatedAgent;
use parallax_controller::simulation::SimulatedController;

use super::board::lock;
use super::bugs::Bug;
use super::world::{Stop, World};

/// An end of a session that hears nothing for this long gives it up.
const DEAD_AFTER: Duration = Duration::from_secs(45);
/// Between two sweeps of the ledger.
const SWEEP: Duration = Duration::from_secs(5);
/// The longest stride while anything is under way.
const STRIDE: Duration = Duration::from_secs(5);

impl World<'_> {
    /// Time passes; what is due meanwhile is done in its turn.
    pub(super) fn pass(&mut self, duration: Duration) -> Result<(), Stop> {
        let end = self.now + duration;
        while self.now < end {
            let next = self.next_stop(end);
            let stride = next.saturating_sub(self.now);
            self.now = next;
            self.time.pass(stride);
            self.rooms.agents.block_on(tokio::time::advance(stride));
            for did in self.directory.pass(self.now, &mut self.rng) {
                let number = self.number(&did.attempt);
                let who = self.seats[did.agent].vantage.clone();
                self.say(&format!("{} of #{number}, from {who}", did.what));
                self.is_touched = true;
            }
            self.give_up_silent_sessions()?;
            self.pass_at_controller()?;
            self.settle()?;
        }
        Ok(())
    }

    fn next_stop(&self, end: Duration) -> Duration {
        let due = [self.directory.next_due(), self.limit(), self.sweep_at()];
        let next = due.into_iter().flatten().min().unwrap_or(end).min(end);
        let is_busy = !lock(&self.board).preparing.is_empty() || self.limit().is_some();
        let next = if is_busy { next.min(self.now + STRIDE) } else { next };
        next.clamp(self.now + Duration::from_millis(1), end)
    }

    fn limit(&self) -> Option<Duration> {
        self.controller.as_ref().and_then(SimulatedController::next_limit)
    }

    fn sweep_at(&self) -> Option<Duration> {
        let has_open =
            self.checks.rows().any(|it| matches!(it.state.as_str(), "reserved" | "started"));
        has_open.then_some(self.swept_at.max(self.now) + SWEEP)
    }

    fn pass_at_controller(&mut self) -> Result<(), Stop> {
        if self.bug == Some(Bug::NoSweep) {
            return Ok(());
        }
        let (Some(controller), Some(store)) = (&mut self.controller, &self.store) else {
            return Ok(());
        };
        if controller.next_limit().is_some_and(|it| it <= self.now) {
            self.rooms.store.block_on(controller.pass(self.now))?;
            self.is_touched = true;
        }
        if self.now >= self.swept_at + SWEEP {
            self.swept_at = self.now;
            let swept = self.rooms.store.block_on(store.sweep())?;
            self.is_touched |= swept.voided > 0 || swept.charged > 0;
        }
        Ok(())
    }

    /// Both ends of a session notice, each for itself, that they hear nothing.
    fn give_up_silent_sessions(&mut self) -> Result<(), Stop> {
        for index in 0..self.seats.len() {
            let link = self.network.links[index];
            let seat = &mut self.seats[index];
            let has_session = seat.process.as_ref().is_some_and(SimulatedAgent::has_session);
            let is_same = has_session && seat.seen_epoch == Some(seat.epoch);
            if is_same && !link.down_is_cut && self.controller.is_some() {
                seat.heard_at = self.now;
            } else if has_session
                && self.now >= seat.heard_at + DEAD_AFTER
                && let Some(agent) = &mut seat.process
            {
                self.rooms.agents.block_on(async { agent.lose_session() });
                let who = self.seats[index].vantage.clone();
                self.say(&format!("{who} gives its session up"));
            }
            let seat = &mut self.seats[index];
            let Some(epoch) = seat.seen_epoch else { continue };
            if is_same && !link.up_is_cut {
                seat.seen_at = self.now;
            } else if self.now >= seat.seen_at + DEAD_AFTER
                && let Some(controller) = &mut self.controller
            {
                seat.seen_epoch = None;
                let vantage = seat.vantage.clone();
                self.rooms.store.block_on(controller.leave(self.now, &vantage, epoch))?;
                self.is_touched = true;
                self.say(&format!("the controller gives the session of {vantage} up"));
            }
        }
        Ok(())
    }
}
