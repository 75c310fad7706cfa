//! Seams for simulations, behind the feature `simulation`: clocks that are handed in, a look at the ledger's rows, and a way
//! to break it on purpose.
//!
//! Absent on purpose: anything that a running controller needs.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use crate::clock::{Clock, TestTime, millis};
use crate::error::During as _;
use crate::row::row;
use crate::{Store, StoreError};

/// The clocks of a simulated machine: they stand still until they are moved.
#[derive(Clone, Debug)]
pub struct SimulatedTime(Arc<TestTime>);

impl SimulatedTime {
    /// `start_ms`: milliseconds since 1970, above 0.
    pub fn new(start_ms: i64) -> Self {
        Self(Arc::new(TestTime { still_at_ms: start_ms.into(), ..TestTime::default() }))
    }

    /// Time passes on both clocks.
    pub fn pass(&self, duration: Duration) {
        self.0.passed_ms.fetch_add(millis(duration), SeqCst);
    }

    /// Somebody moves the wall clock.
    pub fn jump_ms(&self, ms: i64) {
        self.0.jumped_ms.fetch_add(ms, SeqCst);
    }

    /// What the wall clock shows, in milliseconds since 1970.
    pub fn wall_ms(&self) -> i64 {
        let TestTime { still_at_ms, passed_ms, jumped_ms } = &*self.0;
        still_at_ms.load(SeqCst) + passed_ms.load(SeqCst) + jumped_ms.load(SeqCst)
    }
}

row! {
    /// One attempt, as it stands in the file. `has_audit`: a line of the audit names its start.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct AttemptRow {
        pub attempt_id: String,
        pub diagnosis: String,
        pub account: String,
        pub secret_version: i64,
        pub agent: String,
        pub endpoint: String,
        pub server: String,
        pub cas: Option<String>,
        pub cost: u32,
        pub state: String,
        pub outcome: Option<String>,
        pub begin_nonce: Option<Vec<u8>>,
        pub ledger_sequence: Option<i64>,
        pub reserved_ms: i64,
        pub started_ms: Option<i64>,
        pub settled_ms: Option<i64>,
        pub has_audit: bool,
    }
}

row! {
    /// The guard of one account, as it stands in the file.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct GuardRow {
        pub account: String,
        pub k: u32,
        pub quiet_ms: i64,
        pub open_cost: u32,
        pub charged_cost: u32,
        pub frozen_until_ms: Option<i64>,
    }
}

impl Store {
    /// As [`Store::open`], on these clocks.
    pub async fn open_simulated(folder: &Path, time: &SimulatedTime) -> Result<Self, StoreError> {
        Self::open_by(folder, Duration::ZERO, Clock::of_test(Arc::clone(&time.0))).await
    }

    /// Every attempt, oldest first.
    pub async fn attempt_rows(&self) -> Result<Vec<AttemptRow>, StoreError> {
        sqlx::query_as(
            "SELECT attempt_id, diagnosis, account, secret_version, agent, endpoint, server, cas, cost, state, outcome,
                    begin_nonce, ledger_sequence, reserved_ms, started_ms, settled_ms,
                    EXISTS (SELECT 1 FROM audit u WHERE u.sequence = a.audit_sequence AND u.action = 'logon.start'
                               AND instr(u.detail, a.attempt_id) > 0) AS has_audit
               FROM attempt a ORDER BY a.rowid",
        )
        .fetch_all(&self.core.reader)
        .await
        .during("look at the attempts")
    }

    /// The guard of every registered account, by account.
    pub async fn guard_rows(&self) -> Result<Vec<GuardRow>, StoreError> {
        sqlx::query_as(
            "SELECT a.id AS account, g.k, g.quiet_ms, g.open_cost, g.charged_cost, g.frozen_until_ms
               FROM account a JOIN account_guard g ON g.account_key = a.ledger_key ORDER BY a.id",
        )
        .fetch_all(&self.core.reader)
        .await
        .during("look at the guards")
    }

    /// Runs statements on the writing connection, past every rule: for seeded bugs.
    pub async fn run_unguarded(&self, statements: &'static str) -> Result<(), StoreError> {
        sqlx::raw_sql(statements)
            .execute(&self.core.writer)
            .await
            .during("run a seeded bug")
            .map(|_| ())
    }
}
