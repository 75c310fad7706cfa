//! NTLM as far as no password is needed (MS-NLMP): the opening Type-1 and what the server's Type-2 tells about it.
//!
//! The Type-2 is made before any password is involved, so this costs no logon. Absent on purpose: Type-3.

mod read;
mod write;

pub use read::{InvalidType2, decode_type2, find_type2};
pub use write::{type1, type1_authorization};
