//! How does the seed problem stand on one machine, for people to try?
//!
//! The world of the seed with a controller and agents around it, and a target registered several times, each time with
//! accounts of its own: a logon that one run made would otherwise stand in the way of the next one, for a ledger forgets
//! only after its quiet gap and an accepted logon may live on in a token cache. Absent on purpose: printing.
//!
//! INVARIANT: data and secrets are made for this demo and go with it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use tempfile::TempDir;

use crate::format::{Account, LoadError, OneOrMore, World, read_text};
use crate::installation::{Installation, InstallationError};
use crate::register::{Registration, register};

const SEED: &str = include_str!("../../../tests/worlds/x01-seed.json");
const SEED_FILE: &str = "x01-seed.json";

/// How often the target is registered, each time with accounts of its own.
const TARGETS: usize = 4;
/// Id of the first target; the others have a number behind it.
const TARGET_ID: &str = "contoso";

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("the world of the demo cannot be read")]
    World(#[from] LoadError),
    #[error("cannot make a temporary folder")]
    Folder(#[from] std::io::Error),
    #[error(transparent)]
    Installation(#[from] InstallationError),
}

/// A target of the demo that can be diagnosed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoTarget {
    /// As in `targets/{id}`.
    pub id: String,
    /// As in `accounts/{id}`.
    pub accounts: Vec<String>,
}

/// The demo as it runs.
#[derive(Debug)]
pub struct Demo {
    installation: Installation,
    targets: Vec<DemoTarget>,
    folder: TempDir,
}

impl Demo {
    /// Starts everything; returns when every agent has its session and every target is registered.
    pub async fn start() -> Result<Self, DemoError> {
        let seed = read_text(Path::new(SEED_FILE), SEED)?;
        let pairs: Vec<Vec<Account>> = (1..=TARGETS).map(|number| copies(&seed, number)).collect();
        let world = Arc::new(with_accounts(&seed, &pairs));
        let folder = tempfile::Builder::new().prefix("parallax-demo-").tempdir()?;
        let installation = Installation::start(world, folder.path()).await?;
        let mut targets = Vec::new();
        for (number, accounts) in (1..).zip(pairs) {
            let registration = registration(&installation, accounts, number);
            installation.bring_in(&registration).await?;
            let accounts = registration.accounts.into_iter().map(|it| it.id).collect();
            targets.push(DemoTarget { id: registration.target_id, accounts });
        }
        Ok(Self { installation, targets, folder })
    }

    /// Where the API listens, plain HTTP/2 on loopback.
    pub fn api(&self) -> SocketAddr {
        self.installation.api()
    }

    /// Where agents come in.
    pub fn agent_port(&self) -> SocketAddr {
        self.installation.agent_port()
    }

    /// The file with the API's bearer token.
    pub fn token_file(&self) -> &Path {
        self.installation.token_file()
    }

    /// Where the demo keeps its data; it goes when the demo ends.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What can be diagnosed, each once before its quiet gap has passed.
    pub fn targets(&self) -> &[DemoTarget] {
        &self.targets
    }

    /// Ends everything and removes the data.
    pub async fn stop(self) -> std::io::Result<()> {
        self.installation.stop().await.stop().await;
        self.folder.close()
    }
}

/// The given accounts, the first time as they are, then with the number in every name.
fn copies(world: &World, number: usize) -> Vec<Account> {
    let mut accounts: Vec<Account> = world.accounts.iter().filter(|it| it.given).cloned().collect();
    if number > 1 {
        for account in &mut accounts {
            account.name = numbered_name(&account.name, number);
            account.login = numbered_login(&account.login, number);
            account.upn = account.upn.as_deref().map(|it| numbered_login(it, number));
            account.smtp = account.smtp.as_deref().map(|it| numbered_login(it, number));
        }
    }
    accounts
}

fn numbered_name(name: &str, number: usize) -> String {
    format!("{name}-{number}")
}

/// `anna@x` becomes `anna2@x`, `DOMAIN\anna` becomes `DOMAIN\anna2`.
fn numbered_login(login: &str, number: usize) -> String {
    match login.split_once('@') {
        Some((user, suffix)) => format!("{user}{number}@{suffix}"),
        None => format!("{login}{number}"),
    }
}

/// The world with all of these accounts; what a rule says of one holds for its copies too.
fn with_accounts(seed: &World, pairs: &[Vec<Account>]) -> World {
    let mut world = seed.clone();
    let mut copies_of: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let given = || seed.accounts.iter().filter(|it| it.given);
    for accounts in pairs {
        for (original, copy) in given().zip(accounts) {
            copies_of.entry(&original.name).or_default().push(copy.name.clone());
        }
    }
    world.accounts.retain(|it| !it.given);
    world.accounts.extend(pairs.iter().flatten().cloned());
    let expand = |names: &[String]| -> Vec<String> {
        let copies = |name: &String| {
            copies_of.get(name.as_str()).cloned().unwrap_or_else(|| vec![name.clone()])
        };
        names.iter().flat_map(copies).collect()
    };
    for host in &mut world.hosts {
        if let Some(validates) = &mut host.validates {
            validates.cached = expand(&validates.cached);
        }
        for rule in &mut host.rules {
            if let Some(accounts) = &mut rule.when.account {
                *accounts = OneOrMore::More(expand(accounts.as_slice()));
            }
        }
    }
    world
}

/// The same target, with these accounts alone.
fn registration(
    installation: &Installation,
    accounts: Vec<Account>,
    number: usize,
) -> Registration {
    let running = installation.world();
    let id = if number == 1 { TARGET_ID.to_owned() } else { numbered_name(TARGET_ID, number) };
    let known = World { id, accounts, ..World::clone(running.world()) };
    register(&known, running.addresses(), running.secrets(), SystemTime::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed() -> World {
        read_text(Path::new(SEED_FILE), SEED).expect("the seed")
    }

    #[test]
    fn copies_are_accounts_of_the_same_kind() {
        let seed = seed();
        let pairs: Vec<_> = (1..=3).map(|number| copies(&seed, number)).collect();
        let world = with_accounts(&seed, &pairs);
        let logins: Vec<&str> = world.accounts.iter().map(|it| it.login.as_str()).collect();
        assert_eq!(
            logins,
            [
                "anna@contoso.example",
                "pilot@contoso.example",
                "anna2@contoso.example",
                "pilot2@contoso.example",
                "anna3@contoso.example",
                "pilot3@contoso.example"
            ]
        );
        let named: Vec<&str> = world.hosts[1].rules[0]
            .when
            .account
            .iter()
            .flat_map(OneOrMore::as_slice)
            .map(String::as_str)
            .collect();
        assert_eq!(named, ["anna", "anna-2", "anna-3"]);
    }

    #[test]
    fn numbers_stand_in_the_name_of_the_user() {
        assert_eq!(numbered_login("anna@contoso.example", 2), "anna2@contoso.example");
        assert_eq!(numbered_login(r"CORP\anna", 3), r"CORP\anna3");
    }

    /// The demo says what it is there to say, twice, with accounts that do not know of each other.
    #[tokio::test]
    async fn the_seed_is_found_again_and_again() {
        let demo = Demo::start().await.expect("a demo");
        assert_eq!(demo.targets().len(), TARGETS);
        let ask = |at: usize| {
            let id = &demo.targets()[at].id;
            demo.installation.diagnose(id, std::time::Duration::from_mins(3))
        };
        let (first, second) = tokio::join!(ask(0), ask(1));
        for diagnosis in [first.expect("an answer"), second.expect("an answer")] {
            let verdict = diagnosis.verdict.expect("a verdict");
            assert_eq!(
                (verdict.fault.as_str(), verdict.standing.as_str()),
                ("e2003_be_iwa_missing", "confirmed")
            );
        }
        demo.stop().await.expect("stopped");
    }
}
