//! Named points at which a test lets a process die. Without the feature `enabled` a point is nothing at all.
//!
//! With it, the environment variable `FAILPOINTS` says where: `NAME=N`, several separated by `;`. The N-th passage of that
//! point aborts the process, as a kill would: nothing is flushed, nobody is told.
//!
//! Absent on purpose: returned errors, delays and panics. Those are tested where they can be made for real.
//!
//! INVARIANT: no crate of the program enables them; only the campaigns in `tests/long` do. `tests/it` looks at the manifests and
//! at the features of the program built by itself. Built together with the campaigns it has them too; then a release of it
//! does not compile.

/// Whether this build has fail points.
pub const ENABLED: bool = cfg!(feature = "enabled");

/// Passes a point.
#[cfg(not(feature = "enabled"))]
#[inline]
pub fn point(_name: &'static str) {}

/// Passes a point; dies there if that was asked for.
#[cfg(feature = "enabled")]
pub fn point(name: &'static str) {
    armed::pass(name);
}

#[cfg(feature = "enabled")]
mod armed {
    use std::collections::HashMap;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static POINTS: OnceLock<HashMap<String, AtomicU64>> = OnceLock::new();

    #[expect(clippy::disallowed_methods, reason = "no setting: it exists in test builds alone")]
    fn read() -> HashMap<String, AtomicU64> {
        let text = std::env::var("FAILPOINTS").unwrap_or_default();
        let read = |part: &str| {
            let (name, passage) = part.split_once('=')?;
            Some((name.to_owned(), AtomicU64::new(passage.parse().ok()?)))
        };
        text.split(';').filter_map(read).collect()
    }

    pub(crate) fn pass(name: &'static str) {
        let Some(left) = POINTS.get_or_init(read).get(name) else { return };
        if left.fetch_sub(1, Ordering::SeqCst) == 1 {
            std::process::abort();
        }
    }
}
