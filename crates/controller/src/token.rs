//! The API's bearer token: made once, kept in a 0600 file for the operator, known to the controller by its SHA-256.
//!
//! Absent on purpose: expiry and roles; the holder of this token is the administrator.
//!
//! INVARIANT: the token itself is in no `Debug`, log or error; a comparison takes the same time wherever it differs.

use std::fmt::{self, Write as _};
use std::fs;
use std::path::Path;

use rand::Rng as _;
use sha2::{Digest as _, Sha256};

use crate::authority::{AuthorityError, check_private, write_new};

/// Name of the token file in the data folder.
pub const TOKEN_FILE: &str = "token";
/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;

/// SHA-256 of the token; all that the running controller keeps.
#[derive(Clone)]
pub struct TokenDigest([u8; 32]);

impl fmt::Debug for TokenDigest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("TokenDigest(..)")
    }
}

impl TokenDigest {
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// Reads the token file.
    pub fn read(path: &Path) -> Result<Self, AuthorityError> {
        check_private(path)?;
        let text = fs::read_to_string(path).map_err(|source| AuthorityError::File {
            doing: "read",
            path: path.to_owned(),
            source,
        })?;
        let token = text.trim_end_matches(['\r', '\n']);
        if token.len() < TOKEN_BYTES || !token.bytes().all(|it| it.is_ascii_graphic()) {
            return Err(AuthorityError::Unreadable { path: path.to_owned() });
        }
        Ok(Self::of(token))
    }

    /// Whether this is the token.
    pub fn is(&self, token: &str) -> bool {
        let other = Self::of(token);
        self.0.iter().zip(other.0).fold(0, |unlike, (left, right)| unlike | (left ^ right)) == 0
    }
}

/// Writes a fresh token into a new file of mode 0600.
pub fn create_token(path: &Path) -> Result<(), AuthorityError> {
    let mut bytes = [0_u8; TOKEN_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    let mut text = bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // Writing to a `String` cannot fail.
        text
    });
    text.push('\n');
    write_new(path, text.as_bytes(), 0o600)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_recognised_and_every_other_is_not() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join(TOKEN_FILE);
        create_token(&path).expect("made");
        let text = fs::read_to_string(&path).expect("read");
        let digest = TokenDigest::read(&path).expect("read");
        assert!(digest.is(text.trim_end()));
        for wrong in ["", text.as_str(), &text[1..], "0"] {
            assert!(!digest.is(wrong));
        }
        assert!(!format!("{digest:?}").contains(text.trim_end()));
        assert!(create_token(&path).is_err(), "never overwritten");
    }

    #[cfg(unix)]
    #[test]
    fn a_token_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join(TOKEN_FILE);
        create_token(&path).expect("made");
        for mode in [0o644, 0o640, 0o604] {
            fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("set");
            let text = TokenDigest::read(&path).expect_err("exposed").to_string();
            assert!(text.contains(&format!("mode {mode:03o}")) && text.contains("600"), "{text}");
        }
    }

    #[test]
    fn a_file_that_is_no_token_is_refused() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join(TOKEN_FILE);
        for text in ["", "short\n", "with a space in it, though it is long enough\n"] {
            let _ = fs::remove_file(&path);
            write_new(&path, text.as_bytes(), 0o600).expect("written");
            assert!(TokenDigest::read(&path).is_err(), "{text:?}");
        }
    }
}
