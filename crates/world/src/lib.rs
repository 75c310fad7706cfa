//! Simulated networks from data files: what does a world look like, and who plays it?
//!
//! `format` reads a file, `simulation` decides what every request gets (pure state and a clock),
//! `certificates` mints what the TLS listeners show, `network` puts all of it on loopback sockets.
//! `register` says what the product may know of a world, `installation` puts a real controller and real agents around
//! it, `check` runs worlds side by side, `grade` compares the answers with what the files expect, `demo` keeps one world
//! up; `evidence` puts together what an answer was judged by. Absent on purpose: opinions about faults. A world answers; it never judges.
//!
//! INVARIANT: every socket is bound to loopback, on a port the system chose.
//! INVARIANT: the secrets of a run are random and live in memory only.

pub mod certificates;
pub mod check;
pub mod demo;
pub mod evidence;
pub mod format;
pub mod grade;
pub mod installation;
pub mod network;
pub mod register;
pub mod simulation;
