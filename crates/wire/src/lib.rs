//! The wire format and every conversion between it and the model.
//!
//! One file per message family, both directions in it: `From<&model>` encodes, `TryFrom<pb>` decodes and names the
//! field that is wrong; `check_target` and `check_account` collect all mistakes, because the API reports all at once;
//! `document` does so for files.
//!
//! Absent on purpose: texts for people (the controller fills them), secrets (a message may carry one in, nothing here
//! looks at it beyond its length), and any opinion about what the values mean.
//!
//! INVARIANT: decoding what was encoded gives the same value; decoding anything else gives an error, never a panic.

mod account;
mod diagnosis;
mod document;
mod endpoint;
mod error;
mod exchange;
mod fleet;
mod look;
mod report;
mod scalar;
mod target;
mod task;
mod tls;

pub use account::{check_account, check_secret};
pub use diagnosis::{fill_judgement, read_zone, standing_word, zone_word};
pub use document::{read_account_document, read_target_document};
pub use error::{DecodeError, FieldViolation, Problem};
pub use fleet::{JOIN_TOKEN_TTL, WantedJoinToken, check_join_token};
pub use scalar::{
    account_name, decode_duration, decode_time, diagnosis_name, encode_duration, encode_time,
};
pub use target::{check_target, target_name};
pub use task::{decode_offer, encode_offer, go_aad};

#[allow(
    clippy::all,
    clippy::pedantic,
    clippy::restriction,
    rustdoc::all,
    reason = "generated code"
)]
pub mod pb;
