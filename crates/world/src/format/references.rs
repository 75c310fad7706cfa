//! Do the names in a world exist, and do its parts fit each other?
//!
//! All problems at once, each with its place and what would be right. What the schema says of
//! shapes is checked while reading; here stand the things that need two places of the file.

use std::collections::BTreeSet;

use super::network::{DnsAnswer, Host, Vantage};
use super::rules::{Action, Forward, OneOrMore, Rule, When};
use super::{Problem, World};

/// Everything that does not fit, in the order of the file.
pub(super) fn check(world: &World) -> Vec<Problem> {
    let mut found = Found { world, problems: Vec::new() };
    found.names();
    found.accounts();
    for (index, vantage) in world.vantages.iter().enumerate() {
        found.vantage(&format!("vantages[{index}]"), vantage);
    }
    for (index, host) in world.hosts.iter().enumerate() {
        found.host(&format!("hosts[{index}]"), host);
    }
    found.target();
    found.looks();
    found.problems
}

struct Found<'a> {
    world: &'a World,
    problems: Vec<Problem>,
}

impl Found<'_> {
    fn say(&mut self, at: impl Into<String>, what: impl Into<String>) {
        self.problems.push(Problem { at: at.into(), what: what.into() });
    }

    fn must_be_host(&mut self, at: impl Into<String>, name: &str) {
        if self.world.host(name).is_none() {
            let known = quoted(self.world.hosts.iter().map(|it| it.name.as_str()));
            self.say(at, format!("`{name}` is no host; hosts are {known}"));
        }
    }

    fn must_be_vantage(&mut self, at: impl Into<String>, name: &str) {
        if self.world.vantage(name).is_none() {
            let known = quoted(self.world.vantages.iter().map(|it| it.name.as_str()));
            self.say(at, format!("`{name}` is no vantage; vantages are {known}"));
        }
    }

    fn must_be_account(&mut self, at: impl Into<String>, name: &str) {
        if self.world.account(name).is_none() {
            let known = quoted(self.world.accounts.iter().map(|it| it.name.as_str()));
            self.say(at, format!("`{name}` is no account; accounts are {known}"));
        }
    }

    fn must_be_directory(&mut self, at: impl Into<String>, name: &str) {
        if self.world.directory(name).is_none() {
            let known = quoted(self.world.directories.iter().map(|it| it.name.as_str()));
            self.say(at, format!("`{name}` is no directory; directories are {known}"));
        }
    }

    fn must_be_endpoint(&mut self, at: impl Into<String>, name: &str) {
        if self.world.endpoint(name).is_none() {
            let known = quoted(self.world.target.endpoints.iter().map(|it| it.name.as_str()));
            self.say(at, format!("`{name}` is no endpoint; endpoints are {known}"));
        }
    }

    fn names(&mut self) {
        let world = self.world;
        if !is_world_id(&world.id) {
            self.say(
                "id",
                format!(
                    "`{}` must be lower-case words joined by `-`, such as `x01-seed`",
                    world.id
                ),
            );
        }
        self.unique("directories", world.directories.iter().map(|it| it.name.as_str()));
        self.unique("accounts", world.accounts.iter().map(|it| it.name.as_str()));
        self.unique("vantages", world.vantages.iter().map(|it| it.name.as_str()));
        self.unique("hosts", world.hosts.iter().map(|it| it.name.as_str()));
        self.unique("target.endpoints", world.target.endpoints.iter().map(|it| it.name.as_str()));
        let empty = [
            ("vantages", world.vantages.is_empty()),
            ("hosts", world.hosts.is_empty()),
            ("target.endpoints", world.target.endpoints.is_empty()),
        ];
        for (at, _) in empty.into_iter().filter(|(_, it)| *it) {
            self.say(at, "must have at least one entry");
        }
    }

    fn unique<'n>(&mut self, list: &str, names: impl Iterator<Item = &'n str>) {
        let mut seen = BTreeSet::new();
        for (index, name) in names.enumerate() {
            if !is_name(name) {
                let what = format!("`{name}` must begin with a-z and have only a-z, 0-9 and `-`");
                self.say(format!("{list}[{index}].name"), what);
            }
            if !seen.insert(name) {
                self.say(
                    format!("{list}[{index}].name"),
                    format!("`{name}` stands twice; names are unique"),
                );
            }
        }
    }

    fn accounts(&mut self) {
        let world = self.world;
        for (index, directory) in world.directories.iter().enumerate() {
            if let Some(kdc) = &directory.kdc {
                self.must_be_host(format!("directories[{index}].kdc"), kdc);
            }
        }
        for (index, account) in world.accounts.iter().enumerate() {
            self.must_be_directory(format!("accounts[{index}].directory"), &account.directory);
            if !matches!(account.mailbox.as_str(), "cloud" | "none") {
                self.must_be_host(format!("accounts[{index}].mailbox"), &account.mailbox);
            }
        }
    }

    fn vantage(&mut self, at: &str, vantage: &Vantage) {
        for (name, answer) in &vantage.dns {
            let at = format!("{at}.dns.{name}");
            match answer {
                DnsAnswer::Fails(_) => {}
                DnsAnswer::Host(host) => self.must_be_host(at, host),
                DnsAnswer::Hosts(hosts) => {
                    if hosts.is_empty() {
                        self.say(at.as_str(), "must name at least one host");
                    }
                    for host in hosts {
                        self.must_be_host(at.as_str(), host);
                    }
                }
                DnsAnswer::Records(records) => {
                    for host in records.a.iter().chain(&records.aaaa) {
                        self.must_be_host(at.as_str(), host);
                    }
                }
            }
        }
        for key in vantage.reach.keys() {
            self.reach_key(&format!("{at}.reach.{key}"), key);
        }
        if let Some(intercept) = &vantage.intercept {
            self.must_be_host(format!("{at}.intercept.by"), &intercept.by);
        }
    }

    fn reach_key(&mut self, at: &str, key: &str) {
        let (machine, family) = key.split_once('/').map_or((key, None), |(a, b)| (a, Some(b)));
        let (host, port) = machine.split_once(':').map_or((machine, None), |(a, b)| (a, Some(b)));
        let shape = family.is_none_or(|it| matches!(it, "v4" | "v6"))
            && port.is_none_or(|it| it.parse::<u16>().is_ok());
        if shape {
            self.must_be_host(at, host);
        } else {
            self.say(at, "must be `host`, `host:port`, `host/v6` or `host:port/v6`");
        }
    }

    fn host(&mut self, at: &str, host: &Host) {
        let mut ports = BTreeSet::new();
        for (index, listener) in host.listeners.iter().enumerate() {
            if !ports.insert(listener.port) {
                let what = format!("port {} stands twice on this host", listener.port);
                self.say(format!("{at}.listeners[{index}].port"), what);
            }
            if let Some(tls) = &listener.tls
                && tls.min_version > tls.max_version
            {
                self.say(
                    format!("{at}.listeners[{index}].tls.min_version"),
                    "must not be above max_version",
                );
            }
        }
        if let Some(through) = &host.passthrough {
            if through.to.is_empty() {
                self.say(format!("{at}.passthrough.to"), "must name at least one host");
            }
            for (index, to) in through.to.iter().enumerate() {
                self.must_be_host(format!("{at}.passthrough.to[{index}]"), to);
            }
        }
        if let Some(validates) = &host.validates {
            self.must_be_directory(format!("{at}.validates.directory"), &validates.directory);
            for (index, account) in validates.cached.iter().enumerate() {
                self.must_be_account(format!("{at}.validates.cached[{index}]"), account);
            }
        }
        for key in host.reach.keys() {
            self.reach_key(&format!("{at}.reach.{key}"), key);
        }
        for (index, rule) in host.rules.iter().enumerate() {
            self.rule(&format!("{at}.rules[{index}]"), rule);
        }
    }

    fn rule(&mut self, at: &str, rule: &Rule) {
        self.when(&format!("{at}.when"), &rule.when);
        match &rule.action {
            Action::Answer(answer) => self.answer(&format!("{at}.answer"), answer.status),
            Action::Forward(forward) => self.forward(&format!("{at}.forward"), forward),
            Action::Close(_) | Action::Stall => {}
        }
    }

    fn when(&mut self, at: &str, when: &When) {
        for account in when.account.iter().flat_map(OneOrMore::as_slice) {
            self.must_be_account(format!("{at}.account"), account);
        }
        for vantage in when.origin.iter().flatten() {
            self.must_be_vantage(format!("{at}.origin"), vantage);
        }
        for peer in when.peer.iter().flatten() {
            if self.world.vantage(peer).is_none() && self.world.host(peer).is_none() {
                self.say(format!("{at}.peer"), format!("`{peer}` is neither a vantage nor a host"));
            }
        }
        if when.every.is_some_and(|[modulus, remainder]| modulus == 0 || remainder >= modulus) {
            self.say(
                format!("{at}.every"),
                "must be a modulus of at least 1 and a smaller remainder",
            );
        }
    }

    fn answer(&mut self, at: &str, status: u16) {
        if !(200..=599).contains(&status) {
            self.say(format!("{at}.status"), format!("{status} must lie between 200 and 599"));
        }
    }

    fn forward(&mut self, at: &str, forward: &Forward) {
        if forward.to.is_empty() {
            self.say(format!("{at}.to"), "must name at least one host");
        }
        for (index, to) in forward.to.iter().enumerate() {
            self.must_be_host(format!("{at}.to[{index}]"), to);
        }
        for (name, answer) in
            [("on_timeout", &forward.on_timeout), ("on_unreachable", &forward.on_unreachable)]
        {
            if let Some(answer) = answer {
                self.answer(&format!("{at}.{name}"), answer.status);
            }
        }
    }

    fn target(&mut self) {
        for (index, endpoint) in self.world.target.endpoints.iter().enumerate() {
            let at = format!("target.endpoints[{index}]");
            let right = url::Url::parse(&endpoint.url)
                .is_ok_and(|it| matches!(it.scheme(), "http" | "https") && it.host_str().is_some());
            if !right {
                self.say(
                    format!("{at}.url"),
                    format!("`{}` must be an http or https URL with a host", endpoint.url),
                );
            }
            if let Some(host) = &endpoint.connect {
                self.must_be_host(format!("{at}.connect"), host);
            }
            for host in &endpoint.published_on {
                self.must_be_host(format!("{at}.published_on"), host);
            }
            for vantage in endpoint.from.iter().flatten() {
                self.must_be_vantage(format!("{at}.from"), vantage);
            }
        }
    }

    fn looks(&mut self) {
        for (index, event) in self.world.events.iter().enumerate() {
            if event.at_s > 0.0 {
                self.say(format!("events[{index}].at_s"), "must not lie after the start (0)");
            }
        }
        for (index, past) in self.world.history.iter().enumerate() {
            let at = format!("history[{index}]");
            if past.at_s >= 0.0 {
                self.say(format!("{at}.at_s"), "must lie before the start (0)");
            }
            self.look(&at, &past.from, &past.to, past.account.as_deref());
        }
        for (index, show) in self.world.shows.iter().enumerate() {
            self.look(&format!("shows[{index}]"), &show.from, &show.to, show.account.as_deref());
        }
    }

    fn look(&mut self, at: &str, from: &str, to: &str, account: Option<&str>) {
        self.must_be_vantage(format!("{at}.from"), from);
        self.must_be_endpoint(format!("{at}.to"), to);
        if let Some(account) = account {
            self.must_be_account(format!("{at}.account"), account);
        }
    }
}

fn quoted<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ")
}

fn is_name(text: &str) -> bool {
    text.starts_with(|it: char| it.is_ascii_lowercase())
        && text.chars().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-')
}

fn is_world_id(text: &str) -> bool {
    let words: Vec<&str> = text.split('-').collect();
    let is_word = |it: &&str| {
        !it.is_empty() && it.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    words.len() > 1 && words.iter().all(is_word)
}
