//! What does a host say of itself in an NTLM Type-2 message?
//!
//! [MS-NLMP] 2.2.1.2 `CHALLENGE_MESSAGE` with its AV pairs (2.2.2.1) and VERSION (2.2.2.10).
//! Absent on purpose: sessions; the challenge is random and nothing checks a response to it here.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use time::OffsetDateTime;

use crate::format::Ntlm;

const UNICODE: u32 = 0x0000_0001;
const REQUEST_TARGET: u32 = 0x0000_0004;
const NTLM: u32 = 0x0000_0200;
const ALWAYS_SIGN: u32 = 0x0000_8000;
const TARGET_TYPE_DOMAIN: u32 = 0x0001_0000;
const TARGET_TYPE_SERVER: u32 = 0x0002_0000;
const EXTENDED_SESSION_SECURITY: u32 = 0x0008_0000;
const TARGET_INFO: u32 = 0x0080_0000;
const VERSION: u32 = 0x0200_0000;
const KEY_128: u32 = 0x2000_0000;
const KEY_56: u32 = 0x8000_0000;

/// Bytes before the payload: the fixed fields and VERSION.
const PAYLOAD_OFFSET: u32 = 56;

/// `NTLMSSP_REVISION_W2K3`, the only revision in use.
const REVISION: u8 = 15;

/// 100 ns intervals between 1601-01-01 and 1970-01-01.
const FILETIME_OF_UNIX_EPOCH: i128 = 116_444_736_000_000_000;

/// The message as base64; `clock` is the time by this host's own clock.
pub(super) fn type2(facts: &Ntlm, challenge: [u8; 8], clock: OffsetDateTime) -> String {
    let stand_alone = facts.nb_domain.eq_ignore_ascii_case(&facts.nb_computer);
    let version = version(&facts.os);
    let mut flags = UNICODE
        | REQUEST_TARGET
        | NTLM
        | ALWAYS_SIGN
        | EXTENDED_SESSION_SECURITY
        | TARGET_INFO
        | KEY_128
        | KEY_56;
    flags |= if stand_alone { TARGET_TYPE_SERVER } else { TARGET_TYPE_DOMAIN };
    if version.is_some() {
        flags |= VERSION;
    }
    let target = utf16(&facts.nb_domain);
    let info = target_info(facts, clock);

    let mut message = Vec::with_capacity(256);
    message.extend_from_slice(b"NTLMSSP\0");
    message.extend_from_slice(&2_u32.to_le_bytes());
    field(&mut message, &target, PAYLOAD_OFFSET);
    message.extend_from_slice(&flags.to_le_bytes());
    message.extend_from_slice(&challenge);
    message.extend_from_slice(&[0; 8]);
    let info_offset = PAYLOAD_OFFSET + u32::try_from(target.len()).unwrap_or(u32::MAX);
    field(&mut message, &info, info_offset);
    message.extend_from_slice(&version.unwrap_or_default());
    message.extend_from_slice(&target);
    message.extend_from_slice(&info);
    BASE64_STANDARD.encode(message)
}

/// Length, allocated length and offset of one payload field.
fn field(message: &mut Vec<u8>, payload: &[u8], offset: u32) {
    let length = u16::try_from(payload.len()).unwrap_or(u16::MAX).to_le_bytes();
    message.extend_from_slice(&length);
    message.extend_from_slice(&length);
    message.extend_from_slice(&offset.to_le_bytes());
}

fn target_info(facts: &Ntlm, clock: OffsetDateTime) -> Vec<u8> {
    let mut info = Vec::new();
    // The order of Windows: NetBIOS domain, NetBIOS computer, DNS domain, DNS computer.
    let names = [
        (2, &facts.nb_domain),
        (1, &facts.nb_computer),
        (4, &facts.dns_domain),
        (3, &facts.dns_computer),
    ];
    for (id, name) in names.into_iter().filter(|(_, it)| !it.is_empty()) {
        pair(&mut info, id, &utf16(name));
    }
    if facts.timestamp {
        let ticks = clock.unix_timestamp_nanos() / 100 + FILETIME_OF_UNIX_EPOCH;
        pair(&mut info, 7, &u64::try_from(ticks).unwrap_or_default().to_le_bytes());
    }
    pair(&mut info, 0, &[]);
    info
}

fn pair(info: &mut Vec<u8>, id: u16, value: &[u8]) {
    info.extend_from_slice(&id.to_le_bytes());
    info.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
    info.extend_from_slice(value);
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// `major.minor.build` as VERSION; `None` if it cannot be read.
fn version(os: &str) -> Option<[u8; 8]> {
    let mut parts = os.split('.');
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next()?.parse().ok()?;
    let build: u16 = parts.next()?.parse().ok()?;
    let [low, high] = build.to_le_bytes();
    Some([major, minor, low, high, 0, 0, 0, REVISION])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [MS-NLMP] 2.2.1.2: fixed fields, then target name and target information where they say.
    #[test]
    fn fields_lie_where_the_message_says() {
        let facts = Ntlm {
            nb_computer: "CAS1".to_owned(),
            nb_domain: "CORP".to_owned(),
            dns_computer: "cas1.corp.example".to_owned(),
            dns_domain: "corp.example".to_owned(),
            os: "6.1.7601".to_owned(),
            timestamp: true,
        };
        let bytes = BASE64_STANDARD
            .decode(type2(&facts, [7; 8], OffsetDateTime::UNIX_EPOCH))
            .expect("base64");
        assert_eq!(&bytes[..12], b"NTLMSSP\0\x02\0\0\0");
        assert_eq!(&bytes[24..32], &[7; 8]);
        assert_eq!(&bytes[48..56], &[6, 1, 0xb1, 0x1d, 0, 0, 0, 15]);
        let word = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
        assert_eq!(&bytes[word(16)..word(16) + word(12)], utf16("CORP"));
        let info = &bytes[word(44)..word(44) + word(40)];
        assert!(info.ends_with(&[0, 0, 0, 0]));
        let ticks = u64::try_from(FILETIME_OF_UNIX_EPOCH).expect("positive").to_le_bytes();
        assert!(info.windows(12).any(|it| it[..4] == [7, 0, 8, 0] && it[4..] == ticks));
        assert_eq!(bytes.len(), word(44) + word(40));
    }
}
