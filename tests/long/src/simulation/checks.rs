//! What must hold after every event, held against the rows of the ledger, the counters of the directory and the credentials
//! that left. Independent of the code it checks: it reads the rows and does its own sums.
//!
//! Absent on purpose: the order of events; that is the scheduler's.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use parallax_store::simulation::{AttemptRow, GuardRow};

use super::directory::Directory;

const MINUTE_MS: i64 = 60_000;
/// How old an accepted logon may be to prove a secret.
const PROOF_AGE_MAX_MS: i64 = 10 * MINUTE_MS;
/// A success at the same server this long before is no proof: it may come from a cached token.
const TOKEN_CACHE_MS: i64 = 15 * MINUTE_MS;
/// Logons that may reach a back end through one server in a minute.
const PACE_MAX: usize = 2;

/// What did not hold.
#[derive(Clone, Debug)]
pub(super) struct Violation {
    pub invariant: &'static str,
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.invariant, self.text)
    }
}

/// What is looked at.
pub(super) struct Sights<'a> {
    pub attempts: Vec<AttemptRow>,
    pub guards: Vec<GuardRow>,
    pub directory: &'a Directory,
    pub now: Duration,
    pub wall_ms: i64,
}

/// What was seen so far.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each says one thing, and none excludes another")]
pub(super) struct Checks {
    rows: BTreeMap<String, AttemptRow>,
    guards: BTreeMap<String, GuardRow>,
    /// Nonces of every start that ever was on disk, also on one that was put back meanwhile.
    started: BTreeMap<String, Vec<u8>>,
    emitted: BTreeMap<String, u32>,
    /// Secrets (account, version) that were refused without proof.
    refused: BTreeSet<(String, i64)>,
    /// Attempts whose caller claimed that an earlier success proves the secret.
    pub claims: BTreeSet<String>,
    /// Until when nothing may start, by the wall clock.
    frozen_until_ms: BTreeMap<String, i64>,
    /// The same for clocks that were moved, by a clock that cannot be.
    distrusted_until: BTreeMap<String, Duration>,
    /// Agents may lie about what they sent; then twice the budget is the limit, and the ledger cannot know better.
    pub has_liars: bool,
    /// The wall clock was moved, so that spaces of time cannot be read from rows.
    pub clock_was_moved: bool,
    /// The rows that are seen next are another database's: nothing of them happened just now.
    is_new_ground: bool,
    /// Some account was frozen, some budget was charged to the last count.
    pub was_frozen: bool,
    pub was_used_up: bool,
}

type Checked = Result<(), Violation>;

fn violated(invariant: &'static str, text: String) -> Checked {
    Err(Violation { invariant, text })
}

impl Checks {
    pub(super) fn new(has_liars: bool) -> Self {
        Self { has_liars, ..Self::default() }
    }

    /// An older database was put back: what was learned of rows is void, and everything has to stay frozen.
    pub(super) fn put_back(&mut self, wall_ms: i64) {
        self.rows.clear();
        self.refused.clear();
        self.is_new_ground = true;
        for (account, guard) in &self.guards {
            let until_ms = wall_ms + guard.quiet_ms;
            let known = self.frozen_until_ms.entry(account.clone()).or_default();
            *known = until_ms.max(*known);
        }
    }

    /// The wall clock was moved further than is borne: from here on nothing may start for a quiet gap.
    pub(super) fn clock_moved(&mut self, now: Duration) {
        for (account, guard) in &self.guards {
            let quiet = Duration::from_millis(guard.quiet_ms.unsigned_abs());
            self.distrusted_until.insert(account.clone(), now + quiet);
        }
    }

    fn is_distrusted(&self, account: &str, now: Duration) -> bool {
        self.distrusted_until.get(account).is_some_and(|it| *it > now)
    }

    /// An operator looked, and takes the breaker and the freeze of an account away.
    pub(super) fn released(&mut self, account: &str) {
        self.refused.retain(|(of, _)| of != account);
        self.frozen_until_ms.remove(account);
        self.distrusted_until.remove(account);
    }

    /// An account whose secret was refused.
    pub(super) fn refused_account(&self) -> Option<String> {
        self.refused.first().map(|(account, _)| account.clone())
    }

    /// I3, I4, I5: a credential left under this attempt, after this go.
    pub(super) fn emitted(&mut self, attempt: &str, nonce: Option<&[u8]>) -> Checked {
        let count = self.emitted.entry(attempt.to_owned()).or_default();
        *count += 1;
        if *count > 1 {
            return violated("I3 at most once", format!("{count} credentials of one attempt"));
        }
        match self.started.get(attempt) {
            None => return violated("I4 start first", "a credential without a start".to_owned()),
            Some(started) if nonce.is_some_and(|it| it != started) => {
                return violated("I4 start first", "the go is not that of the start".to_owned());
            }
            Some(_) => {}
        }
        match self.rows.get(attempt) {
            Some(row) if row.state == "void" => {
                violated("I5 void is final", "a credential of a void attempt".to_owned())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Everything else.
    pub(super) fn look(&mut self, sights: Sights<'_>) -> Checked {
        for guard in &sights.guards {
            self.guards.insert(guard.account.clone(), guard.clone());
            let until_ms = guard.frozen_until_ms.unwrap_or_default();
            self.was_frozen |= until_ms > sights.wall_ms;
            self.was_used_up |= guard.charged_cost == guard.k;
            let known = self.frozen_until_ms.entry(guard.account.clone()).or_default();
            *known = until_ms.max(*known);
        }
        for row in &sights.attempts {
            let before = self.rows.get(&row.attempt_id).cloned();
            if before.as_ref() == Some(row) {
                continue;
            }
            if self.is_new_ground {
                self.rows.insert(row.attempt_id.clone(), row.clone());
                continue;
            }
            self.check_move(before.as_ref(), row)?;
            if row.started_ms.is_some() && before.is_none_or(|it| it.started_ms.is_none()) {
                self.check_start(row, &sights.attempts, sights.now)?;
            }
            self.rows.insert(row.attempt_id.clone(), row.clone());
        }
        self.is_new_ground = false;
        self.check_settled(&sights)?;
        self.check_sums(&sights)
    }

    /// I9, and what a refusal does to its secret.
    fn check_move(&mut self, before: Option<&AttemptRow>, row: &AttemptRow) -> Checked {
        if let Some(before) = before
            && before.state != row.state
        {
            let is_late_proof = before.outcome.as_deref() == Some("unproven");
            let may = match (before.state.as_str(), row.state.as_str()) {
                ("reserved", "started" | "void") | ("started", _) => true,
                ("charged", "succeeded" | "void") => is_late_proof,
                _ => false,
            };
            if !may {
                let text = format!("{} became {}", before.state, row.state);
                return violated("I9 settled stays", text);
            }
        }
        let was_refused = before.is_some_and(|it| it.outcome.as_deref() == Some("refused"));
        if row.outcome.as_deref() == Some("refused") && !was_refused && !self.is_proven(row) {
            self.refused.insert((row.account.clone(), row.secret_version));
        }
        Ok(())
    }

    /// An accepted logon of the same secret in the same diagnosis, fresh, and not from a cache.
    fn is_proven(&self, refused: &AttemptRow) -> bool {
        let at_ms = refused.settled_ms.unwrap_or_default();
        let is_good = |it: &&AttemptRow| {
            it.state == "succeeded"
                && it.account == refused.account
                && it.secret_version == refused.secret_version
        };
        let is_cached = |it: &AttemptRow| {
            self.rows.values().filter(is_good).any(|earlier| {
                earlier.attempt_id != it.attempt_id
                    && earlier.server == it.server
                    && earlier.started_ms <= it.started_ms
                    && earlier.settled_ms.unwrap_or_default()
                        >= it.started_ms.unwrap_or_default() - TOKEN_CACHE_MS
            })
        };
        self.claims.contains(&refused.attempt_id)
            && self.rows.values().filter(is_good).any(|it| {
                it.diagnosis == refused.diagnosis
                    && it.settled_ms.unwrap_or_default() >= at_ms - PROOF_AGE_MAX_MS
                    && !is_cached(it)
            })
    }

    /// I7, I8, I10 and the pace at one server.
    fn check_start(&mut self, row: &AttemptRow, all: &[AttemptRow], now: Duration) -> Checked {
        let at_ms = row.started_ms.unwrap_or_default();
        if let Some(nonce) = &row.begin_nonce {
            self.started.insert(row.attempt_id.clone(), nonce.clone());
        }
        if !row.has_audit {
            return violated("I10 audit", "a start without its line in the audit".to_owned());
        }
        if self.frozen_until_ms.get(&row.account).is_some_and(|it| *it > at_ms) {
            return violated("I8 freeze", format!("{} starts while it is frozen", row.account));
        }
        if self.is_distrusted(&row.account, now) {
            let text = format!("{} starts after the clock was moved", row.account);
            return violated("I8 freeze", text);
        }
        if self.refused.contains(&(row.account.clone(), row.secret_version)) {
            let text = format!("version {} of {} was refused", row.secret_version, row.account);
            return violated("I7 breaker", text);
        }
        let is_end = |it: &&AttemptRow| {
            it.diagnosis == row.diagnosis && it.account == row.account && it.state == "charged"
        };
        if all.iter().filter(is_end).any(|it| it.settled_ms.is_some_and(|ms| ms <= row.reserved_ms))
        {
            let text = "a logon after one that was refused or unproven, in one diagnosis";
            return violated("I7 one refusal a diagnosis", text.to_owned());
        }
        let is_near = |it: &&AttemptRow| {
            it.cas.is_some()
                && it.cas == row.cas
                && it.started_ms.is_some_and(|ms| ms <= at_ms && ms > at_ms - MINUTE_MS)
        };
        if !self.clock_was_moved && all.iter().filter(is_near).count() > PACE_MAX {
            return violated("pace", "more than two logons a minute to back ends".to_owned());
        }
        Ok(())
    }

    /// I5, I6, I10 on the rows as they stand.
    fn check_settled(&self, sights: &Sights<'_>) -> Checked {
        let mut open: BTreeMap<&str, u32> = BTreeMap::new();
        for row in &sights.attempts {
            if matches!(row.state.as_str(), "reserved" | "started") {
                *open.entry(&row.account).or_default() += 1;
            }
            let has_left = self.emitted.get(&row.attempt_id).is_some_and(|it| *it > 0);
            if row.state == "void" && has_left && !self.has_liars {
                return violated("I5 void is final", "a void attempt has sent".to_owned());
            }
            if row.started_ms.is_some() && !row.has_audit {
                return violated("I10 audit", "a start has lost its line in the audit".to_owned());
            }
        }
        match open.iter().find(|(_, count)| **count > 1) {
            Some((account, count)) => {
                violated("I6 single flight", format!("{count} open attempts of {account}"))
            }
            None => Ok(()),
        }
    }

    /// I1, I2.
    fn check_sums(&self, sights: &Sights<'_>) -> Checked {
        for guard in &sights.guards {
            let Some(principal) = sights.directory.principals.get(&guard.account) else { continue };
            let counter = principal.counter(sights.now);
            let (account, k) = (&guard.account, guard.k);
            let limit = if self.has_liars { 2 * k } else { k };
            if counter > limit {
                let text = format!("the counter of {account} is {counter}, K is {k}");
                return violated("I1 budget", text);
            }
            let held = guard.open_cost + guard.charged_cost;
            let is_frozen = guard.frozen_until_ms.is_some_and(|it| it > sights.wall_ms)
                || self.is_distrusted(account, sights.now);
            if counter > held && !is_frozen && !self.has_liars {
                let text =
                    format!("the counter of {account} is {counter}, the ledger holds {held}");
                return violated("I2 dominance", text);
            }
        }
        Ok(())
    }

    /// L1: nothing is open any more.
    pub(super) fn look_at_end(&self) -> Checked {
        let open =
            self.rows.values().find(|it| matches!(it.state.as_str(), "reserved" | "started"));
        match open {
            Some(row) => {
                violated("L1 comes to an end", format!("an attempt is still {}", row.state))
            }
            None => Ok(()),
        }
    }

    /// What became of the attempts.
    pub(super) fn rows(&self) -> impl Iterator<Item = &AttemptRow> {
        self.rows.values()
    }

    /// Whether an attempt of the account is open.
    pub(super) fn is_open(&self, account: &str) -> bool {
        let is_open = |it: &&AttemptRow| matches!(it.state.as_str(), "reserved" | "started");
        self.rows.values().filter(is_open).any(|it| it.account == account)
    }

    pub(super) fn row(&self, attempt: &str) -> Option<&AttemptRow> {
        self.rows.get(attempt)
    }

    pub(super) fn guard(&self, account: &str) -> Option<&GuardRow> {
        self.guards.get(account)
    }
}
