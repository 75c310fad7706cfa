//! The engine against evidence written in one notation, and against evidence that nobody would write.
//!
//! The worlds are the large test of the catalogue; here stand the rules that hold for every fault.

mod account;
mod any_evidence;
mod dns;
mod febe;
mod fields;
mod iis;
mod network;
mod notation;
mod other;
mod preauth;
mod publishing;
mod recognise;
mod seed;
mod single;
mod time;
mod tls;
mod twists;
