//! The catalogue of faults and the differential engine: evidence in, diagnosis out.
//!
//! Absent on purpose: sockets, clocks, async, logging, the wire. Facts are made at the edge, opinions here.
//!
//! INVARIANT: pure functions over [`parallax_model::Evidence`]; the same evidence gives the same diagnosis.
//! INVARIANT: the limit of our own tools, and the silence of an agent, are never evidence against the target.

mod calendar;
mod causes;
mod claim;
mod claims;
mod condition;
mod controls;
mod difference;
mod face;
mod fault;
mod further;
mod judge;
mod logon;
mod matrix;
mod recognise;
mod responder;
mod seen;
mod sign;
mod texts;
mod time;
mod words;

#[cfg(test)]
mod tests;

pub use fault::{Basis, Era, Fault, Layer, Owner, Reach, Severity};
pub use judge::diagnose;
pub use logon::{Acceptance, LogonOutcome, acceptance, classify, cost};
pub use seen::given_addresses;
pub use texts::{Language, Text, text};

/// Every fault of the catalogue, in the order in which a request meets the layers.
pub fn catalogue() -> impl Iterator<Item = &'static Fault> {
    causes::all()
}
