//! Connections that end, or do not, in every phase of an exchange.

use super::super::step::{Step, answer, keep, send, then_close, then_reset, then_stall};
use super::{Behaviour, answers};

pub(super) const ALL: &[Behaviour] = &[
    answers("close-without-answer", "http closed", |_| vec![Step::Close]),
    answers("reset-without-answer", "http reset", |_| vec![Step::Reset]),
    answers("silence", "http timed out", |_| vec![Step::Stall]),
    answers("close-inside-status-line", "http closed | http malformed", |_| then_close("HTTP/1.")),
    answers("reset-inside-status-line", "http reset", |scene| slowly_reset("HTTP/1.", scene)),
    answers("close-inside-head", "http closed", |_| then_close("HTTP/1.1 200 OK\r\nServer: x\r\n")),
    answers("reset-inside-head", "http reset", |scene| {
        slowly_reset("HTTP/1.1 200 OK\r\nServer: x\r\n", scene)
    }),
    answers("reset-after-head", "http 200 broken", |scene| {
        slowly_reset("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", scene)
    }),
    answers("reset-inside-body", "http 200 broken", |scene| {
        slowly_reset("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", scene)
    }),
    answers("reset-after-interim", "http reset", |scene| {
        slowly_reset("HTTP/1.1 100 Continue\r\n\r\n", scene)
    }),
    answers("close-after-interim", "http closed", |_| then_close("HTTP/1.1 100 Continue\r\n\r\n")),
    answers("reset-at-once-after-bytes", "http *", |_| {
        then_reset("HTTP/1.1 200 OK\r\nServer: x\r\n")
    }),
    answers("answer-at-the-last-moment", "http 401 whole", |scene| {
        vec![
            Step::Wait(scene.limit * 3 / 4),
            send(answer("401 U", &["WWW-Authenticate: Basic"], b"")),
        ]
    }),
    answers("answer-just-too-late", "http timed out", |scene| {
        vec![
            Step::Wait(scene.limit * 5 / 4),
            send(answer("401 U", &["WWW-Authenticate: Basic"], b"")),
        ]
    }),
    answers("answer-then-silence-on-the-next", "http 401 whole", |_| {
        then_stall(answer("401 U", &["WWW-Authenticate: Basic"], b""))
    }),
    answers("set-cookie-100-times", "http 401 whole", |_| {
        keep(answer("401 U", &["Set-Cookie: session=1; Path=/"; 90], b""))
    }),
];

/// The bytes arrive before the reset does.
fn slowly_reset(bytes: &str, scene: &super::Scene) -> Vec<Step> {
    vec![send(bytes), Step::Wait(scene.limit / 20), Step::Reset]
}
