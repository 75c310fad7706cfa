//! The Type-1 (`NEGOTIATE_MESSAGE`, MS-NLMP 2.2.1.1) that opens an NTLM login.
//!
//! Neither domain nor workstation is named: the message tells the server nothing about where the probe stands.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

pub(super) const SIGNATURE: &[u8; 8] = b"NTLMSSP\0";

/// `NegotiateFlags` (MS-NLMP 2.2.2.5), the set a Windows client opens with: UNICODE, OEM, `REQUEST_TARGET`, NTLM,
/// `ALWAYS_SIGN`, `EXTENDED_SESSIONSECURITY`, VERSION, 128, 56.
const FLAGS: u32 = 0xA208_8207;

/// `VERSION` (MS-NLMP 2.2.2.10): 10.0.17763, revision 15. Some servers send theirs only to a client that sends one.
const VERSION: [u8; 8] = [0x0A, 0x00, 0x63, 0x45, 0x00, 0x00, 0x00, 0x0F];

/// The 40 bytes of the Type-1.
pub fn type1() -> [u8; 40] {
    let mut message = [0; 40];
    message[..8].copy_from_slice(SIGNATURE);
    message[8] = 1;
    message[12..16].copy_from_slice(&FLAGS.to_le_bytes());
    // DomainNameFields and WorkstationFields (16..32) stay zero: empty, at offset 0.
    message[32..].copy_from_slice(&VERSION);
    message
}

/// The value of `Authorization` that carries the Type-1. Holds nothing secret.
pub fn type1_authorization() -> HeaderValue {
    HeaderValue::try_from(format!("NTLM {}", STANDARD.encode(type1())))
        .unwrap_or_else(|_| HeaderValue::from_static("NTLM"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_of_ms_nlmp_2_2_1_1() {
        let message = type1();
        assert_eq!(&message[..8], b"NTLMSSP\0");
        assert_eq!(message[8..12], 1u32.to_le_bytes());
        assert_eq!(message[12..16], [0x07, 0x82, 0x08, 0xA2]);
        assert_eq!(message[16..32], [0; 16]);
        assert_eq!(message[32..], [10, 0, 0x63, 0x45, 0, 0, 0, 15]);
        assert_eq!(
            type1_authorization(),
            "NTLM TlRMTVNTUAABAAAAB4IIogAAAAAAAAAAAAAAAAAAAAAKAGNFAAAADw=="
        );
    }
}
