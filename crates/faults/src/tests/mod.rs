//! The engine against evidence written in one notation, and against evidence that nobody would write.
//!
//! The worlds are the large test of the catalogue; here stand the rules that hold for every fault.

mod any_evidence;
mod notation;
mod seed;
mod single;
