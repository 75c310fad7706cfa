//! Sealing a secret for one use by one agent: what the controller's `go` carries.
//!
//! HPKE (RFC 9180) in base mode, single-shot: X25519-HKDF-SHA256, HKDF-SHA256, AES-256-GCM, from the crypto library that also
//! serves our TLS. Absent on purpose: a long-lived context. One key pair per begin, one message per key pair.
//!
//! INVARIANT: an [`Opener`] opens at most once, for opening consumes it and its private key has no other way out.
//! INVARIANT: attempt, nonce and ledger sequence are bound into the key schedule; a `go` replayed elsewhere does not open.

use std::fmt;

use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256 as SUITE;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey};
use zeroize::Zeroizing;

use crate::{InvalidSecret, Secret};

/// Length of an X25519 public key and of the encapsulated key, in bytes.
const KEY_LENGTH: usize = 32;

/// First part of `info`: nothing sealed for another purpose opens here.
const PURPOSE: &[u8] = b"parallax go 1";

/// Which single use a sealed secret is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding<'a> {
    /// The ledger's id of the attempt.
    pub attempt: &'a str,
    /// The agent's fresh nonce of this begin.
    pub nonce: &'a [u8],
    /// The ledger's sequence number of the commit that started the attempt.
    pub sequence: u64,
}

/// A secret on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// RFC 9180 `enc`, 32 bytes.
    pub encapsulated_key: Vec<u8>,
    pub ciphertext: Vec<u8>,
}

/// Why a secret could not be sealed or opened. Tells nothing about the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("the public key is not one of X25519: it needs {KEY_LENGTH} bytes")]
    PublicKey,
    #[error("the encapsulated key is not one of X25519: it needs {KEY_LENGTH} bytes")]
    EncapsulatedKey,
    #[error(
        "the sealed secret does not open: it was made for another attempt, nonce, sequence, agent or key, or changed on the way"
    )]
    DoesNotOpen,
    #[error("what was sealed is no secret: {0}")]
    Content(#[from] InvalidSecret),
    #[error("no key pair could be made")]
    KeyPair,
    #[error("sealing failed")]
    Seal,
}

/// Seals a secret to the public key of a begin. `aad` is authenticated and must be the same at [`Opener::open`].
pub fn seal(
    public_key: &[u8],
    binding: &Binding<'_>,
    aad: &[u8],
    secret: &Secret,
) -> Result<Sealed, SealError> {
    if public_key.len() != KEY_LENGTH {
        return Err(SealError::PublicKey);
    }
    let (encapsulated, ciphertext) = SUITE
        .seal(&binding.info(), aad, secret.expose().as_bytes(), &HpkePublicKey(public_key.to_vec()))
        .map_err(|_| SealError::Seal)?;
    Ok(Sealed { encapsulated_key: encapsulated.0, ciphertext })
}

/// One fresh key pair, waiting for the one `go` it is for.
pub struct Opener {
    public_key: HpkePublicKey,
    private_key: HpkePrivateKey,
}

impl Opener {
    /// Makes a fresh key pair.
    pub fn generate() -> Result<Self, SealError> {
        let (public_key, private_key) =
            SUITE.generate_key_pair().map_err(|_| SealError::KeyPair)?;
        Ok(Self { public_key, private_key })
    }

    /// The 32 bytes to send with the begin.
    pub fn public_key(&self) -> &[u8] {
        &self.public_key.0
    }

    /// Opens the one message sealed to this key pair and forgets the pair, whatever comes of it.
    pub fn open(
        self,
        binding: &Binding<'_>,
        aad: &[u8],
        sealed: &Sealed,
    ) -> Result<Secret, SealError> {
        if sealed.encapsulated_key.len() != KEY_LENGTH {
            return Err(SealError::EncapsulatedKey);
        }
        let plain = SUITE
            .open(
                &EncapsulatedSecret(sealed.encapsulated_key.clone()),
                &binding.info(),
                aad,
                &sealed.ciphertext,
                &self.private_key,
            )
            .map_err(|_| SealError::DoesNotOpen)?;
        Ok(Secret::from_bytes(Zeroizing::new(plain))?)
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Opener(..)")
    }
}

impl Binding<'_> {
    /// RFC 9180 `info`. Every part carries its length, so that no two bindings give the same bytes.
    fn info(&self) -> Vec<u8> {
        let mut info = Vec::new();
        for part in [PURPOSE, self.attempt.as_bytes(), self.nonce, &self.sequence.to_be_bytes()] {
            info.extend((part.len() as u64).to_be_bytes());
            info.extend(part);
        }
        info
    }
}

#[cfg(test)]
mod tests {
    use hpke::aead::AesGcm256;
    use hpke::kdf::HkdfSha256;
    use hpke::kem::X25519HkdfSha256;
    use hpke::{Deserializable, Kem, OpModeR, Serializable};

    use super::*;

    const BINDING: Binding<'_> = Binding { attempt: "a-7", nonce: &[1, 2, 3, 4], sequence: 41 };

    fn secret() -> Secret {
        Secret::new("correct horse battery".to_owned()).expect("valid")
    }

    /// Seals under the right binding and opens under the given one.
    #[track_caller]
    fn opened(binding: &Binding<'_>, aad: &[u8]) -> Result<Secret, SealError> {
        let opener = Opener::generate().expect("key pair");
        let sealed = seal(opener.public_key(), &BINDING, b"agent/ext", &secret()).expect("sealed");
        opener.open(binding, aad, &sealed)
    }

    #[test]
    fn opens_once_for_what_it_was_made_for() {
        let secret = opened(&BINDING, b"agent/ext").expect("opens");
        assert_eq!(secret.expose(), "correct horse battery");
    }

    #[test]
    fn opens_for_nothing_else() {
        for other in [
            Binding { attempt: "a-8", ..BINDING },
            Binding { attempt: "a-7\u{1}", nonce: &[2, 3, 4], ..BINDING },
            Binding { nonce: &[1, 2, 3, 5], ..BINDING },
            Binding { sequence: 42, ..BINDING },
        ] {
            assert_eq!(
                opened(&other, b"agent/ext").err(),
                Some(SealError::DoesNotOpen),
                "{other:?}"
            );
        }
        assert_eq!(opened(&BINDING, b"agent/dmz").err(), Some(SealError::DoesNotOpen));
        let sealed =
            seal(Opener::generate().expect("key pair").public_key(), &BINDING, b"", &secret())
                .expect("sealed");
        let stranger = Opener::generate().expect("key pair");
        assert_eq!(stranger.open(&BINDING, b"", &sealed).err(), Some(SealError::DoesNotOpen));
    }

    #[test]
    fn changed_or_cut_messages_do_not_open() {
        for at in 0..3 {
            let opener = Opener::generate().expect("key pair");
            let mut sealed = seal(opener.public_key(), &BINDING, b"", &secret()).expect("sealed");
            match at {
                0 => sealed.ciphertext[0] ^= 1,
                1 => sealed.ciphertext.truncate(3),
                _ => sealed.encapsulated_key[0] ^= 1,
            }
            assert_eq!(opener.open(&BINDING, b"", &sealed).err(), Some(SealError::DoesNotOpen));
        }
        let opener = Opener::generate().expect("key pair");
        let mut sealed = seal(opener.public_key(), &BINDING, b"", &secret()).expect("sealed");
        sealed.encapsulated_key.pop();
        assert_eq!(opener.open(&BINDING, b"", &sealed).err(), Some(SealError::EncapsulatedKey));
        assert_eq!(seal(&[9; 31], &BINDING, b"", &secret()).err(), Some(SealError::PublicKey));
    }

    #[test]
    fn every_sealing_is_another() {
        let opener = Opener::generate().expect("key pair");
        let seal = || seal(opener.public_key(), &BINDING, b"", &secret()).expect("sealed");
        assert_ne!(seal(), seal());
        assert_eq!(format!("{opener:?}"), "Opener(..)");
    }

    /// Another implementation of RFC 9180 opens what we seal.
    #[test]
    fn another_implementation_reads_it() {
        let ours = Opener::generate().expect("key pair");
        let sealed = seal(ours.public_key(), &BINDING, b"aad", &secret()).expect("sealed");
        let private =
            <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(ours.private_key.secret_bytes())
                .expect("an X25519 private key");
        assert_eq!(X25519HkdfSha256::sk_to_pk(&private).to_bytes().as_slice(), ours.public_key());
        let encapsulated =
            <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(&sealed.encapsulated_key)
                .expect("an X25519 public key");
        let mut context = hpke::setup_receiver::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &private,
            &encapsulated,
            &BINDING.info(),
        )
        .expect("context");
        let (text, tag) = sealed.ciphertext.split_at(sealed.ciphertext.len() - 16);
        let mut text = text.to_vec();
        let tag = hpke::aead::AeadTag::from_bytes(tag).expect("16 bytes");
        context.open_inout_detached(text.as_mut_slice().into(), b"aad", &tag).expect("opens");
        assert_eq!(text, b"correct horse battery");
    }
}
