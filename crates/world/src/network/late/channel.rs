//! Records of TLS 1.2, in clear and sealed with AES-128-GCM (RFC 5246 section 6, RFC 5288 section 3).
//!
//! INVARIANT: reading can be given up at any await; nothing that came is lost.

use std::io;
use std::sync::Arc;

use openssl::symm::{Cipher, decrypt_aead, encrypt_aead};
use tokio::net::TcpStream;

pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION_DATA: u8 = 23;

const VERSION: [u8; 2] = [3, 3];
const HEADER_BYTES: usize = 5;
const NONCE_BYTES: usize = 8;
const TAG_BYTES: usize = 16;
/// Bytes of a record, sealed, RFC 5246 section 6.2.3.
const RECORD_BYTES_MAX: usize = 18 * 1024;
const READ_BYTES: usize = 2 * 1024;

/// One direction of a sealed connection.
pub(super) struct Seal {
    pub(super) key: Vec<u8>,
    pub(super) salt: Vec<u8>,
    sequence: u64,
}

impl Seal {
    pub(super) fn new(key: &[u8], salt: &[u8]) -> Self {
        Self { key: key.to_vec(), salt: salt.to_vec(), sequence: 0 }
    }

    /// What is authenticated with the next record.
    fn authenticated(&mut self, kind: u8, length: usize) -> io::Result<Vec<u8>> {
        let length = u16::try_from(length).map_err(io::Error::other)?.to_be_bytes();
        let header = [&self.sequence.to_be_bytes()[..], &[kind], &VERSION, &length].concat();
        self.sequence += 1;
        Ok(header)
    }

    fn close(&mut self, kind: u8, content: &[u8]) -> io::Result<Vec<u8>> {
        let explicit = self.sequence.to_be_bytes();
        let header = self.authenticated(kind, content.len())?;
        let nonce = [self.salt.as_slice(), &explicit].concat();
        let mut tag = [0; TAG_BYTES];
        let cipher = Cipher::aes_128_gcm();
        let sealed = encrypt_aead(cipher, &self.key, Some(&nonce), &header, content, &mut tag)?;
        Ok([&explicit[..], &sealed, &tag].concat())
    }

    fn open(&mut self, kind: u8, record: &[u8]) -> io::Result<Vec<u8>> {
        let (explicit, rest) = record.split_at_checked(NONCE_BYTES).ok_or_else(rubbish)?;
        let length = rest.len().checked_sub(TAG_BYTES).ok_or_else(rubbish)?;
        let (sealed, tag) = rest.split_at_checked(length).ok_or_else(rubbish)?;
        let header = self.authenticated(kind, length)?;
        let nonce = [self.salt.as_slice(), explicit].concat();
        let cipher = Cipher::aes_128_gcm();
        Ok(decrypt_aead(cipher, &self.key, Some(&nonce), &header, sealed, tag)?)
    }
}

/// Something came that has no place here.
pub(super) fn rubbish() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

/// A TCP connection as a line of records.
pub(super) struct Channel {
    tcp: Arc<TcpStream>,
    unread: Vec<u8>,
    pub(super) reading: Option<Seal>,
    pub(super) writing: Option<Seal>,
}

impl Channel {
    pub(super) fn new(tcp: Arc<TcpStream>, unread: Vec<u8>) -> Self {
        Self { tcp, unread, reading: None, writing: None }
    }

    pub(super) fn tcp(&self) -> Arc<TcpStream> {
        Arc::clone(&self.tcp)
    }

    /// The next record, opened.
    pub(super) async fn receive(&mut self) -> io::Result<(u8, Vec<u8>)> {
        loop {
            if let Some((kind, content)) = self.take()? {
                return match &mut self.reading {
                    Some(seal) => Ok((kind, seal.open(kind, &content)?)),
                    None => Ok((kind, content)),
                };
            }
            self.tcp.readable().await?;
            let mut more = [0; READ_BYTES];
            match self.tcp.try_read(&mut more) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.unread.extend(more.iter().take(count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// A whole record that has come already.
    fn take(&mut self) -> io::Result<Option<(u8, Vec<u8>)>> {
        let Some((&[kind, _, _, high, low], rest)) =
            self.unread.split_first_chunk::<HEADER_BYTES>()
        else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > RECORD_BYTES_MAX {
            return Err(rubbish());
        }
        let Some(content) = rest.get(..length).map(<[u8]>::to_vec) else { return Ok(None) };
        self.unread.drain(..HEADER_BYTES + length);
        Ok(Some((kind, content)))
    }

    pub(super) async fn send(&mut self, kind: u8, content: &[u8]) -> io::Result<()> {
        let content = match &mut self.writing {
            Some(seal) => seal.close(kind, content)?,
            None => content.to_vec(),
        };
        let length = u16::try_from(content.len()).map_err(io::Error::other)?.to_be_bytes();
        let record = [&[kind], &VERSION[..], &length, &content].concat();
        let mut left = record.as_slice();
        while !left.is_empty() {
            self.tcp.writable().await?;
            match self.tcp.try_write(left) {
                Ok(count) => left = left.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
