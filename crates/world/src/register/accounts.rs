//! Which accounts does the product hold, and what may it know of them?
//!
//! Given entries with one directory and one principal name are forms of one account. Absent on purpose: whether the
//! directory knows a form, whether the secret is right, the state and the count of an account; the product has to find
//! out, or must not.
//!
//! INVARIANT: a secret outside ASCII is never handed over: the product refuses it, for two encodings make two attempts.

use parallax_wire::pb;

use super::names::{Names, ids};
use super::{LeftOut, declared_generation};
use crate::format::{Account, KnownLockout, LoginForm, Purpose, World};
use crate::simulation::Secrets;

/// Spellings of one account that the product takes, one of each form.
const FORMS_MAX: usize = 4;
/// Accounts of one target.
const ACCOUNTS_MAX: usize = 16;
/// Highest threshold that can be declared.
const THRESHOLD_MAX: u32 = 999;
/// The shortest and the longest window that can be declared, in seconds.
const WINDOW_MIN_S: u32 = 60;
const WINDOW_MAX_S: u32 = 7 * 24 * 60 * 60;

/// An account as it is registered.
#[derive(Clone, Debug, PartialEq)]
pub struct RegisteredAccount {
    pub id: String,
    /// Holds the secret, if one may be handed over.
    pub account: pb::Account,
    pub purpose: pb::target_account::Purpose,
    /// The entry whose secret it is.
    pub entry: String,
}

pub(super) fn accounts(
    world: &World,
    secrets: &Secrets,
    names: &mut Names,
    left_out: &mut LeftOut,
) -> Vec<RegisteredAccount> {
    let mut groups: Vec<Vec<&Account>> = Vec::new();
    let is_given = |it: &&Account| it.given && it.purpose != Purpose::Hidden;
    for account in world.accounts.iter().filter(is_given) {
        match groups.iter_mut().find(|it| it.first().is_some_and(|first| is_same(first, account))) {
            Some(group) => group.push(account),
            None => groups.push(vec![account]),
        }
    }
    let first_names = groups.iter().filter_map(|it| it.first()).map(|it| it.name.as_str());
    let ids = ids(first_names);
    let mut registered = Vec::new();
    for group in groups {
        let Some(first) = group.first() else { continue };
        let Some(id) = ids.get(&first.name) else { continue };
        let Some(account) = account(world, secrets, &group, left_out) else { continue };
        if registered.len() == ACCOUNTS_MAX {
            left_out.say(format!("account `{}`: a target has at most {ACCOUNTS_MAX}", first.name));
            continue;
        }
        names.accounts.extend(group.iter().map(|it| (it.name.clone(), id.clone())));
        let is_subject = group.iter().any(|it| it.purpose == Purpose::Subject);
        let purpose = if is_subject {
            pb::target_account::Purpose::Subject
        } else {
            pb::target_account::Purpose::Witness
        };
        registered.push(RegisteredAccount {
            id: id.clone(),
            account,
            purpose,
            entry: first.name.clone(),
        });
    }
    registered
}

/// Whether two given entries are forms of one account.
fn is_same(left: &Account, right: &Account) -> bool {
    let upn = |it: &Account| it.upn.as_ref().map(|it| it.to_lowercase());
    left.directory == right.directory && upn(left).is_some() && upn(left) == upn(right)
}

/// `None`: not one spelling that the product could send.
fn account(
    world: &World,
    secrets: &Secrets,
    group: &[&Account],
    left_out: &mut LeftOut,
) -> Option<pb::Account> {
    let first = *group.first()?;
    let mut account = pb::Account {
        directory: directory(&first.directory),
        mailbox: declared_generation(group.iter().find_map(|it| it.declared_mailbox)).into(),
        lockout: world.target.known_lockout.map(lockout),
        ..pb::Account::default()
    };
    for entry in group {
        let name = pb::UserName { form: form(entry.form).into(), login: entry.login.clone() };
        if account.user_names.contains(&name) {
            continue;
        }
        let mut with = account.clone();
        with.user_names.push(name);
        if with.user_names.len() <= FORMS_MAX && is_taken(&with) {
            account = with;
        } else {
            let what = "a spelling that the product cannot send, or a second one of its form";
            left_out.say(format!("account `{}`: {what}", entry.name));
        }
    }
    if account.user_names.is_empty() {
        return None;
    }
    let upn = first.upn.clone().unwrap_or_default();
    let with = pb::Account { user_principal_name: upn, ..account.clone() };
    if is_taken(&with) {
        account = with;
    } else {
        left_out.say(format!(
            "account `{}`: a principal name that the product does not take",
            first.name
        ));
    }
    let secret = secrets.held(&first.name).filter(|it| it.is_ascii()).unwrap_or_default();
    Some(pb::Account { secret: secret.to_owned(), ..account })
}

/// Whether the product's own check lets it pass.
fn is_taken(account: &pb::Account) -> bool {
    let named = pb::Account { name: "accounts/any".to_owned(), ..account.clone() };
    parallax_wire::check_account(&named).is_ok()
}

/// A directory's name as the product takes one.
fn directory(name: &str) -> String {
    name.chars()
        .map(
            |it| if it.is_ascii_alphanumeric() || matches!(it, '.' | '-' | '_') { it } else { '-' },
        )
        .collect()
}

fn form(form: LoginForm) -> pb::NameForm {
    match form {
        LoginForm::Bare => pb::NameForm::Bare,
        LoginForm::Domain => pb::NameForm::Domain,
        LoginForm::Upn => pb::NameForm::Upn,
        LoginForm::Smtp => pb::NameForm::Smtp,
    }
}

/// What the operator typed in. Beyond what can be declared, the value that is more careful stands.
fn lockout(known: KnownLockout) -> pb::LockoutPolicy {
    use pb::lockout_policy::{Never, Threshold};
    let threshold = if known.threshold == 0 {
        Threshold::Never(Never {})
    } else {
        Threshold::Count(i32::try_from(known.threshold.min(THRESHOLD_MAX)).unwrap_or(i32::MAX))
    };
    let window = (known.window_s > 0).then(|| pbjson_types::Duration {
        seconds: i64::from(known.window_s.clamp(WINDOW_MIN_S, WINDOW_MAX_S)),
        nanos: 0,
    });
    pb::LockoutPolicy { threshold: Some(threshold), window }
}
