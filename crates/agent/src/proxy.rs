//! The way to the controller through an HTTP proxy: CONNECT (RFC 9110 section 9.3.6), Basic if it wants a user (RFC 7617).
//!
//! Absent on purpose: probes. They never pass here; what a proxy would answer is no fact about the target.
//!
//! INVARIANT: at most [`HEAD_MAX`] bytes of an answer are read, and not one byte of what follows its head.
//! INVARIANT: the password is in no `Debug`, `Display` or error.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use zeroize::Zeroizing;

use crate::settings::split;
use crate::trouble::Trouble;

/// The longest head of an answer, in bytes.
const HEAD_MAX: usize = 8 * 1024;

/// A proxy, from `http://[user:password@]host:port`.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// `host:port`.
    address: String,
    /// `user:password`.
    user: Option<Zeroizing<String>>,
}

/// Without the user.
impl fmt::Display for Proxy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "http://{}", self.address)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Proxy({self})")
    }
}

/// The value of the setting that means: whatever `https_proxy` says.
const FROM_ENVIRONMENT: &str = "environment";

/// The setting `proxy`, as written and as it is to be used.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyChoice {
    text: Zeroizing<String>,
    proxy: Option<Proxy>,
}

impl fmt::Debug for ProxyChoice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("ProxyChoice").field(&self.proxy).finish()
    }
}

impl ProxyChoice {
    /// Reads the setting for a controller at `host`. `variable` looks into the environment, if the setting says so.
    pub fn read(
        text: &str,
        host: &str,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let proxy = if text == FROM_ENVIRONMENT {
            Proxy::from_environment(host, variable)?
        } else {
            Some(Proxy::read(text)?)
        };
        Ok(Self { text: Zeroizing::new(text.to_owned()), proxy })
    }

    /// What is to be used now; none if the environment names none.
    pub fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// As it stands in the settings. May hold a password.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

impl Proxy {
    /// Reads the text form. The error says what would be right and repeats nothing.
    pub fn read(text: &str) -> Result<Self, String> {
        let wanted = "give http://host:port or http://user:password@host:port";
        let Some(rest) = text.trim().strip_prefix("http://") else {
            return Err(format!("is no proxy that can be used: {wanted}"));
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, address) = match rest.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, rest),
        };
        split(address).map_err(|_| format!("has no host and port: {wanted}"))?;
        let user = user
            .map(|it| {
                let user = decoded(it).filter(|it| it.contains(':'));
                user.ok_or_else(|| format!("has no user and password before the `@`: {wanted}; other characters than letters and digits as %XX"))
            })
            .transpose()?;
        Ok(Self { address: address.to_owned(), user })
    }

    /// The one that the environment names for this host, as curl reads it: `https_proxy`, but for the hosts in `no_proxy`.
    pub fn from_environment(
        host: &str,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, String> {
        let first =
            |names: [&str; 2]| names.iter().find_map(|it| variable(it).filter(|it| !it.is_empty()));
        let Some(text) = first(["https_proxy", "HTTPS_PROXY"]) else { return Ok(None) };
        let exempt = first(["no_proxy", "NO_PROXY"]).unwrap_or_default();
        if exempt.split(',').map(str::trim).any(|it| exempts(it, host)) {
            return Ok(None);
        }
        Self::read(&text).map(Some).map_err(|error| format!("the proxy in the environment {error}"))
    }

    /// `host:port` of the proxy itself.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Asks for a way to `target`, `host:port`. Has no limit of its own.
    pub(crate) async fn open<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        target: &str,
    ) -> Result<(), Trouble> {
        let broken = |error: std::io::Error| Trouble::NotAProxy {
            proxy: self.to_string(),
            detail: error.to_string(),
        };
        let mut request =
            Zeroizing::new(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"));
        if let Some(user) = &self.user {
            request.push_str("Proxy-Authorization: Basic ");
            request.push_str(&Zeroizing::new(STANDARD.encode(user.as_bytes())));
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await.map_err(broken)?;
        stream.flush().await.map_err(broken)?;
        let head = self.read_head(stream).await?;
        match status(&head) {
            Some(200..=299) => Ok(()),
            Some(407) if self.user.is_some() => {
                Err(Trouble::ProxyRefusesUser { proxy: self.to_string() })
            }
            Some(407) => Err(Trouble::ProxyWantsAuthentication { proxy: self.to_string() }),
            Some(status) => Err(Trouble::ProxyRefused { proxy: self.to_string(), status }),
            None => Err(self.no_proxy("its answer is not HTTP/1.1")),
        }
    }

    /// Byte by byte: what follows the head belongs to TLS.
    async fn read_head<S: AsyncRead + Unpin>(&self, stream: &mut S) -> Result<Vec<u8>, Trouble> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() >= HEAD_MAX {
                return Err(self.no_proxy("the head of its answer is longer than 8 KiB"));
            }
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(error) if head.is_empty() => return Err(self.no_proxy(&error.to_string())),
                Err(_) => return Err(self.no_proxy("it ended the connection inside its answer")),
            }
            let begin = &head[..head.len().min(5)];
            if !b"HTTP/".starts_with(begin) {
                return Err(self.no_proxy("its answer is not HTTP/1.1"));
            }
        }
        Ok(head)
    }

    fn no_proxy(&self, detail: &str) -> Trouble {
        Trouble::NotAProxy { proxy: self.to_string(), detail: detail.to_owned() }
    }
}

/// The status of `HTTP/1.x NNN …`.
fn status(head: &[u8]) -> Option<u16> {
    let line = head.split(|it| *it == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    words.next()?.strip_prefix("HTTP/1.")?;
    words.next()?.parse().ok().filter(|it| (100..1000).contains(it))
}

/// Percent-decoding (RFC 3986 section 2.1); `None`: broken, or not printable.
fn decoded(text: &str) -> Option<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first == b'%' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &rest[2..];
        } else {
            bytes.push(*first);
        }
    }
    let text = std::str::from_utf8(&bytes).ok()?;
    (!text.chars().any(char::is_control)).then(|| Zeroizing::new(text.to_owned()))
}

/// `*` exempts all; `example.org` and `.example.org` exempt it and what is below.
fn exempts(rule: &str, host: &str) -> bool {
    let rule = rule.trim_start_matches('.').to_ascii_lowercase();
    let host = host.to_ascii_lowercase();
    rule == "*"
        || (!rule.is_empty()
            && (host == rule || host.strip_suffix(&rule).is_some_and(|it| it.ends_with('.'))))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tokio::io::duplex;

    use super::*;

    async fn asked(proxy: &str, answer: &[u8]) -> (String, Result<(), Trouble>) {
        let proxy = Proxy::read(proxy).expect("a proxy");
        let (mut ours, mut theirs) = duplex(64 * 1024);
        theirs.write_all(answer).await.expect("room");
        let opened = proxy.open(&mut ours, "controller.test:7444").await;
        let mut request = vec![0; 4096];
        let length = theirs.read(&mut request).await.expect("a request");
        // Not one byte of what follows was taken.
        if opened.is_ok() {
            assert_eq!(ours.read_u8().await.ok(), Some(b'!'));
        }
        (String::from_utf8_lossy(&request[..length]).into_owned(), opened)
    }

    #[tokio::test]
    async fn a_way_is_opened() {
        let (request, opened) = asked("http://p:3128", b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n!").await;
        assert_eq!(opened, Ok(()));
        assert_eq!(
            request,
            "CONNECT controller.test:7444 HTTP/1.1\r\nHost: controller.test:7444\r\n\r\n"
        );
        let (request, opened) = asked("http://me:a%40b@p:3128/", b"HTTP/1.0 200 OK\r\n\r\n!").await;
        assert_eq!(opened, Ok(()));
        assert!(request.contains("Proxy-Authorization: Basic bWU6YUBi\r\n"), "{request}");
    }

    #[tokio::test]
    async fn refusals_are_told_apart() {
        let proxy = "http://p:3128".to_owned();
        let (_, refused) = asked("http://p:3128", b"HTTP/1.1 403 Forbidden\r\n\r\n").await;
        assert_eq!(refused, Err(Trouble::ProxyRefused { proxy: proxy.clone(), status: 403 }));
        let (_, refused) = asked("http://p:3128", b"HTTP/1.1 407 X\r\n\r\n").await;
        assert_eq!(refused, Err(Trouble::ProxyWantsAuthentication { proxy: proxy.clone() }));
        let (_, refused) = asked("http://a:b@p:3128", b"HTTP/1.1 407 X\r\n\r\n").await;
        assert_eq!(refused, Err(Trouble::ProxyRefusesUser { proxy }));
        let endless = [b"HTTP/1.1 200 OK\r\nA: ".as_slice(), &vec![b'x'; 20_000]].concat();
        for wrong in [b"SSH-2.0-OpenSSH\r\n\r\n".as_slice(), b"\x15\x03\x01\x00", &endless] {
            let (_, refused) = asked("http://p:3128", wrong).await;
            assert!(matches!(refused, Err(Trouble::NotAProxy { .. })), "{refused:?}");
        }
    }

    #[test]
    fn the_text_form() {
        for wrong in [
            "",
            "p:3128",
            "https://p:3128",
            "socks5://p:1",
            "http://p",
            "http://a@p:1",
            "http://a:%zz@p:1",
            "http://a:%0d@p:1",
        ] {
            assert!(Proxy::read(wrong).is_err(), "{wrong}");
        }
        let secret = Proxy::read("http://me:hunter2@proxy.corp.example:3128").expect("a proxy");
        assert_eq!(
            format!("{secret:?} {secret}"),
            "Proxy(http://proxy.corp.example:3128) http://proxy.corp.example:3128"
        );
        let error = Proxy::read("http://hunter2@p:1").expect_err("no password");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn the_environment_is_read_as_curl_reads_it() {
        let found = |pairs: &[(&str, &str)], host: &str| {
            let map: BTreeMap<_, _> =
                pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
            Proxy::from_environment(host, &|name| map.get(name).cloned())
        };
        let set = [("HTTPS_PROXY", "http://p:1"), ("no_proxy", "corp.example, .lan")];
        assert_eq!(found(&[], "a"), Ok(None));
        assert!(found(&set, "a.example").expect("read").is_some());
        for exempt in ["corp.example", "X.corp.example", "a.lan"] {
            assert_eq!(found(&set, exempt), Ok(None), "{exempt}");
        }
        assert!(found(&set, "notcorp.example").expect("read").is_some());
        assert!(
            found(&[("https_proxy", "socks5://u:hunter2@p")], "a")
                .is_err_and(|it| !it.contains("hunter2"))
        );
    }
}
