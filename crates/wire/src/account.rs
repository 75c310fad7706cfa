//! An account: its names, its mailbox and its directory's lockout policy, both ways. Reading tells every mistake.
//!
//! Absent on purpose: keeping the secret. Only its form is looked at here; `auth` takes it over.
//!
//! INVARIANT: no violation repeats any part of a secret.

use std::collections::BTreeSet;
use std::time::Duration;

use parallax_model::{Account, AccountId, LockoutPolicy, NameForm, Threshold, UserName};

use crate::endpoint::{encode_generation, read_generation};
use crate::error::{DecodeError, FieldViolation, Violations};
use crate::pb::{self, lockout_policy};
use crate::scalar::{account_name, decode_duration, encode_duration, read_resource};

const DIRECTORY_CHARACTERS_MAX: usize = 253;
const LOGIN_CHARACTERS_MAX: usize = 256;
const SECRET_CHARACTERS_MAX: usize = 256;
const THRESHOLD_MAX: u32 = 999;
const WINDOW_MIN: Duration = Duration::from_mins(1);
const WINDOW_MAX: Duration = Duration::from_hours(7 * 24);

/// Without secret, its version, budget, times and warnings, which the store knows.
impl From<&Account> for pb::Account {
    fn from(account: &Account) -> Self {
        let user_name = |name: &UserName| pb::UserName {
            form: pb::NameForm::from(name.form).into(),
            login: name.login.clone(),
        };
        Self {
            name: account_name(&account.id),
            directory: account.directory.clone(),
            user_names: account.names.iter().map(user_name).collect(),
            user_principal_name: account.upn.clone().unwrap_or_default(),
            mailbox: encode_generation(account.mailbox),
            lockout: Some((&account.lockout).into()),
            ..Self::default()
        }
    }
}

impl From<&LockoutPolicy> for pb::LockoutPolicy {
    fn from(policy: &LockoutPolicy) -> Self {
        let threshold = match policy.threshold {
            Threshold::At(count) => {
                Some(lockout_policy::Threshold::Count(crate::scalar::encode_count(count)))
            }
            Threshold::Never => Some(lockout_policy::Threshold::Never(lockout_policy::Never {})),
            Threshold::Unknown => None,
        };
        Self { threshold, window: policy.window.map(encode_duration) }
    }
}

impl TryFrom<&pb::Account> for Account {
    type Error = DecodeError;

    fn try_from(message: &pb::Account) -> Result<Self, DecodeError> {
        check_account(message).map_err(|violations| Violations(violations).first())
    }
}

/// Reads an account as a person wrote it, or as the store gives it (no secret, but a secret version). On failure:
/// every mistake, in the order of the fields.
pub fn check_account(message: &pb::Account) -> Result<Account, Vec<FieldViolation>> {
    let mut violations = Violations::default();
    let account = read_account(message, &mut violations);
    match account {
        Some(account) if violations.0.is_empty() => Ok(account),
        Some(_) | None => Err(violations.0),
    }
}

/// The form of a secret: 1 to 256 characters without control characters. Whether it is ASCII is for `auth` to say.
pub fn check_secret(secret: &str, field: &str) -> Result<(), FieldViolation> {
    let wrong = |description: &str| {
        Err(FieldViolation { field: field.to_owned(), description: description.to_owned() })
    };
    if secret.is_empty() {
        return wrong("is required");
    }
    if secret.chars().count() > SECRET_CHARACTERS_MAX {
        return wrong("is longer than 256 characters");
    }
    if secret.chars().any(char::is_control) {
        return wrong("holds a control character (a line end at its end?)");
    }
    Ok(())
}

fn read_account(message: &pb::Account, violations: &mut Violations) -> Option<Account> {
    let id =
        violations.keep("name", read_resource(&message.name, "accounts", |id| AccountId::new(id)));
    let directory = violations.keep("directory", read_directory(&message.directory));
    let names = read_names(&message.user_names, violations);
    let upn = if message.user_principal_name.is_empty() {
        None
    } else {
        violations
            .keep("user_principal_name", read_login(&message.user_principal_name, NameForm::Upn))
    };
    let mailbox = read_generation(message.mailbox, "mailbox", violations);
    let lockout = read_lockout(message.lockout.as_ref(), violations);
    if !message.secret.is_empty()
        && let Err(violation) = check_secret(&message.secret, "secret")
    {
        violations.0.push(violation);
    }
    Some(Account {
        id: id?,
        directory: directory?,
        names,
        upn,
        mailbox,
        lockout,
        secret_is_ascii: message.secret.is_ascii(),
        has_password: !message.secret.is_empty() || message.secret_version > 0,
    })
}

fn read_directory(text: &str) -> Result<String, String> {
    let plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '.' | '-' | '_');
    if text.is_empty() {
        return Err(
            "is required: the name of the directory that checks the secret, as `corp`".into()
        );
    }
    if text.len() > DIRECTORY_CHARACTERS_MAX || !text.chars().all(plain) {
        return Err(format!(
            "`{text}` is not a directory's name; give 1 to 253 of letters, digits, `.`, `-` and `_`"
        ));
    }
    Ok(text.to_owned())
}

fn read_names(messages: &[pb::UserName], violations: &mut Violations) -> Vec<UserName> {
    if messages.is_empty() {
        violations.add("user_names", "is required: the user name in at least one form");
    }
    let mut forms: BTreeSet<NameForm> = BTreeSet::new();
    let mut found = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        let Ok(form) = crate::look::decode_form(message.form) else {
            violations.add(
                format!("user_names[{at}].form"),
                "is required: NAME_FORM_UPN, NAME_FORM_DOMAIN, NAME_FORM_SMTP or NAME_FORM_BARE",
            );
            continue;
        };
        if !forms.insert(form) {
            violations.add(
                format!("user_names[{at}].form"),
                "is there twice; another user is another account",
            );
        }
        let field = format!("user_names[{at}].login");
        if let Some(login) = violations.keep(field, read_login(&message.login, form)) {
            found.push(UserName { form, login });
        }
    }
    found.sort();
    found
}

/// A user name as Basic can carry it: no colon (RFC 7617 section 2), and ASCII, because outside it a name has two
/// encodings and one logon may count twice.
fn read_login(text: &str, form: NameForm) -> Result<String, String> {
    if text.is_empty() {
        return Err("is required".to_owned());
    }
    if text.chars().count() > LOGIN_CHARACTERS_MAX {
        return Err(format!("is longer than {LOGIN_CHARACTERS_MAX} characters"));
    }
    if !text.is_ascii() || text.chars().any(|it| it.is_control() || it == ':') {
        return Err(format!(
            "`{}` holds a colon or a character outside printable ASCII",
            text.escape_debug()
        ));
    }
    let halves = |separator| {
        text.split_once(separator).is_some_and(|(left, right)| {
            !left.is_empty() && !right.is_empty() && !right.contains(['@', '\\'])
        })
    };
    let (fits, wanted) = match form {
        NameForm::Upn => (halves('@') && !text.contains('\\'), "`user@upn.suffix`"),
        NameForm::Domain => (halves('\\') && !text.contains('@'), "`DOMAIN\\user`"),
        NameForm::Smtp => (halves('@') && !text.contains('\\'), "a mail address"),
        NameForm::Bare => (!text.contains(['@', '\\']), "the user alone, without domain"),
    };
    if fits { Ok(text.to_owned()) } else { Err(format!("`{text}` is not {wanted}")) }
}

fn read_lockout(message: Option<&pb::LockoutPolicy>, violations: &mut Violations) -> LockoutPolicy {
    let mut policy = LockoutPolicy { threshold: Threshold::Unknown, window: None };
    let Some(message) = message else { return policy };
    match message.threshold {
        None => {}
        Some(lockout_policy::Threshold::Never(_)) => policy.threshold = Threshold::Never,
        Some(lockout_policy::Threshold::Count(count)) => match u32::try_from(count) {
            Ok(count @ 1..=THRESHOLD_MAX) => policy.threshold = Threshold::At(count),
            Ok(_) | Err(_) => violations.add(
                "lockout.count",
                format!("is {count}; give 1 to 999, `never`, or nothing if it is unknown"),
            ),
        },
    }
    if message.window.is_some() {
        match decode_duration(message.window, "") {
            Ok(window) if (WINDOW_MIN..=WINDOW_MAX).contains(&window) => {
                policy.window = Some(window);
            }
            Ok(_) | Err(_) => {
                violations.add("lockout.window", "is out of range; give 60s to 604800s");
            }
        }
    }
    policy
}
