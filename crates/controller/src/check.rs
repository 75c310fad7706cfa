//! Whether a controller with these settings would start: everything it reads, looked at without changing or binding anything.
//!
//! Absent on purpose: whether the ports are free and the disk has room; that may be otherwise a moment later.
//!
//! INVARIANT: every mistake is told at once, each with the key or the file it is about.

use std::path::Path;
use std::time::{Duration, SystemTime};

use parallax_process::Mistakes;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::authority::{AUTHORITY_FILE, AUTHORITY_KEY_FILE, Authority};
use crate::settings::WrittenSettings;
use crate::token::{TOKEN_FILE, TokenDigest};

/// What was found right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Version of the database's schema; `None`: there is none yet.
    pub schema: Option<i64>,
    /// The version this program knows.
    pub schema_known: i64,
    /// How long the authority of the agent port still holds.
    pub authority_left: Option<Duration>,
    /// How long the API's certificate still holds; `None` without one.
    pub api_left: Option<Duration>,
}

/// Looks at everything that these settings name, as far as they can be read. Blocks on the disk.
pub async fn check(written: &WrittenSettings, mistakes: &mut Mistakes) -> Checked {
    let mut checked = Checked::default();
    if let Some(folder) = written.data_folder.as_deref().filter(|it| !it.as_os_str().is_empty()) {
        if check_folder(folder, mistakes) {
            check_authority(folder, mistakes, &mut checked);
            check_store(folder, mistakes, &mut checked).await;
        }
        let token = written.token_file.clone().unwrap_or_else(|| folder.join(TOKEN_FILE));
        mistakes.keep(name(&token), TokenDigest::read(&token).map_err(|it| explained(&it)));
        check_mode(&token, 0o077, mistakes);
    }
    if let (Some(certificate), Some(key)) = (&written.api_certificate, &written.api_key) {
        check_api(certificate, key, mistakes, &mut checked);
    }
    checked
}

/// Whether there is a folder to look into.
fn check_folder(folder: &Path, mistakes: &mut Mistakes) -> bool {
    let init =
        format!("make it ready once: parallax controller init --data-folder {}", name(folder));
    match std::fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => {
            if let Some(mode) = writable_by_others(folder) {
                let text = format!("{mode:04o} lets others write; chmod 0700 {}", name(folder));
                mistakes.add(format!("{} (mode)", name(folder)), text);
            }
        }
        Ok(_) => {
            mistakes.add("data_folder", format!("{} is no folder; {init}", name(folder)));
            return false;
        }
        Err(error) => {
            mistakes
                .add("data_folder", format!("cannot look into {} ({error}); {init}", name(folder)));
            return false;
        }
    }
    true
}

/// The mode of a data folder in which others than its owner could put files of theirs in the place of ours.
#[cfg(unix)]
pub fn writable_by_others(folder: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    // A folder that cannot be looked at is told by whoever reads it.
    let mode = std::fs::metadata(folder).ok()?.permissions().mode() & 0o7777;
    (mode & 0o022 != 0).then_some(mode)
}

/// Elsewhere the folder's access list protects it.
#[cfg(not(unix))]
pub fn writable_by_others(_folder: &Path) -> Option<u32> {
    None
}

fn check_authority(folder: &Path, mistakes: &mut Mistakes, checked: &mut Checked) {
    let (certificate, key) = (folder.join(AUTHORITY_FILE), folder.join(AUTHORITY_KEY_FILE));
    check_mode(&key, 0o077, mistakes);
    match Authority::open(folder) {
        Err(error) => mistakes.add(name(&certificate), explained(&error)),
        Ok(authority) if authority.is_of_its_key() => {
            checked.authority_left = check_end(&certificate, authority.certificate(), mistakes);
        }
        Ok(_) => {
            let text = format!("is not the certificate of the key in {}", name(&key));
            mistakes.add(name(&certificate), text);
        }
    }
}

async fn check_store(folder: &Path, mistakes: &mut Mistakes, checked: &mut Checked) {
    let found = parallax_store::inspect(folder).await;
    for (number, problem) in found.problems.iter().enumerate() {
        // Several may be about the same folder; none hides another.
        mistakes.add(format!("data_folder ({})", number + 1), explained(problem));
    }
    (checked.schema, checked.schema_known) = (found.schema, found.schema_known);
}

fn check_api(certificate: &Path, key: &Path, mistakes: &mut Mistakes, checked: &mut Checked) {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| format!("{} cannot be read: {error}", name(certificate)));
    let chain = mistakes.keep("api_certificate", chain);
    let read = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| format!("{} cannot be read: {error}", name(key)));
    let read = mistakes.keep("api_key", read);
    // Readable by a group of its own is usual for keys that several services share.
    check_mode(key, 0o007, mistakes);
    let (Some(chain), Some(read)) = (chain, read) else { return };
    let Some(leaf) = chain.first().cloned() else {
        mistakes.add("api_certificate", format!("{} holds no PEM certificate", name(certificate)));
        return;
    };
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    if let Err(error) = CertifiedKey::from_der(chain, read, &provider) {
        let text = format!("{} does not go with the certificate: {error}", name(key));
        mistakes.add("api_key", text);
    }
    checked.api_left = check_end(certificate, &leaf, mistakes);
}

/// How long a certificate still holds.
fn check_end(
    path: &Path,
    certificate: &CertificateDer<'_>,
    mistakes: &mut Mistakes,
) -> Option<Duration> {
    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(certificate) else {
        mistakes.add(name(path), "is no X.509 certificate (RFC 5280)");
        return None;
    };
    let end = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0);
    let left =
        (SystemTime::UNIX_EPOCH + Duration::from_secs(end)).duration_since(SystemTime::now());
    if left.is_err() {
        mistakes.add(name(path), format!("ended on {}", parsed.validity().not_after));
    }
    left.ok()
}

/// A mode that gives these rights away is a mistake. What cannot be looked at is told by whoever reads it.
#[cfg(unix)]
fn check_mode(path: &Path, forbidden: u32, mistakes: &mut Mistakes) {
    use std::os::unix::fs::PermissionsExt as _;
    let Ok(metadata) = std::fs::metadata(path) else { return };
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & forbidden != 0 {
        let right = mode & !forbidden;
        mistakes.add(
            format!("{} (mode)", name(path)),
            format!("{mode:04o} gives others too much; set it to {right:04o}"),
        );
    }
}

#[cfg(not(unix))]
fn check_mode(_path: &Path, _forbidden: u32, _mistakes: &mut Mistakes) {}

fn name(path: &Path) -> String {
    path.display().to_string()
}

/// An error with its causes.
fn explained(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::init::{InitRequest, init};

    fn ready(folder: &Path) -> WrittenSettings {
        let folder = folder.join("data");
        init(&InitRequest { token_file: folder.join(TOKEN_FILE), folder: folder.clone() })
            .expect("made ready");
        WrittenSettings { data_folder: Some(folder), ..WrittenSettings::default() }
    }

    async fn mistakes(written: &WrittenSettings) -> String {
        let mut mistakes = Mistakes::default();
        check(written, &mut mistakes).await;
        mistakes.to_string()
    }

    #[tokio::test]
    async fn what_init_made_is_right() {
        let home = tempfile::tempdir().expect("a folder");
        let written = ready(home.path());
        let mut mistakes = Mistakes::default();
        let checked = check(&written, &mut mistakes).await;
        assert!(mistakes.is_empty(), "{mistakes}");
        assert!(checked.schema.is_none() && checked.schema_known > 0);
        assert!(checked.authority_left.is_some_and(|it| it > Duration::from_hours(24 * 3000)));
    }

    #[tokio::test]
    async fn everything_that_is_wrong_is_told_at_once() {
        let home = tempfile::tempdir().expect("a folder");
        let mut written = ready(home.path());
        let folder = written.data_folder.clone().expect("a folder");
        let set = |name: &str, mode| {
            fs::set_permissions(folder.join(name), Permissions::from_mode(mode)).expect("set");
        };
        set("", 0o777);
        set(AUTHORITY_KEY_FILE, 0o644);
        set(TOKEN_FILE, 0o640);
        fs::write(folder.join(AUTHORITY_FILE), "no certificate").expect("written");
        fs::write(folder.join("parallax.db"), "no database, and long enough to look like one")
            .expect("written");
        set("parallax.db", 0o644);
        written.api_certificate = Some(home.path().join("none.pem"));
        let other = rcgen::generate_simple_self_signed(vec!["a".to_owned()]).expect("made");
        let key = home.path().join("api.key");
        fs::write(&key, other.signing_key.serialize_pem()).expect("written");
        written.api_key = Some(key);
        let text = mistakes(&written).await;
        for wanted in [
            "data` (mode)`: 0777 lets others write; chmod 0700 ",
            "agent-ca.key (mode)`: 0644 gives others too much; set it to 0600",
            "token (mode)`: 0640",
            "agent-ca.pem`: ",
            "parallax.db can be read by others",
            "envelope",
            "`api_certificate`: ",
            "api.key (mode)`: 0644",
        ] {
            let wanted = wanted.replace("data` (mode)", "data (mode)");
            assert!(text.contains(&wanted), "{wanted}\n{text}");
        }
    }

    #[tokio::test]
    async fn a_key_of_another_certificate() {
        let home = tempfile::tempdir().expect("a folder");
        let mut written = ready(home.path());
        let made = || rcgen::generate_simple_self_signed(vec!["a".to_owned()]).expect("made");
        let (certificate, key) = (home.path().join("api.pem"), home.path().join("api.key"));
        fs::write(&certificate, made().cert.pem()).expect("written");
        fs::write(&key, made().signing_key.serialize_pem()).expect("written");
        fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("set");
        (written.api_certificate, written.api_key) = (Some(certificate), Some(key));
        let text = mistakes(&written).await;
        assert!(text.starts_with("`api_key`: ") && text.lines().count() == 1, "{text}");
    }

    #[tokio::test]
    async fn no_folder() {
        let written = WrittenSettings {
            data_folder: Some("/nonexistent/parallax".into()),
            ..WrittenSettings::default()
        };
        let text = mistakes(&written).await;
        assert!(
            text.contains("parallax controller init --data-folder /nonexistent/parallax"),
            "{text}"
        );
    }
}
