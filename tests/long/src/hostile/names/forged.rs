//! Messages that are broken, forged, cut, or never end.

use super::message::{A, ASKED, Ask, RESPONSE, TRUNCATED, alias, record, record_saying};
use super::scripts::{records_of_good, truncated};
use super::{Hear, Say, Script};

const GOOD: &str = "192.0.2.10";
const ONE: &str = "dns found 1 left out 0 aliases 0";
const TIMED_OUT: &str = "dns timed out";
const BROKEN: &str = "dns other: *";
/// Where the library may pass a broken datagram over or give up on it.
const EITHER: &str = "dns other: * | dns timed out";

const fn udp(name: &'static str, says: &'static str, udp: fn(&Ask) -> Vec<Say>) -> Script {
    Script { name, says, udp, tcp: |ask| Hear::Whole(ask.addresses(&[GOOD])) }
}

const fn tcp(name: &'static str, says: &'static str, tcp: fn(&Ask) -> Hear) -> Script {
    Script { name, says, udp: truncated, tcp }
}

pub(super) const ALL: &[Script] = &[
    udp("wrong-id", TIMED_OUT, |ask| now(wrong_id(ask))),
    udp("wrong-id-then-right", ONE, |ask| {
        vec![Say::Now(wrong_id(ask)), Say::Now(ask.addresses(&[GOOD]))]
    }),
    udp("wrong-id-twenty-thousand-times", "dns *", |ask| vec![Say::Often(20_000, wrong_id(ask))]),
    udp("wrong-question", TIMED_OUT, |ask| now(other_question(ask))),
    udp("wrong-question-then-right", ONE, |ask| {
        vec![Say::Now(other_question(ask)), Say::Now(ask.addresses(&[GOOD]))]
    }),
    udp("no-question", TIMED_OUT, |ask| {
        let mut bytes = ask.with_counts(RESPONSE, [0, 0, 0, 0], &[]);
        bytes.truncate(12);
        now(bytes)
    }),
    udp("two-questions", EITHER, |ask| {
        let again = ask.question.clone();
        now(ask.with_counts(RESPONSE, [2, 0, 0, 0], &[again]))
    }),
    udp("from-another-port", TIMED_OUT, |ask| {
        vec![Say::FromElsewhere(ask.addresses(&["10.0.0.1"]))]
    }),
    udp("from-another-port-then-right", ONE, |ask| {
        vec![Say::FromElsewhere(ask.addresses(&["10.0.0.1"])), Say::Now(ask.addresses(&[GOOD]))]
    }),
    udp("the-question-back", BROKEN, |ask| now(ask.reply(0x0100, &[]))),
    udp("another-operation", BROKEN, |ask| now(ask.reply(0xa180, &records_of_good(ask)))),
    udp("empty-packet", TIMED_OUT, |_| now(Vec::new())),
    udp("one-byte", TIMED_OUT, |_| now(vec![0])),
    udp("id-alone", EITHER, |ask| now(ask.id.to_vec())),
    udp("header-cut", EITHER, |ask| now(ask.reply(RESPONSE, &[])[..11].to_vec())),
    udp("question-cut", EITHER, |ask| now(ask.reply(RESPONSE, &[])[..16].to_vec())),
    udp("answer-cut", EITHER, |ask| {
        let mut bytes = ask.reply(RESPONSE, &[record(ASKED, A, 60, &[192, 0, 2, 10])]);
        bytes.truncate(bytes.len() - 2);
        now(bytes)
    }),
    udp("garbage", EITHER, |ask| now([&ask.id[..], &[0xa5; 500]].concat())),
    udp("garbage-without-id", TIMED_OUT, |ask| {
        now([&[!ask.id[0], !ask.id[1]], [0xa5; 500].as_slice()].concat())
    }),
    udp("sixty-kilobytes", EITHER, |ask| {
        now(ask.reply(RESPONSE, &vec![record(ASKED, A, 60, &[10, 0, 0, 1]); 3_700]))
    }),
    udp("pointer-to-itself", EITHER, |ask| now(pointing(ask, 0))),
    udp("pointer-forward", EITHER, |ask| now(pointing(ask, 30))),
    udp("pointer-beyond-the-end", EITHER, |ask| now(pointing(ask, 0x3000))),
    udp("pointers-in-a-circle", EITHER, |ask| {
        let at = 12 + ask.question.len();
        let there = |to: usize| [0xc0 | octet(to >> 8), octet(to)];
        // The record's name points to its own data, which points back.
        let data = there(at);
        let owner = there(at + 12);
        now(ask.reply(RESPONSE, &[record(&owner, 5, 60, &data)]))
    }),
    udp("label-of-reserved-kind", EITHER, |ask| {
        now(ask.reply(RESPONSE, &[record(&[0x80, 1, 0], A, 60, &[10, 0, 0, 1])]))
    }),
    udp("name-longer-than-255", EITHER, |ask| {
        let long = [&[63_u8][..], &[b'n'; 63]].concat().repeat(6);
        now(ask.reply(RESPONSE, &[alias(ASKED, &[long.as_slice(), &[0]].concat())]))
    }),
    udp("address-of-16-bytes-as-a", EITHER, |ask| {
        now(ask.reply(RESPONSE, &[record(ASKED, A, 60, &[10; 16])]))
    }),
    udp(
        "address-of-0-bytes",
        "dns *",
        |ask| now(ask.reply(RESPONSE, &[record(ASKED, A, 60, &[])])),
    ),
    udp("data-longer-than-the-message", EITHER, |ask| {
        now(ask.reply(RESPONSE, &[record_saying(ASKED, A, 1, 60, 60_000, &[10, 0, 0, 1])]))
    }),
    udp("counts-larger-than-the-message", EITHER, |ask| {
        now(ask.with_counts(RESPONSE, [1, 65_535, 65_535, 65_535], &[]))
    }),
    tcp("cut-then-good-over-tcp", ONE, |ask| Hear::Whole(ask.addresses(&[GOOD]))),
    tcp("cut-over-tcp-too", BROKEN, |ask| Hear::Whole(ask.reply(RESPONSE | TRUNCATED, &[]))),
    tcp("cut-then-silence", TIMED_OUT, |_| Hear::RawThenSilence(Vec::new())),
    tcp("cut-then-half-a-length", TIMED_OUT, |_| Hear::RawThenSilence(vec![0])),
    tcp("cut-then-length-alone", TIMED_OUT, |_| Hear::RawThenSilence(vec![0xff, 0xff])),
    tcp("cut-then-half-a-message", BROKEN, |ask| {
        let bytes = ask.addresses(&[GOOD]);
        Hear::Raw([&[0xff, 0xff], bytes.as_slice()].concat())
    }),
    tcp("cut-then-close", BROKEN, |_| Hear::Raw(Vec::new())),
    tcp("cut-then-reset", BROKEN, |_| Hear::Reset),
    tcp("cut-then-empty-message", BROKEN, |_| Hear::Raw(vec![0, 0])),
    tcp("cut-then-garbage", BROKEN, |ask| Hear::Whole([&ask.id[..], &[0xa5; 3000]].concat())),
    tcp("cut-then-the-question-back", BROKEN, |ask| Hear::Whole(ask.reply(0x0100, &[]))),
    tcp("cut-then-wrong-id", BROKEN, |ask| Hear::Whole(wrong_id(ask))),
    tcp("cut-then-wrong-question", BROKEN, |ask| Hear::Whole(other_question(ask))),
];

fn now(bytes: Vec<u8>) -> Vec<Say> {
    vec![Say::Now(bytes)]
}

fn octet(number: usize) -> u8 {
    number.to_le_bytes()[0]
}

fn wrong_id(ask: &Ask) -> Vec<u8> {
    let mut bytes = ask.addresses(&["10.0.0.1"]);
    bytes[0] = !bytes[0];
    bytes
}

fn other_question(ask: &Ask) -> Vec<u8> {
    let mut bytes = ask.addresses(&["10.0.0.1"]);
    // The first letter of the name.
    bytes[13] = b'z';
    bytes
}

/// An alias whose target points so far behind its own place.
fn pointing(ask: &Ask, beyond: usize) -> Vec<u8> {
    let place = 12 + ask.question.len() + 12;
    let to = place + beyond;
    ask.reply(RESPONSE, &[alias(ASKED, &[0xc0 | octet(to >> 8), octet(to)])])
}
