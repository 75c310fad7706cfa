//! `WWW-Authenticate` as nobody should write it, NTLM messages that point outside themselves, and servers that ask again.

use super::super::step::{answer, keep, then_close};
use super::{Behaviour, answers};

const REFUSED: &str = "http 401 whole";
/// Where the head is legal and only a field in it is not.
const READ: &str = "http 401 whole";

pub(super) const ALL: &[Behaviour] = &[
    answers("challenges-1000-on-a-line", READ, |_| keep(asking(&vec!["A"; 1000].join(", ")))),
    answers("challenges-90-lines", READ, |_| {
        keep(answer("401 U", &["WWW-Authenticate: Basic realm=\"x\""; 90], b""))
    }),
    answers("challenge-unterminated-quote", READ, |_| keep(asking("Basic realm=\"no end, NTLM"))),
    answers("challenge-ends-in-backslash", READ, |_| keep(asking("Basic realm=\"x\\"))),
    answers("challenge-token-of-60-kib", READ, |_| {
        keep(asking(&format!("Negotiate {}", "A".repeat(60 * 1024))))
    }),
    answers("challenge-token-of-64-kib", "http limit head bytes", |_| {
        then_close(asking(&format!("Negotiate {}", "A".repeat(64 * 1024))))
    }),
    answers("challenge-comma-soup", READ, |_| keep(asking(&",=,;, ,\",\" ,,==,".repeat(500)))),
    answers("challenge-quotes-without-end", READ, |_| keep(asking(&"\"".repeat(10_001)))),
    answers("challenge-parameters-10000", READ, |_| {
        keep(asking(&format!("Digest {}", vec!["a=b"; 4_000].join(","))))
    }),
    answers("challenge-empty", READ, |_| keep(asking(""))),
    answers("challenge-not-utf-8", READ, |_| {
        keep(b"HTTP/1.1 401 U\r\nWWW-Authenticate: Basic realm=\"\xff\xfe\"\r\nContent-Length: 0\r\n\r\n")
    }),
    answers("ntlm-type-2-empty", READ, |_| keep(asking("NTLM ="))),
    answers("ntlm-type-2-no-base64", READ, |_| keep(asking("NTLM %%%%not-base64%%%%"))),
    answers("ntlm-type-2-signature-alone", READ, |_| keep(ntlm(b"NTLMSSP\0"))),
    answers("ntlm-type-2-truncated", READ, |_| keep(ntlm(&type2(40, 8, 56)[..37]))),
    answers("ntlm-type-2-offset-outside", READ, |_| keep(ntlm(&type2(16, 16, 0xffff_fff0)))),
    answers("ntlm-type-2-offset-overflows", READ, |_| keep(ntlm(&type2(0xffff, 0xffff, u32::MAX)))),
    answers("ntlm-type-2-length-huge", READ, |_| keep(ntlm(&type2(0xffff, 0xffff, 48)))),
    answers("ntlm-type-2-pairs-without-end", READ, |_| {
        let mut message = type2(4096, 4096, 56);
        message.extend(b"\x02\x00\x04\x00a\0b\0".repeat(512));
        keep(ntlm(&message))
    }),
    answers("ntlm-type-2-pair-longer-than-all", READ, |_| {
        let mut message = type2(12, 12, 56);
        message.extend(b"\x02\x00\xff\xffa\0b\0\0\0\0\0");
        keep(ntlm(&message))
    }),
    answers("ntlm-type-2-odd-utf-16", READ, |_| {
        let mut message = type2(11, 11, 56);
        message.extend(b"\x02\x00\x03\x00\x00\xd8a\0\0\0\0");
        keep(ntlm(&message))
    }),
    answers("ntlm-type-1-back", READ, |_| {
        keep(ntlm(b"NTLMSSP\0\x01\0\0\0\x07\x82\x08\xa2\0\0\0\0"))
    }),
    answers("ntlm-type-9", READ, |_| keep(ntlm(b"NTLMSSP\0\x09\0\0\0\0\0\0\0\0\0\0\0"))),
    answers("refused-and-asked-again", REFUSED, |_| {
        keep(answer(
            "401 Unauthorized",
            &["WWW-Authenticate: Basic realm=\"again\"", "Connection: keep-alive"],
            b"once more",
        ))
    }),
    answers("refused-and-asked-on-another-connection", REFUSED, |_| {
        then_close(answer(
            "401 Unauthorized",
            &["WWW-Authenticate: Basic", "Connection: close", "Retry-After: 0"],
            b"",
        ))
    }),
    answers("proxy-asks-for-the-credential", "http 407 whole", |_| {
        keep(answer(
            "407 Proxy Authentication Required",
            &["Proxy-Authenticate: Basic realm=\"me\""],
            b"",
        ))
    }),
    answers("retry-after-at-once", "http 503 whole", |_| {
        keep(answer("503 Busy", &["Retry-After: 0", "WWW-Authenticate: Basic"], b""))
    }),
    answers("request-timeout-408", "http 408 whole", |_| {
        then_close(answer("408 Request Timeout", &["Connection: close"], b""))
    }),
    answers("misdirected-421", "http 421 whole", |_| {
        keep(answer("421 Misdirected Request", &[], b""))
    }),
    answers("too-early-425", "http 425 whole", |_| {
        keep(answer("425 Too Early", &["Retry-After: 0"], b""))
    }),
];

fn asking(challenge: &str) -> Vec<u8> {
    answer("401 Unauthorized", &[&format!("WWW-Authenticate: {challenge}")], b"")
}

fn ntlm(message: &[u8]) -> Vec<u8> {
    asking(&format!("NTLM {}", base64(message)))
}

/// A `CHALLENGE_MESSAGE` (MS-NLMP 2.2.1.2) whose target information has this length, room and offset.
fn type2(length: u16, room: u16, offset: u32) -> Vec<u8> {
    let mut message = b"NTLMSSP\0\x02\0\0\0".to_vec();
    message.extend([8, 0, 8, 0]);
    message.extend(offset.to_le_bytes());
    message.extend(0xe289_8205_u32.to_le_bytes());
    message.extend([1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
    message.extend(length.to_le_bytes());
    message.extend(room.to_le_bytes());
    message.extend(offset.to_le_bytes());
    message.extend([6, 1, 0xb1, 0x1d, 0, 0, 0, 15]);
    message
}

/// RFC 4648 section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let word = group.iter().fold(0_usize, |word, byte| word << 8 | usize::from(*byte))
            << (8 * (3 - group.len()));
        for at in 0..4 {
            let index = word >> (18 - 6 * at) & 63;
            text.push(if at > group.len() { '=' } else { char::from(ALPHABET[index]) });
        }
    }
    text
}
