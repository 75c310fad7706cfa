//! How many refused passwords has a directory counted, and is an account locked?
//!
//! One counter per identity: entries of one directory with one principal name are spellings of one
//! account and share it, as they would in a real directory. The count returns to 0 after a quiet
//! observation window or a good logon; a locked account opens again after the lockout duration.
//! Absent on purpose: whether a password is right (`tags`).

use std::collections::BTreeMap;

use crate::format::{Account, AccountState, World};

/// The bad-password counter of one identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// The account entries that share it.
    pub accounts: Vec<String>,
    /// The count at t = 0.
    pub at_start: u32,
    /// The count now.
    pub count: u32,
    /// By how much it rose, all rises added; a good logon in between takes nothing away.
    pub risen: u32,
    /// It reached the threshold during the run.
    pub locked: bool,
}

#[derive(Debug)]
struct Identity {
    counter: Counter,
    threshold: u32,
    window_s: f64,
    lockout_s: f64,
    /// When the last refusal was counted; the count at t = 0 is as if made then.
    refused_at_s: f64,
    locked_at_s: Option<f64>,
}

/// All counters of a world.
#[derive(Debug)]
pub(super) struct Directories {
    identities: Vec<Identity>,
    /// Account entry to its place in `identities`.
    places: BTreeMap<String, usize>,
}

impl Directories {
    pub(super) fn new(world: &World) -> Self {
        let mut by_key: BTreeMap<(String, String), usize> = BTreeMap::new();
        let mut all = Self { identities: Vec::new(), places: BTreeMap::new() };
        for account in &world.accounts {
            let place = *by_key.entry(key(account)).or_insert(all.identities.len());
            if place == all.identities.len() {
                all.identities.push(Identity::of(world, account));
            }
            if let Some(identity) = all.identities.get_mut(place) {
                identity.counter.accounts.push(account.name.clone());
                identity.counter.at_start = identity.counter.at_start.max(account.bad_count);
                identity.counter.count = identity.counter.at_start;
            }
            all.places.insert(account.name.clone(), place);
        }
        all
    }

    pub(super) fn counters(&self) -> Vec<Counter> {
        self.identities.iter().map(|it| it.counter.clone()).collect()
    }

    /// The state of an account now. One that is locked at t = 0 stays so: nobody says since when.
    pub(super) fn state(&mut self, account: &Account, now_s: f64) -> AccountState {
        let Some(identity) = self.of(&account.name) else { return account.state };
        identity.pass_time(now_s);
        if identity.locked_at_s.is_some() { AccountState::Locked } else { account.state }
    }

    /// Counts a refused password.
    pub(super) fn refuse(&mut self, account: &str, cost: u32, now_s: f64) {
        let Some(identity) = self.of(account) else { return };
        identity.pass_time(now_s);
        let counter = &mut identity.counter;
        counter.count = counter.count.saturating_add(cost);
        counter.risen = counter.risen.saturating_add(cost);
        identity.refused_at_s = now_s;
        if identity.threshold > 0 && counter.count >= identity.threshold {
            counter.locked = true;
            identity.locked_at_s.get_or_insert(now_s);
        }
    }

    /// A good logon clears the count.
    pub(super) fn accept(&mut self, account: &str) {
        if let Some(identity) = self.of(account) {
            identity.counter.count = 0;
        }
    }

    fn of(&mut self, account: &str) -> Option<&mut Identity> {
        let place = *self.places.get(account)?;
        self.identities.get_mut(place)
    }
}

impl Identity {
    fn of(world: &World, account: &Account) -> Self {
        let directory = world.directory(&account.directory);
        Self {
            counter: Counter {
                accounts: Vec::new(),
                at_start: 0,
                count: 0,
                risen: 0,
                locked: false,
            },
            threshold: directory.map_or(0, |it| it.lockout_threshold),
            window_s: directory.map_or(0.0, |it| f64::from(it.observation_window_s)),
            lockout_s: directory.map_or(0.0, |it| f64::from(it.lockout_duration_s)),
            refused_at_s: 0.0,
            locked_at_s: None,
        }
    }

    /// A window or a duration of 0 never ends by itself.
    fn pass_time(&mut self, now_s: f64) {
        if self.lockout_s > 0.0 && self.locked_at_s.is_some_and(|it| now_s - it >= self.lockout_s) {
            self.locked_at_s = None;
            self.counter.count = 0;
        }
        if self.window_s > 0.0
            && self.locked_at_s.is_none()
            && now_s - self.refused_at_s >= self.window_s
        {
            self.counter.count = 0;
        }
    }
}

fn key(account: &Account) -> (String, String) {
    let identity =
        account.upn.as_ref().map_or_else(|| format!("={}", account.name), |it| it.to_lowercase());
    (account.directory.clone(), identity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Directory;

    /// Threshold 3, window 100 s, lockout 200 s; `a` and `a2` are spellings of one account.
    fn directories() -> (Directories, Account) {
        let directory: Directory = serde_json::from_value(serde_json::json!({
            "name": "corp", "netbios": "CORP", "dns_domain": "corp.example", "upn_suffixes": [],
            "lockout_threshold": 3, "observation_window_s": 100, "lockout_duration_s": 200
        }))
        .expect("a directory");
        let account = |name: &str, upn: &str| -> Account {
            serde_json::from_value(serde_json::json!({
                "name": name, "directory": "corp", "login": name, "form": "bare", "resolves": true, "upn": upn,
                "secret": "right", "state": "ok", "mailbox": "none", "given": true, "purpose": "subject"
            }))
            .expect("an account")
        };
        let mut world = crate::format::read_text(
            std::path::Path::new("every_listener.json"),
            include_str!("../../tests/shows/every_listener.json"),
        )
        .expect("a world");
        world.directories = vec![directory];
        world.accounts = vec![account("a", "A@x"), account("a2", "a@X"), account("b", "b@x")];
        let first = world.accounts[0].clone();
        (Directories::new(&world), first)
    }

    #[test]
    fn spellings_share_one_counter() {
        let (mut all, a) = directories();
        all.refuse("a", 1, 0.0);
        all.refuse("a2", 2, 1.0);
        assert_eq!(all.state(&a, 2.0), AccountState::Locked);
        let counters = all.counters();
        assert_eq!(counters.len(), 2);
        assert_eq!(counters[0].accounts, ["a", "a2"]);
        assert_eq!((counters[0].count, counters[0].risen, counters[0].locked), (3, 3, true));
        assert_eq!(counters[1].risen, 0);
    }

    #[test]
    fn quiet_window_and_good_logon_clear_the_count() {
        let (mut all, a) = directories();
        all.refuse("a", 2, 0.0);
        all.refuse("a", 2, 100.0);
        assert_eq!(all.state(&a, 100.0), AccountState::Ok);
        assert_eq!((all.counters()[0].count, all.counters()[0].risen), (2, 4));
        all.accept("a");
        assert_eq!((all.counters()[0].count, all.counters()[0].risen), (0, 4));
    }

    #[test]
    fn a_refusal_within_the_window_keeps_it_open() {
        let (mut all, a) = directories();
        for at_s in [0.0, 90.0, 180.0] {
            all.refuse("a", 1, at_s);
        }
        assert_eq!(all.state(&a, 180.0), AccountState::Locked);
    }

    #[test]
    fn a_locked_account_opens_after_its_time() {
        let (mut all, a) = directories();
        all.refuse("a", 3, 10.0);
        assert_eq!(all.state(&a, 209.0), AccountState::Locked);
        assert_eq!(all.state(&a, 210.0), AccountState::Ok);
        assert_eq!(all.counters()[0].count, 0);
    }
}
