//! What an operator may set about the controller: as written in the file, then as checked.
//!
//! Absent on purpose: reading files, environment and flags (`process` layers them), and knobs that nobody needs twice.
//!
//! INVARIANT: plain HTTP/2 is served on loopback only.
//! INVARIANT: every mistake is told at once, each with its key and what would be right.

use std::net::SocketAddr;
use std::path::PathBuf;

use parallax_process::{Layers, Mistakes, SettingsError, read_settings};
use serde::Deserialize;

use crate::token::TOKEN_FILE;

/// Where the API listens if nothing is said.
pub const API_LISTEN_DEFAULT: &str = "127.0.0.1:7443";
/// Where agents come in if nothing is said.
pub const AGENT_LISTEN_DEFAULT: &str = "0.0.0.0:7444";
/// Names that a certificate of the agent port may carry.
const AGENT_NAMES_MAX: usize = 32;

/// What is written in file, environment and flags. [`ControllerSettings::check`] makes the real thing of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct WrittenSettings {
    /// Where everything that lasts is kept. Required.
    pub data_folder: Option<PathBuf>,
    /// `address:port` of the API; `127.0.0.1:7443`.
    pub api_listen: Option<String>,
    /// PEM chain for the API, leaf first; required off loopback.
    pub api_certificate: Option<PathBuf>,
    /// PEM key for the API; required off loopback.
    pub api_key: Option<PathBuf>,
    /// `address:port` of the agent port; `0.0.0.0:7444`.
    pub agent_listen: Option<String>,
    /// Host names and addresses under which agents reach the agent port; `localhost` and `127.0.0.1`.
    pub agent_names: Option<Names>,
    /// File with the API's bearer token; `token` in the data folder.
    pub token_file: Option<PathBuf>,
}

/// A list, or one text with commas, as environment and flags have it.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Names {
    List(Vec<String>),
    Commas(String),
}

impl Names {
    fn into_list(self) -> Vec<String> {
        match self {
            Self::List(names) => names,
            Self::Commas(text) => text.split(',').map(|it| it.trim().to_owned()).collect(),
        }
    }
}

/// What stands between TCP and HTTP/2 at the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiSecurity {
    /// Loopback only.
    Plain,
    Tls {
        certificate: PathBuf,
        key: PathBuf,
    },
}

/// Checked settings. Defaults live in [`ControllerSettings::check`] and nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerSettings {
    pub data_folder: PathBuf,
    pub api_listen: SocketAddr,
    pub api_security: ApiSecurity,
    pub agent_listen: SocketAddr,
    pub agent_names: Vec<String>,
    pub token_file: PathBuf,
}

impl ControllerSettings {
    /// Reads and checks every layer.
    pub fn read(layers: &Layers) -> Result<Self, SettingsError> {
        read_settings(layers, Self::check)
    }

    /// Checks what was written; `None` if a mistake was noted.
    pub fn check(written: WrittenSettings, mistakes: &mut Mistakes) -> Option<Self> {
        let data_folder = written.data_folder.filter(|it| !it.as_os_str().is_empty());
        if data_folder.is_none() {
            mistakes.add("data_folder", "is required: the folder for everything that lasts");
        }
        let api_listen = address("api_listen", written.api_listen, API_LISTEN_DEFAULT, mistakes);
        let agent_listen =
            address("agent_listen", written.agent_listen, AGENT_LISTEN_DEFAULT, mistakes);
        let api_security = security(written.api_certificate, written.api_key, api_listen, mistakes);
        let agent_names = written
            .agent_names
            .map_or_else(|| vec!["localhost".to_owned(), "127.0.0.1".to_owned()], Names::into_list);
        check_names(&agent_names, mistakes);
        let (api_listen, agent_listen) = (api_listen?, agent_listen?);
        if api_listen == agent_listen && api_listen.port() != 0 {
            let text = format!(
                "`{agent_listen}` is the API's address too; agents need a port of their own"
            );
            mistakes.add("agent_listen", text);
        }
        let data_folder = data_folder?;
        let token_file = written.token_file.unwrap_or_else(|| data_folder.join(TOKEN_FILE));
        let api_security = api_security?;
        Some(Self { data_folder, api_listen, api_security, agent_listen, agent_names, token_file })
    }
}

fn address(
    key: &str,
    written: Option<String>,
    default: &str,
    mistakes: &mut Mistakes,
) -> Option<SocketAddr> {
    let text = written.unwrap_or_else(|| default.to_owned());
    let parsed = text.parse();
    let wrong = |_| format!("`{text}` is no address and port; write one as `{default}`");
    mistakes.keep(key, parsed.map_err(wrong))
}

/// TLS if both files are named. Off loopback nothing else is served.
fn security(
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    listen: Option<SocketAddr>,
    mistakes: &mut Mistakes,
) -> Option<ApiSecurity> {
    let off_loopback = listen.is_some_and(|it| !it.ip().is_loopback());
    match (certificate, key) {
        (Some(certificate), Some(key)) => Some(ApiSecurity::Tls { certificate, key }),
        (Some(_), None) => {
            mistakes.add("api_key", "is required beside `api_certificate`");
            None
        }
        (None, Some(_)) => {
            mistakes.add("api_certificate", "is required beside `api_key`");
            None
        }
        (None, None) if off_loopback => {
            let text = "is required, with `api_key`, because `api_listen` is not on loopback";
            mistakes.add("api_certificate", text);
            None
        }
        (None, None) => Some(ApiSecurity::Plain),
    }
}

fn check_names(names: &[String], mistakes: &mut Mistakes) {
    if names.is_empty() || names.len() > AGENT_NAMES_MAX {
        let text = format!("has to hold 1 to {AGENT_NAMES_MAX} host names or addresses");
        mistakes.add("agent_names", text);
    }
    for (at, name) in names.iter().enumerate() {
        let is_name = url::Host::parse(name).is_ok() || name.parse::<std::net::IpAddr>().is_ok();
        if !is_name || name.contains('*') {
            let text = format!("`{name}` is no host name and no address");
            mistakes.add(format!("agent_names[{at}]"), text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ControllerSettings, String> {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("controller.toml");
        std::fs::write(&path, text).expect("written");
        ControllerSettings::read(&Layers::default().with_file(path)).map_err(|it| it.to_string())
    }

    #[test]
    fn the_data_folder_is_enough() {
        let settings = read("data_folder = '/var/lib/parallax'").expect("right");
        assert_eq!(settings.api_listen.to_string(), API_LISTEN_DEFAULT);
        assert_eq!(settings.agent_listen.to_string(), AGENT_LISTEN_DEFAULT);
        assert_eq!(settings.api_security, ApiSecurity::Plain);
        assert_eq!(settings.token_file, PathBuf::from("/var/lib/parallax/token"));
        let names = read("data_folder = 'd'\nagent_names = 'a.example, 10.0.0.1'").expect("right");
        assert_eq!(names.agent_names, ["a.example", "10.0.0.1"]);
    }

    #[test]
    fn all_mistakes_at_once() {
        let mistakes = read(
            "api_listen = '0.0.0.0:7443'\nagent_listen = '7444'\nagent_names = ['two words', '*.example']\ndata_dir = 'd'",
        );
        expect_test::expect![[r"
            `data_dir`: is unknown; remove it or correct its name
            `data_folder`: is required: the folder for everything that lasts
            `agent_listen`: `7444` is no address and port; write one as `0.0.0.0:7444`
            `api_certificate`: is required, with `api_key`, because `api_listen` is not on loopback
            `agent_names[0]`: `two words` is no host name and no address
            `agent_names[1]`: `*.example` is no host name and no address"]]
        .assert_eq(&mistakes.expect_err("wrong"));
    }

    #[test]
    fn a_certificate_needs_its_key_and_the_ports_differ() {
        let mistakes = read(
            "data_folder = 'd'\napi_key = 'k'\napi_listen = '127.0.0.1:1'\nagent_listen = '127.0.0.1:1'",
        );
        let mistakes = mistakes.expect_err("wrong");
        assert!(mistakes.contains("`api_certificate`: is required beside `api_key`"), "{mistakes}");
        assert!(mistakes.contains("`agent_listen`"), "{mistakes}");
    }
}
