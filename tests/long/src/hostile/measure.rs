//! What did one look cost this process: memory, time beyond its deadline, CPU, panics?
//!
//! Memory is the kernel's: the peak of the resident set (`VmHWM`), reset just before the look, less the resident set at that
//! moment. Time is corrected by a control: another thread that sleeps all the while, and was late for reasons that are not the
//! probe's. Absent on purpose: an allocator of our own, which would see the heap and miss everything else.
//!
//! INVARIANT: one process measures one look. A heap that has grown once hides the next growth.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

static PANICS: AtomicU64 = AtomicU64::new(0);

/// Counts every panic of this process, whoever catches it.
pub(super) fn count_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        before(info);
    }));
}

pub(super) fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

/// The process as it was before the look.
#[derive(Debug)]
pub(super) struct Before {
    resident_kib: u64,
    cpu: Duration,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cost {
    /// Growth of the resident set at its peak, in KiB.
    pub(super) growth_kib: u64,
    /// CPU time of the thread that looked.
    pub(super) cpu: Duration,
}

impl Before {
    /// Errors: this kernel cannot reset the peak (Linux 4.0 and later can).
    pub(super) fn take() -> Result<Self> {
        std::fs::write("/proc/self/clear_refs", "5").context("cannot reset the peak of memory")?;
        Ok(Self { resident_kib: status("VmRSS:")?, cpu: cpu()? })
    }

    pub(super) fn cost(&self) -> Result<Cost> {
        Ok(Cost {
            growth_kib: status("VmHWM:")?.saturating_sub(self.resident_kib),
            cpu: cpu()?.saturating_sub(self.cpu),
        })
    }
}

/// One line of `/proc/self/status`, in KiB.
fn status(field: &str) -> Result<u64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    text.lines()
        .find_map(|line| line.strip_prefix(field))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
        .with_context(|| format!("/proc/self/status has no {field}"))
}

/// CPU time of the calling thread so far.
fn cpu() -> Result<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let first = text.split_whitespace().next().and_then(|word| word.parse().ok());
    first.map(Duration::from_nanos).context("/proc/thread-self/schedstat has no time")
}

/// A thread that does nothing but wait for 5 ms at a time, and knows how late it was at most.
#[derive(Debug)]
pub(super) struct Control {
    stop: SyncSender<()>,
    thread: JoinHandle<Duration>,
}

impl Control {
    pub(super) fn start() -> Self {
        const STEP: Duration = Duration::from_millis(5);
        let (stop, stopped) = sync_channel(1);
        let thread = std::thread::spawn(move || {
            let mut latest = Duration::ZERO;
            loop {
                let started = Instant::now();
                let waited = stopped.recv_timeout(STEP);
                if waited != Err(RecvTimeoutError::Timeout) {
                    return latest;
                }
                latest = latest.max(started.elapsed().saturating_sub(STEP));
            }
        });
        Self { stop, thread }
    }

    /// The greatest lateness of one wait.
    pub(super) fn stop(self) -> Duration {
        let _ = self.stop.send(());
        self.thread.join().unwrap_or_default()
    }
}
