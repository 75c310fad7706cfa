//! What an operator may set about the agent: as written, then as checked.
//!
//! Absent on purpose: reading layers and the environment (`process` and the command line do it) and the policy, which has
//! a file of its own.
//!
//! INVARIANT: a proxy is used only if the settings name it, or say that the environment does.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use parallax_process::Mistakes;
use rustls_pki_types::ServerName;
use serde::Deserialize;

use crate::identity::{Identity, IdentityError};
use crate::join::JOINING_FILE;
use crate::proxy::{Proxy, ProxyChoice};

/// Where results wait, beside the identity, if nothing else is said.
pub(crate) const SPOOL_FOLDER: &str = "spool";

/// The file as written; unknown keys are refused. [`AgentConfig::check`] makes the real thing of it.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WrittenAgentSettings {
    /// `host:port` of the controller's agent port. Required.
    pub controller: Option<String>,
    /// Name in the controller's certificate; the host of `controller`.
    pub server_name: Option<String>,
    /// PEM chain of this agent, leaf first, and its key, in one file that its owner alone may read. Required. The agent
    /// puts a renewed one in its place.
    pub identity: Option<PathBuf>,
    /// PEM certificate of the controller's authority. Required.
    pub authority: Option<PathBuf>,
    /// The policy file. Required; if there is none at that place, everything is denied.
    pub policy: Option<PathBuf>,
    /// The folder where results wait until the controller has acknowledged them; `spool` beside `identity`.
    pub spool: Option<PathBuf>,
    /// The HTTP proxy between agent and controller, `http://[user:password@]host:port`; `environment`: what `https_proxy`
    /// says. None if left out. Probes never use it.
    pub proxy: Option<String>,
}

/// Without the proxy, which may hold a password.
impl fmt::Debug for WrittenAgentSettings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("WrittenAgentSettings")
            .field("controller", &self.controller)
            .field("server_name", &self.server_name)
            .field("identity", &self.identity)
            .field("authority", &self.authority)
            .field("policy", &self.policy)
            .field("spool", &self.spool)
            .finish_non_exhaustive()
    }
}

/// Checked settings of an agent that runs from files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentConfig {
    pub settings: AgentSettings,
    pub identity: PathBuf,
    pub authority: PathBuf,
    pub policy: PathBuf,
}

impl AgentConfig {
    /// Checks what was written; notes every mistake. For `parallax_process::read_settings`. `variable` looks into the
    /// environment, for the proxy alone.
    pub fn check(
        written: WrittenAgentSettings,
        variable: &dyn Fn(&str) -> Option<String>,
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        let mut file = |field: &str, written: Option<PathBuf>, what: &str| {
            let path = written.filter(|it| !it.as_os_str().is_empty());
            if path.is_none() {
                mistakes.add(field, format!("is required: {what}"));
            }
            path
        };
        let identity = file("identity", written.identity, "the agent's certificate and key, PEM");
        let authority = file("authority", written.authority, "the controller's authority, PEM");
        let policy = file("policy", written.policy, "the file that says what may be probed");
        let controller = written.controller.unwrap_or_default();
        let host = mistakes.keep("controller", split(&controller)).map(|(host, _)| host);
        let proxy = written.proxy.filter(|it| !it.is_empty()).map(|text| {
            let host = host.as_deref().unwrap_or_default();
            mistakes.keep("proxy", ProxyChoice::read(&text, host, variable))
        });
        let server_name = host.and_then(|host| {
            mistakes.keep("server_name", read_server_name(&written.server_name.unwrap_or(host)))
        });
        let identity = identity?;
        let spool = written.spool.unwrap_or_else(|| beside(&identity, SPOOL_FOLDER));
        let mut settings = AgentSettings::new(controller, server_name?);
        settings.proxy = match proxy {
            None => None,
            Some(choice) => choice?.proxy().cloned(),
        };
        settings.home = Some(Home { identity: identity.clone(), spool });
        settings.timings = Timings::default();
        Some(Self { settings, identity, authority: authority?, policy: policy? })
    }

    /// Reads certificate, key and authority. Refuses a folder in which a join was cut off: its files may not belong together.
    pub fn read_identity(&self) -> Result<Identity, IdentityError> {
        if beside(&self.identity, JOINING_FILE).exists() {
            let folder = self.identity.parent().unwrap_or(Path::new("")).to_owned();
            return Err(IdentityError::HalfJoined { folder });
        }
        Identity::read(&self.identity, &self.authority)
    }
}

fn beside(path: &Path, name: &str) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).join(name)
}

/// A host name or an address that a certificate can carry.
pub(crate) fn read_server_name(text: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(text.to_owned())
        .map_err(|_| format!("`{text}` is no host name and no address"))
}

/// Host and port of `host:port`, `address:port` or `[address]:port`.
pub(crate) fn split(text: &str) -> Result<(String, u16), String> {
    let parts = text.rsplit_once(':').and_then(|(host, port)| {
        let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        let is_good = !host.is_empty() && (bare.is_some() || !host.contains(':'));
        is_good.then_some((bare.unwrap_or(host).to_owned(), port.parse::<u16>().ok()?))
    });
    match parts {
        _ if text.is_empty() => {
            Err("is required: `host:port` of the controller's agent port".to_owned())
        }
        None => Err(format!("`{text}` is not `host:port`, as `parallax.corp.example:7444`")),
        Some((_, 0)) => Err(format!("`{text}` has port 0; give 1 to 65535")),
        Some(parts) => Ok(parts),
    }
}

/// What [`crate::run`] needs besides identity and policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentSettings {
    /// `host:port` of the controller's agent port; resolved anew for every session.
    pub controller: String,
    /// Name or address that the controller's certificate has to carry.
    pub server_name: ServerName<'static>,
    /// On the way to the controller, never for probes.
    pub proxy: Option<Proxy>,
    /// Where the agent keeps what has to last. Without it everything stays in memory.
    pub home: Option<Home>,
    pub timings: Timings,
}

/// What an agent writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// The file that a renewed identity replaces.
    pub identity: PathBuf,
    /// The folder where results wait.
    pub spool: PathBuf,
}

impl AgentSettings {
    /// For an agent that keeps everything in memory and ends with those who started it: no proxy, and no wait for its tasks.
    pub fn new(controller: impl Into<String>, server_name: ServerName<'static>) -> Self {
        Self {
            controller: controller.into(),
            server_name,
            proxy: None,
            home: None,
            timings: Timings { drain: Duration::ZERO, ..Timings::default() },
        }
    }
}

/// Times of the session. The default is for the field; tests shorten it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// The first wait before coming back is at most this long.
    pub reconnect_base: Duration,
    /// No wait before coming back is longer.
    pub reconnect_cap: Duration,
    /// A session that lasted this long starts the waits anew.
    pub healthy_after: Duration,
    /// For a go or deny, after a begin.
    pub go_wait: Duration,
    /// After a stop or a go-away, for tasks in hand to end by themselves; then they are cancelled.
    pub drain: Duration,
    /// After the last task, for results to be acknowledged.
    pub farewell: Duration,
    /// A session is replaced after this, ± 25 %.
    pub session_age: Duration,
    /// How long a session that is to be replaced waits for a moment without tasks.
    pub quiet_wait: Duration,
    /// Between two attempts to renew the certificate.
    pub renew_retry: Duration,
    /// A result that is not acknowledged goes again in the same session after one to two of these, ± 20 %.
    pub resend_after: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            reconnect_base: Duration::from_secs(1),
            reconnect_cap: Duration::from_mins(2),
            healthy_after: Duration::from_mins(1),
            go_wait: Duration::from_secs(10),
            drain: Duration::from_secs(25),
            farewell: Duration::from_secs(5),
            session_age: Duration::from_hours(6),
            quiet_wait: Duration::from_mins(5),
            renew_retry: Duration::from_mins(10),
            resend_after: Duration::from_mins(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(written: WrittenAgentSettings) -> String {
        let mut mistakes = Mistakes::default();
        let config = AgentConfig::check(written, &|_| None, &mut mistakes);
        assert_eq!(config.is_none(), !mistakes.is_empty());
        mistakes.to_string()
    }

    #[test]
    fn everything_that_is_missing_is_told_at_once() {
        assert_eq!(
            mistakes(WrittenAgentSettings::default()).lines().collect::<Vec<_>>(),
            [
                "`identity`: is required: the agent's certificate and key, PEM",
                "`authority`: is required: the controller's authority, PEM",
                "`policy`: is required: the file that says what may be probed",
                "`controller`: is required: `host:port` of the controller's agent port",
            ]
        );
    }

    #[test]
    fn the_controllers_address() {
        for (text, host) in [
            ("parallax.example:7444", Some("parallax.example")),
            ("192.0.2.1:7444", Some("192.0.2.1")),
            ("[2001:db8::1]:7444", Some("2001:db8::1")),
            ("parallax.example", None),
            ("2001:db8::1:7444", None),
            (":7444", None),
            ("a:0", None),
            ("a:70000", None),
        ] {
            assert_eq!(split(text).ok().map(|it| it.0).as_deref(), host, "{text}");
        }
    }

    #[test]
    fn a_proxy_with_a_password_is_in_no_debug_and_no_mistake() {
        let written = |proxy: &str| WrittenAgentSettings {
            controller: Some("parallax.example:7444".to_owned()),
            identity: Some("/etc/parallax/identity.pem".into()),
            authority: Some("/etc/parallax/authority.pem".into()),
            policy: Some("/etc/parallax/policy.toml".into()),
            proxy: Some(proxy.to_owned()),
            ..WrittenAgentSettings::default()
        };
        let text = mistakes(written("socks5://me:hunter2@p:1"));
        assert!(text.starts_with("`proxy`: ") && !text.contains("hunter2"), "{text}");
        let good = written("http://me:hunter2@p:3128");
        let mut none = Mistakes::default();
        let config = AgentConfig::check(good.clone(), &|_| None, &mut none).expect("good");
        assert!(!format!("{good:?} {config:?}").contains("hunter2"));
        let home = config.settings.home.expect("a home");
        assert_eq!(home.spool, Path::new("/etc/parallax/spool"));
        let environment = |name: &str| (name == "https_proxy").then(|| "http://q:1".to_owned());
        let config = AgentConfig::check(written("environment"), &environment, &mut none);
        let proxy = config.expect("good").settings.proxy.expect("a proxy");
        assert_eq!(proxy.to_string(), "http://q:1");
    }
}
