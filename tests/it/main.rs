//! Whole-system tests, one binary of the package `parallax`: what holds for the source and for the program as a whole.
//!
//! `tidy` reads the source, `examples` what is handed out; `program` runs the real program from outside, for `demo`,
//! `mistakes`, `installation` and `secrets`; `rules` judges what the worlds leave; `needles` looks for secrets in what they leave behind.

// Always so in here; said again, because clippy reads it to tell tests from the product.
#![cfg(test)]

mod demo;
mod examples;
mod installation;
mod mistakes;
mod needles;
mod program;
mod rules;
mod secrets;
mod tidy;
