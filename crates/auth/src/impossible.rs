//! A user name that cannot exist: the free negative control. Was the `Authorization` header looked at at all?
//!
//! No account is touched, so nothing is counted against anybody. Name and password are new for every request.
//!
//! INVARIANT: the name carries 64 random bits behind `probe-invalid-`; nobody has it by accident.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;

use crate::basic::check_login;
use crate::{InvalidLogin, Secret, basic_authorization};

/// A random identity for one request.
pub struct ImpossibleUser {
    login: String,
    secret: Secret,
}

impl ImpossibleUser {
    /// `probe-invalid-<16 hex>@<domain>`. The domain is usually the host's own, so that the server looks for it at home.
    pub fn at(domain: &str) -> Result<Self, InvalidLogin> {
        let login = format!("probe-invalid-{:016x}@{domain}", rand::random::<u64>());
        check_login(&login)?;
        let password = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 18]>());
        let secret = Secret::new(password).map_err(|_| InvalidLogin::NotPlain)?;
        Ok(Self { login, secret })
    }

    /// The name, as it is sent.
    pub fn login(&self) -> &str {
        &self.login
    }

    /// The value of `Authorization`, marked sensitive like every other.
    pub fn authorization(&self) -> Result<HeaderValue, InvalidLogin> {
        basic_authorization(&self.login, &self.secret)
    }
}

impl fmt::Debug for ImpossibleUser {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("ImpossibleUser").field(&self.login).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_one_is_new_and_recognisable() {
        let one = ImpossibleUser::at("corp.example").expect("valid");
        let two = ImpossibleUser::at("corp.example").expect("valid");
        assert_ne!(one.login(), two.login());
        assert_ne!(one.secret.expose(), two.secret.expose());
        let middle = one
            .login()
            .strip_prefix("probe-invalid-")
            .and_then(|it| it.strip_suffix("@corp.example"))
            .expect("the documented shape");
        assert!(middle.len() == 16 && middle.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert!(one.authorization().expect("valid").is_sensitive());
        assert_eq!(ImpossibleUser::at("a:b").err(), Some(InvalidLogin::Colon));
    }
}
