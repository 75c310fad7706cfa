//! What an operator says about an agent while it is connected: shut out, drained, shown.
//!
//! Absent on purpose: remembering it; the store does, and whoever calls has written it there.
//!
//! INVARIANT: once an agent is cut, nothing is told to a session that it had, with whatever certificate, and nothing it says is
//! heard; a session of it that was asked for before the cut does not begin after it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use parallax_model::VantageName;
use tracing::warn;

use super::TaskEvent;
use super::fleet::FleetTask;

/// Cuts that are remembered. The store knows who is out; these close the gap between its answer and the beginning of a session.
pub(super) const CUT_MAX: usize = 4096;

/// How many cuts there had been when somebody asked for a session, before the store was asked who that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(pub(super) u64);

/// A cut that was made.
pub(super) struct Made {
    ticket: Ticket,
    vantage: VantageName,
    spared: Vec<[u8; 32]>,
}

impl FleetTask {
    /// Cuts an agent's session, with whatever certificate it began, and every one that was asked for already.
    pub(super) fn cut(&mut self, vantage: &VantageName, spared: Vec<[u8; 32]>, reason: &str) {
        let ticket = Ticket(self.cuts.fetch_add(1, Ordering::SeqCst) + 1);
        if self.cuts_made.len() >= CUT_MAX {
            self.cuts_made.pop_front();
        }
        let session = self.sessions.get(vantage);
        if let Some(session) = session.filter(|it| !spared.contains(&it.certificate_sha256)) {
            warn!(%vantage, reason, "an agent's session is cut");
            session.cut.now(reason);
            self.end(vantage, None, Duration::ZERO);
        }
        self.cuts_made.push_back(Made { ticket, vantage: vantage.clone(), spared });
    }

    /// Whether an agent was cut since it asked. Of cuts that are forgotten, everybody's who asked before them may be the one.
    pub(super) fn was_cut(&self, vantage: &VantageName, ticket: Ticket, shown: &[u8; 32]) -> bool {
        let forgotten = self.cuts_made.len() >= CUT_MAX
            && self.cuts_made.front().is_some_and(|it| ticket.0 + 1 < it.ticket.0);
        forgotten
            || self
                .cuts_made
                .iter()
                .rev()
                .take_while(|it| it.ticket > ticket)
                .any(|it| it.vantage == *vantage && !it.spared.contains(shown))
    }

    /// What only waits for room is given back to its owners; what the agent holds it finishes.
    pub(super) fn drain(&mut self, vantage: &VantageName, drained: bool) {
        if drained {
            self.drained.insert(vantage.clone());
            let waiting = self.sessions.get_mut(vantage).map(|it| it.queue.clear());
            for task in waiting.unwrap_or_default() {
                let reason = "its agent is being drained".to_owned();
                self.notify(&task, TaskEvent::Refused { reason });
                self.forget(&task);
            }
        } else {
            self.drained.remove(vantage);
        }
        self.show(vantage);
    }

    /// Brings the view of one agent up to date.
    pub(super) fn show(&self, vantage: &VantageName) {
        let has_session = self.sessions.contains_key(vantage);
        let is_drained = self.drained.contains(vantage);
        self.view.send_modify(|view| {
            for (set, is_in) in [
                (&mut view.connected, has_session && !is_drained),
                (&mut view.draining, has_session && is_drained),
            ] {
                if is_in {
                    set.insert(vantage.clone());
                } else {
                    set.remove(vantage);
                }
            }
        });
    }
}
