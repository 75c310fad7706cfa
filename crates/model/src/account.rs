//! An account: a test identity, the forms its name takes, and the lockout policy of its directory.
//!
//! Absent on purpose: the secret. It lives in `auth` and `store`; nothing that judges ever holds one.

use std::time::Duration;

use crate::{AccountId, Generation};

/// How a user name is written. The order is the order in which forms are tried: qualified ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NameForm {
    /// `user@upn.suffix`, the directory's user principal name.
    Upn,
    /// `DOMAIN\user`.
    Domain,
    /// A mail address that may not be the UPN.
    Smtp,
    /// `user` alone.
    Bare,
}

impl NameForm {
    /// Whether the name says by itself which domain it belongs to.
    pub fn is_qualified(self) -> bool {
        matches!(self, Self::Upn | Self::Domain)
    }
}

/// One spelling of the user name, exactly as it is sent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UserName {
    pub form: NameForm,
    pub login: String,
}

/// At how many refused logons the directory locks an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threshold {
    /// 1 to 999.
    At(u32),
    Never,
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockoutPolicy {
    pub threshold: Threshold,
    /// The directory's observation window; `None`: unknown.
    pub window: Option<Duration>,
}

/// A test identity as the product knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub id: AccountId,
    /// Name of the directory that checks the secret.
    pub directory: String,
    /// At least one; sorted by form.
    pub names: Vec<UserName>,
    /// The directory's user principal name, as declared; it need not be one of the spellings.
    pub upn: Option<String>,
    /// The generation of the server that holds its mailbox, as declared.
    pub mailbox: Option<Generation>,
    pub lockout: LockoutPolicy,
    /// A secret outside ASCII has two encodings and therefore no safe attempt.
    pub secret_is_ascii: bool,
    /// Whether the product holds a password for it.
    pub has_password: bool,
}

impl Account {
    /// The best spelling to begin with.
    pub fn first_name(&self) -> Option<&UserName> {
        self.names.iter().min_by_key(|name| name.form)
    }
}
