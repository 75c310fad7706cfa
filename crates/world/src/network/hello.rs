//! What does a `ClientHello` ask for?
//!
//! Its bytes are kept, for whoever then answers it. Absent on purpose: everything a listener does not decide by.

use rustls::CipherSuite;
use rustls::server::{Accepted, Acceptor};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// Bytes that are read at once.
const READ_BYTES: usize = 2 * 1024;

/// Bytes of a hello; the library below gives up before.
const HELLO_BYTES_MAX: usize = 128 * 1024;

/// What a listener decides by.
#[derive(Debug)]
pub(super) struct Hello {
    pub(super) has_name: bool,
    pub(super) offers_tls13: bool,
    /// As it came, with whatever came behind it.
    pub(super) bytes: Vec<u8>,
}

impl Hello {
    /// Reads a whole hello. `None`: what came is none, or the client went. The limit is the caller's.
    pub(super) async fn read(stream: &mut TcpStream) -> Option<Self> {
        let mut acceptor = Acceptor::default();
        let mut bytes = Vec::new();
        while bytes.len() < HELLO_BYTES_MAX {
            let mut more = [0; READ_BYTES];
            let count = stream.read(&mut more).await.ok().filter(|it| *it > 0)?;
            let mut more = more.get(..count)?;
            bytes.extend_from_slice(more);
            while !more.is_empty() {
                acceptor.read_tls(&mut more).ok().filter(|it| *it > 0)?;
            }
            if let Some(accepted) = acceptor.accept().ok()? {
                return Some(Self::of(&accepted, bytes));
            }
        }
        None
    }

    fn of(accepted: &Accepted, bytes: Vec<u8>) -> Self {
        let hello = accepted.client_hello();
        // Suites of TLS 1.3 are of no use to anybody else, RFC 8446 section 4.1.2.
        let is_tls13 = |it: &CipherSuite| u16::from(*it) >> 8 == 0x13;
        Self {
            has_name: hello.server_name().is_some(),
            offers_tls13: hello.cipher_suites().iter().any(is_tls13),
            bytes,
        }
    }
}
