//! What an operator may set about the agent: as written, then as checked. And the agent's identity.
//!
//! Absent on purpose: reading layers (`process` does it) and the policy, which has a file of its own.
//!
//! INVARIANT: the private key is read from a file of its owner alone, and is in no `Debug`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use parallax_process::Mistakes;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde::Deserialize;

/// The file as written; unknown keys are refused. [`AgentConfig::check`] makes the real thing of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WrittenAgentSettings {
    /// `host:port` of the controller's agent port. Required.
    pub controller: Option<String>,
    /// Name in the controller's certificate; the host of `controller`.
    pub server_name: Option<String>,
    /// PEM chain of this agent, leaf first. Required.
    pub certificate: Option<PathBuf>,
    /// PEM key of this agent, readable by its owner alone. Required.
    pub key: Option<PathBuf>,
    /// PEM certificate of the controller's authority. Required.
    pub authority: Option<PathBuf>,
    /// The policy file. Required; if there is none at that place, everything is denied.
    pub policy: Option<PathBuf>,
}

/// Checked settings of an agent that runs from files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentConfig {
    pub settings: AgentSettings,
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub authority: PathBuf,
    pub policy: PathBuf,
}

impl AgentConfig {
    /// Checks what was written; notes every mistake. For `parallax_process::read_settings`.
    pub fn check(written: WrittenAgentSettings, mistakes: &mut Mistakes) -> Option<Self> {
        let mut file = |field: &str, written: Option<PathBuf>, what: &str| {
            let path = written.filter(|it| !it.as_os_str().is_empty());
            if path.is_none() {
                mistakes.add(field, format!("is required: {what}"));
            }
            path
        };
        let certificate = file("certificate", written.certificate, "the agent's certificate, PEM");
        let key = file("key", written.key, "the agent's private key, PEM");
        let authority = file("authority", written.authority, "the controller's authority, PEM");
        let policy = file("policy", written.policy, "the file that says what may be probed");
        let controller = written.controller.unwrap_or_default();
        let settings = mistakes.keep("controller", split(&controller)).and_then(|(host, _)| {
            let name = written.server_name.unwrap_or(host);
            let name = ServerName::try_from(name.clone())
                .map_err(|_| format!("`{name}` is no host name and no address"));
            mistakes.keep("server_name", name)
        });
        Some(Self {
            settings: AgentSettings::new(controller, settings?),
            certificate: certificate?,
            key: key?,
            authority: authority?,
            policy: policy?,
        })
    }

    /// Reads certificate, key and authority.
    pub fn read_identity(&self) -> Result<Identity, IdentityError> {
        Identity::read(&self.certificate, &self.key, &self.authority)
    }
}

/// Host and port of `host:port`, `address:port` or `[address]:port`.
fn split(text: &str) -> Result<(String, u16), String> {
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
    pub timings: Timings,
}

impl AgentSettings {
    pub fn new(controller: impl Into<String>, server_name: ServerName<'static>) -> Self {
        Self { controller: controller.into(), server_name, timings: Timings::default() }
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
    /// After a stop, for results to be acknowledged.
    pub farewell: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            reconnect_base: Duration::from_secs(1),
            reconnect_cap: Duration::from_mins(2),
            healthy_after: Duration::from_mins(1),
            go_wait: Duration::from_secs(10),
            farewell: Duration::from_secs(5),
        }
    }
}

/// Who this agent is to the controller, and whom it takes for the controller.
pub struct Identity {
    /// Leaf first; its SPIFFE id is `spiffe://parallax/agent/{vantage}`.
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
    /// Only a certificate that this authority signed is the controller's.
    pub authority: CertificateDer<'static>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Identity(..)")
    }
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("cannot read {}", .path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{} holds no {wanted} in PEM (RFC 7468)", .path.display())]
    NotPem { path: PathBuf, wanted: &'static str },
    #[error("the key {} is readable by others (mode {mode:04o}); set it to 0600", .path.display())]
    TooOpen { path: PathBuf, mode: u32 },
}

impl Identity {
    /// Reads three PEM files: chain, key, authority.
    pub fn read(certificate: &Path, key: &Path, authority: &Path) -> Result<Self, IdentityError> {
        let not_pem = |path: &Path, wanted| IdentityError::NotPem { path: path.to_owned(), wanted };
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&read(certificate)?)
            .collect::<Result<_, _>>()
            .map_err(|_| not_pem(certificate, "certificate"))?;
        if chain.is_empty() {
            return Err(not_pem(certificate, "certificate"));
        }
        let authority_der = CertificateDer::from_pem_slice(&read(authority)?)
            .map_err(|_| not_pem(authority, "certificate"))?;
        refuse_open(key)?;
        let key_der =
            PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|_| not_pem(key, "private key"))?;
        Ok(Self { chain, key: key_der, authority: authority_der })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, IdentityError> {
    std::fs::read(path)
        .map_err(|source| IdentityError::Unreadable { path: path.to_owned(), source })
}

#[cfg(unix)]
fn refuse_open(path: &Path) -> Result<(), IdentityError> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = std::fs::metadata(path)
        .map_err(|source| IdentityError::Unreadable { path: path.to_owned(), source })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(IdentityError::TooOpen { path: path.to_owned(), mode });
    }
    Ok(())
}

/// Access lists of other systems are not modes; the installation guide says how to set them.
#[cfg(not(unix))]
fn refuse_open(_path: &Path) -> Result<(), IdentityError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(written: WrittenAgentSettings) -> String {
        let mut mistakes = Mistakes::default();
        let config = AgentConfig::check(written, &mut mistakes);
        assert_eq!(config.is_none(), !mistakes.is_empty());
        mistakes.to_string()
    }

    #[test]
    fn everything_that_is_missing_is_told_at_once() {
        assert_eq!(
            mistakes(WrittenAgentSettings::default()).lines().collect::<Vec<_>>(),
            [
                "`certificate`: is required: the agent's certificate, PEM",
                "`key`: is required: the agent's private key, PEM",
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

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let made = rcgen::generate_simple_self_signed(vec!["a".to_owned()]).expect("a certificate");
        let (certificate, key) = (folder.path().join("a.pem"), folder.path().join("a.key"));
        std::fs::write(&certificate, made.cert.pem()).expect("written");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
        let set = |mode| {
            std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).expect("set");
        };
        set(0o640);
        let error = Identity::read(&certificate, &key, &certificate).expect_err("too open");
        assert!(matches!(error, IdentityError::TooOpen { mode: 0o640, .. }), "{error}");
        set(0o600);
        let identity = Identity::read(&certificate, &key, &certificate).expect("good");
        assert_eq!(format!("{identity:?}"), "Identity(..)");
    }
}
