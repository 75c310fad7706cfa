//! Bodies without end, too short, too long, too slow, and compressed ones that would explode.

use super::super::step::{Step, answer, keep, send, then_close, then_flood, then_stall};
use super::{Behaviour, answers};

pub(super) const ALL: &[Behaviour] = &[
    answers("body-drip-1-byte-per-s", "http 200 too slow", |scene| {
        vec![
            send("HTTP/1.1 200 OK\r\nContent-Length: 4096\r\n\r\n"),
            Step::Drip(vec![b'x'; 4096], scene.second()),
        ]
    }),
    answers("body-drip-chunked", "http 200 too slow", |scene| {
        vec![
            send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Step::Drip(b"1\r\nx\r\n".repeat(500), scene.second()),
        ]
    }),
    answers("body-never-comes", "http 200 too slow", |_| {
        then_stall("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
    }),
    answers("body-just-fast-enough", "http 200 timed out", |scene| {
        let mut steps = vec![send("HTTP/1.1 200 OK\r\n\r\n")];
        for _ in 0..40 {
            steps.extend([send([b'x'; 1100]), Step::Wait(scene.limit / 10)]);
        }
        steps
    }),
    answers("body-endless-until-close", "http 200 bound", |_| {
        then_flood("HTTP/1.1 200 OK\r\n\r\n", [b'x'; 16_384])
    }),
    answers("body-endless-chunked", "http 200 bound", |_| {
        then_flood(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            [b"1000\r\n".as_slice(), &[b'x'; 4096], b"\r\n"].concat(),
        )
    }),
    answers("body-endless-tiny-chunks", "http 200 bound", |_| {
        then_flood(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"1\r\nx\r\n".repeat(1000),
        )
    }),
    answers("body-shorter-than-length", "http 200 broken", |_| {
        then_close("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
    }),
    answers("body-longer-than-length", "http 200 whole", |_| {
        keep("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokand then some more of it")
    }),
    answers("body-huge-length", "http 200 bound", |_| {
        then_flood("HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n", [b'x'; 8192])
    }),
    answers("body-huge-length-and-silence", "http 200 too slow", |_| {
        then_stall("HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\nx")
    }),
    answers("body-exactly-at-the-bound", "http 200 whole", |_| {
        keep(answer("200 OK", &[], &vec![b'x'; 65_536]))
    }),
    answers("body-one-beyond-the-bound", "http 200 bound", |_| {
        keep(answer("200 OK", &[], &vec![b'x'; 65_537]))
    }),
    answers("body-on-204", "http 204 whole", |_| {
        keep("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello")
    }),
    answers("body-on-304", "http 304 whole", |_| {
        keep("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello")
    }),
    answers("bomb-gzip", "http 200 bound", |_| {
        then_close(compressed("gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\xff"))
    }),
    answers("bomb-deflate", "http 200 bound", |_| then_close(compressed("deflate", b"\x78\x9c"))),
    answers("bomb-nested-encodings", "http 200 bound", |_| {
        then_close(compressed("gzip, gzip, deflate", b"\x1f\x8b\x08\0\0\0\0\0\0\xff"))
    }),
    answers("bomb-under-br-and-zstd-names", "http 200 bound", |_| {
        then_close(compressed("br, zstd", b"\xce\xb2\xcf\x81"))
    }),
    answers("bomb-as-transfer-encoding", "http malformed | http 200 bound", |_| {
        let first =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n\x1f\u{0}\x08\0\0\0\0\0\0\u{1}";
        then_flood(first, zeros_deflated(8 * 1024))
    }),
];

fn compressed(encoding: &str, prefix: &[u8]) -> Vec<u8> {
    // 100 KiB on the wire stand for 16 MiB of zeros.
    let body = [prefix, &zeros_deflated(100 * 1024)].concat();
    answer("200 OK", &[&format!("Content-Encoding: {encoding}")], &body)
}

/// A beginning of a DEFLATE stream (RFC 1951 section 3.2.6): one literal zero, then as many copies of 258 of them as fit.
pub(super) fn zeros_deflated(bytes: usize) -> Vec<u8> {
    let mut bits: Vec<bool> = Vec::with_capacity(bytes * 8);
    // A final block with fixed codes; codes go most significant bit first, everything else least.
    bits.extend([true, true, false]);
    bits.extend([false, false, true, true, false, false, false, false]);
    // Length 258 is code 285 (11000101), distance 1 is code 0 (00000).
    let copy =
        [true, true, false, false, false, true, false, true, false, false, false, false, false];
    while bits.len() + copy.len() <= bytes * 8 {
        bits.extend(copy);
    }
    let octet = |bits: &[bool]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
    bits.chunks(8).map(octet).collect()
}
