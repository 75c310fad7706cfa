//! One handshake of TLS 1.2 from the server's side: ECDHE on P-256 and AES-128-GCM, with or without a request for a certificate.
//!
//! Absent on purpose: every choice. A client that does not offer this suite is told nothing.

use std::io;

use openssl::bn::BigNumContext;
use openssl::derive::Deriver;
use openssl::ec::{EcGroup, EcKey, EcPoint, PointConversionForm};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Private};
use openssl::rand::rand_bytes;
use openssl::sha::sha256;
use openssl::sign::Signer;

use super::LateServer;
use super::channel::{CHANGE_CIPHER_SPEC, Channel, HANDSHAKE, Seal, rubbish};

// Messages, RFC 5246 section 7.4.
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;
const SERVER_KEY_EXCHANGE: u8 = 12;
const CERTIFICATE_REQUEST: u8 = 13;
const SERVER_HELLO_DONE: u8 = 14;
const CLIENT_KEY_EXCHANGE: u8 = 16;
const FINISHED: u8 = 20;

const VERIFY_BYTES: usize = 12;
const MASTER_BYTES: usize = 48;
/// Two keys and two salts.
const KEY_BLOCK_BYTES: usize = 2 * 16 + 2 * 4;
/// RSA and ECDSA, both with SHA-256 and no issuer named, RFC 5246 section 7.4.4.
const WANTED: [u8; 11] = [2, 1, 64, 0, 4, 4, 1, 4, 3, 0, 0];

/// What binds the next handshake to this one, RFC 5746 section 3.
pub(super) struct Finished {
    client: Vec<u8>,
    server: Vec<u8>,
}

/// The messages so far.
#[derive(Default)]
struct Talk {
    transcript: Vec<u8>,
    unread: Vec<u8>,
}

impl Talk {
    /// The body of the next message, which has to be of this kind. It is part of the transcript from then on.
    async fn hear(&mut self, channel: &mut Channel, kind: u8) -> io::Result<Vec<u8>> {
        loop {
            if let Some((&[found, high, middle, low], rest)) = self.unread.split_first_chunk::<4>()
            {
                let length = u32::from_be_bytes([0, high, middle, low]);
                let length = usize::try_from(length).map_err(io::Error::other)?;
                if found != kind {
                    return Err(rubbish());
                }
                if let Some(body) = rest.get(..length).map(<[u8]>::to_vec) {
                    self.transcript.extend(self.unread.drain(..4 + length));
                    return Ok(body);
                }
            }
            match channel.receive().await? {
                (HANDSHAKE, content) => self.unread.extend(content),
                _ => return Err(rubbish()),
            }
        }
    }

    async fn say(&mut self, channel: &mut Channel, kind: u8, body: &[u8]) -> io::Result<()> {
        let mut message = vec![kind];
        message.extend(behind_length_24(body));
        self.transcript.extend(&message);
        channel.send(HANDSHAKE, &message).await
    }
}

/// Shakes hands; again, and asking for a certificate, if there was a handshake `before`.
pub(super) async fn run(
    channel: &mut Channel,
    server: &LateServer,
    before: Option<&Finished>,
) -> io::Result<Finished> {
    let mut talk = Talk::default();
    let hello = talk.hear(channel, CLIENT_HELLO).await?;
    let client_random = hello.get(2..34).ok_or_else(rubbish)?.to_vec();
    let mut server_random = vec![0; 32];
    rand_bytes(&mut server_random)?;
    let randoms = [client_random.as_slice(), &server_random].concat();

    talk.say(channel, SERVER_HELLO, &server_hello(&server.key, &server_random, before)).await?;
    let chain: Vec<u8> = behind_length_24(&server.chain).collect();
    talk.say(channel, CERTIFICATE, &chain).await?;
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    let key = EcKey::generate(&group)?;
    let exchange = key_exchange(&server.key, &group, &key, &randoms)?;
    talk.say(channel, SERVER_KEY_EXCHANGE, &exchange).await?;
    if before.is_some() {
        talk.say(channel, CERTIFICATE_REQUEST, &WANTED).await?;
    }
    talk.say(channel, SERVER_HELLO_DONE, &[]).await?;

    if before.is_some() && talk.hear(channel, CERTIFICATE).await? != [0; 3] {
        return Err(rubbish());
    }
    let theirs = talk.hear(channel, CLIENT_KEY_EXCHANGE).await?;
    let premaster = agree(&group, key, theirs.get(1..).ok_or_else(rubbish)?)?;
    let master = prf(&premaster, b"master secret", &randoms, MASTER_BYTES)?;
    finish(channel, talk, &master, &[&server_random[..], &client_random].concat()).await
}

async fn finish(
    channel: &mut Channel,
    mut talk: Talk,
    master: &[u8],
    seed: &[u8],
) -> io::Result<Finished> {
    let block = prf(master, b"key expansion", seed, KEY_BLOCK_BYTES)?;
    let (keys, salts) = block.split_at_checked(32).ok_or_else(rubbish)?;
    let (client_key, server_key) = keys.split_at_checked(16).ok_or_else(rubbish)?;
    let (client_salt, server_salt) = salts.split_at_checked(4).ok_or_else(rubbish)?;

    if !matches!(channel.receive().await?, (CHANGE_CIPHER_SPEC, _)) {
        return Err(rubbish());
    }
    channel.reading = Some(Seal::new(client_key, client_salt));
    let expected = prf(master, b"client finished", &sha256(&talk.transcript), VERIFY_BYTES)?;
    let client = talk.hear(channel, FINISHED).await?;
    if client != expected {
        return Err(rubbish());
    }
    channel.send(CHANGE_CIPHER_SPEC, &[1]).await?;
    channel.writing = Some(Seal::new(server_key, server_salt));
    let server = prf(master, b"server finished", &sha256(&talk.transcript), VERIFY_BYTES)?;
    talk.say(channel, FINISHED, &server).await?;
    Ok(Finished { client, server })
}

fn server_hello(key: &PKey<Private>, random: &[u8], before: Option<&Finished>) -> Vec<u8> {
    let suite = if key.id() == Id::RSA { [0xc0, 0x2f] } else { [0xc0, 0x2b] };
    let bound = before.map_or(Vec::new(), |it| [it.client.as_slice(), &it.server].concat());
    // `renegotiation_info`, RFC 5746 section 3.2; both lengths are far below 256.
    let length = u8::try_from(bound.len()).unwrap_or(u8::MAX);
    let extension = [&[0xff, 0x01, 0, length + 1, length][..], &bound].concat();
    let extensions = [&[0, length + 5][..], &extension].concat();
    [&[3, 3], random, &[0], &suite, &[0], &extensions].concat()
}

fn key_exchange(
    signing: &PKey<Private>,
    group: &EcGroup,
    key: &EcKey<Private>,
    randoms: &[u8],
) -> Result<Vec<u8>, ErrorStack> {
    let mut numbers = BigNumContext::new()?;
    let form = PointConversionForm::UNCOMPRESSED;
    let point = key.public_key().to_bytes(group, form, &mut numbers)?;
    // A named curve, secp256r1, RFC 8422 section 5.4.
    let length = u8::try_from(point.len()).unwrap_or(u8::MAX);
    let params = [&[3, 0, 23, length][..], &point].concat();
    let mut signer = Signer::new(MessageDigest::sha256(), signing)?;
    let signature = signer.sign_oneshot_to_vec(&[randoms, &params].concat())?;
    let how = if signing.id() == Id::RSA { [4, 1] } else { [4, 3] };
    let length = u16::try_from(signature.len()).unwrap_or(u16::MAX).to_be_bytes();
    Ok([params.as_slice(), &how, &length, &signature].concat())
}

fn agree(group: &EcGroup, ours: EcKey<Private>, theirs: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    let mut numbers = BigNumContext::new()?;
    let point = EcPoint::from_bytes(group, theirs, &mut numbers)?;
    let theirs = PKey::from_ec_key(EcKey::from_public_key(group, &point)?)?;
    let ours = PKey::from_ec_key(ours)?;
    let mut deriver = Deriver::new(&ours)?;
    deriver.set_peer(&theirs)?;
    deriver.derive_to_vec()
}

/// RFC 5246 section 5, with SHA-256.
fn prf(secret: &[u8], label: &[u8], seed: &[u8], length: usize) -> Result<Vec<u8>, ErrorStack> {
    let key = PKey::hmac(secret)?;
    let hash = |parts: &[&[u8]]| {
        Signer::new(MessageDigest::sha256(), &key)?.sign_oneshot_to_vec(&parts.concat())
    };
    let mut chained = hash(&[label, seed])?;
    let mut out = Vec::with_capacity(length + chained.len());
    while out.len() < length {
        out.extend(hash(&[&chained, label, seed])?);
        chained = hash(&[&chained])?;
    }
    out.truncate(length);
    Ok(out)
}

/// Bytes behind their length in three bytes.
pub(super) fn behind_length_24(bytes: &[u8]) -> impl Iterator<Item = u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
    length.into_iter().skip(1).chain(bytes.iter().copied())
}
