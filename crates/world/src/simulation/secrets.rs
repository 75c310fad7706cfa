//! Which secret does the product hold, and which one does the directory know?
//!
//! Made at random for every run. An account whose file says `right` has the same text on both
//! sides, one that says `wrong` has two, so a wrong secret is really wrong. Entries that are forms
//! of one account share what the product holds; so does a hidden entry with the login of a given
//! one, for the product sends one secret with one login.
//!
//! INVARIANT: `Debug` shows names only.

use std::collections::BTreeMap;

use rand::RngExt as _;

use crate::format::{Account, SecretCharset, SecretState, World};

/// Characters of a secret: 24 of 62 letters and digits are about 143 bits.
const SECRET_CHARS: usize = 24;

/// Lets a secret that is not ASCII have two different encodings.
const NOT_ASCII: &str = "\u{e9}\u{fc}";

/// The secrets of one run.
#[derive(Clone)]
pub struct Secrets {
    held: BTreeMap<String, String>,
    right: BTreeMap<String, String>,
    tokens: BTreeMap<String, String>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.held.keys()).finish()
    }
}

impl Secrets {
    /// Fresh secrets for every account of a world.
    pub fn issue(world: &World) -> Self {
        let mut groups: BTreeMap<String, String> = BTreeMap::new();
        let mut secrets =
            Self { held: BTreeMap::new(), right: BTreeMap::new(), tokens: BTreeMap::new() };
        for account in &world.accounts {
            let charset = account.secret_charset;
            let held =
                groups.entry(holder(world, account)).or_insert_with(|| random(charset)).clone();
            let right = match account.secret {
                SecretState::Right => held.clone(),
                SecretState::Wrong => random(charset),
            };
            if account.bearer.is_some() {
                secrets.tokens.insert(account.name.clone(), random(SecretCharset::Ascii));
            }
            secrets.held.insert(account.name.clone(), held);
            secrets.right.insert(account.name.clone(), right);
        }
        secrets
    }

    /// The secret that the product is given for an account entry.
    pub fn held(&self, account: &str) -> Option<&str> {
        self.held.get(account).map(String::as_str)
    }

    /// The token that the product is given for an account entry, if it holds one.
    pub fn token(&self, account: &str) -> Option<&str> {
        self.tokens.get(account).map(String::as_str)
    }

    /// The account entry that a token was given out for.
    pub(super) fn owner_of(&self, token: &str) -> Option<&str> {
        self.tokens.iter().find(|(_, it)| it.as_str() == token).map(|(name, _)| name.as_str())
    }

    /// Whether these bytes are what the directory knows, in the encoding that is right there.
    pub(super) fn is_right(&self, account: &Account, received: &[u8]) -> bool {
        let Some(right) = self.right.get(&account.name) else { return false };
        match account.secret_charset {
            SecretCharset::Ascii | SecretCharset::Utf8Only => received == right.as_bytes(),
            SecretCharset::Latin1Only => latin1(right).is_some_and(|it| it == received),
        }
    }
}

/// A text as ISO 8859-1, if it can be.
pub fn latin1(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|it| u8::try_from(u32::from(it)).ok()).collect()
}

/// Which secret of the product an entry is sent with: that of the given entry with its login, else
/// one per directory and principal name.
fn holder(world: &World, account: &Account) -> String {
    let same_login = |it: &&Account| it.given && it.login.eq_ignore_ascii_case(&account.login);
    let given = if account.given {
        account
    } else {
        world.accounts.iter().find(same_login).unwrap_or(account)
    };
    match &given.upn {
        Some(upn) => format!("{}\\{}", given.directory, upn.to_lowercase()),
        None => given.name.clone(),
    }
}

fn random(charset: SecretCharset) -> String {
    let mut rng = rand::rng();
    let mut text: String =
        (0..SECRET_CHARS).map(|_| char::from(rng.sample(rand::distr::Alphanumeric))).collect();
    if charset != SecretCharset::Ascii {
        text.push_str(NOT_ASCII);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world() -> World {
        let text = include_str!("../../tests/shows/every_listener.json");
        crate::format::read_text(std::path::Path::new("every_listener.json"), text)
            .expect("a world")
    }

    #[test]
    fn wrong_is_really_wrong() {
        let world = world();
        let secrets = Secrets::issue(&world);
        let right = |name: &str, bytes: &[u8]| {
            secrets.is_right(world.account(name).expect("an account"), bytes)
        };
        let held = |name: &str| secrets.held(name).expect("a secret");
        assert!(right("anna", held("anna").as_bytes()));
        assert!(!right("anna", b"anything"));
        assert!(!right("wrong", held("wrong").as_bytes()));
        assert!(right("utf", held("utf").as_bytes()));
        assert!(!right("latin", held("latin").as_bytes()));
        assert!(right("latin", &latin1(held("latin")).expect("within ISO 8859-1")));
    }

    #[test]
    fn forms_of_one_account_share_a_secret() {
        let mut world = world();
        let mut hidden = world.account("anna").expect("an account").clone();
        hidden.name = "anna-elsewhere".to_owned();
        hidden.given = false;
        hidden.upn = Some("anna@elsewhere.example".to_owned());
        world.accounts.push(hidden);
        let secrets = Secrets::issue(&world);
        assert_eq!(secrets.held("anna"), secrets.held("anna-bare"));
        assert_eq!(secrets.held("anna"), secrets.held("anna-elsewhere"));
        assert_ne!(secrets.held("anna"), secrets.held("locked"));
        assert_ne!(secrets.held("anna"), Secrets::issue(&world).held("anna"));
    }

    #[test]
    fn debug_shows_names_only() {
        let secrets = Secrets::issue(&world());
        let shown = format!("{secrets:?}");
        assert!(shown.contains("anna"));
        for text in
            secrets.held.values().chain(secrets.right.values()).chain(secrets.tokens.values())
        {
            assert!(!shown.contains(text.as_str()));
        }
    }
}
