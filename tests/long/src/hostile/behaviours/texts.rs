//! Bytes that are no HTTP, or hardly: status lines, odd line ends, names and values out of the alphabet, other protocols.

use super::super::step::{Step, keep, send, then_close, then_flood, then_stall};
use super::{Behaviour, answers};

const MALFORMED: &str = "http malformed";

pub(super) const ALL: &[Behaviour] = &[
    answers("http-0-9", MALFORMED, |_| then_close("<html><body>Hello</body></html>\r\n")),
    answers("http-2-preface-back", MALFORMED, |_| {
        then_close("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
    }),
    answers("http-2-settings-frame", MALFORMED, |_| {
        then_close([
            0, 0, 18, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 128, 0, 4, 0, 1, 0, 0, 13, 10, 13, 10,
        ])
    }),
    answers("http-version-9-9", MALFORMED, |_| then_close("HTTP/9.9 200 OK\r\n\r\n")),
    answers("http-version-lower-case", MALFORMED, |_| then_close("http/1.1 200 OK\r\n\r\n")),
    answers("status-000", MALFORMED, |_| {
        then_close("HTTP/1.1 000 Zero\r\nContent-Length: 0\r\n\r\n")
    }),
    answers("status-999", "http 999 whole", |_| {
        keep("HTTP/1.1 999 No\r\nContent-Length: 0\r\n\r\n")
    }),
    answers("status-99", MALFORMED, |_| then_close("HTTP/1.1 99 Low\r\nContent-Length: 0\r\n\r\n")),
    answers("status-1000", MALFORMED, |_| {
        then_close("HTTP/1.1 1000 High\r\nContent-Length: 0\r\n\r\n")
    }),
    answers("status-letters", MALFORMED, |_| then_close("HTTP/1.1 abc OK\r\n\r\n")),
    answers("status-negative", MALFORMED, |_| then_close("HTTP/1.1 -20 OK\r\n\r\n")),
    answers("status-missing", MALFORMED, |_| then_close("HTTP/1.1\r\nContent-Length: 0\r\n\r\n")),
    answers("status-without-reason", "http 200 whole", |_| {
        keep("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n")
    }),
    answers("reason-not-utf-8", "http 200 whole", |_| {
        keep(b"HTTP/1.1 200 \xff\xfe\xc3\x28\r\nContent-Length: 0\r\n\r\n")
    }),
    answers("reason-with-escape-sequences", "http *", |_| {
        then_close("HTTP/1.1 200 \x1b]0;owned\x07\x1b[2J\r\nContent-Length: 0\r\n\r\n")
    }),
    answers("value-not-utf-8", "http 200 whole", |_| {
        keep(b"HTTP/1.1 200 OK\r\nServer: \xc3\x28\xf0\x28\x8c\xbc\r\nContent-Length: 0\r\n\r\n")
    }),
    answers("value-with-nul", MALFORMED, |_| {
        then_close("HTTP/1.1 200 OK\r\nServer: a\0b\r\nContent-Length: 0\r\n\r\n")
    }),
    answers("name-with-nul", MALFORMED, |_| {
        then_close("HTTP/1.1 200 OK\r\nSer\0ver: x\r\nContent-Length: 0\r\n\r\n")
    }),
    answers("obs-fold-first", MALFORMED, |_| then_close("HTTP/1.1 200 OK\r\n folded: x\r\n\r\n")),
    answers("obs-fold-inside", MALFORMED, |_| {
        then_close("HTTP/1.1 200 OK\r\nX: a\r\n  b\r\nContent-Length: 0\r\n\r\n")
    }),
    answers("bare-lf", "http 200 whole", |_| keep("HTTP/1.1 200 OK\nContent-Length: 2\n\nok")),
    answers("cr-only", "http malformed | http limit progress", |_| {
        then_stall("HTTP/1.1 200 OK\rContent-Length: 0\r\r")
    }),
    answers("cr-inside-value", MALFORMED, |_| {
        then_close("HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\nContent-Length: 0\r\n\r\n")
    }),
    answers("leading-blank-lines", "http 200 whole", |_| {
        keep("\r\n\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    }),
    answers("header-without-colon", MALFORMED, |_| {
        then_close("HTTP/1.1 200 OK\r\nno colon here\r\nContent-Length: 0\r\n\r\n")
    }),
    answers("space-before-colon", MALFORMED, |_| {
        then_close("HTTP/1.1 200 OK\r\nServer : x\r\nContent-Length: 0\r\n\r\n")
    }),
    answers("empty-header-name", MALFORMED, |_| {
        then_close("HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 0\r\n\r\n")
    }),
    answers("name-not-ascii", MALFORMED, |_| {
        then_close("HTTP/1.1 200 OK\r\nSérver: x\r\nContent-Length: 0\r\n\r\n")
    }),
    answers("binary-garbage", MALFORMED, |_| then_close(noise(2048))),
    answers("binary-garbage-endless", "http malformed | http limit *", |_| {
        then_flood("", noise(8192))
    }),
    answers("tls-alert-instead", MALFORMED, |_| {
        then_close(b"\x15\x03\x03\x00\x02\x02\x28\r\n\r\n")
    }),
    answers("ssh-banner-instead", MALFORMED, |_| then_close("SSH-2.0-OpenSSH_9.6\r\n\r\n")),
    answers("smtp-banner-instead", MALFORMED, |_| then_close("220 mail ESMTP ready\r\n\r\n")),
    answers("request-echoed", MALFORMED, |_| {
        then_close("OPTIONS /Microsoft-Server-ActiveSync HTTP/1.1\r\nHost: x\r\n\r\n")
    }),
    answers("nothing-but-nul", "http malformed | http limit *", |_| {
        vec![send([0; 4096]), Step::Stall]
    }),
];

/// The same bytes every time, of all kinds (a linear congruential generator after Knuth).
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56).to_le_bytes()[0]
    };
    std::iter::repeat_with(&mut next).take(length).collect()
}
