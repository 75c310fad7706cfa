//! Attacks below HTTP: certificates, stalls at every record, other protocols, records that never end.

use super::{Behaviour, below};

/// How it is done.
#[derive(Clone, Copy, Debug)]
pub(in super::super) enum Below {
    /// A session with this certificate or habit, then ordinary answers.
    Shown(Shown),
    /// A handshake that goes so far and no further.
    Cut(Cut, End),
    /// These bytes in place of TLS, once the client said something.
    Raw(&'static [u8], End),
    /// The first bytes, then the second again and again.
    Flood(&'static [u8], &'static [u8]),
    /// As soon as the connection stands.
    AtOnce(End),
    /// Nothing is ever read.
    NeverRead,
    /// Another certificate on every connection, each as good as the other.
    OtherLeaf,
    /// A good session, a request, then these records.
    Records(Records),
}

/// What a server shows of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Shown {
    WrongName,
    Expired,
    NotYetValid,
    SelfSigned,
    UnknownIssuer,
    HundredCertificates,
    ChainOver64Kib,
    MegabyteOfNames,
    NulInName,
    WildcardForAll,
    NotDer,
    YearZero,
    YearsOneTo9999,
    AsksForCertificate,
    InsistsOnCertificate,
    OnlyTls12,
    ManyAttributes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Cut {
    /// Silence after the client's hello.
    BeforeServerHello,
    /// TLS 1.2, after so many messages.
    AfterMessage(usize),
    /// TLS 1.2, in the middle of the message after so many.
    InMessage(usize),
    /// TLS 1.2, all but the server's Finished.
    BeforeFinished,
    /// TLS 1.3, after so many quarters of the flight.
    Quarter(usize),
    /// TLS 1.3, one byte at a time.
    Drip,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum End {
    Stall,
    Close,
    Reset,
}

/// Records after the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Records {
    /// TLS 1.3 `KeyUpdate` with a request for ours.
    KeyUpdates,
    /// TLS 1.2 `HelloRequest`, once, then an answer.
    OneHelloRequest,
    HelloRequests,
    Warnings,
    Empty,
    BadSeal,
    /// An alert that ends the session, after the request.
    FatalAlert,
    CloseNotify,
}

const HELLO_OF_1_0: [u8; 47] = hello_of(1);
const HELLO_OF_1_1: [u8; 47] = hello_of(2);
const TIMED_OUT: &str = "tls timed out / http none";

pub(super) const ALL: &[Behaviour] = &[
    below(
        "tls-stall-before-server-hello",
        TIMED_OUT,
        Below::Cut(Cut::BeforeServerHello, End::Stall),
    ),
    below(
        "tls-close-before-server-hello",
        "tls closed / http none",
        Below::Cut(Cut::BeforeServerHello, End::Close),
    ),
    below(
        "tls-reset-before-server-hello",
        "tls reset / http none",
        Below::Cut(Cut::BeforeServerHello, End::Reset),
    ),
    below("tls-stall-inside-server-hello", TIMED_OUT, Below::Cut(Cut::InMessage(0), End::Stall)),
    below("tls-stall-after-server-hello", TIMED_OUT, Below::Cut(Cut::AfterMessage(1), End::Stall)),
    below(
        "tls-close-after-server-hello",
        "tls closed / http none",
        Below::Cut(Cut::AfterMessage(1), End::Close),
    ),
    below("tls-stall-inside-certificate", TIMED_OUT, Below::Cut(Cut::InMessage(1), End::Stall)),
    below(
        "tls-reset-inside-certificate",
        "tls reset / http none",
        Below::Cut(Cut::InMessage(1), End::Reset),
    ),
    below("tls-stall-after-certificate", TIMED_OUT, Below::Cut(Cut::AfterMessage(2), End::Stall)),
    below("tls-stall-after-key-exchange", TIMED_OUT, Below::Cut(Cut::AfterMessage(3), End::Stall)),
    below("tls-stall-before-finished", TIMED_OUT, Below::Cut(Cut::BeforeFinished, End::Stall)),
    below(
        "tls-close-before-finished",
        "tls closed / http none",
        Below::Cut(Cut::BeforeFinished, End::Close),
    ),
    below("tls13-stall-after-a-quarter", TIMED_OUT, Below::Cut(Cut::Quarter(1), End::Stall)),
    below("tls13-stall-after-half", TIMED_OUT, Below::Cut(Cut::Quarter(2), End::Stall)),
    below(
        "tls13-close-after-three-quarters",
        "tls closed / http none",
        Below::Cut(Cut::Quarter(3), End::Close),
    ),
    below("tls13-drip", TIMED_OUT, Below::Cut(Cut::Drip, End::Stall)),
    below(
        "tls-wrong-name",
        "tls trusted, wrong name / http 401 whole",
        Below::Shown(Shown::WrongName),
    ),
    below("tls-expired", "tls trusted, out of date / http 401 whole", Below::Shown(Shown::Expired)),
    below(
        "tls-not-yet-valid",
        "tls trusted, out of date / http 401 whole",
        Below::Shown(Shown::NotYetValid),
    ),
    below("tls-self-signed", "tls self-signed / http 401 whole", Below::Shown(Shown::SelfSigned)),
    below(
        "tls-unknown-issuer",
        "tls unknown issuer / http 401 whole",
        Below::Shown(Shown::UnknownIssuer),
    ),
    below(
        "tls-hundred-certificates",
        "tls trusted / http 401 whole",
        Below::Shown(Shown::HundredCertificates),
    ),
    below("tls-chain-over-64-kib", "tls limit / http none", Below::Shown(Shown::ChainOver64Kib)),
    below("tls-megabyte-of-names", "tls limit / http none", Below::Shown(Shown::MegabyteOfNames)),
    below("tls-nul-in-name", "tls *", Below::Shown(Shown::NulInName)),
    below(
        "tls-wildcard-for-all",
        "tls trusted, wrong name / http 401 whole",
        Below::Shown(Shown::WildcardForAll),
    ),
    below("tls-certificate-is-no-der", "tls other: *", Below::Shown(Shown::NotDer)),
    below("tls-certificate-of-year-zero", "tls *", Below::Shown(Shown::YearZero)),
    below(
        "tls-certificate-of-ten-thousand-years",
        "tls unusable / http 401 whole",
        Below::Shown(Shown::YearsOneTo9999),
    ),
    below(
        "tls-subject-of-thousand-attributes",
        "tls trusted / http 401 whole",
        Below::Shown(Shown::ManyAttributes),
    ),
    below(
        "tls-asks-for-certificate",
        "tls trusted, asks for a certificate / http 401 whole",
        Below::Shown(Shown::AsksForCertificate),
    ),
    below(
        "tls-insists-on-certificate",
        "tls client certificate required / http none",
        Below::Shown(Shown::InsistsOnCertificate),
    ),
    below("tls-only-1-2", "tls trusted / http 401 whole", Below::Shown(Shown::OnlyTls12)),
    below(
        "tls-1-0-server-hello",
        "tls timed out / http none",
        Below::Raw(&HELLO_OF_1_0, End::Stall),
    ),
    below(
        "tls-1-1-server-hello",
        "tls timed out / http none",
        Below::Raw(&HELLO_OF_1_1, End::Stall),
    ),
    below(
        "tls-alert-protocol-version",
        "tls alert 70 / http none",
        Below::Raw(b"\x15\x03\x01\x00\x02\x02\x46", End::Close),
    ),
    below(
        "tls-alert-handshake-failure",
        "tls alert 40 / http none",
        Below::Raw(b"\x15\x03\x03\x00\x02\x02\x28", End::Close),
    ),
    below(
        "tls-alert-internal-error",
        "tls alert 80 / http none",
        Below::Raw(b"\x15\x03\x03\x00\x02\x02\x50", End::Close),
    ),
    below(
        "tls-alert-unknown-number",
        "tls alert 255 / http none",
        Below::Raw(b"\x15\x03\x03\x00\x02\x02\xff", End::Close),
    ),
    below("tls-half-an-alert", "tls *", Below::Raw(b"\x15\x03\x03\x00\x02\x02", End::Close)),
    below(
        "tls-plain-http-on-443",
        "tls not tls / http none",
        Below::Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n", End::Close),
    ),
    below(
        "tls-ssh-banner",
        "tls not tls / http none",
        Below::Raw(b"SSH-2.0-OpenSSH_9.6\r\n", End::Close),
    ),
    below(
        "tls-sslv2-hello",
        "tls not tls / http none",
        Below::Raw(b"\x80\x2e\x04\x00\x01\x00\x02\x00\x15\x00\x00\x00\x10", End::Close),
    ),
    below(
        "tls-oversized-record",
        "tls not tls / http none",
        Below::Raw(b"\x16\x03\x03\xff\xff", End::Stall),
    ),
    below("tls-empty-handshake-record", "tls *", Below::Raw(b"\x16\x03\x03\x00\x00", End::Stall)),
    below(
        "tls-message-of-16-mib",
        "tls limit / http none",
        Below::Raw(b"\x16\x03\x03\x00\x05\x02\xff\xff\xff\x00", End::Stall),
    ),
    below(
        "tls-finished-first",
        "tls other: *",
        Below::Raw(b"\x16\x03\x03\x00\x10\x14\x00\x00\x0c\0\0\0\0\0\0\0\0\0\0\0\0", End::Stall),
    ),
    below(
        "tls-application-data-first",
        "tls other: *",
        Below::Raw(b"\x17\x03\x03\x00\x05hello", End::Stall),
    ),
    below(
        "tls-hello-requests-first",
        "tls *",
        Below::Flood(b"", b"\x16\x03\x03\x00\x04\x00\x00\x00\x00"),
    ),
    below(
        "tls-warnings-without-end",
        "tls limit / http none",
        Below::Flood(b"", b"\x15\x03\x03\x00\x02\x01\x5a"),
    ),
    below(
        "tls-change-cipher-specs-without-end",
        "tls *",
        Below::Flood(b"", b"\x14\x03\x03\x00\x01\x01"),
    ),
    below("tls-empty-records-without-end", "tls *", Below::Flood(b"", b"\x17\x03\x03\x00\x00")),
    below("tls-garbage-without-end", "tls not tls / http none", Below::Flood(b"", &[0xa5; 64])),
    below(
        "tls-close-at-once",
        "tls closed / http none | tls reset / http none",
        Below::AtOnce(End::Close),
    ),
    below(
        "tls-reset-at-once",
        "tls reset / http none | tcp reset / http none",
        Below::AtOnce(End::Reset),
    ),
    below("tls-never-read", TIMED_OUT, Below::NeverRead),
    below("tls-other-leaf-on-each-connection", "tls trusted / http 401 whole", Below::OtherLeaf),
    below(
        "tls13-key-updates-without-end",
        "tls trusted / http other: *",
        Below::Records(Records::KeyUpdates),
    ),
    below(
        "tls12-hello-request-once",
        "tls trusted / http 401 whole",
        Below::Records(Records::OneHelloRequest),
    ),
    below(
        "tls12-hello-requests-without-end",
        "tls trusted / http other: *",
        Below::Records(Records::HelloRequests),
    ),
    below(
        "tls12-warnings-without-end",
        "tls trusted / http other: *",
        Below::Records(Records::Warnings),
    ),
    below(
        "tls12-empty-records-without-end",
        "tls trusted / http *",
        Below::Records(Records::Empty),
    ),
    below("tls12-bad-seal", "tls trusted / http other: *", Below::Records(Records::BadSeal)),
    below(
        "tls12-fatal-alert-after-request",
        "tls trusted / http other: *",
        Below::Records(Records::FatalAlert),
    ),
    below(
        "tls12-close-notify-after-request",
        "tls trusted / http closed",
        Below::Records(Records::CloseNotify),
    ),
];

/// A record with a `ServerHello` of TLS 1.x that chooses a cipher of its time (RFC 5246 section 7.4.1.3).
const fn hello_of(minor: u8) -> [u8; 47] {
    let mut record = [0; 47];
    // Record: handshake, version, 42 bytes. Message: hello, 38 bytes, version, 32 random bytes, no session.
    let head = [22, 3, minor, 0, 42, 2, 0, 0, 38, 3, minor];
    let mut at = 0;
    while at < head.len() {
        record[at] = head[at];
        at += 1;
    }
    // TLS_RSA_WITH_AES_128_CBC_SHA, no compression.
    record[45] = 0x2f;
    record
}
