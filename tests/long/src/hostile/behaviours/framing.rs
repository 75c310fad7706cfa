//! Lengths that contradict themselves, chunks that are none, and answers nobody asked for.

use super::super::step::{Step, keep, send, then_close, then_flood, then_reset, then_stall};
use super::{Behaviour, answers};

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

pub(super) const ALL: &[Behaviour] = &[
    answers("two-lengths-that-differ", "http malformed", |_| {
        then_close("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx")
    }),
    answers("two-lengths-alike", "http 200 whole", |_| {
        keep("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok")
    }),
    answers("length-list", "http malformed | http 200 *", |_| {
        then_close("HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nokk")
    }),
    answers("length-negative", "http malformed", |_| {
        then_close("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx")
    }),
    answers("length-plus", "http malformed", |_| {
        then_close("HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok")
    }),
    answers("length-hexadecimal", "http malformed", |_| {
        then_close("HTTP/1.1 200 OK\r\nContent-Length: 0x10\r\n\r\nok")
    }),
    answers("length-beyond-64-bits", "http malformed", |_| {
        then_close("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\nok")
    }),
    answers("length-of-all-ones", "http malformed | http 200 *", |_| {
        then_close("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\nok")
    }),
    answers("length-empty", "http malformed", |_| {
        then_close("HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nok")
    }),
    answers("chunk-extension-endless", "http 200 broken | http 200 too slow", |_| {
        then_flood(format!("{CHUNKED}5;"), [b'e'; 8192])
    }),
    answers("chunk-size-endless", "http 200 bound", |_| then_flood(CHUNKED, [b'0'; 8192])),
    answers("chunk-size-huge", "http 200 broken", |_| {
        then_close(format!("{CHUNKED}fffffffffffffffff\r\nx"))
    }),
    answers("chunk-size-largest", "http 200 bound", |_| {
        then_flood(format!("{CHUNKED}fffffffffffffff0\r\n"), [b'x'; 8192])
    }),
    answers("chunk-bad-digit", "http 200 broken", |_| then_close(format!("{CHUNKED}zz\r\nx\r\n"))),
    answers("chunk-negative", "http 200 broken", |_| then_close(format!("{CHUNKED}-1\r\nx\r\n"))),
    answers("chunk-without-end-of-line", "http 200 broken", |_| {
        then_close(format!("{CHUNKED}2\r\nokX0\r\n\r\n"))
    }),
    answers("chunk-cut-by-close", "http 200 broken", |_| {
        then_close(format!("{CHUNKED}10\r\nhalf"))
    }),
    answers("chunk-cut-by-reset", "http 200 broken", |_| {
        then_reset(format!("{CHUNKED}10\r\nhalf"))
    }),
    answers("chunk-never-ended", "http 200 too slow", |_| {
        then_stall(format!("{CHUNKED}2\r\nok\r\n"))
    }),
    answers("trailers-flood", "http 200 broken | http 200 too slow", |_| {
        then_flood(format!("{CHUNKED}2\r\nok\r\n0\r\n"), "X-Trailer: value\r\n".repeat(100))
    }),
    answers("trailer-line-endless", "http 200 broken | http 200 too slow", |_| {
        then_flood(format!("{CHUNKED}2\r\nok\r\n0\r\nX: "), [b't'; 8192])
    }),
    answers("trailers-never-ended", "http 200 too slow", |_| {
        then_stall(format!("{CHUNKED}2\r\nok\r\n0\r\nX: y\r\n"))
    }),
    answers("chunked-and-length", "http 200 whole | http malformed", |_| {
        keep(
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        )
    }),
    answers("chunked-twice", "http *", |_| {
        then_close(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        )
    }),
    answers("chunked-not-last", "http *", |_| {
        then_close(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, identity\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        )
    }),
    answers("chunked-in-http-1-0", "http *", |_| {
        then_close("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
    }),
    answers("keep-alive-that-closes", "http 200 whole", |_| {
        then_close(
            "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=999\r\nContent-Length: 2\r\n\r\nok",
        )
    }),
    answers("keep-alive-that-resets", "http 200 whole | http 200 broken | http reset", |_| {
        then_reset("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok")
    }),
    answers("close-that-goes-on", "http 200 whole", |_| {
        then_flood(
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
            [b'x'; 8192],
        )
    }),
    answers("second-answer-unasked", "http 200 whole", |_| {
        keep(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\
             HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
        )
    }),
    answers("second-answer-later", "http 200 whole", |scene| {
        vec![
            send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
            Step::Wait(scene.limit / 20),
            send("HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n"),
        ]
    }),
    answers("answers-without-end-unasked", "http 200 whole", |_| {
        then_flood("", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".repeat(100))
    }),
];
