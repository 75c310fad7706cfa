//! Which TLS records does the peer send? Seen below the TLS library, for what no library tells: how many bytes of handshake there
//! were, whether a certificate of ours was asked for in clear, and whether another handshake began later.
//!
//! Absent on purpose: decryption, and any opinion on a record. What is no TLS counts as whatever its bytes happen to say.
//!
//! INVARIANT: keeps no more than the headers of one record and one message, whatever is sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Content types, RFC 5246 section 6.2.1.
const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;
/// A message that asks for a certificate, RFC 5246 section 7.4.
const CERTIFICATE_REQUEST: u8 = 13;

/// Most bytes of handshake records on one connection: a chain of 64 KiB twice, for a server may ask for a second handshake.
const HANDSHAKE_BYTES_MAX: u64 = 128 * 1024;

/// The peer sent more handshake than is taken on one connection.
#[derive(Debug, thiserror::Error)]
#[error("more than {HANDSHAKE_BYTES_MAX} bytes of handshakes")]
pub(crate) struct TooMuchHandshake;

/// What went over one connection so far. Goes on counting when the connection is in other hands.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    written: AtomicU64,
    received: AtomicU64,
    handshake_bytes: AtomicU64,
    sealed_handshakes: AtomicU64,
    has_certificate_request: AtomicBool,
}

impl Tally {
    pub(crate) fn wrote(&self, count: usize) {
        self.written.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Bytes that the kernel took from us.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Bytes that came.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Whether what came so far is not more handshake than is taken.
    pub(crate) fn check(&self) -> Result<(), TooMuchHandshake> {
        let bytes = self.handshake_bytes.load(Ordering::Relaxed);
        if bytes > HANDSHAKE_BYTES_MAX { Err(TooMuchHandshake) } else { Ok(()) }
    }

    /// Encrypted handshake records. Up to TLS 1.2 the first belongs to the handshake and every further one to another; with
    /// TLS 1.3 there are none.
    pub(crate) fn sealed_handshakes(&self) -> u64 {
        self.sealed_handshakes.load(Ordering::Relaxed)
    }

    /// Whether the handshake asked for a certificate of ours, as far as it is in clear: up to TLS 1.2.
    pub(crate) fn has_certificate_request(&self) -> bool {
        self.has_certificate_request.load(Ordering::Relaxed)
    }
}

/// Reads along.
#[derive(Debug)]
pub(crate) struct Records {
    tally: Arc<Tally>,
    record: Frame<5>,
    message: Frame<4>,
    is_sealed: bool,
}

/// A header of some bytes that tells the length of what follows it.
#[derive(Debug)]
struct Frame<const HEADER: usize> {
    header: [u8; HEADER],
    filled: usize,
    /// Bytes left of what follows.
    left: usize,
}

impl<const HEADER: usize> Frame<HEADER> {
    const fn new() -> Self {
        Self { header: [0; HEADER], filled: 0, left: 0 }
    }

    /// Takes one byte of the header; the whole header once it is there.
    fn take(&mut self, byte: u8) -> Option<[u8; HEADER]> {
        if let Some(place) = self.header.get_mut(self.filled) {
            *place = byte;
            self.filled += 1;
        }
        if self.filled < HEADER {
            return None;
        }
        self.filled = 0;
        Some(self.header)
    }
}

impl Records {
    pub(crate) fn new(tally: Arc<Tally>) -> Self {
        Self { tally, record: Frame::new(), message: Frame::new(), is_sealed: false }
    }

    pub(crate) fn feed(&mut self, mut bytes: &[u8]) {
        self.tally.received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        while let Some((&first, rest)) = bytes.split_first() {
            if self.record.left == 0 {
                bytes = rest;
                if let Some([kind, _, _, high, low]) = self.record.take(first) {
                    self.begin(kind, usize::from(u16::from_be_bytes([high, low])));
                }
                continue;
            }
            let (payload, rest) = bytes.split_at(self.record.left.min(bytes.len()));
            self.record.left -= payload.len();
            bytes = rest;
            if self.record.header[0] == HANDSHAKE && !self.is_sealed {
                self.read_messages(payload);
            }
        }
    }

    fn begin(&mut self, kind: u8, length: usize) {
        self.record.left = length;
        match kind {
            CHANGE_CIPHER_SPEC => self.is_sealed = true,
            HANDSHAKE => {
                let bytes = length + self.record.header.len();
                self.tally.handshake_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
                if self.is_sealed {
                    self.tally.sealed_handshakes.fetch_add(1, Ordering::Relaxed);
                }
            }
            _ => {}
        }
    }

    /// Messages in clear; one may go over several records, RFC 5246 section 6.2.1.
    fn read_messages(&mut self, mut payload: &[u8]) {
        while let Some((&first, rest)) = payload.split_first() {
            if self.message.left > 0 {
                let skipped = self.message.left.min(payload.len());
                self.message.left -= skipped;
                payload = payload.get(skipped..).unwrap_or_default();
                continue;
            }
            payload = rest;
            if let Some([kind, high, middle, low]) = self.message.take(first) {
                let length = u32::from_be_bytes([0, high, middle, low]);
                self.message.left = usize::try_from(length).unwrap_or(usize::MAX);
                if kind == CERTIFICATE_REQUEST {
                    self.tally.has_certificate_request.store(true, Ordering::Relaxed);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len()).expect("short").to_be_bytes();
        [&[kind, 3, 3], length.as_slice(), payload].concat()
    }

    /// However the bytes are cut, the tally is the same.
    fn tallies(bytes: &[u8]) -> Arc<Tally> {
        let seen: Vec<Arc<Tally>> = [1, 2, 7, bytes.len()]
            .into_iter()
            .map(|size| {
                let tally = Arc::new(Tally::default());
                let mut records = Records::new(Arc::clone(&tally));
                bytes.chunks(size.max(1)).for_each(|part| records.feed(part));
                tally
            })
            .collect();
        for tally in &seen {
            assert_eq!(format!("{tally:?}"), format!("{:?}", seen[0]));
        }
        Arc::clone(&seen[0])
    }

    #[test]
    fn a_request_in_clear_is_found_among_messages_in_any_cut() {
        let messages = [&[2, 0, 0, 3, 13, 13, 13][..], &[13, 0, 0, 1, 9], &[14, 0, 0, 0]].concat();
        let (one, two) = messages.split_at(9);
        let seen = tallies(&[record(22, one), record(22, two)].concat());
        assert!(seen.has_certificate_request.load(Ordering::Relaxed));
        assert_eq!(seen.sealed_handshakes(), 0);
        assert_eq!(seen.handshake_bytes.load(Ordering::Relaxed), 16 + 10);

        let seen = tallies(&record(22, &[2, 0, 0, 3, 13, 13, 13, 14, 0, 0, 0]));
        assert!(!seen.has_certificate_request.load(Ordering::Relaxed), "only bytes of a body");
    }

    #[test]
    fn another_handshake_is_a_sealed_record_more() {
        let first = [record(22, &[14, 0, 0, 0]), record(20, &[1]), record(22, &[7; 40])].concat();
        assert_eq!(tallies(&first).sealed_handshakes(), 1);
        let more = [first, record(23, &[22; 30]), record(22, &[13; 24])].concat();
        let seen = tallies(&more);
        assert_eq!(seen.sealed_handshakes(), 2);
        assert!(!seen.has_certificate_request.load(Ordering::Relaxed), "sealed bytes say nothing");
    }

    #[test]
    fn rubbish_is_counted_and_nothing_else() {
        let seen = tallies(&[255; 3000]);
        assert_eq!((seen.received(), seen.sealed_handshakes()), (3000, 0));
        assert_eq!(tallies(b"").received(), 0);
    }
}
