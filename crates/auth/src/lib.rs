//! Secrets and what is made of them: the type that holds one, its sealing on the wire and at rest, and the headers of a login.
//!
//! Bytes in, bytes out. Absent on purpose: sockets, clocks, async, logging; `probe` decides over which connection a header goes.
//!
//! INVARIANT: no secret is readable through `Debug`, `Display` or an error; [`Secret::expose`] is the only way to its text.
//! INVARIANT: whatever a peer sends, decoding ends as a value.

mod basic;
mod envelope;
mod impossible;
mod join_token;
pub mod ntlm;
mod seal;
mod secret;

pub use basic::{InvalidLogin, basic_authorization, check_login};
pub use envelope::{EnvelopeError, EnvelopeKey, Sealed as SealedAtRest};
pub use impossible::ImpossibleUser;
pub use join_token::{JoinToken, JoinTokenError};
pub use seal::{Binding, Opener, SealError, Sealed, seal};
pub use secret::{InvalidSecret, Secret};
