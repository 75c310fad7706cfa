//! Seals TLS 1.2 records with keys taken out of a session, for records that no library would send (RFC 5288).

use anyhow::{Result, anyhow};
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

pub(super) struct Sealer {
    key: LessSafeKey,
    salt: [u8; 4],
    sequence: u64,
}

impl Sealer {
    pub(super) fn new(key: &[u8], salt: [u8; 4], sequence: u64) -> Result<Self> {
        let key = UnboundKey::new(&AES_128_GCM, key).map_err(|_| anyhow!("a key has 16 bytes"))?;
        Ok(Self { key: LessSafeKey::new(key), salt, sequence })
    }

    /// The next record of this kind. `content` is at most 16 KiB.
    pub(super) fn record(&mut self, kind: u8, content: &[u8]) -> Vec<u8> {
        let explicit = self.sequence.to_be_bytes();
        let size = |length: usize| u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
        let about = [&explicit, [kind, 3, 3].as_slice(), &size(content.len())].concat();
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&self.salt);
        nonce[4..].copy_from_slice(&explicit);
        let mut sealed = content.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let done = self.key.seal_in_place_append_tag(nonce, Aad::from(about), &mut sealed);
        debug_assert!(done.is_ok(), "the content fits");
        self.sequence += 1;
        let head = [kind, 3, 3];
        [&head, size(sealed.len() + 8).as_slice(), &explicit, &sealed].concat()
    }
}
