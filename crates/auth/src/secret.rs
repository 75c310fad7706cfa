//! The type that holds a password: readable in one place, printed nowhere, overwritten when dropped.
//!
//! Absent on purpose: `Display`, `Clone`, `Serialize`, `PartialEq`. Whether a secret is right, the directory says;
//! [`Secret::is_same_as`] only tells whether it is the one we hold already.
//!
//! INVARIANT: the text is ASCII without control characters, so that it has exactly one encoding in an `Authorization` header.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use zeroize::Zeroizing;

/// The longest secret taken, in characters; Active Directory itself allows 256.
const LENGTH_MAX: usize = 256;

/// Below this a secret is worth a warning, in characters.
const LENGTH_ADVISED: usize = 12;

/// A password of a test account.
pub struct Secret {
    text: Zeroizing<String>,
}

/// Why a text cannot be a secret. Says what would be right and never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecret {
    #[error("the secret is empty: give the password of the test account")]
    Empty,
    #[error("the secret is longer than {LENGTH_MAX} characters: use at most {LENGTH_MAX}")]
    TooLong,
    #[error(
        "the secret has a character outside ASCII: servers disagree on its encoding, so one logon would become two; give \
         the test account a password of ASCII characters"
    )]
    NotAscii,
    #[error(
        "the secret has a control character (line end, tab or NUL): no HTTP server can take it; remove it, often a line end \
         at the end of the file"
    )]
    ControlCharacter,
}

impl Secret {
    /// Takes a password. The text given is overwritten when it is refused.
    pub fn new(text: impl Into<Zeroizing<String>>) -> Result<Self, InvalidSecret> {
        let text = text.into();
        check(text.as_bytes())?;
        Ok(Self { text })
    }

    /// Takes a password that was just unsealed.
    pub(crate) fn from_bytes(bytes: Zeroizing<Vec<u8>>) -> Result<Self, InvalidSecret> {
        check(&bytes)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| InvalidSecret::NotAscii)?;
        Ok(Self { text: Zeroizing::new(text.to_owned()) })
    }

    /// The password itself. Every call is a place to review: the text goes into a header or a cipher and nowhere else.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Whether both are the same text, in a time that tells only their lengths.
    pub fn is_same_as(&self, other: &Self) -> bool {
        verify_slices_are_equal(self.text.as_bytes(), other.text.as_bytes()).is_ok()
    }

    /// Whether it is short enough to be worth a warning (fewer than 12 characters). It is used all the same.
    pub fn is_short(&self) -> bool {
        self.text.len() < LENGTH_ADVISED
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret(..)")
    }
}

fn check(bytes: &[u8]) -> Result<(), InvalidSecret> {
    if bytes.is_empty() {
        return Err(InvalidSecret::Empty);
    }
    if !bytes.is_ascii() {
        return Err(InvalidSecret::NotAscii);
    }
    if bytes.iter().any(u8::is_ascii_control) {
        return Err(InvalidSecret::ControlCharacter);
    }
    if bytes.len() > LENGTH_MAX {
        return Err(InvalidSecret::TooLong);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> Option<InvalidSecret> {
        Secret::new(text.to_owned()).err()
    }

    #[test]
    fn only_printable_ascii_is_taken() {
        assert_eq!(refusal(""), Some(InvalidSecret::Empty));
        assert_eq!(refusal("Passwört"), Some(InvalidSecret::NotAscii));
        for text in ["line\n", "line\r", "a\0b", "a\tb", "\u{7f}"] {
            assert_eq!(refusal(text), Some(InvalidSecret::ControlCharacter), "{text:?}");
        }
        assert_eq!(refusal(&"x".repeat(257)), Some(InvalidSecret::TooLong));
        assert_eq!(refusal(&"x".repeat(256)), None);
        assert_eq!(refusal("Tr0ub4dor & 3: \"~\""), None);
    }

    #[test]
    fn debug_and_errors_never_show_it() {
        let secret = Secret::new("Xyzzy-1234".to_owned()).expect("valid");
        assert_eq!(format!("{secret:?} {secret:#?}"), "Secret(..) Secret(..)");
        let error = Secret::new("Xyzzy-1234\n".to_owned()).expect_err("a line end");
        assert!(!format!("{error} {error:?}").contains("Xyzzy"));
    }

    #[test]
    fn it_is_itself_and_nothing_else() {
        let is_same = |other: &str| {
            let secret = |text: &str| Secret::new(text.to_owned()).expect("valid");
            secret("Xyzzy-1234").is_same_as(&secret(other))
        };
        assert!(is_same("Xyzzy-1234"));
        for other in ["X", "Xyzzy-123", "Xyzzy-12345", "xyzzy-1234", "Xyzzy-1235"] {
            assert!(!is_same(other), "{other:?}");
        }
    }

    #[test]
    fn short_ones_are_noticed() {
        assert!(Secret::new("elevenchars".to_owned()).expect("valid").is_short());
        assert!(!Secret::new("twelve chars".to_owned()).expect("valid").is_short());
    }
}
