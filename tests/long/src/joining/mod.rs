//! Who gets into the fleet, and who is out of it: `token-race` and `ban`.
//!
//! `token-race` lets many at once present one token; `ban` shuts agents out while they are connected over real mutual TLS, at
//! the worst moments. Absent on purpose: the agent's side of joining, which has its own tests.

mod agent;
mod ban;
mod bed;
mod race;

use crate::campaign::Campaign;

/// One token, many askers.
pub(crate) const TOKEN_RACE: Campaign = Campaign {
    name: "token-race",
    about: "of 100 who present one join token at once, exactly one joins",
    run: race::run,
};

/// Agents that are shut out.
pub(crate) const BAN: Campaign = Campaign {
    name: "ban",
    about: "a banned agent's stream is cut within 5 s, and no task reaches it afterwards",
    run: ban::run,
};
