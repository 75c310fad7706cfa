//! `parallax account …`: what may be typed.
//!
//! INVARIANT: the secret comes from a prompt, stdin, a file or the environment, never from an argument.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::duration::read_duration;
use super::{ConnectionArguments, OutputArgument};

#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Register a test account with its secret
    #[command(after_help = "\
Examples:
  parallax account add anna --directory corp --upn anna@example.org --domain-user 'CORP\\anna' \\
      --mailbox 2003 --lockout-threshold 10 --lockout-window 30m
  pass show canary | parallax account add canary --directory corp --upn canary@example.org --secret-stdin
  parallax account add -f canary.toml --secret-env CANARY_PASSWORD

The secret is asked for at the terminal unless one of the --secret options says where it is.")]
    Add(AccountAddArguments),
    /// Replace an account's secret; a breaker that the old one opened closes
    #[command(
        after_help = "Example:\n  parallax account rotate anna --secret-file /run/secrets/anna"
    )]
    Rotate(AccountRotateArguments),
    /// Close an account's breaker, or lift a freeze, after somebody looked
    Release {
        /// The account, as `anna` or `accounts/anna`
        account: String,
        /// What somebody looked at; kept in the audit
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        connection: ConnectionArguments,
        #[command(flatten)]
        output: OutputArgument,
    },
    /// List all accounts and what is left of their budgets
    List {
        #[command(flatten)]
        connection: ConnectionArguments,
        #[command(flatten)]
        output: OutputArgument,
    },
    /// Show one account
    Get {
        /// The account, as `anna` or `accounts/anna`
        account: String,
        #[command(flatten)]
        connection: ConnectionArguments,
        #[command(flatten)]
        output: OutputArgument,
    },
    /// Delete an account that no target uses
    Delete {
        /// The account, as `anna` or `accounts/anna`
        account: String,
        #[command(flatten)]
        connection: ConnectionArguments,
        #[command(flatten)]
        output: OutputArgument,
    },
}

#[derive(Args, Debug)]
pub(crate) struct AccountAddArguments {
    /// The account's id, as `anna` or `accounts/anna`
    #[arg(required_unless_present = "file")]
    pub account: Option<String>,
    /// JSON or TOML file with the field names of the API (parallax.v1.Account); `-` for stdin
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["directory", "upn", "domain_user", "mail", "bare", "user_principal_name", "mailbox", "lockout_threshold", "lockout_window"])]
    pub file: Option<PathBuf>,
    /// Name of the directory that checks the secret, as `corp`
    #[arg(long, value_name = "NAME", required_unless_present = "file")]
    pub directory: Option<String>,
    #[command(flatten)]
    pub names: NameArguments,
    /// The generation of the server that holds its mailbox
    #[arg(long, value_name = "GENERATION")]
    pub mailbox: Option<MailboxChoice>,
    #[command(flatten)]
    pub lockout: LockoutArguments,
    #[command(flatten)]
    pub secret: SecretArguments,
    /// Check only; nothing is registered
    #[arg(long)]
    pub validate_only: bool,
    #[command(flatten)]
    pub connection: ConnectionArguments,
    #[command(flatten)]
    pub output: OutputArgument,
}

/// The user name in its forms; alternatives inside one account.
#[derive(Args, Debug)]
pub(crate) struct NameArguments {
    /// The user name as `user@upn.suffix`
    #[arg(long, value_name = "NAME", help_heading = "User name, at least one form")]
    pub upn: Option<String>,
    /// The user name as `DOMAIN\user`
    #[arg(long, value_name = "NAME", help_heading = "User name, at least one form")]
    pub domain_user: Option<String>,
    /// The user name as a mail address that may not be the UPN
    #[arg(long, value_name = "NAME", help_heading = "User name, at least one form")]
    pub mail: Option<String>,
    /// The user name alone, without domain
    #[arg(long, value_name = "NAME", help_heading = "User name, at least one form")]
    pub bare: Option<String>,
    /// The UPN in the directory, if it is known and none of the above
    #[arg(long, value_name = "NAME", help_heading = "User name, at least one form")]
    pub user_principal_name: Option<String>,
}

/// When the directory locks the account.
#[derive(Args, Debug)]
pub(crate) struct LockoutArguments {
    /// At which count of refused logons the directory locks the account: a number, `none`, or `unknown`
    #[arg(
        long,
        value_name = "N|none|unknown",
        default_value = "unknown",
        help_heading = "Lockout policy"
    )]
    pub lockout_threshold: ThresholdChoice,
    /// The directory's observation window, as 30m
    #[arg(long, value_name = "DURATION", value_parser = read_duration, help_heading = "Lockout policy")]
    pub lockout_window: Option<Duration>,
}

/// Where the secret is; nothing: asked for at the terminal.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "the fields are the options' names")]
pub(crate) struct SecretArguments {
    /// Read the secret from stdin, up to the first line end
    #[arg(long, group = "secret", help_heading = "Secret")]
    pub secret_stdin: bool,
    /// Read the secret from a file, up to the first line end
    #[arg(long, value_name = "FILE", group = "secret", help_heading = "Secret")]
    pub secret_file: Option<PathBuf>,
    /// Read the secret from the environment variable of this name
    #[arg(long, value_name = "NAME", group = "secret", help_heading = "Secret")]
    pub secret_env: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct AccountRotateArguments {
    /// The account, as `anna` or `accounts/anna`
    pub account: String,
    #[command(flatten)]
    pub secret: SecretArguments,
    #[command(flatten)]
    pub connection: ConnectionArguments,
    #[command(flatten)]
    pub output: OutputArgument,
}

/// At which count a directory locks an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ThresholdChoice {
    Count(i32),
    Never,
    Unknown,
}

impl FromStr for ThresholdChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::Never),
            "unknown" => Ok(Self::Unknown),
            _ => match text.parse() {
                Ok(count @ 1..=999) => Ok(Self::Count(count)),
                Ok(_) | Err(_) => {
                    Err(format!("`{text}` is neither 1 to 999 nor `none` nor `unknown`"))
                }
            },
        }
    }
}

/// A generation of Exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MailboxChoice {
    #[value(name = "2003")]
    Exchange2003,
    #[value(name = "2007")]
    Exchange2007,
    #[value(name = "2010")]
    Exchange2010,
    #[value(name = "2013")]
    Exchange2013,
    #[value(name = "2016")]
    Exchange2016,
    #[value(name = "2019")]
    Exchange2019,
    #[value(name = "se")]
    SubscriptionEdition,
    Online,
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_a_number_none_or_unknown() {
        assert_eq!("10".parse(), Ok(ThresholdChoice::Count(10)));
        assert_eq!("none".parse(), Ok(ThresholdChoice::Never));
        assert_eq!("unknown".parse(), Ok(ThresholdChoice::Unknown));
        for wrong in ["0", "1000", "-3", "never", ""] {
            assert!(wrong.parse::<ThresholdChoice>().is_err(), "{wrong}");
        }
    }
}
