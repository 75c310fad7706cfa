//! Heads without end, too many fields, too slow, and floods of interim answers.

use std::time::Duration;

use super::super::step::{Step, answer, keep, send, then_close, then_flood, then_stall};
use super::{Behaviour, answers};

const HEAD_LIMIT: &str = "http limit head bytes";
const COUNT_LIMIT: &str = "http limit header count";
pub(in super::super) const INTERIM_LIMIT: &str = "http limit interim";
const SLOW: &str = "http limit progress";

pub(super) const ALL: &[Behaviour] = &[
    answers("endless-head-line", HEAD_LIMIT, |_| {
        then_flood("HTTP/1.1 200 OK\r\nX: ", [b'a'; 8192])
    }),
    answers("endless-reason-phrase", HEAD_LIMIT, |_| then_flood("HTTP/1.1 200 ", [b'a'; 8192])),
    answers("endless-status-code", "http malformed", |_| then_flood("HTTP/1.1 2", [b'0'; 8192])),
    answers("endless-header-name", "http malformed | http limit head bytes", |_| {
        then_flood("HTTP/1.1 200 OK\r\n", [b'n'; 8192])
    }),
    answers("endless-header-count", COUNT_LIMIT, |_| {
        then_flood("HTTP/1.1 200 OK\r\n", "A: b\r\n".repeat(200))
    }),
    answers("endless-blank-lines-first", HEAD_LIMIT, |_| then_flood("", "\r\n".repeat(2048))),
    answers("hundred-headers", "http 401 whole", |_| keep(with_fields(100))),
    answers("hundred-and-one-headers", COUNT_LIMIT, |_| then_close(with_fields(101))),
    answers("thousand-headers", COUNT_LIMIT, |_| then_close(with_fields(1000))),
    answers("head-and-body-at-what-is-kept", "http 401 whole", |_| {
        let line = format!("X-Long: {}", "v".repeat(15 * 1024));
        keep(answer("401 Unauthorized", &["WWW-Authenticate: Basic", &line], &[0xff; 2048]))
    }),
    answers("header-of-16-kib", "http 401 whole", |_| keep(with_long_field(16 * 1024))),
    answers("header-of-60-kib", "http 401 whole", |_| keep(with_long_field(60 * 1024))),
    answers("header-of-500-kb", HEAD_LIMIT, |_| then_close(with_long_field(500_000))),
    answers("stop-after-status-line", SLOW, |_| then_stall("HTTP/1.1 200 OK\r\n")),
    answers("stop-inside-header", SLOW, |_| then_stall("HTTP/1.1 200 OK\r\nServer: Micro")),
    answers("stop-before-blank-line", SLOW, |_| {
        then_stall("HTTP/1.1 401 U\r\nWWW-Authenticate: Basic\r\n")
    }),
    answers("drip-head-1-byte-per-s", SLOW, |scene| drip(scene.second())),
    answers("drip-head-1-byte-per-19-s", SLOW, |scene| {
        vec![send("H"), Step::Drip(dripped(), scene.second() * 19)]
    }),
    answers("drip-head-after-19-s-of-silence", "http timed out", |scene| drip(scene.second() * 19)),
    answers("drip-head-above-least-pace", "http 200 whole", |scene| {
        // 1.5 KiB per half of the window, then the end.
        let part = [b'a'; 1536].as_slice();
        let mut steps = vec![send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: ")];
        for _ in 0..3 {
            steps.extend([Step::Wait(scene.limit / 8), send(part)]);
        }
        steps.push(send("\r\n\r\n"));
        steps
    }),
    answers("interim-flood-103", INTERIM_LIMIT, |_| {
        then_flood("", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(100))
    }),
    answers("interim-flood-100", INTERIM_LIMIT, |_| {
        then_flood("", "HTTP/1.1 100 Continue\r\n\r\n".repeat(100))
    }),
    answers("interim-flood-102-with-body-lengths", INTERIM_LIMIT, |_| {
        then_flood("", "HTTP/1.1 102 P\r\nContent-Length: 5\r\n\r\n".repeat(100))
    }),
    answers("interim-eleven", INTERIM_LIMIT, |_| then_close(interim(11))),
    answers("interim-ten", "http 401 whole", |_| keep(interim(10))),
    answers("interim-then-silence", "http timed out", |_| {
        then_stall("HTTP/1.1 100 Continue\r\n\r\n")
    }),
    answers("interim-with-endless-head", HEAD_LIMIT, |_| {
        then_flood("HTTP/1.1 103 E\r\nLink: ", [b'l'; 8192])
    }),
    answers("interim-slowly", "http limit interim | http timed out", |scene| {
        let one = || [send("HTTP/1.1 102 P\r\n\r\n"), Step::Wait(scene.limit / 20)];
        (0..40).flat_map(|_| one()).collect()
    }),
    answers("upgrade-101-unasked", "http 101 *", |_| {
        then_stall(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
        )
    }),
    answers("upgrade-101-then-flood", "http 101 *", |_| {
        then_flood(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            [0; 8192],
        )
    }),
];

fn with_fields(count: usize) -> Vec<u8> {
    let lines = vec!["X-Field: value"; count - 1];
    answer("401 Unauthorized", &lines, b"")
}

fn with_long_field(length: usize) -> Vec<u8> {
    let line = format!("X-Long: {}", "v".repeat(length));
    answer("401 Unauthorized", &["WWW-Authenticate: Basic", &line], b"")
}

fn dripped() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\nServer: drip\r\nContent-Length: 0\r\n\r\n".to_vec()
}

fn drip(pause: Duration) -> Vec<Step> {
    vec![Step::Drip(dripped(), pause)]
}

fn interim(count: usize) -> Vec<u8> {
    let mut bytes = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".repeat(count);
    bytes.extend(answer("401 Unauthorized", &[], b""));
    bytes
}
