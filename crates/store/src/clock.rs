//! What time it is for the store, and whether the clock that says so was moved.
//!
//! Wall time is the database's `unixepoch`. Beside it stands the time since boot, which nobody can set: on Linux
//! `/proc/uptime` (it counts suspended time, `CLOCK_BOOTTIME`), elsewhere a monotonic clock of this process.
//!
//! INVARIANT: production code has no way to shift either clock; the offsets exist in unit tests and simulations only.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sqlx::SqliteConnection;

const UPTIME_FILE: &str = "/proc/uptime";
const BOOT_ID_FILE: &str = "/proc/sys/kernel/random/boot_id";

/// The two clocks.
#[derive(Debug)]
pub(crate) struct Clock {
    boot: Boot,
    #[cfg(any(test, feature = "simulation"))]
    test: std::sync::Arc<TestTime>,
}

#[derive(Debug)]
enum Boot {
    Linux { id: String },
    Process { id: String, since: Instant },
}

/// The clocks of a test, in milliseconds. Standing still, they move only by what is added.
#[cfg(any(test, feature = "simulation"))]
#[derive(Debug, Default)]
#[expect(clippy::struct_field_names, reason = "the unit is part of a name")]
pub(crate) struct TestTime {
    /// 0: the clocks run.
    pub(crate) still_at_ms: std::sync::atomic::AtomicI64,
    pub(crate) passed_ms: std::sync::atomic::AtomicI64,
    /// What the wall clock alone was moved by.
    pub(crate) jumped_ms: std::sync::atomic::AtomicI64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let boot = match std::fs::read_to_string(BOOT_ID_FILE) {
            Ok(id) if uptime_ms().is_some() => Boot::Linux { id: id.trim().to_owned() },
            Ok(_) | Err(_) => {
                Boot::Process { id: uuid::Uuid::new_v4().to_string(), since: Instant::now() }
            }
        };
        Self {
            boot,
            #[cfg(any(test, feature = "simulation"))]
            test: std::sync::Arc::default(),
        }
    }

    /// The same clocks for another store.
    #[cfg(test)]
    pub(crate) fn again(&self) -> Self {
        Self::of_test(std::sync::Arc::clone(&self.test))
    }

    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn of_test(test: std::sync::Arc<TestTime>) -> Self {
        Self { test, ..Self::new() }
    }

    /// Changes with every boot (or, without such an id, with every process).
    pub(crate) fn boot_id(&self) -> &str {
        match &self.boot {
            Boot::Linux { id } | Boot::Process { id, .. } => id,
        }
    }

    /// Milliseconds since boot. `None`: the kernel did not say, which is no reason to believe the wall clock.
    pub(crate) fn boot_ms(&self) -> Option<i64> {
        let elapsed = match &self.boot {
            Boot::Linux { .. } => uptime_ms()?,
            Boot::Process { since, .. } => millis(since.elapsed()),
        };
        Some(self.shifted_boot_ms(elapsed))
    }

    /// Milliseconds since 1970, by the database.
    pub(crate) async fn now_ms(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<i64, sqlx::Error> {
        let (now,): (i64,) =
            sqlx::query_as("SELECT CAST(round(unixepoch('subsec') * 1000) AS INTEGER)")
                .fetch_one(connection)
                .await?;
        Ok(self.shifted_wall_ms(now))
    }
}

#[cfg(not(any(test, feature = "simulation")))]
#[expect(clippy::unused_self, reason = "tests shift the clocks here")]
impl Clock {
    fn shifted_boot_ms(&self, boot_ms: i64) -> i64 {
        boot_ms
    }

    fn shifted_wall_ms(&self, wall_ms: i64) -> i64 {
        wall_ms
    }
}

#[cfg(any(test, feature = "simulation"))]
impl Clock {
    fn shifted_boot_ms(&self, boot_ms: i64) -> i64 {
        use std::sync::atomic::Ordering::SeqCst;
        let still_ms = self.test.still_at_ms.load(SeqCst);
        (if still_ms == 0 { boot_ms } else { still_ms }) + self.test.passed_ms.load(SeqCst)
    }

    fn shifted_wall_ms(&self, wall_ms: i64) -> i64 {
        use std::sync::atomic::Ordering::SeqCst;
        let still_ms = self.test.still_at_ms.load(SeqCst);
        (if still_ms == 0 { wall_ms } else { still_ms })
            + self.test.passed_ms.load(SeqCst)
            + self.test.jumped_ms.load(SeqCst)
    }
}

/// `12345.67 …`: seconds since boot with two decimals (proc(5)).
fn uptime_ms() -> Option<i64> {
    let text = std::fs::read_to_string(UPTIME_FILE).ok()?;
    let (seconds, hundredths) = text.split_whitespace().next()?.split_once('.')?;
    Some(seconds.parse::<i64>().ok()? * 1000 + hundredths.parse::<i64>().ok()? * 10)
}

/// Whole milliseconds; what does not fit is further away than any clock.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A stored time as the world sees it.
pub(crate) fn system_time(ms: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

/// A time as it is stored; before 1970: 1970.
pub(crate) fn stored_ms(at: SystemTime) -> i64 {
    at.duration_since(UNIX_EPOCH).map_or(0, millis)
}

/// A stored time as a message.
pub(crate) fn timestamp(ms: i64) -> pbjson_types::Timestamp {
    pbjson_types::Timestamp {
        seconds: ms.div_euclid(1000),
        nanos: i32::try_from(ms.rem_euclid(1000) * 1_000_000).unwrap_or(0),
    }
}
