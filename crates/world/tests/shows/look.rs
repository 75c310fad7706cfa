//! Which request does a probe code of a world file stand for?
//!
//! As the reference interpreter of the format has them; the secret of an account is the one that the
//! product would be given.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use parallax_world::format::{Account, Charset, Show, ShowProbe};
use parallax_world::network::RunningWorld;
use parallax_world::simulation::latin1;
use url::Url;

const ACTIVESYNC: &str = "/Microsoft-Server-ActiveSync";

/// [MS-NLMP] 2.2.1.1: signature, type 1, flags, two empty fields.
const TYPE_1: &[u8] = b"NTLMSSP\0\x01\0\0\0\x07\x82\x08\xa2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// The bytes of the request of one look.
pub(crate) fn request(running: &RunningWorld, show: &Show, url: &Url) -> (String, Vec<u8>) {
    let account = show.account.as_deref().and_then(|it| running.world().account(it));
    let (method, mut target) = target(show.probe, url, account);
    if let Some(path) = &show.path {
        target.clone_from(path);
    }
    let version = show.http.as_deref().unwrap_or("1.1");
    let host = url.host_str().expect("checked on reading");
    let mut head = format!("{method} {target} HTTP/{version}\r\nHost: {host}\r\n");
    for (name, value) in headers(running, show, account) {
        head.extend([name.as_str(), ": ", value.as_str(), "\r\n"]);
    }
    if method == "POST" {
        head.push_str("Content-Length: 0\r\n");
    }
    head.push_str("\r\n");
    (method.to_owned(), head.into_bytes())
}

fn target(probe: ShowProbe, url: &Url, account: Option<&Account>) -> (&'static str, String) {
    let own = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    match probe {
        ShowProbe::A0g | ShowProbe::Neg => ("GET", own),
        ShowProbe::Hc => ("GET", format!("{ACTIVESYNC}/healthcheck.htm")),
        ShowProbe::P2 => ("OPTIONS", format!("{ACTIVESYNC}/Proxy")),
        ShowProbe::Ad1 => ("POST", "/autodiscover/autodiscover.xml".to_owned()),
        ShowProbe::Ad2 => {
            let who =
                account.map_or("probe@example.test", |it| it.smtp.as_deref().unwrap_or(&it.login));
            let query = format!("Email={who}&Protocol=ActiveSync&RedirectCount=3");
            ("GET", format!("/autodiscover/autodiscover.json?{query}"))
        }
        ShowProbe::Post => {
            ("POST", format!("{}?Cmd=FolderSync&DeviceId=PARALLAX1&DeviceType=Probe", url.path()))
        }
        ShowProbe::A0
        | ShowProbe::A1
        | ShowProbe::A1x
        | ShowProbe::A2t1
        | ShowProbe::A2
        | ShowProbe::A3
        | ShowProbe::A4e
        | ShowProbe::A4ei
        | ShowProbe::A4
        | ShowProbe::A6
        | ShowProbe::L => ("OPTIONS", own),
    }
}

fn headers(
    running: &RunningWorld,
    show: &Show,
    account: Option<&Account>,
) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    if let Some(value) = authorization(running, show, account) {
        headers.push(("Authorization".to_owned(), value));
    }
    if matches!(show.probe, ShowProbe::A4ei | ShowProbe::A4)
        && let Some(account) = account
    {
        let identity = account.upn.clone().unwrap_or_else(|| account.login.clone());
        headers.push(("X-User-Identity".to_owned(), identity));
    }
    headers.extend(show.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
    headers
}

fn authorization(running: &RunningWorld, show: &Show, account: Option<&Account>) -> Option<String> {
    match show.probe {
        ShowProbe::A1 | ShowProbe::Ad1 | ShowProbe::Post => {
            let account = account?;
            let secret = running.secrets().held(&account.name).expect("every account has one");
            let secret = match show.charset.unwrap_or_default() {
                Charset::Utf8 => secret.as_bytes().to_vec(),
                Charset::Latin1 => latin1(secret).expect("secrets are within ISO 8859-1"),
            };
            Some(basic(&account.login, &secret))
        }
        ShowProbe::A1x => {
            let domain =
                running.world().directories.first().map_or("x.test", |it| it.dns_domain.as_str());
            Some(basic(&format!("probe-invalid-7f3a@{domain}"), b"none"))
        }
        ShowProbe::P2 | ShowProbe::A2t1 => Some(format!("NTLM {}", BASE64_STANDARD.encode(TYPE_1))),
        ShowProbe::A4e | ShowProbe::A4ei => Some("Bearer".to_owned()),
        ShowProbe::A4 => {
            let token =
                account.and_then(|it| running.secrets().token(&it.name)).unwrap_or("nobody");
            Some(format!("Bearer {token}"))
        }
        ShowProbe::A0
        | ShowProbe::A0g
        | ShowProbe::A2
        | ShowProbe::A3
        | ShowProbe::A6
        | ShowProbe::Hc
        | ShowProbe::Ad2
        | ShowProbe::Neg
        | ShowProbe::L => None,
    }
}

fn basic(login: &str, secret: &[u8]) -> String {
    let mut bytes = format!("{login}:").into_bytes();
    bytes.extend_from_slice(secret);
    format!("Basic {}", BASE64_STANDARD.encode(bytes))
}
