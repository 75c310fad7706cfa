//! What happened, one line an event, and a hash over it.
//!
//! INVARIANT: no line holds anything that another run of the same seed would say differently: attempts have numbers here,
//! not the names that the ledger draws by chance.

use std::collections::BTreeMap;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

/// The lines of one run.
#[derive(Default)]
pub(super) struct Trace {
    lines: Vec<String>,
    numbers: BTreeMap<String, usize>,
}

impl Trace {
    pub(super) fn note(&mut self, now: Duration, line: &str) {
        let line = format!("{:4} {:9.3} {line}", self.lines.len(), now.as_secs_f64());
        self.lines.push(line);
    }

    /// The number of an attempt, in the order in which they were first spoken of.
    pub(super) fn number(&mut self, attempt: &str) -> usize {
        let next = self.numbers.len() + 1;
        *self.numbers.entry(attempt.to_owned()).or_insert(next)
    }

    /// The last so many.
    pub(super) fn tail(&self, count: usize) -> &[String] {
        &self.lines[self.lines.len().saturating_sub(count)..]
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// The digest in lower-case hexadecimal.
    pub(super) fn digest_text(&self) -> String {
        let bytes = self.digest();
        bytes
            .iter()
            .fold(String::with_capacity(2 * bytes.len()), |text, it| text + &format!("{it:02x}"))
    }

    pub(super) fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for line in &self.lines {
            hash.update(line.as_bytes());
            hash.update(b"\n");
        }
        hash.finalize().into()
    }
}
