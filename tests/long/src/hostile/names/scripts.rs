//! Answers that are well formed and mean harm: addresses nobody should dial, chains without end, delays, refusals.

use std::time::Duration;

use super::message::{
    A, AAAA, ASKED, Ask, OPT, RESPONSE, TRUNCATED, TXT, alias, name, record, record_of,
    record_saying,
};
use super::{Hear, Say, Script};

const GOOD: &str = "192.0.2.10";
const ONE: &str = "dns found 1 left out 0 aliases 0";
const FORBIDDEN: &str = "refused";
const TOO_LONG: &str = "dns chain too long";
const TIMED_OUT: &str = "dns timed out";
const NONE: &str = "dns no address";

/// The same over both transports.
const fn both(name: &'static str, says: &'static str, udp: fn(&Ask) -> Vec<Say>) -> Script {
    Script { name, says, udp, tcp: |ask| Hear::Whole(ask.addresses(&[GOOD])) }
}

pub(super) const ALL: &[Script] = &[
    both("healthy", ONE, |ask| now(ask.addresses(&[GOOD]))),
    both("rebinding-after-the-first-answer", ONE, |ask| {
        let list = if ask.number < 2 { GOOD } else { "127.0.0.1" };
        now(ask.addresses(&[list]))
    }),
    both("rebinding-within-one-answer", "dns found 3 left out 0 aliases 0", |ask| {
        now(ask.addresses(&[GOOD, "127.0.0.1", "10.0.0.1"]))
    }),
    both("rebinding-by-family", "dns found 2 left out 0 aliases 0", |ask| {
        now(ask.addresses(&[GOOD, "::1"]))
    }),
    both("loopback", FORBIDDEN, |ask| now(ask.addresses(&["127.0.0.1"]))),
    both("loopback-of-another-number", FORBIDDEN, |ask| now(ask.addresses(&["127.255.255.254"]))),
    both("metadata-address", FORBIDDEN, |ask| now(ask.addresses(&["169.254.169.254"]))),
    both("unspecified", FORBIDDEN, |ask| now(ask.addresses(&["0.0.0.0"]))),
    both("broadcast", FORBIDDEN, |ask| now(ask.addresses(&["255.255.255.255"]))),
    both("multicast", FORBIDDEN, |ask| now(ask.addresses(&["224.0.0.1", "ff02::1"]))),
    both("mapped-loopback", FORBIDDEN, |ask| now(ask.addresses(&["::ffff:127.0.0.1"]))),
    both("compatible-loopback", FORBIDDEN, |ask| now(ask.addresses(&["::127.0.0.1"]))),
    both("nat64-of-metadata", FORBIDDEN, |ask| now(ask.addresses(&["64:ff9b::a9fe:a9fe"]))),
    both("six-to-four-of-private", FORBIDDEN, |ask| now(ask.addresses(&["2002:a00:1::"]))),
    both("link-local", FORBIDDEN, |ask| now(ask.addresses(&["fe80::1"]))),
    both("sixteen-addresses", "dns found 16 left out 0 aliases 0", |ask| now(many(ask, 16))),
    both("seventeen-addresses", "dns found 16 left out 1 aliases 0", |ask| now(many(ask, 17))),
    Script {
        name: "four-thousand-addresses",
        says: "dns found 16 left out 3984 aliases 0",
        udp: truncated,
        tcp: |ask| Hear::Whole(many(ask, 4000)),
    },
    Script {
        name: "ten-thousand-claimed",
        says: "dns other: *",
        udp: truncated,
        tcp: |ask| {
            let records = records(ask, 4000);
            Hear::Whole(ask.with_counts(RESPONSE, [1, 10_000, 0, 0], &records))
        },
    },
    Script {
        name: "five-thousand-empty-records",
        says: "dns other: *",
        udp: truncated,
        tcp: |ask| {
            let mut records = vec![record(ASKED, 65_400, 60, b""); 5000];
            records.extend(records_of_good(ask));
            Hear::Whole(ask.reply(RESPONSE, &records))
        },
    },
    both("the-same-thirty-times", ONE, |ask| now(ask.addresses(&[GOOD; 30]))),
    both("alias-of-itself", TOO_LONG, |ask| now(ask.reply(RESPONSE, &[alias(ASKED, ASKED)]))),
    both("alias-circle-of-two", TOO_LONG, |ask| {
        let other = name("b.example");
        now(ask.reply(RESPONSE, &[alias(ASKED, &other), alias(&other, ASKED)]))
    }),
    both("aliases-8", "dns found 1 left out 0 aliases 8", |ask| now(chain(ask, 8, false))),
    both("aliases-8-backwards", "dns found 1 left out 0 aliases 8", |ask| now(chain(ask, 8, true))),
    both("aliases-9", TOO_LONG, |ask| now(chain(ask, 9, false))),
    Script {
        name: "aliases-100",
        says: TOO_LONG,
        udp: truncated,
        tcp: |ask| Hear::Whole(chain(ask, 100, false)),
    },
    Script {
        name: "aliases-1000-backwards",
        says: TOO_LONG,
        udp: truncated,
        tcp: |ask| Hear::Whole(chain(ask, 1000, true)),
    },
    both("alias-that-leads-nowhere", NONE, |ask| {
        now(ask.reply(RESPONSE, &[alias(ASKED, &name("gone.example"))]))
    }),
    both("alias-beside-an-address", NONE, |ask| {
        let mut list = vec![alias(ASKED, &name("gone.example"))];
        list.extend(records_of_good(ask));
        now(ask.reply(RESPONSE, &list))
    }),
    both("forty-aliases-of-one-name", "dns found 1 left out 0 aliases 1", |ask| {
        let target = |number: usize| name(&format!("t{number}.example"));
        let mut list: Vec<_> = (0..40).map(|number| alias(ASKED, &target(number))).collect();
        if ask.is_a() {
            list.push(record(&target(0), A, 60, &[192, 0, 2, 10]));
            list.push(record(&target(1), A, 60, &[10, 0, 0, 1]));
        }
        now(ask.reply(RESPONSE, &list))
    }),
    both("time-to-live-0", ONE, |ask| now(timed(ask, 0))),
    both("time-to-live-of-136-years", ONE, |ask| now(timed(ask, u32::MAX))),
    both("another-name-answered", NONE, |ask| {
        now(ask.reply(RESPONSE, &[record(&name("evil.example"), A, 60, &[10, 0, 0, 1])]))
    }),
    both("another-class", NONE, |ask| {
        now(ask.reply(RESPONSE, &[record_saying(ASKED, A, 3, 60, 4, &[10, 0, 0, 1])]))
    }),
    both("the-other-family-answered", NONE, |ask| {
        let address = if ask.is_a() { "2001:db8::1" } else { GOOD };
        let records: Vec<_> = address.parse().map(|it| record_of(ASKED, it)).into_iter().collect();
        now(ask.reply(RESPONSE, &records))
    }),
    both("only-authority", NONE, |ask| {
        now(ask.sections(RESPONSE, &[], &records_of_good(ask), &[]))
    }),
    both("only-additional", NONE, |ask| {
        now(ask.sections(RESPONSE, &[], &[], &records_of_good(ask)))
    }),
    both(
        "half-an-answer",
        ONE,
        |ask| {
            if ask.is_a() { now(ask.addresses(&[GOOD])) } else { Vec::new() }
        },
    ),
    both("half-refused", ONE, |ask| {
        if ask.is_a() { now(ask.addresses(&[GOOD])) } else { now(ask.reply(0x8185, &[])) }
    }),
    both("nxdomain", "dns nxdomain", |ask| now(ask.reply(0x8183, &[]))),
    both("nxdomain-with-an-address", "dns nxdomain", |ask| {
        now(ask.reply(0x8183, &records_of_good(ask)))
    }),
    both("nxdomain-flap", "dns found 1 left out 0 aliases 0 | dns nxdomain", |ask| {
        if ask.number % 2 == 0 { now(ask.reply(0x8183, &[])) } else { now(ask.addresses(&[GOOD])) }
    }),
    both("servfail", "dns servfail", |ask| now(ask.reply(0x8182, &[]))),
    both("refused", "dns refused", |ask| now(ask.reply(0x8185, &[]))),
    both("not-implemented", "dns other: response code *", |ask| now(ask.reply(0x8184, &[]))),
    both("response-code-15", "dns other: response code *", |ask| now(ask.reply(0x818f, &[]))),
    both("format-error-always", "dns other: response code *", |ask| now(ask.reply(0x8181, &[]))),
    both("format-error-to-edns", ONE, |ask| {
        if ask.has_edns { now(ask.reply(0x8181, &[])) } else { now(ask.addresses(&[GOOD])) }
    }),
    both("silence", TIMED_OUT, |_| Vec::new()),
    both("slow-just-below-1-s", ONE, |ask| later(700, ask.addresses(&[GOOD]))),
    both("slow-just-above-1-s", "dns timed out", |ask| later(1300, ask.addresses(&[GOOD]))),
    both("slow-just-below-3-s", TIMED_OUT, |ask| later(2900, ask.addresses(&[GOOD]))),
    both("slow-just-above-3-s", TIMED_OUT, |ask| later(3100, ask.addresses(&[GOOD]))),
    both("twice-the-same-answer", ONE, |ask| {
        let answer = ask.addresses(&[GOOD]);
        vec![Say::Now(answer.clone()), Say::Now(answer)]
    }),
    both("long-text-beside", ONE, |ask| {
        let text = [&[255_u8][..], &[b't'; 255]].concat();
        let mut list = vec![record(ASKED, TXT, 60, &text.repeat(2))];
        list.extend(records_of_good(ask));
        now(ask.reply(RESPONSE, &list))
    }),
    both("odd-labels", "dns found 1 left out 0 aliases 1", |ask| {
        // A dot, a NUL, a space, a quote and bytes outside ASCII within one label.
        let target = b"\x08a.\0 \"\xff\\;\x07example\0";
        let mut list = vec![alias(ASKED, target)];
        if ask.is_a() {
            list.push(record(target, A, 60, &[192, 0, 2, 10]));
        }
        now(ask.reply(RESPONSE, &list))
    }),
    both("edns-version-255", "dns *", |ask| {
        let opt = record_saying(&[0], OPT, 512, 0x00ff_0000, 0, b"");
        now(ask.sections(RESPONSE, &records_of_good(ask), &[], &[opt]))
    }),
    both("edns-bad-version", "dns other: response code *", |ask| {
        let opt = record_saying(&[0], OPT, 512, 0x0100_0000, 0, b"");
        now(ask.sections(RESPONSE, &[], &[], &[opt]))
    }),
    both("edns-twice", "dns *", |ask| {
        let opt = record_saying(&[0], OPT, 0, 0, 0, b"");
        now(ask.sections(RESPONSE, &records_of_good(ask), &[], &[opt.clone(), opt]))
    }),
    both("edns-option-longer-than-all", "dns *", |ask| {
        let opt = record_saying(&[0], OPT, 512, 0, 6, &[0, 3, 0xff, 0xff, 1, 2]);
        now(ask.sections(RESPONSE, &records_of_good(ask), &[], &[opt]))
    }),
    both("other-family-of-private", "dns found 2 left out 0 aliases 0", |ask| {
        let list = if ask.is_a() { records_of_good(ask) } else { vec![loopback6()] };
        now(ask.reply(RESPONSE, &list))
    }),
];

fn loopback6() -> Vec<u8> {
    let mut data = [0; 16];
    data[15] = 1;
    record(ASKED, AAAA, 60, &data)
}

fn now(bytes: Vec<u8>) -> Vec<Say> {
    vec![Say::Now(bytes)]
}

fn later(milliseconds: u64, bytes: Vec<u8>) -> Vec<Say> {
    vec![Say::Later(Duration::from_millis(milliseconds), bytes)]
}

pub(super) fn truncated(ask: &Ask) -> Vec<Say> {
    now(ask.reply(RESPONSE | TRUNCATED, &[]))
}

fn records(ask: &Ask, count: u16) -> Vec<Vec<u8>> {
    let one = |number: u16| {
        let [high, low] = number.to_be_bytes();
        // 192.0.2.10 is the first, so that one of those that are dialled answers.
        if number == 0 { [192, 0, 2, 10] } else { [198, 18, high, low] }
    };
    let count = if ask.is_a() { count } else { 0 };
    (0..count).map(|number| record(ASKED, A, 60, &one(number))).collect()
}

fn many(ask: &Ask, count: u16) -> Vec<u8> {
    ask.reply(RESPONSE, &records(ask, count))
}

pub(super) fn records_of_good(ask: &Ask) -> Vec<Vec<u8>> {
    records(ask, 1)
}

fn timed(ask: &Ask, ttl: u32) -> Vec<u8> {
    let records: Vec<_> =
        ask.is_a().then(|| record(ASKED, A, ttl, &[192, 0, 2, 10])).into_iter().collect();
    ask.reply(RESPONSE, &records)
}

/// So many aliases, then an address.
fn chain(ask: &Ask, length: usize, is_backwards: bool) -> Vec<u8> {
    let owner = |at: usize| if at == 0 { ASKED.to_vec() } else { name(&format!("c{at}.example")) };
    let mut list: Vec<_> = (0..length).map(|at| alias(&owner(at), &owner(at + 1))).collect();
    if ask.is_a() {
        list.push(record(&owner(length), A, 60, &[192, 0, 2, 10]));
    }
    if is_backwards {
        list.reverse();
    }
    ask.reply(RESPONSE, &list)
}
