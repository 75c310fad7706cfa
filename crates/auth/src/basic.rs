//! HTTP Basic (RFC 7617): user name and password in one header.
//!
//! Absent on purpose: the `charset` parameter. Both parts are ASCII, so that every server reads the same bytes.
//!
//! INVARIANT: the value is marked sensitive; `http` and `hyper` print it as `Sensitive`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use zeroize::Zeroizing;

use crate::Secret;

/// Why a user name cannot be sent with Basic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLogin {
    #[error("the user name is empty: give it as user@domain, DOMAIN\\user or user")]
    Empty,
    #[error(
        "the user name has a `:`, at which Basic splits name and password (RFC 7617 section 2): give it without"
    )]
    Colon,
    #[error(
        "the user name has a control character or one outside ASCII: give an ASCII spelling, as user@domain or DOMAIN\\user"
    )]
    NotPlain,
}

/// Whether Basic can carry this user name; known before any secret is.
pub fn check_login(login: &str) -> Result<(), InvalidLogin> {
    if login.is_empty() {
        return Err(InvalidLogin::Empty);
    }
    if login.contains(':') {
        return Err(InvalidLogin::Colon);
    }
    if !login.is_ascii() || login.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(InvalidLogin::NotPlain);
    }
    Ok(())
}

/// The value of `Authorization` for this login (RFC 7617 section 2), marked sensitive.
pub fn basic_authorization(login: &str, secret: &Secret) -> Result<HeaderValue, InvalidLogin> {
    check_login(login)?;
    let plain = Zeroizing::new(format!("{login}:{}", secret.expose()));
    let value = Zeroizing::new(format!("Basic {}", STANDARD.encode(plain.as_bytes())));
    let mut header = HeaderValue::from_str(&value).map_err(|_| InvalidLogin::NotPlain)?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_7617_section_2() {
        let secret = Secret::new("open sesame".to_owned()).expect("valid");
        let header = basic_authorization("Aladdin", &secret).expect("valid");
        assert_eq!(header, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(header.is_sensitive());
        assert_eq!(format!("{header:?}"), "Sensitive");
    }

    #[test]
    fn a_domain_name_keeps_its_backslash() {
        let secret = Secret::new("p".to_owned()).expect("valid");
        let header = basic_authorization("CORP\\user", &secret).expect("valid");
        assert_eq!(header, format!("Basic {}", STANDARD.encode("CORP\\user:p")));
    }

    #[test]
    fn names_that_basic_cannot_carry() {
        let secret = Secret::new("p".to_owned()).expect("valid");
        for (login, error) in [
            ("", InvalidLogin::Empty),
            ("a:b", InvalidLogin::Colon),
            ("müller", InvalidLogin::NotPlain),
            ("a\r\nX: y", InvalidLogin::Colon),
            ("a\r\nb", InvalidLogin::NotPlain),
        ] {
            assert_eq!(basic_authorization(login, &secret).err(), Some(error), "{login:?}");
        }
    }
}
