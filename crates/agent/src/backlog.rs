//! Results that the controller has not acknowledged: kept in memory, sent again with every new session.
//!
//! INVARIANT: a result leaves only when it is acknowledged, or when the controller says that it does not know its task.
//! INVARIANT: there is room for the result of every task that is taken; without room none is taken.

use std::collections::VecDeque;

use parallax_wire::pb::link as wire;

/// Results kept, and tasks in hand, together.
pub(crate) const RESULTS_MAX: usize = 96;

/// Unacknowledged results, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Backlog(VecDeque<wire::Result>);

impl Backlog {
    pub(crate) fn keep(&mut self, result: wire::Result) {
        self.0.push_back(result);
    }

    pub(crate) fn acknowledge(&mut self, task: &str) {
        self.0.retain(|it| it.task != task);
    }

    /// A cancel for a result of an earlier session says that its task is unknown there. One of this session may have
    /// crossed the cancel, so it stays.
    pub(crate) fn disown(&mut self, task: &str, current_epoch: i64) {
        self.0.retain(|it| it.task != task || it.session_epoch == current_epoch);
    }

    pub(crate) fn holds(&self, task: &str) -> bool {
        self.0.iter().any(|it| it.task == task)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn results(&self) -> impl Iterator<Item = &wire::Result> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backlog() -> Backlog {
        let mut backlog = Backlog::default();
        for (task, session_epoch) in [("a", 1), ("b", 2)] {
            backlog.keep(wire::Result { task: task.into(), session_epoch, ..Default::default() });
        }
        backlog
    }

    #[test]
    fn acknowledged_ones_leave() {
        let mut backlog = backlog();
        backlog.acknowledge("a");
        backlog.acknowledge("unknown");
        assert!(!backlog.holds("a") && backlog.holds("b") && backlog.len() == 1);
    }

    #[test]
    fn a_cancel_disowns_old_ones_only() {
        let mut backlog = backlog();
        backlog.disown("a", 2);
        backlog.disown("b", 2);
        assert_eq!(backlog.results().map(|it| it.task.as_str()).collect::<Vec<_>>(), ["b"]);
    }
}
