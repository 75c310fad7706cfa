//! The hostile servers, by family: each a name, what the observation must say, and what is done to the client.
//!
//! INVARIANT: names are unique; `says` speaks of the phase that was attacked.

mod bodies;
mod challenges;
mod endings;
mod framing;
mod heads;
mod redirects;
mod texts;
mod tls;

use super::step::{Scene, Step};
pub(super) use heads::INTERIM_LIMIT;
pub(super) use tls::{Below, Cut, End, Records, Shown};

/// One way to be hostile.
pub(super) struct Behaviour {
    pub(super) name: &'static str,
    /// The label of the exchange that met it, or of transport and exchange where the attack lies below HTTP.
    pub(super) says: &'static str,
    pub(super) conduct: Conduct,
}

pub(super) enum Conduct {
    /// The answer to a request.
    Answer(fn(&Scene) -> Vec<Step>),
    /// Something below HTTP.
    Below(Below),
}

const fn answers(
    name: &'static str,
    says: &'static str,
    script: fn(&Scene) -> Vec<Step>,
) -> Behaviour {
    Behaviour { name, says, conduct: Conduct::Answer(script) }
}

const fn below(name: &'static str, says: &'static str, below: Below) -> Behaviour {
    Behaviour { name, says, conduct: Conduct::Below(below) }
}

const FAMILIES: [(&str, &[Behaviour]); 8] = [
    ("heads", heads::ALL),
    ("bodies", bodies::ALL),
    ("framing", framing::ALL),
    ("texts", texts::ALL),
    ("challenges", challenges::ALL),
    ("endings", endings::ALL),
    ("redirects", redirects::ALL),
    ("tls", tls::ALL),
];

/// All of them, with their families.
pub(super) fn all() -> impl Iterator<Item = (&'static str, &'static Behaviour)> {
    FAMILIES.iter().flat_map(|(family, list)| list.iter().map(move |it| (*family, it)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn there_are_enough_and_each_has_a_name_of_its_own() {
        let names: BTreeSet<_> = all().map(|(_, it)| it.name).collect();
        assert_eq!(names.len(), all().count());
        assert!(names.len() >= 60, "{}", names.len());
    }
}
