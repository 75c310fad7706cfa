//! What an NTLM Type-2 message tells before any password is involved (MS-NLMP 2.2.1.2).
//!
//! Absent on purpose: the decoder; it stands in `auth`.

use std::time::SystemTime;

/// Facts of a Type-2 (`CHALLENGE_MESSAGE`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Type2 {
    pub netbios_computer: Option<String>,
    pub netbios_domain: Option<String>,
    pub dns_computer: Option<String>,
    pub dns_domain: Option<String>,
    pub dns_tree: Option<String>,
    /// The server's clock (`MsvAvTimestamp`); Windows Server 2003 sends none.
    pub timestamp: Option<SystemTime>,
    /// Major, minor, build, as in 6.1.7601.
    pub version: Option<(u8, u8, u16)>,
}
