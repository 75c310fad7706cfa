//! The token with which an agent joins: what it says, and its one text form.
//!
//! `plx1_` and then, in base64url without padding (RFC 4648 section 5): 20 random bytes, 32 bytes of pin, the agent's name, and
//! the first 4 bytes of the SHA-256 of all that, so that a token that was cut or mistyped is noticed before anything is sent.
//! Absent on purpose: whether it is still good; that the controller knows, which keeps only its hash.
//!
//! INVARIANT: the secret part is readable in the text form and nowhere else: no `Display`, a `Debug` without it, errors
//! that repeat nothing.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parallax_model::VantageName;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// First of all tokens, of any version.
const FAMILY: &str = "plx";
/// First of the tokens of this version.
const PREFIX: &str = "plx1_";
/// Length of the secret part, in bytes.
const SECRET_LENGTH: usize = 20;
/// Length of the pin, in bytes.
const PIN_LENGTH: usize = 32;
/// Length of the check at the end, in bytes.
const CHECK_LENGTH: usize = 4;
/// Longest token looked at, in characters; the longest there is has 164.
const TEXT_MAX: usize = 256;

/// What an agent is given to join with.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// What the controller asks for: 160 random bits, good for one agent.
    pub secret: Zeroizing<[u8; SECRET_LENGTH]>,
    /// SHA-256 over the `SubjectPublicKeyInfo` (DER, RFC 5280 section 4.1.2.7) of the authority of the agent port. Whoever
    /// shows a chain without it is not the controller, and learns nothing.
    pub authority_pin: [u8; PIN_LENGTH],
    /// The name of the agent, which is its vantage's.
    pub agent: VantageName,
}

/// Why a text is not a join token. Never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinTokenError {
    #[error(
        "this is not a join token: one begins with `{PREFIX}`; make one with `parallax fleet token` on the controller's side"
    )]
    NotAToken,
    #[error(
        "this join token is of another version than this program knows (`{PREFIX}…`): use the same release of parallax on \
         both sides"
    )]
    OtherVersion,
    #[error("this join token is cut off or mistyped: copy the whole line again")]
    CutOff,
}

impl JoinToken {
    /// Reads the text form. White space around it is ignored.
    pub fn read(text: &str) -> Result<Self, JoinTokenError> {
        let text = text.trim();
        let Some(body) = text.strip_prefix(PREFIX) else {
            return Err(if is_of_another_version(text) {
                JoinTokenError::OtherVersion
            } else if !text.is_empty() && PREFIX.starts_with(text) {
                JoinTokenError::CutOff
            } else {
                JoinTokenError::NotAToken
            });
        };
        if text.len() > TEXT_MAX {
            return Err(JoinTokenError::CutOff);
        }
        let bytes =
            Zeroizing::new(URL_SAFE_NO_PAD.decode(body).map_err(|_| JoinTokenError::CutOff)?);
        from_bytes(&bytes).ok_or(JoinTokenError::CutOff)
    }

    /// The text form. A secret: it goes to the one who asked for the token and nowhere else.
    pub fn to_text(&self) -> String {
        let mut bytes = Zeroizing::new(Vec::with_capacity(TEXT_MAX));
        bytes.extend_from_slice(self.secret.as_slice());
        bytes.extend_from_slice(&self.authority_pin);
        bytes.extend_from_slice(self.agent.as_str().as_bytes());
        let check = check(&bytes);
        bytes.extend_from_slice(&check);
        let mut text = PREFIX.to_owned();
        URL_SAFE_NO_PAD.encode_string(bytes.as_slice(), &mut text);
        text
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("JoinToken").field("agent", &self.agent).finish_non_exhaustive()
    }
}

fn from_bytes(bytes: &[u8]) -> Option<JoinToken> {
    let (body, sum) = bytes.split_last_chunk::<CHECK_LENGTH>()?;
    if check(body) != *sum {
        return None;
    }
    let (secret, rest) = body.split_first_chunk::<SECRET_LENGTH>()?;
    let (pin, name) = rest.split_first_chunk::<PIN_LENGTH>()?;
    let agent = VantageName::new(std::str::from_utf8(name).ok()?).ok()?;
    Some(JoinToken { secret: Zeroizing::new(*secret), authority_pin: *pin, agent })
}

fn check(bytes: &[u8]) -> [u8; CHECK_LENGTH] {
    let digest = Sha256::digest(bytes);
    let mut check = [0; CHECK_LENGTH];
    check.copy_from_slice(&digest[..CHECK_LENGTH]);
    check
}

/// `plx`, a number that is not ours, `_`.
fn is_of_another_version(text: &str) -> bool {
    let version = text.strip_prefix(FAMILY).and_then(|it| it.split_once('_')).map(|it| it.0);
    version.is_some_and(|it| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token(name: &str) -> JoinToken {
        JoinToken {
            secret: Zeroizing::new([0x5a; 20]),
            authority_pin: [7; 32],
            agent: VantageName::new(name).expect("a name"),
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for name in ["a", "hq-dmz", &"x".repeat(63)] {
            let text = token(name).to_text();
            assert!(text.starts_with("plx1_") && text.len() <= 164, "{}", text.len());
            assert!(text.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_' || it == b'-'));
            assert_eq!(JoinToken::read(&text), Ok(token(name)));
            assert_eq!(JoinToken::read(&format!("  {text}\n")), Ok(token(name)));
        }
    }

    #[test]
    fn a_token_that_is_cut_anywhere_is_noticed() {
        let text = token("hq-dmz").to_text();
        for end in 1..text.len() {
            let refusal = JoinToken::read(&text[..end]).expect_err("cut");
            assert_eq!(refusal, JoinTokenError::CutOff, "{end}");
        }
    }

    #[test]
    fn one_wrong_character_is_noticed() {
        let text = token("hq-dmz").to_text();
        for at in PREFIX.len()..text.len() {
            let mut wrong = text.clone().into_bytes();
            wrong[at] = if wrong[at] == b'A' { b'B' } else { b'A' };
            let wrong = String::from_utf8(wrong).expect("text");
            assert_eq!(JoinToken::read(&wrong), Err(JoinTokenError::CutOff), "{at}");
        }
    }

    #[test]
    fn other_texts_are_told_apart() {
        for text in ["", "hunter2", "plx_AAAA", "plxx_AAAA", "eyJhbGciOi.J9", "PLX1_AAAA"] {
            assert_eq!(JoinToken::read(text), Err(JoinTokenError::NotAToken), "{text}");
        }
        for text in ["plx2_AAAA", "plx10_", "plx0_x"] {
            assert_eq!(JoinToken::read(text), Err(JoinTokenError::OtherVersion), "{text}");
        }
        for text in ["plx1_", "plx1_AAAA", "plx1_ä", &format!("plx1_{}", "A".repeat(5000))] {
            assert_eq!(JoinToken::read(text), Err(JoinTokenError::CutOff), "{}", text.len());
        }
    }

    #[test]
    fn debug_and_errors_never_show_it() {
        let text = token("hq-dmz").to_text();
        let shown = format!("{:?} {:#?}", token("hq-dmz"), token("hq-dmz"));
        assert!(shown.contains("hq-dmz") && !shown.contains(&text[5..25]) && !shown.contains("90"));
        let error = JoinToken::read(&text[..60]).expect_err("cut");
        assert!(!format!("{error} {error:?}").contains(&text[5..25]));
    }

    proptest! {
        #[test]
        fn any_text_ends_as_a_value(text in ".{0,200}", body in "[A-Za-z0-9_-]{0,200}") {
            let _ = JoinToken::read(&text);
            prop_assert_eq!(JoinToken::read(&format!("plx1_{body}")), Err(JoinTokenError::CutOff));
        }
    }
}
