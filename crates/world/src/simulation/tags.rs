//! Was a credential accepted, and what may a rule know about it?
//!
//! The table "Tags of a request" of the format. A Basic credential on a path that the host
//! validates is checked once per request, before the rules are looked at; the directory counts
//! then. Absent on purpose: acceptors for NTLM Type-3 and Kerberos tickets. Such a token is
//! tagged as not accepted, nothing is counted, and the rules say what it gets.

use std::collections::BTreeSet;

use super::rules::path_is;
use super::{Credential, LogonSeen, Now, Request, Simulation};
use crate::format::{Account, AccountState, Bearer, ClientCertificate, Host, Validates};

/// What a rule may know about the credential of a request.
#[derive(Debug, Default)]
pub(super) struct Tags {
    pub(super) words: BTreeSet<&'static str>,
    /// The account that the login, token or certificate names, accepted or not.
    pub(super) account: Option<String>,
}

impl Tags {
    fn new(words: &[&'static str], account: Option<&str>) -> Self {
        Self { words: words.iter().copied().collect(), account: account.map(str::to_owned) }
    }
}

impl Simulation {
    pub(super) fn tags(&mut self, now: Now, host: &Host, request: &Request) -> Tags {
        let mut tags = match &request.credential {
            Credential::None => Tags::new(&["none"], None),
            Credential::Basic { login, secret } => self.basic(now, host, request, login, secret),
            Credential::NtlmType1 => Tags::new(&["ntlm_type1"], None),
            Credential::NtlmType3 if request.ntlm_begun => Tags::new(&["ntlm_bad"], None),
            Credential::NtlmType3 => Tags::new(&["ntlm_orphan"], None),
            Credential::Negotiate => Tags::new(&["negotiate", "kerberos_bad"], None),
            Credential::Bearer { token } => self.bearer(request, token),
            Credential::Other => Tags::default(),
        };
        if request.credential.is_logon() {
            let seen = LogonSeen { host: host.name.clone(), account: tags.account.clone() };
            *self.logons.entry(seen).or_insert(0) += 1;
        }
        if let Some(shown) = &request.client_certificate {
            tags.words.insert(match shown.kind {
                ClientCertificate::Ok => "client_cert_ok",
                ClientCertificate::Bad => "client_cert_bad",
            });
            tags.account = tags.account.or_else(|| shown.account.clone());
        }
        tags
    }

    fn bearer(&self, request: &Request, token: &str) -> Tags {
        if !token.is_empty() {
            let owner = self.secrets.owner_of(token).and_then(|it| self.world.account(it));
            return match owner {
                Some(it) if it.bearer == Some(Bearer::Ok) => {
                    Tags::new(&["bearer_ok"], Some(&it.name))
                }
                Some(it) => Tags::new(&["bearer_bad"], Some(&it.name)),
                None => Tags::new(&["bearer_bad"], None),
            };
        }
        let identity =
            request.headers.iter().find(|[name, _]| name.eq_ignore_ascii_case("x-user-identity"));
        let Some([_, identity]) = identity else { return Tags::new(&["bearer_empty"], None) };
        let named = |it: &&Account| {
            let upn = it.upn.as_deref().unwrap_or(&it.login);
            upn.eq_ignore_ascii_case(identity) || it.login.eq_ignore_ascii_case(identity)
        };
        let account = self.world.accounts.iter().find(named);
        Tags::new(&["bearer_empty_with_identity"], account.map(|it| it.name.as_str()))
    }

    fn basic(
        &mut self,
        now: Now,
        host: &Host,
        request: &Request,
        login: &str,
        secret: &[u8],
    ) -> Tags {
        let form = if login.contains('\\') {
            "basic_domain"
        } else if login.contains('@') {
            "basic_upn"
        } else {
            "basic_bare_name"
        };
        let world = std::sync::Arc::clone(&self.world);
        let mut here =
            world.accounts.iter().filter(|it| it.login.to_lowercase() == login.to_lowercase());
        let validates = host.validates.as_ref();
        let Some(validates) =
            validates.filter(|it| it.basic_on.iter().any(|p| path_is(p, &request.path, false)))
        else {
            return Tags::new(
                &["basic", form, "basic_unchecked"],
                here.next().map(|it| it.name.as_str()),
            );
        };
        let account = here.find(|it| it.directory == validates.directory);
        let is_bare = form == "basic_bare_name";
        let known = account.filter(|it| it.resolves && (!is_bare || validates.default_domain));
        let Some(known) = known else {
            let words = ["basic", form, "basic_unknown_user", "basic_refused"];
            return Tags::new(&words, account.map(|it| it.name.as_str()));
        };
        let mut tags = Tags::new(&["basic", form], Some(&known.name));
        tags.words.extend(self.check(now, validates, known, secret));
        tags
    }

    /// One check of a known user against the directory, in the directory's own order: a locked
    /// account is refused unread, a wrong password counts, and only then the state matters.
    fn check(
        &mut self,
        now: Now,
        at: &Validates,
        account: &Account,
        secret: &[u8],
    ) -> [&'static str; 2] {
        if at.cached.contains(&account.name) {
            return ["basic_ok", "basic_cached"];
        }
        let state = self.directories.state(account, now.seconds);
        if state == AccountState::Locked {
            return ["basic_locked", "basic_refused"];
        }
        if !self.secrets.is_right(account, secret) {
            self.directories.refuse(&account.name, at.cost, now.seconds);
            return ["basic_bad_password", "basic_refused"];
        }
        match state {
            AccountState::Ok => {
                self.directories.accept(&account.name);
                ["basic_ok", "basic"]
            }
            AccountState::Locked => ["basic_locked", "basic_refused"],
            AccountState::Disabled => ["basic_disabled", "basic_refused"],
            AccountState::Expired => ["basic_expired", "basic_refused"],
            AccountState::MustChange => ["basic_must_change", "basic_refused"],
        }
    }
}
