//! What waits for room at one agent, in two lanes, and how much room there is.
//!
//! Absent on purpose: what becomes of a task; that is the fleet's.
//!
//! INVARIANT: on-demand work never waits behind a schedule: it goes first, and schedules hold at most [`SCHEDULED_MAX`] of the
//! agent's [`CREDIT`].
//! INVARIANT: at most [`WAITING_MAX`] offers wait in each lane.

use std::collections::VecDeque;

use parallax_wire::pb::link as wire;
use parallax_wire::pb::link::Lane as WireLane;

use super::{CREDIT, WAITING_MAX};

/// Tasks of schedules that an agent may hold at once.
const SCHEDULED_MAX: usize = CREDIT / 2;

/// Who waits for a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Somebody, now.
    OnDemand,
    Scheduled,
}

impl Lane {
    /// What an offer says; one that says nothing is waited for.
    pub(super) fn of(offer: &wire::Offer) -> Self {
        match offer.lane() {
            WireLane::Scheduled => Self::Scheduled,
            WireLane::OnDemand | WireLane::Unspecified => Self::OnDemand,
        }
    }
}

/// The offers of one session.
#[derive(Debug, Default)]
pub(super) struct Queue {
    on_demand: VecDeque<Box<wire::Offer>>,
    scheduled: VecDeque<Box<wire::Offer>>,
    held_on_demand: usize,
    held_scheduled: usize,
}

impl Queue {
    pub(super) fn is_full(&self, lane: Lane) -> bool {
        self.lane(lane).len() >= WAITING_MAX
    }

    pub(super) fn push(&mut self, offer: Box<wire::Offer>) {
        let lane = Lane::of(&offer);
        self.lane_mut(lane).push_back(offer);
    }

    /// The next offer for which there is room; from now on it is held.
    pub(super) fn next(&mut self) -> Option<Box<wire::Offer>> {
        if self.held_on_demand + self.held_scheduled >= CREDIT {
            return None;
        }
        if let Some(offer) = self.on_demand.pop_front() {
            self.held_on_demand += 1;
            return Some(offer);
        }
        if self.held_scheduled >= SCHEDULED_MAX {
            return None;
        }
        let offer = self.scheduled.pop_front()?;
        self.held_scheduled += 1;
        Some(offer)
    }

    /// Gives back the room of a task that was held.
    pub(super) fn release(&mut self, lane: Lane) {
        let held = match lane {
            Lane::OnDemand => &mut self.held_on_demand,
            Lane::Scheduled => &mut self.held_scheduled,
        };
        *held = held.saturating_sub(1);
    }

    /// Takes out one that waits.
    pub(super) fn remove(&mut self, lane: Lane, task: &str) {
        self.lane_mut(lane).retain(|it| it.task != task);
    }

    /// Takes out all that waits.
    pub(super) fn clear(&mut self) -> Vec<String> {
        let all = self.on_demand.drain(..).chain(self.scheduled.drain(..));
        all.map(|it| it.task).collect()
    }

    fn lane(&self, lane: Lane) -> &VecDeque<Box<wire::Offer>> {
        match lane {
            Lane::OnDemand => &self.on_demand,
            Lane::Scheduled => &self.scheduled,
        }
    }

    fn lane_mut(&mut self, lane: Lane) -> &mut VecDeque<Box<wire::Offer>> {
        match lane {
            Lane::OnDemand => &mut self.on_demand,
            Lane::Scheduled => &mut self.scheduled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(task: usize, lane: WireLane) -> Box<wire::Offer> {
        let task = format!("{lane:?}-{task}");
        Box::new(wire::Offer { task, lane: lane.into(), ..wire::Offer::default() })
    }

    #[test]
    fn on_demand_work_passes_a_full_lane_of_schedules() {
        let mut queue = Queue::default();
        for task in 0..WAITING_MAX {
            queue.push(offer(task, WireLane::Scheduled));
        }
        assert!(queue.is_full(Lane::Scheduled) && !queue.is_full(Lane::OnDemand));
        let held: Vec<_> = std::iter::from_fn(|| queue.next()).collect();
        assert_eq!(held.len(), SCHEDULED_MAX, "schedules leave room");
        queue.push(offer(0, WireLane::OnDemand));
        assert_eq!(queue.next().map(|it| it.task), Some("OnDemand-0".to_owned()));
        for task in 1..CREDIT {
            queue.push(offer(task, WireLane::OnDemand));
        }
        let more = std::iter::from_fn(|| queue.next()).count();
        assert_eq!(1 + more + SCHEDULED_MAX, CREDIT, "never more than the credit");
        // Room that comes back goes to who is waited for, whoever gave it back.
        queue.release(Lane::Scheduled);
        assert!(queue.next().is_some_and(|it| Lane::of(&it) == Lane::OnDemand));
    }

    #[test]
    fn what_is_taken_out_is_gone() {
        let mut queue = Queue::default();
        queue.push(offer(1, WireLane::Unspecified));
        queue.push(offer(2, WireLane::Scheduled));
        queue.remove(Lane::Scheduled, "Scheduled-2");
        assert_eq!(queue.clear(), ["Unspecified-1"]);
        assert!(queue.next().is_none());
    }
}
