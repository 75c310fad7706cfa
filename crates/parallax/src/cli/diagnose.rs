//! `parallax diagnose`: what may be typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::account::LockoutArguments;
use super::duration::read_duration;
use super::{ConnectionArguments, OutputArgument, SecretArguments};

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  parallax diagnose mail                                   a registered target, from every vantage
  parallax diagnose mail --output json --fail-on confirmed
  parallax diagnose https://mail.example.org               one URL from this machine, without credentials
  parallax diagnose https://mail.example.org --account anna@example.org --lockout-threshold 10 --lockout-window 30m

Exit codes:
  0 healthy   1 a fault, confirmed or likely   2 usage   3 undetermined (deadline, cancelled, no logon made)
  4 not permitted (policy, budget spent)   5 service unavailable or run failed   130 Ctrl-C")]
pub(crate) struct DiagnoseArguments {
    /// A registered target, as `mail`; or a URL, which is looked at from this machine without a controller
    pub target: String,
    /// From which standing on a fault makes exit code 1; one below makes 3
    #[arg(long, value_name = "STANDING", default_value = "likely")]
    pub fail_on: FailOn,
    /// How long the diagnosis may take, 10s to 15m
    #[arg(long, value_name = "DURATION", value_parser = read_duration)]
    pub time_limit: Option<Duration>,
    /// Send no credential at all
    #[arg(long)]
    pub anonymous_only: bool,
    /// Print the resource name and return; do not wait for the result
    #[arg(long)]
    pub no_wait: bool,
    #[command(flatten)]
    pub url: UrlArguments,
    #[command(flatten)]
    pub connection: ConnectionArguments,
    #[command(flatten)]
    pub output: OutputArgument,
}

/// Options that only a URL takes: the target and its account are described here instead of being registered.
#[derive(Args, Debug)]
pub(crate) struct UrlArguments {
    /// Where this machine stands in the network; internal if nothing is said
    #[arg(long, value_name = "ZONE", help_heading = "With a URL")]
    pub zone: Option<ZoneChoice>,
    /// Log on as this user: `user@upn.suffix`, `DOMAIN\user` or `user`
    #[arg(long, value_name = "USER", help_heading = "With a URL")]
    pub account: Option<String>,
    /// Which certificates are trusted with a secret: `public`, `store`, a PEM file, or SHA-256 pins
    ///
    /// `public`: the public roots. `store`: this machine's own store. A file: the authorities in it. `pin:HEX[,HEX…]`: leaf
    /// certificates by their SHA-256. If nothing is said: public or store.
    #[arg(long, value_name = "public|store|FILE|pin:HEX", help_heading = "With a URL")]
    pub trust: Option<TrustChoice>,
    /// Send a secret that was refused before once more; say what somebody looked at
    #[arg(long, value_name = "REASON", help_heading = "With a URL")]
    pub release: Option<String>,
    #[command(flatten)]
    pub lockout: LockoutArguments,
    #[command(flatten)]
    pub secret: SecretArguments,
}

/// From which standing on a fault makes exit code 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// Confirmed and likely faults
    Likely,
    /// Confirmed faults only
    Confirmed,
}

/// Where a machine stands in the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ZoneChoice {
    /// Out on the Internet
    External,
    /// Between the firewalls
    Dmz,
    /// The network of the client access servers
    Internal,
    /// The network of the mailbox servers
    Backend,
}

/// Which certificates are trusted with a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TrustChoice {
    Public,
    Store,
    Authorities(PathBuf),
    /// SHA-256 of leaves, hexadecimal.
    Pins(Vec<String>),
}

impl std::str::FromStr for TrustChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "public" => Ok(Self::Public),
            "store" => Ok(Self::Store),
            "" => Err("give public, store, a PEM file, or pin:HEX".to_owned()),
            _ => match text.strip_prefix("pin:") {
                Some(pins) => read_pins(pins),
                None => Ok(Self::Authorities(text.into())),
            },
        }
    }
}

/// Digits of a SHA-256.
const PIN_DIGITS: usize = 64;

fn read_pins(text: &str) -> Result<TrustChoice, String> {
    // As `openssl x509 -fingerprint` prints it, or without colons.
    let pins: Vec<String> = text.split(',').map(|it| it.replace(':', "").to_lowercase()).collect();
    let wrong = pins
        .iter()
        .find(|it| it.len() != PIN_DIGITS || !it.bytes().all(|digit| digit.is_ascii_hexdigit()));
    match wrong {
        Some(pin) => Err(format!("`{pin}` is no SHA-256: give {PIN_DIGITS} hexadecimal digits")),
        None => Ok(TrustChoice::Pins(pins)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_is_a_word_a_file_or_pins() {
        assert_eq!("public".parse(), Ok(TrustChoice::Public));
        assert_eq!("store".parse(), Ok(TrustChoice::Store));
        assert_eq!("ca.pem".parse(), Ok(TrustChoice::Authorities("ca.pem".into())));
        let pin = "AB".repeat(32);
        assert_eq!(format!("pin:{pin}").parse(), Ok(TrustChoice::Pins(vec!["ab".repeat(32)])));
        for wrong in ["", "pin:", "pin:12", "pin:zz"] {
            assert!(wrong.parse::<TrustChoice>().is_err(), "{wrong}");
        }
    }
}
