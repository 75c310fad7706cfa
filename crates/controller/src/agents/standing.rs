//! What an operator says about an agent while it is connected: shut out, drained, shown.
//!
//! Absent on purpose: remembering it; the store does, and whoever calls has written it there.
//!
//! INVARIANT: once a certificate is shut out, nothing is told to a session that has it, and nothing it says is heard.

use std::time::Duration;

use parallax_model::VantageName;
use tracing::warn;

use super::TaskEvent;
use super::fleet::FleetTask;

/// Certificates that are remembered as shut out. The store knows them all; these close the gap between its answer and the
/// beginning of a session.
pub(super) const CUT_MAX: usize = 4096;

impl FleetTask {
    pub(super) fn cut(&mut self, certificates: &[[u8; 32]], reason: &str) {
        for certificate in certificates {
            if self.shut_out.len() >= CUT_MAX {
                self.shut_out.pop_front();
            }
            self.shut_out.push_back(*certificate);
        }
        let vantages: Vec<VantageName> = self
            .sessions
            .iter()
            .filter(|(_, it)| certificates.contains(&it.certificate_sha256))
            .map(|(vantage, _)| vantage.clone())
            .collect();
        for vantage in vantages {
            warn!(%vantage, reason, "an agent's session is cut");
            if let Some(session) = self.sessions.get(&vantage) {
                session.cut.now(reason);
            }
            self.end(&vantage, None, Duration::ZERO);
        }
    }

    pub(super) fn uncut(&mut self, certificates: &[[u8; 32]]) {
        self.shut_out.retain(|it| !certificates.contains(it));
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
