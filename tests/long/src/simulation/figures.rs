//! What a run came to, and what all runs together have to have come to: a search in which nothing happens finds nothing.

use std::collections::BTreeMap;

use parallax_controller::simulation::Note;
use parallax_faults::LogonOutcome;

/// What has to have happened in a search of honest code, at least once.
pub(super) const MUST_HAPPEN: [&str; 22] = [
    "held",
    "started",
    "denied",
    "credentials sent",
    "accepted",
    "refused",
    "unproven",
    "not sent",
    "late results",
    "refunds",
    "controller crashes",
    "agent crashes",
    "cuts both ways",
    "cuts one way",
    "duplicates",
    "losses",
    "backups put back",
    "clock jumps",
    "freezes",
    "rotations",
    "counters at exactly K",
    "budgets used up",
];

/// Counts by name, of one run or of many.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures(BTreeMap<&'static str, u64>);

impl Figures {
    pub(super) fn count(&mut self, what: &'static str) {
        self.add(what, 1);
    }

    pub(super) fn add(&mut self, what: &'static str, count: u64) {
        *self.0.entry(what).or_default() += count;
    }

    pub(super) fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or_default()
    }

    pub(super) fn take_up(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            self.add(what, *count);
        }
    }

    pub(super) fn note(&mut self, note: &Note) {
        match note {
            Note::Reserved { .. } | Note::Ended { nonce: None, .. } => {}
            Note::Held { .. } => self.count("held"),
            Note::Granted { .. } => self.count("started"),
            Note::Denied { .. } => self.count("denied"),
            Note::Ended { outcome, .. } => self.count(match outcome {
                LogonOutcome::Accepted => "accepted",
                LogonOutcome::Refused => "refused",
                LogonOutcome::Unproven => "unproven",
                LogonOutcome::NotSent => "not sent",
            }),
            Note::Late { is_kept: true, .. } => self.count("late results"),
            Note::Late { is_kept: false, .. } => self.count("disowned results"),
        }
    }

    /// What never happened and should have.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        MUST_HAPPEN.into_iter().filter(|it| self.of(it) == 0).collect()
    }

    /// One line.
    pub(super) fn tell(&self) -> String {
        let each = self.0.iter().map(|(what, count)| format!("{count} {what}"));
        each.collect::<Vec<_>>().join(", ")
    }
}
