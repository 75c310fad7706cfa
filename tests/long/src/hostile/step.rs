//! What a hostile server does with a connection, as data, and the few words to write it in.

use std::time::Duration;

/// One thing after another. When all is done and nothing ended the connection, the next request is read.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Send(Vec<u8>),
    /// The same again and again until the client goes away.
    Flood(Vec<u8>),
    /// One byte at a time with this pause before each; the last byte is followed by silence.
    Drip(Vec<u8>, Duration),
    Wait(Duration),
    /// Nothing more until the client goes away.
    Stall,
    Close,
    /// A close that sends a reset (`SO_LINGER` 0).
    Reset,
}

/// Where and how fast a script runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene {
    /// The limit of the exchange that meets it.
    pub(super) limit: Duration,
    /// A listener that must never be connected to.
    pub(super) forbidden: std::net::SocketAddr,
}

impl Scene {
    /// One byte per second under the real limit of ten, and in proportion under another.
    pub(super) fn second(&self) -> Duration {
        self.limit / 10
    }
}

pub(super) fn send(bytes: impl AsRef<[u8]>) -> Step {
    Step::Send(bytes.as_ref().to_vec())
}

/// A whole answer with this status line, these header lines and this body behind its length.
pub(super) fn answer(status: &str, lines: &[&str], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status}\r\n").into_bytes();
    for line in lines {
        bytes.extend_from_slice(line.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// Sends and goes on reading requests.
pub(super) fn keep(bytes: impl AsRef<[u8]>) -> Vec<Step> {
    vec![send(bytes)]
}

pub(super) fn then_close(bytes: impl AsRef<[u8]>) -> Vec<Step> {
    vec![send(bytes), Step::Close]
}

pub(super) fn then_stall(bytes: impl AsRef<[u8]>) -> Vec<Step> {
    vec![send(bytes), Step::Stall]
}

pub(super) fn then_reset(bytes: impl AsRef<[u8]>) -> Vec<Step> {
    vec![send(bytes), Step::Reset]
}

pub(super) fn then_flood(first: impl AsRef<[u8]>, again: impl AsRef<[u8]>) -> Vec<Step> {
    vec![send(first), Step::Flood(again.as_ref().to_vec())]
}
