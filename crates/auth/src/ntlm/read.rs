//! Decoding a Type-2 (`CHALLENGE_MESSAGE`, MS-NLMP 2.2.1.2): which machine, which domain, which clock, which build.
//!
//! Every offset in the message is the peer's word and is checked against its end.
//!
//! INVARIANT: arbitrary bytes give a value or an error, never a panic, and cost time linear in their length.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use parallax_model::{Challenge, Scheme, Type2};

use super::write::SIGNATURE;

/// The longest token looked at, in base64 characters. Windows sends a few hundred.
const TOKEN_MAX: usize = 16 * 1024;

/// The longest name kept of an AV pair, in bytes of UTF-16.
const NAME_BYTES_MAX: usize = 512;

/// `NTLMSSP_NEGOTIATE_VERSION` (MS-NLMP 2.2.2.5).
const FLAG_VERSION: u32 = 0x0200_0000;

/// From 1601-01-01, where FILETIME begins, to 1970-01-01: 134,774 days.
const FILETIME_TO_UNIX: Duration = Duration::from_hours(24 * 134_774);

/// Servers disagree on padding; both ways are read.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why bytes are no Type-2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidType2 {
    #[error("does not begin with the NTLMSSP signature")]
    NoSignature,
    #[error("is not message type 2")]
    OtherType,
    #[error("ends before its fixed part does")]
    TooShort,
    #[error("its target information lies outside the message")]
    OutOfBounds,
}

/// The first Type-2 among the challenges of an answer, from `NTLM` or from a `Negotiate` that carries bare NTLM.
pub fn find_type2(challenges: &[Challenge]) -> Option<Type2> {
    challenges
        .iter()
        .filter(|it| matches!(it.scheme, Scheme::Ntlm | Scheme::Negotiate))
        .filter_map(|it| it.token.as_deref())
        .filter(|token| token.len() <= TOKEN_MAX)
        .filter_map(|token| BASE64.decode(token).ok())
        .find_map(|message| decode_type2(&message).ok())
}

/// Decodes a Type-2 (MS-NLMP 2.2.1.2). A message without target information or version, as old servers send, is read as far
/// as it goes.
pub fn decode_type2(message: &[u8]) -> Result<Type2, InvalidType2> {
    if message.get(..8) != Some(SIGNATURE.as_slice()) {
        return Err(InvalidType2::NoSignature);
    }
    match u32_at(message, 8) {
        Some(2) => {}
        Some(_) => return Err(InvalidType2::OtherType),
        None => return Err(InvalidType2::TooShort),
    }
    let flags = u32_at(message, 20).ok_or(InvalidType2::TooShort)?;
    // The server challenge ends at 32; what follows is missing in the oldest form of the message.
    if message.len() < 32 {
        return Err(InvalidType2::TooShort);
    }
    let mut found = Type2::default();
    if let (Some(length), Some(offset)) = (u16_at(message, 40), u32_at(message, 44)) {
        read_pairs(field(message, offset, length)?, &mut found);
    }
    if flags & FLAG_VERSION != 0
        && let (Some(&[major, minor]), Some(build)) = (message.get(48..50), u16_at(message, 50))
    {
        found.version = Some((major, minor, build));
    }
    Ok(found)
}

fn field(message: &[u8], offset: u32, length: u16) -> Result<&[u8], InvalidType2> {
    if length == 0 {
        return Ok(&[]);
    }
    let start = usize::try_from(offset).map_err(|_| InvalidType2::OutOfBounds)?;
    let end = start.checked_add(usize::from(length)).ok_or(InvalidType2::OutOfBounds)?;
    message.get(start..end).ok_or(InvalidType2::OutOfBounds)
}

/// The sequence of `AV_PAIR` (MS-NLMP 2.2.2.1). A pair that runs over the end finishes the reading; what came before counts.
fn read_pairs(mut rest: &[u8], found: &mut Type2) {
    while let (Some(id), Some(length)) = (u16_at(rest, 0), u16_at(rest, 2)) {
        let end = 4 + usize::from(length);
        let Some(value) = rest.get(4..end) else { return };
        match id {
            0 => return,
            1 => found.netbios_computer = text(value),
            2 => found.netbios_domain = text(value),
            3 => found.dns_computer = text(value),
            4 => found.dns_domain = text(value),
            5 => found.dns_tree = text(value),
            7 => found.timestamp = time(value),
            // MsvAvFlags, the pairs of a Type-3, and whatever comes later.
            _ => {}
        }
        rest = &rest[end..];
    }
}

/// UTF-16LE, whatever was negotiated (MS-NLMP 2.2.2.1); unpaired surrogates replaced.
fn text(value: &[u8]) -> Option<String> {
    let kept = &value[..value.len().min(NAME_BYTES_MAX)];
    let units = kept.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let text: String =
        char::decode_utf16(units).map(|it| it.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    (!text.is_empty()).then_some(text)
}

/// A FILETIME: intervals of 100 ns since 1601-01-01. Times before 1970 are rubbish of the peer and left out.
fn time(value: &[u8]) -> Option<SystemTime> {
    let ticks = u64::from_le_bytes(value.try_into().ok()?);
    let since_1601 =
        Duration::from_secs(ticks / 10_000_000) + Duration::from_nanos((ticks % 10_000_000) * 100);
    SystemTime::UNIX_EPOCH.checked_add(since_1601.checked_sub(FILETIME_TO_UNIX)?)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let two = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_le_bytes(two.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(four.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// MS-NLMP 4.2.2.3: `CHALLENGE_MESSAGE` of `NTLMv1` authentication.
    const SECTION_4_2_2_3: &[u8] = b"NTLMSSP\0\x02\0\0\0\x0c\0\x0c\0\x38\0\0\0\x33\x82\x02\xe2\
        \x01\x23\x45\x67\x89\xab\xcd\xef\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x06\0\x70\x17\0\0\0\x0f\
        S\0e\0r\0v\0e\0r\0";

    /// MS-NLMP 4.2.4.3: `CHALLENGE_MESSAGE` of `NTLMv2` authentication.
    const SECTION_4_2_4_3: &[u8] = b"NTLMSSP\0\x02\0\0\0\x0c\0\x0c\0\x38\0\0\0\x33\x82\x8a\xe2\
        \x01\x23\x45\x67\x89\xab\xcd\xef\0\0\0\0\0\0\0\0\x24\0\x24\0\x44\0\0\0\x06\0\x70\x17\0\0\0\x0f\
        S\0e\0r\0v\0e\0r\0\x02\0\x0c\0D\0o\0m\0a\0i\0n\0\x01\0\x0c\0S\0e\0r\0v\0e\0r\0\0\0\0\0";

    /// A message as Windows Server 2008 R2 sends it, with every pair.
    fn full(pairs: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let mut info = Vec::new();
        for (id, value) in pairs {
            info.extend(id.to_le_bytes());
            info.extend(u16::try_from(value.len()).expect("short").to_le_bytes());
            info.extend(value);
        }
        info.extend([0; 4]);
        let mut message = SECTION_4_2_2_3[..40].to_vec();
        let length = u16::try_from(info.len()).expect("short").to_le_bytes();
        message.extend(length);
        message.extend(length);
        message.extend(56u32.to_le_bytes());
        message.extend([6, 1, 0xB1, 0x1D, 0, 0, 0, 15]);
        message.extend(info);
        message
    }

    fn utf16(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn ms_nlmp_4_2_2_3_has_no_target_information() {
        let found = decode_type2(SECTION_4_2_2_3).expect("valid");
        assert_eq!(found, Type2 { version: Some((6, 0, 6000)), ..Type2::default() });
    }

    #[test]
    fn ms_nlmp_4_2_4_3_names_server_and_domain() {
        let found = decode_type2(SECTION_4_2_4_3).expect("valid");
        assert_eq!(
            found,
            Type2 {
                netbios_computer: Some("Server".to_owned()),
                netbios_domain: Some("Domain".to_owned()),
                version: Some((6, 0, 6000)),
                ..Type2::default()
            }
        );
    }

    #[test]
    fn every_pair_is_read_and_strange_ones_are_passed_over() {
        // 2010-07-08 10:40:00 UTC.
        let unix_seconds = 1_278_585_600u64;
        let ticks = (unix_seconds + FILETIME_TO_UNIX.as_secs()) * 10_000_000 + 1_234_567;
        let found = decode_type2(&full(&[
            (2, utf16("CORP")),
            (1, utf16("CAS1")),
            (99, vec![1, 2, 3]),
            (4, utf16("corp.example")),
            (3, utf16("cas1.corp.example")),
            (5, utf16("example")),
            (6, vec![0; 4]),
            (7, ticks.to_le_bytes().to_vec()),
        ]))
        .expect("valid");
        assert_eq!(
            found,
            Type2 {
                netbios_computer: Some("CAS1".to_owned()),
                netbios_domain: Some("CORP".to_owned()),
                dns_computer: Some("cas1.corp.example".to_owned()),
                dns_domain: Some("corp.example".to_owned()),
                dns_tree: Some("example".to_owned()),
                timestamp: Some(
                    SystemTime::UNIX_EPOCH
                        + Duration::from_secs(unix_seconds)
                        + Duration::from_nanos(123_456_700)
                ),
                version: Some((6, 1, 7601)),
            }
        );
    }

    #[test]
    fn found_in_either_scheme_padded_or_not() {
        let padded = base64::engine::general_purpose::STANDARD.encode(SECTION_4_2_4_3);
        let bare = padded.trim_end_matches('=').to_owned();
        for (scheme, token) in [(Scheme::Ntlm, padded), (Scheme::Negotiate, bare)] {
            let offered = Challenge { scheme: Scheme::Basic, token: None, parameters: Vec::new() };
            let carried = Challenge { scheme, token: Some(token), parameters: Vec::new() };
            let found = find_type2(&[offered, carried]).expect("there is one");
            assert_eq!(found.netbios_computer.as_deref(), Some("Server"));
        }
    }

    #[test]
    fn what_is_no_type_2_says_why() {
        let mut outside = SECTION_4_2_4_3.to_vec();
        outside[44..48].copy_from_slice(&u32::MAX.to_le_bytes());
        for (message, error) in [
            (b"".as_slice(), InvalidType2::NoSignature),
            (b"NTLMSSP\0\x01\0\0\0", InvalidType2::OtherType),
            (b"NTLMSSP\0\x02\0\0\0", InvalidType2::TooShort),
            (&SECTION_4_2_4_3[..31], InvalidType2::TooShort),
            (&SECTION_4_2_4_3[..103], InvalidType2::OutOfBounds),
            (&outside, InvalidType2::OutOfBounds),
        ] {
            assert_eq!(decode_type2(message), Err(error));
        }
    }

    #[test]
    fn a_pair_over_the_end_keeps_what_came_before() {
        let mut message = full(&[(1, utf16("CAS1")), (2, utf16("CORP"))]);
        // The length of the second pair points far behind the message.
        let second = 56 + 4 + 8;
        message[second + 2..second + 4].copy_from_slice(&u16::MAX.to_le_bytes());
        let found = decode_type2(&message).expect("valid");
        assert_eq!(found.netbios_computer.as_deref(), Some("CAS1"));
        assert_eq!(found.netbios_domain, None);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = decode_type2(&bytes);
        }

        #[test]
        fn a_type_2_with_arbitrary_changes_never_panics(
            changes in proptest::collection::vec((0usize..104, any::<u8>()), 0..12),
            kept in 0usize..=104,
        ) {
            let mut message = SECTION_4_2_4_3.to_vec();
            for (at, byte) in changes {
                message[at] = byte;
            }
            let _ = decode_type2(&message[..kept]);
        }

        #[test]
        fn an_arbitrary_token_never_panics(token in ".{0,200}") {
            let carried = Challenge { scheme: Scheme::Ntlm, token: Some(token), parameters: Vec::new() };
            let _ = find_type2(&[carried]);
        }
    }
}
