//! Who this agent is to the controller: one file with chain and key, so that a renewal is one rename; and how new keys
//! ask for their certificates.
//!
//! Absent on purpose: the calls to the controller; `join` and `renewal` make them.
//!
//! INVARIANT: the private key is read from a file of its owner alone, and is in no `Debug`, log or error.
//! INVARIANT: a new identity is on the disk, whole, before it is used.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parallax_wire::pb::link as wire;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use crate::certificate::{Validity, moment, validity};
use crate::files::{PRIVATE, replace};

/// Certificates of a chain; more are not from our controller.
const CHAIN_MAX: usize = 4;

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
    #[error("the key in {} is readable by others (mode {mode:04o}); set it to 0600", .path.display())]
    TooOpen { path: PathBuf, mode: u32 },
    #[error(
        "a join into {} was cut off in the middle, so its files may not belong together; join again with a new token and --replace",
        .folder.display()
    )]
    HalfJoined { folder: PathBuf },
}

impl Identity {
    /// Reads two PEM files: chain and key in one, the authority in the other.
    pub fn read(identity: &Path, authority: &Path) -> Result<Self, IdentityError> {
        let not_pem = |path: &Path, wanted| IdentityError::NotPem { path: path.to_owned(), wanted };
        refuse_open(identity)?;
        let text = Zeroizing::new(read(identity)?);
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<_, _>>()
            .map_err(|_| not_pem(identity, "certificate"))?;
        if chain.is_empty() {
            return Err(not_pem(identity, "certificate"));
        }
        let key =
            PrivateKeyDer::from_pem_slice(&text).map_err(|_| not_pem(identity, "private key"))?;
        let authority = CertificateDer::from_pem_slice(&read(authority)?)
            .map_err(|_| not_pem(authority, "certificate"))?;
        Ok(Self { chain, key, authority })
    }

    /// When its certificate holds, as RFC 3339; empty if it cannot be read.
    pub fn holds_until(&self) -> String {
        self.validity().map(|it| moment(it.until)).unwrap_or_default()
    }

    pub(crate) fn validity(&self) -> Option<Validity> {
        self.chain.first().and_then(validity)
    }

    pub(crate) fn is_over(&self, now: SystemTime) -> bool {
        self.validity().is_some_and(|it| it.until <= now)
    }

    /// As it stands in its file: the chain, then the key.
    pub(crate) fn pem(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::new());
        for certificate in &self.chain {
            text.push_str(&pem("CERTIFICATE", certificate));
        }
        let tag = match &self.key {
            PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
            PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
            PrivateKeyDer::Pkcs8(_) | _ => "PRIVATE KEY",
        };
        text.push_str(&Zeroizing::new(pem(tag, self.key.secret_der())));
        text
    }

    pub(crate) fn authority_pem(&self) -> String {
        pem("CERTIFICATE", &self.authority)
    }

    /// Puts it in place of the one in the file. Blocks on the disk.
    pub(crate) fn write(&self, path: &Path) -> std::io::Result<()> {
        replace(path, PRIVATE, self.pem().as_bytes())
    }
}

/// A new key that has no certificate yet.
pub(crate) struct NewKey(KeyPair);

impl NewKey {
    /// P-256.
    pub(crate) fn generate() -> Result<Self, rcgen::Error> {
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map(Self)
    }

    /// The key of an identity, to ask once more for it.
    pub(crate) fn of(identity: &Identity) -> Result<Self, rcgen::Error> {
        KeyPair::try_from(&identity.key).map(Self)
    }

    /// A request that proves possession of the key (RFC 2986), DER. It names nobody: the controller takes the key alone.
    pub(crate) fn signing_request(&self) -> Result<Vec<u8>, rcgen::Error> {
        CertificateParams::default().serialize_request(&self.0).map(|it| it.der().to_vec())
    }

    /// With the certificate that came for it. `None`: the answer holds no chain for this key.
    pub(crate) fn with(self, certificate: Option<wire::Certificate>) -> Option<Identity> {
        let wire::Certificate { chain, authority } = certificate?;
        if chain.is_empty() || chain.len() > CHAIN_MAX || authority.is_empty() {
            return None;
        }
        let chain: Vec<_> = chain.into_iter().map(CertificateDer::from).collect();
        let authority = CertificateDer::from(authority);
        let ours = crate::certificate::digest_of_key(&self.0);
        if crate::certificate::key_digest(chain.first()?) != Some(ours) {
            return None;
        }
        crate::certificate::key_digest(&authority)?;
        let key = PrivateKeyDer::Pkcs8(self.0.serialize_der().into());
        Some(Identity { chain, key, authority })
    }
}

fn pem(tag: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {tag}-----\n");
    let encoded = Zeroizing::new(STANDARD.encode(der));
    for line in encoded.as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text.push_str("-----END ");
    text.push_str(tag);
    text.push_str("-----\n");
    text
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

    fn made() -> Identity {
        let made = rcgen::generate_simple_self_signed(vec!["a".to_owned()]).expect("made");
        Identity {
            chain: vec![made.cert.der().clone()],
            key: PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into()),
            authority: made.cert.der().clone(),
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, authority) = (folder.path().join("i.pem"), folder.path().join("a.pem"));
        let identity = made();
        identity.write(&path).expect("written");
        std::fs::write(&authority, identity.authority_pem()).expect("written");
        let read = Identity::read(&path, &authority).expect("read");
        assert_eq!(read.chain, identity.chain);
        assert_eq!(read.key, identity.key);
        assert_eq!(read.authority, identity.authority);
        assert_eq!(format!("{read:?}"), "Identity(..)");
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("i.pem");
        made().write(&path).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("set");
        let error = Identity::read(&path, &path).expect_err("too open");
        assert!(matches!(error, IdentityError::TooOpen { mode: 0o640, .. }), "{error}");
    }

    #[test]
    fn a_certificate_for_another_key_is_not_taken() {
        let other = made();
        let certificate = wire::Certificate {
            chain: vec![other.chain[0].to_vec()],
            authority: other.authority.to_vec(),
        };
        let key = NewKey::generate().expect("a key");
        assert!(key.with(Some(certificate.clone())).is_none());
        let right = NewKey::of(&other).expect("its key");
        assert!(right.with(Some(certificate)).is_some());
        assert!(NewKey::generate().expect("a key").with(None).is_none());
    }
}
