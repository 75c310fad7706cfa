//! Sealing secrets at rest: AES-256-GCM under a key that stands in a file of its own, beside no database.
//!
//! A sealed secret names its key and is bound to its account and version, so that a row copied to another account, or an older
//! version put back, does not open. Absent on purpose: rotation of the key; a sealed value says which key it needs.
//!
//! INVARIANT: the key file is readable by its owner alone; a wider mode is refused, not repaired.
//! INVARIANT: a key file is never overwritten, and appears complete or not at all.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::rand;
use parallax_model::AccountId;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{InvalidSecret, Secret};

const KEY_LENGTH: usize = 32;
const KEY_ID_LENGTH: usize = 8;
const TAG_LENGTH: usize = 16;

/// The largest key file read: 64 hexadecimal digits and a line end.
const FILE_BYTES_MAX: u64 = 66;

/// First byte of every sealed secret: the layout `1 | key id | nonce | ciphertext and tag`.
const LAYOUT: u8 = 1;

/// The key under which secrets are stored.
pub struct EnvelopeKey {
    cipher: RandomizedNonceKey,
    id: [u8; KEY_ID_LENGTH],
}

/// A secret as it is stored. Safe to write anywhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

/// Why a key file or a sealed secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    #[error("key file {}: cannot {doing}", .path.display())]
    File { path: PathBuf, doing: &'static str, source: io::Error },
    #[error("key file {} is readable by others (mode {mode:04o}): set it to 0600", .path.display())]
    TooOpen { path: PathBuf, mode: u32 },
    #[error("key file {} is not a key: it needs 64 hexadecimal digits; restore it from its backup", .path.display())]
    NotAKey { path: PathBuf },
    #[error("no random numbers from the operating system")]
    NoRandomness,
    #[error("the secret could not be sealed")]
    Seal,
    #[error("the stored secret is not in a known layout")]
    Layout,
    #[error(
        "the stored secret was sealed under key {sealed_under}, but the key file holds key {have}: restore that key file"
    )]
    OtherKey { sealed_under: String, have: String },
    #[error("the stored secret does not open for this account and version: its row was changed")]
    DoesNotOpen,
    #[error("what was stored is no secret: {0}")]
    Content(#[from] InvalidSecret),
}

impl EnvelopeKey {
    /// Reads the key file; makes it first when there is none. For a first start; blocks on the disk.
    pub fn load_or_create(path: &Path) -> Result<Self, EnvelopeError> {
        match Self::load(path) {
            Err(EnvelopeError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                create(path)?;
                Self::load(path)
            }
            loaded => loaded,
        }
    }

    /// Reads the key file. Blocks on the disk.
    pub fn load(path: &Path) -> Result<Self, EnvelopeError> {
        let failed =
            |doing| move |source| EnvelopeError::File { path: path.to_owned(), doing, source };
        let file = File::open(path).map_err(failed("open it"))?;
        check_mode(path, &file.metadata().map_err(failed("read its mode"))?)?;
        let mut text = Zeroizing::new(String::new());
        file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed("read it"))?;
        let key = read_hexadecimal(text.trim_end())
            .ok_or_else(|| EnvelopeError::NotAKey { path: path.to_owned() })?;
        Self::from_bytes(&key)
    }

    fn from_bytes(key: &[u8; KEY_LENGTH]) -> Result<Self, EnvelopeError> {
        let cipher = RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|_| EnvelopeError::Seal)?;
        let digest =
            Sha256::new().chain_update(b"parallax envelope key id").chain_update(key).finalize();
        let mut id = [0; KEY_ID_LENGTH];
        id.copy_from_slice(&digest[..KEY_ID_LENGTH]);
        Ok(Self { cipher, id })
    }

    /// A name for the key that tells nothing about it: 16 hexadecimal digits.
    pub fn id(&self) -> String {
        write_hexadecimal(&self.id)
    }

    /// Seals a secret for one version of one account.
    pub fn seal(
        &self,
        account: &AccountId,
        version: u64,
        secret: &Secret,
    ) -> Result<Sealed, EnvelopeError> {
        // Room for the tag beforehand: growing would leave a copy of the plain text behind.
        let plain = secret.expose().as_bytes();
        let mut text = Zeroizing::new(Vec::with_capacity(plain.len() + TAG_LENGTH));
        text.extend_from_slice(plain);
        let nonce = self
            .cipher
            .seal_in_place_append_tag(Aad::from(bound_to(account, version)), &mut *text)
            .map_err(|_| EnvelopeError::Seal)?;
        let mut sealed = vec![LAYOUT];
        sealed.extend(self.id);
        sealed.extend(nonce.as_ref());
        sealed.extend(text.iter());
        Ok(Sealed(sealed))
    }

    /// Opens what was sealed for this version of this account.
    pub fn open(
        &self,
        account: &AccountId,
        version: u64,
        sealed: &Sealed,
    ) -> Result<Secret, EnvelopeError> {
        let (id, nonce, text) = sealed.parts().ok_or(EnvelopeError::Layout)?;
        if id != self.id {
            let sealed_under = write_hexadecimal(id);
            return Err(EnvelopeError::OtherKey { sealed_under, have: self.id() });
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| EnvelopeError::Layout)?;
        let mut text = Zeroizing::new(text.to_vec());
        let length = self
            .cipher
            .open_in_place(nonce, Aad::from(bound_to(account, version)), &mut text)
            .map_err(|_| EnvelopeError::DoesNotOpen)?
            .len();
        text.truncate(length);
        Ok(Secret::from_bytes(text)?)
    }
}

impl fmt::Debug for EnvelopeKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "EnvelopeKey({})", self.id())
    }
}

impl Sealed {
    /// Takes bytes that were stored. They are checked when they are opened.
    pub fn from_stored(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn parts(&self) -> Option<(&[u8], &[u8], &[u8])> {
        let rest = self.0.strip_prefix(&[LAYOUT])?;
        let (id, rest) = rest.split_at_checked(KEY_ID_LENGTH)?;
        let (nonce, text) = rest.split_at_checked(NONCE_LEN)?;
        Some((id, nonce, text))
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Sealed({} bytes)", self.0.len())
    }
}

/// The associated data. An account id has no NUL, so that no two pairs give the same bytes.
fn bound_to(account: &AccountId, version: u64) -> Vec<u8> {
    let mut bound = b"parallax secret 1\0".to_vec();
    bound.extend(account.as_str().as_bytes());
    bound.push(0);
    bound.extend(version.to_be_bytes());
    bound
}

/// Writes a fresh key under another name, then links it to its own: an existing file is never replaced, and whoever loses a
/// race of two first starts reads the winner's key.
fn create(path: &Path) -> Result<(), EnvelopeError> {
    let failed = |doing| move |source| EnvelopeError::File { path: path.to_owned(), doing, source };
    let mut key = Zeroizing::new([0; KEY_LENGTH]);
    rand::fill(key.as_mut_slice()).map_err(|_| EnvelopeError::NoRandomness)?;
    let mut suffix = [0; 8];
    rand::fill(&mut suffix).map_err(|_| EnvelopeError::NoRandomness)?;
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", write_hexadecimal(&suffix)));
    let draft = PathBuf::from(draft);

    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft).map_err(failed("create it"))?;
    let text = Zeroizing::new(write_hexadecimal(key.as_slice()) + "\n");
    let linked = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        })
        .and_then(|()| sync_folder(path));
    fs::remove_file(&draft).map_err(failed("remove its draft"))?;
    linked.map_err(failed("write it"))
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if folder != Path::new("") => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

#[cfg(not(unix))]
fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn check_mode(path: &Path, metadata: &fs::Metadata) -> Result<(), EnvelopeError> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7777;
    let others = mode & 0o077;
    if others == 0 {
        return Ok(());
    }
    Err(EnvelopeError::TooOpen { path: path.to_owned(), mode })
}

/// Elsewhere the folder's access list protects the file.
#[cfg(not(unix))]
fn check_mode(_path: &Path, _metadata: &fs::Metadata) -> Result<(), EnvelopeError> {
    Ok(())
}

fn write_hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
        text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
        text
    })
}

fn read_hexadecimal(text: &str) -> Option<Zeroizing<[u8; KEY_LENGTH]>> {
    if text.len() != KEY_LENGTH * 2 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut key = Zeroizing::new([0; KEY_LENGTH]);
    for (byte, at) in key.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(id: &str) -> AccountId {
        AccountId::new(id).expect("a name")
    }

    fn secret() -> Secret {
        Secret::new("correct horse battery".to_owned()).expect("valid")
    }

    #[test]
    fn a_key_is_made_once_and_found_again() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("envelope.key");
        assert!(matches!(EnvelopeKey::load(&path), Err(EnvelopeError::File { .. })));
        let first = EnvelopeKey::load_or_create(&path).expect("made");
        let sealed = first.seal(&account("alice"), 3, &secret()).expect("sealed");
        let again = EnvelopeKey::load_or_create(&path).expect("found");
        assert_eq!(first.id(), again.id());
        let stored = Sealed::from_stored(sealed.as_bytes().to_vec());
        let opened = again.open(&account("alice"), 3, &stored).expect("opens");
        assert_eq!(opened.expose(), "correct horse battery");
        let files = fs::read_dir(folder.path()).expect("folder").count();
        assert_eq!(files, 1, "the draft is gone");
    }

    #[test]
    fn opens_only_for_its_account_version_and_key() {
        let key = EnvelopeKey::from_bytes(&[7; KEY_LENGTH]).expect("key");
        let sealed = key.seal(&account("alice"), 3, &secret()).expect("sealed");
        for (id, version) in [("bob", 3), ("alice", 2), ("alice", 4)] {
            let opened = key.open(&account(id), version, &sealed);
            assert!(matches!(opened, Err(EnvelopeError::DoesNotOpen)), "{id} {version}");
        }
        let other = EnvelopeKey::from_bytes(&[8; KEY_LENGTH]).expect("key");
        let opened = other.open(&account("alice"), 3, &sealed);
        assert!(matches!(opened, Err(EnvelopeError::OtherKey { .. })));
    }

    #[test]
    fn the_same_secret_is_sealed_differently_every_time() {
        let key = EnvelopeKey::from_bytes(&[7; KEY_LENGTH]).expect("key");
        let seal = || key.seal(&account("alice"), 3, &secret()).expect("sealed");
        assert!(seal() != seal());
        let bytes = seal().as_bytes().to_vec();
        assert!(!bytes.windows(7).any(|it| it == b"correct"));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let key = EnvelopeKey::from_bytes(&[7; KEY_LENGTH]).expect("key");
        let sealed = key.seal(&account("alice"), 3, &secret()).expect("sealed");
        for at in 0..sealed.0.len() {
            let mut changed = sealed.0.clone();
            changed[at] ^= 1;
            assert!(key.open(&account("alice"), 3, &Sealed(changed)).is_err(), "byte {at}");
            let cut = Sealed(sealed.0[..at].to_vec());
            assert!(key.open(&account("alice"), 3, &cut).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_file_that_is_no_key_is_left_alone() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("envelope.key");
        for text in ["", "zz", &"0".repeat(63), &"0".repeat(70), &format!("é{}", "0".repeat(62))] {
            fs::write(&path, text).expect("written");
            narrow(&path);
            let loaded = EnvelopeKey::load_or_create(&path);
            assert!(matches!(loaded, Err(EnvelopeError::NotAKey { .. })), "{text:?}");
            assert_eq!(fs::read_to_string(&path).expect("read"), text);
        }
    }

    #[cfg(unix)]
    fn narrow(path: &Path) {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("mode");
    }

    #[cfg(not(unix))]
    fn narrow(_path: &Path) {}

    #[cfg(unix)]
    #[test]
    fn made_with_mode_0600_and_refused_when_wider() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("envelope.key");
        EnvelopeKey::load_or_create(&path).expect("made");
        let mode = fs::metadata(&path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        for mode in [0o640, 0o604, 0o660, 0o601] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("mode");
            let error = EnvelopeKey::load_or_create(&path).expect_err("too open");
            assert!(error.to_string().contains("0600"), "{error}");
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let key = EnvelopeKey::from_bytes(&[7; KEY_LENGTH]).expect("key");
        assert_eq!(format!("{key:?}"), format!("EnvelopeKey({})", key.id()));
        assert!(!key.id().contains("0707"));
    }
}
