//! Every way to send a client elsewhere. None is followed: the listener behind them counts connections.

use super::super::step::{Scene, Step, answer, keep};
use super::{Behaviour, answers};

pub(super) const ALL: &[Behaviour] = &[
    answers("redirect-300", "http 300 whole", |scene| to("300 Multiple Choices", scene)),
    answers("redirect-301", "http 301 whole", |scene| to("301 Moved Permanently", scene)),
    answers("redirect-302", "http 302 whole", |scene| to("302 Found", scene)),
    answers("redirect-303", "http 303 whole", |scene| to("303 See Other", scene)),
    answers("redirect-305-use-proxy", "http 305 whole", |scene| to("305 Use Proxy", scene)),
    answers("redirect-307", "http 307 whole", |scene| to("307 Temporary Redirect", scene)),
    answers("redirect-308", "http 308 whole", |scene| to("308 Permanent Redirect", scene)),
    answers("redirect-to-itself", "http 307 whole", |_| {
        keep(answer("307 T", &["Location: /Microsoft-Server-ActiveSync"], b""))
    }),
    answers("redirect-without-scheme", "http 302 whole", |scene| {
        located("302 Found", &format!("//{}/", scene.forbidden))
    }),
    answers("redirect-to-metadata-address", "http 302 whole", |_| {
        located("302 Found", "http://169.254.169.254/latest/meta-data/")
    }),
    answers("redirect-to-file", "http 302 whole", |_| located("302 Found", "file:///etc/passwd")),
    answers("redirect-with-userinfo", "http 302 whole", |scene| {
        located("302 Found", &format!("http://mail.corp.example@{}/", scene.forbidden))
    }),
    answers("redirect-twice-in-one-head", "http 302 whole", |scene| {
        let line = format!("Location: http://{}/", scene.forbidden);
        keep(answer("302 Found", &[&line, &line], b""))
    }),
    answers("redirect-by-refresh", "http 200 whole", |scene| {
        let line = format!("Refresh: 0; url=http://{}/", scene.forbidden);
        keep(answer("200 OK", &[&line], b""))
    }),
    answers("redirect-by-body", "http 200 whole", |scene| {
        let page = format!("<meta http-equiv=refresh content='0;url=http://{}/'>", scene.forbidden);
        keep(answer("200 OK", &["Content-Type: text/html"], page.as_bytes()))
    }),
    answers("redirect-by-alt-svc", "http 200 whole", |scene| {
        let line = format!("Alt-Svc: http/1.1=\"{}\"; ma=86400", scene.forbidden);
        keep(answer("200 OK", &[&line], b""))
    }),
    answers("redirect-451-of-activesync", "http 451 whole", |scene| {
        let line =
            format!("X-MS-Location: https://{}/Microsoft-Server-ActiveSync", scene.forbidden);
        keep(answer("451 Redirect", &[&line], b""))
    }),
    answers("redirect-on-401", "http 401 whole", |scene| {
        let line = format!("Location: http://{}/", scene.forbidden);
        keep(answer("401 U", &["WWW-Authenticate: Basic", &line], b""))
    }),
    answers("redirect-in-autodiscover-json", "http 200 whole", |scene| {
        let json =
            format!("{{\"Protocol\":\"ActiveSync\",\"Url\":\"http://{}/\"}}", scene.forbidden);
        keep(answer("200 OK", &["Content-Type: application/json"], json.as_bytes()))
    }),
];

fn to(status: &str, scene: &Scene) -> Vec<Step> {
    located(status, &format!("http://{}/Microsoft-Server-ActiveSync", scene.forbidden))
}

fn located(status: &str, location: &str) -> Vec<Step> {
    keep(answer(status, &[&format!("Location: {location}")], b""))
}
