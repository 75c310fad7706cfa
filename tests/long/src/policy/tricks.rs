//! The tricks as data: `tricks.toml`, families of one shape with a list of what differs.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::Context as _;
use serde::Deserialize;

/// Fewer would not be the promise.
pub(super) const TRICKS_MIN: usize = 300;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Book {
    pub(super) policy: Vec<WrittenPolicy>,
    /// Lists that families share: `$name` among the items.
    set: BTreeMap<String, Vec<String>>,
    family: Vec<Family>,
}

/// A policy file, and all that may be dialled under it in any trick, written down by hand.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenPolicy {
    pub(super) name: String,
    /// Empty: there is no file.
    pub(super) file: String,
    pub(super) permitted: Vec<SocketAddr>,
}

/// Tricks of one shape; `{}` stands for the item.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Family {
    name: String,
    policy: String,
    items: Vec<String>,
    want: String,
    url: String,
    connect: String,
    only: String,
    names: String,
    head: String,
    looks: Option<String>,
    logon: String,
    limit: String,
    times: u32,
}

/// One trick.
#[derive(Clone, Debug)]
pub(super) struct Trick {
    pub(super) name: String,
    pub(super) policy: String,
    pub(super) want: Want,
    pub(super) url: String,
    pub(super) connect: String,
    pub(super) only: String,
    /// For the name server, see `names::Script`.
    pub(super) names: String,
    /// For the target, see `target::Target::play`.
    pub(super) head: String,
    /// `METHOD PLACE CREDENTIAL` by their numbers in the protocol, each look parted by a comma; empty: the usual ones.
    pub(super) looks: Option<String>,
    /// The place of a logon, by its number; empty: none.
    pub(super) logon: String,
    /// Seconds of every limit; empty: the usual ones.
    pub(super) limit: String,
    /// How often it is offered; the last time counts.
    pub(super) times: u32,
}

/// What has to come of it. In no case may a packet leave the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// Refused by the rule with this id; nothing is dialled.
    Refused(String),
    /// No such offer or endpoint can be; nothing is dialled.
    Unreadable,
    /// Looked, as far as DNS; nothing is dialled.
    Unresolved,
    /// What is permitted is dialled.
    Dialled,
}

impl Book {
    pub(super) fn read() -> anyhow::Result<Self> {
        Ok(toml::from_str(include_str!("tricks.toml"))?)
    }

    pub(super) fn tricks(&self) -> anyhow::Result<Vec<Trick>> {
        let mut tricks = Vec::new();
        for family in &self.family {
            anyhow::ensure!(
                self.policy.iter().any(|it| it.name == family.policy),
                "{}: there is no policy `{}`",
                family.name,
                family.policy
            );
            for item in self.items(family)? {
                tricks.push(family.trick(item)?);
            }
        }
        Ok(tricks)
    }

    fn items<'a>(&'a self, family: &'a Family) -> anyhow::Result<Vec<&'a str>> {
        let mut items = Vec::new();
        for item in &family.items {
            match item.strip_prefix('$') {
                None => items.push(item.as_str()),
                Some(name) => {
                    let set = self.set.get(name).with_context(|| format!("no set `{name}`"))?;
                    items.extend(set.iter().map(String::as_str));
                }
            }
        }
        Ok(items)
    }
}

impl Family {
    fn trick(&self, item: &str) -> anyhow::Result<Trick> {
        let fill = |template: &str| template.replace("{}", item);
        let or = |text: String, usual: &str| if text.is_empty() { usual.to_owned() } else { text };
        let want = match self.want.split_once(' ') {
            Some(("refused", id)) => Want::Refused(id.to_owned()),
            None if self.want == "unreadable" => Want::Unreadable,
            None if self.want == "unresolved" => Want::Unresolved,
            None if self.want == "dialled" => Want::Dialled,
            Some(_) | None => anyhow::bail!("{}: wants `{}`", self.name, self.want),
        };
        Ok(Trick {
            name: format!("{}: {item}", self.name),
            policy: self.policy.clone(),
            want,
            url: or(fill(&self.url), "https://mail.example/Microsoft-Server-ActiveSync"),
            connect: fill(&self.connect),
            only: fill(&self.only),
            names: or(fill(&self.names), "203.0.113.10"),
            head: or(fill(&self.head), "HTTP/1.1 401 Unauthorized|WWW-Authenticate: Basic"),
            looks: self.looks.as_deref().map(fill),
            logon: fill(&self.logon),
            limit: fill(&self.limit),
            times: self.times.max(1),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_book_is_as_long_as_promised_and_nothing_is_in_it_twice() {
        let tricks = Book::read().expect("a book").tricks().expect("tricks");
        let names: BTreeSet<&str> = tricks.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names.len(), tricks.len());
        assert!(tricks.len() >= TRICKS_MIN, "{}", tricks.len());
    }
}
