//! What does an Authorization header carry?
//!
//! Read once, where a request enters the world; hosts behind it get the same value, or none where
//! a forwarding host strips the header. Absent on purpose: the decision whether it is accepted.
//!
//! INVARIANT: `Debug` shows neither secret nor token.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// `NTLMSSP` and a zero byte begin every NTLM message, [MS-NLMP] 2.2.1.
const NTLM_SIGNATURE: &[u8] = b"NTLMSSP\0";

/// What a request authenticates with.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    None,
    /// RFC 7617; the secret as bytes, for its encoding is not known.
    Basic {
        login: String,
        secret: Vec<u8>,
    },
    NtlmType1,
    NtlmType3,
    /// A Negotiate token that is no NTLM message.
    Negotiate,
    /// RFC 6750; the token may be empty.
    Bearer {
        token: String,
    },
    /// A scheme without meaning here, or a token that cannot be read.
    Other,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Basic { .. } => "Basic(..)",
            Self::NtlmType1 => "NtlmType1",
            Self::NtlmType3 => "NtlmType3",
            Self::Negotiate => "Negotiate",
            Self::Bearer { .. } => "Bearer(..)",
            Self::Other => "Other",
        })
    }
}

impl Credential {
    /// Reads the value of an Authorization header; `None` = there is no such header.
    pub fn read(header: Option<&str>) -> Self {
        let Some(header) = header else { return Self::None };
        let (scheme, token) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        let token = token.trim();
        if scheme.eq_ignore_ascii_case("basic") {
            return basic(token).unwrap_or(Self::Other);
        }
        if scheme.eq_ignore_ascii_case("bearer") {
            return Self::Bearer { token: token.to_owned() };
        }
        if scheme.eq_ignore_ascii_case("ntlm") || scheme.eq_ignore_ascii_case("negotiate") {
            return match ntlm_message_type(token) {
                Some(1) => Self::NtlmType1,
                Some(3) => Self::NtlmType3,
                None if scheme.eq_ignore_ascii_case("negotiate") && !token.is_empty() => {
                    Self::Negotiate
                }
                _ => Self::Other,
            };
        }
        Self::Other
    }

    /// Whether a directory would count a refusal of it: a type-1 and an empty token carry nothing.
    pub fn is_logon(&self) -> bool {
        match self {
            Self::Basic { .. } | Self::NtlmType3 | Self::Negotiate => true,
            Self::Bearer { token } => !token.is_empty(),
            Self::None | Self::NtlmType1 | Self::Other => false,
        }
    }
}

fn basic(token: &str) -> Option<Credential> {
    let bytes = BASE64_STANDARD.decode(token).ok()?;
    let colon = bytes.iter().position(|it| *it == b':')?;
    let login = text(&bytes[..colon]);
    Some(Credential::Basic { login, secret: bytes[colon + 1..].to_vec() })
}

/// UTF-8 if it is that, else ISO 8859-1, which every sequence of bytes is.
pub(crate) fn text(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes)
        .map_or_else(|_| bytes.iter().copied().map(char::from).collect(), str::to_owned)
}

/// The type of the NTLM message in a token, bare or wrapped in SPNEGO (RFC 4178).
fn ntlm_message_type(token: &str) -> Option<u8> {
    let bytes = BASE64_STANDARD.decode(token).ok()?;
    let start = bytes.windows(NTLM_SIGNATURE.len()).position(|it| it == NTLM_SIGNATURE)?;
    bytes.get(start + NTLM_SIGNATURE.len()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_is_split_at_the_first_colon() {
        let header = format!("bAsIc {}", BASE64_STANDARD.encode("CORP\\anna:a:b"));
        let expected =
            Credential::Basic { login: "CORP\\anna".to_owned(), secret: b"a:b".to_vec() };
        assert_eq!(Credential::read(Some(&header)), expected);
        assert_eq!(format!("{expected:?}"), "Basic(..)");
    }

    #[test]
    fn ntlm_is_known_by_its_message_type() {
        let token = BASE64_STANDARD.encode(b"NTLMSSP\0\x01\0\0\0\0\0\0\0");
        assert_eq!(Credential::read(Some(&format!("NTLM {token}"))), Credential::NtlmType1);
        let wrapped = BASE64_STANDARD.encode(b"\x60\x0aNTLMSSP\0\x03\0\0\0");
        assert_eq!(Credential::read(Some(&format!("Negotiate {wrapped}"))), Credential::NtlmType3);
        assert_eq!(Credential::read(Some("Negotiate YIIB")), Credential::Negotiate);
        assert_eq!(Credential::read(Some("NTLM")), Credential::Other);
    }

    #[test]
    fn empty_bearer_is_no_logon() {
        assert!(!Credential::read(Some("Bearer")).is_logon());
        assert!(Credential::read(Some("Bearer x")).is_logon());
        assert_eq!(Credential::read(None), Credential::None);
    }
}
