//! The controller from outside: real listeners on loopback, a real store, the API's own client, and agents that say
//! what a test tells them, over mutual TLS.
//!
//! Absent on purpose: real probes; what agents see is written down in the tests.

// Always so in here; said again, because clippy reads it to tell tests from the product.
#[cfg(test)]
mod agent;
#[cfg(test)]
mod api;
#[cfg(test)]
mod bed;
#[cfg(test)]
mod diagnoses;
#[cfg(test)]
mod joining;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod limits_agents;
#[cfg(test)]
mod logons;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod sessions;
