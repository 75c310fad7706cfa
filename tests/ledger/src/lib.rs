//! A model of the logon ledger, checked exhaustively: do N agents together ever cause more failed
//! logons than an account may bear?
//!
//! [`protocol`] is the exchange reserve, offer, begin, start, go, result, settle, between a
//! controller, agents that crash, a network that duplicates, reorders, delays and loses, and people
//! who change passwords. [`quiet_gap`] is the other half: when may a spent budget be used again,
//! held against the directory's own counter. [`variants`] lists what is checked: the protocol as
//! it is, and the same protocol with one mistake each ([`defects`]).
//!
//! Deliberately absent: sockets, SQL, cryptography, the classification of answers. A model checks
//! the design; that the code follows it is shown by the tests of the store and the controller.
//!
//! INVARIANT: a model reads nothing but its own state, so every run explores the same states.

pub mod defects;
pub mod findings;
pub mod protocol;
pub mod quiet_gap;
pub mod small_set;
pub mod variants;
