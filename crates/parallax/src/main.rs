//! The one program: controller, agent, demo, and the command line for people and platforms.
//!
//! `cli` says what may be typed, `commands` does it (one file per command), `render` is the only module that prints.
//! With `--no-default-features --features agent` only `parallax agent` is in it.
//!
//! INVARIANT: a release build has no fail points, or it does not compile.
//! INVARIANT: a secret that lasts is never an argument; it comes from a prompt, stdin, a file or the environment.

mod cli;
mod commands;
mod failure;
mod render;
mod running;

#[cfg(feature = "full")]
mod client;
#[cfg(feature = "full")]
mod embedded;
#[cfg(feature = "full")]
mod files;
#[cfg(feature = "full")]
mod following;
#[cfg(feature = "full")]
mod outcome;
#[cfg(feature = "full")]
mod secret;

use clap::Parser as _;

// Built together with the campaigns that kill processes, every crate has their fail points.
const _: () = assert!(
    cfg!(debug_assertions) || !parallax_agent::HAS_FAIL_POINTS,
    "a release must not die where its environment says: build the program by itself, with `-p parallax`"
);

fn main() -> std::process::ExitCode {
    parallax_process::report_panics();
    // Only the first call of a process counts, and this is it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    commands::run(cli::Cli::parse()).into()
}
