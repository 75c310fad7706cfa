//! Who serves the service further in? Arranged once, so that any path finds it without a walk over all the others.
//!
//! INVARIANT: a path is never its own witness.

use std::collections::BTreeMap;

use parallax_model::{EvidenceRef, Look, Role, Zone};

use crate::claim::Claim;
use crate::claims::other_side;
use crate::condition;
use crate::seen::{Met, Seen, Spot};

/// Enough for any path to find one that is not itself.
const KEPT: usize = 2;

/// What the fronts came to that an outer path may be compared with.
#[derive(Default)]
pub(crate) struct Further<'e> {
    /// Published names, as seen from each zone.
    published: BTreeMap<Zone, Shelf<'e>>,
    /// Client access servers dialled directly, from wherever.
    nodes: Shelf<'e>,
}

#[derive(Default)]
struct Shelf<'e> {
    count: usize,
    /// Asked for a logon, or healthy otherwise.
    serving: Vec<Met<'e>>,
    /// Any other answer, by its status.
    others: BTreeMap<u16, (usize, Vec<Met<'e>>)>,
}

impl<'e> Shelf<'e> {
    fn add(&mut self, seen: &Seen<'e>, spot: &Spot<'e>) {
        self.count += 1;
        let Some((met, answer)) = spot.answer(&Look::OPTIONS) else { return };
        let is_serving =
            answer.status == 401 || condition::is_anonymous_healthy(seen, spot.endpoint, answer);
        let kept = if is_serving {
            &mut self.serving
        } else {
            let (count, kept) = self.others.entry(answer.status).or_default();
            *count += 1;
            kept
        };
        if kept.len() < KEPT {
            kept.push(met);
        }
    }
}

impl<'e> Further<'e> {
    pub(crate) fn of(seen: &Seen<'e>) -> Self {
        let mut further = Self::default();
        for spot in seen.fronts() {
            let shelf = if spot.endpoint.role == Role::Cas {
                &mut further.nodes
            } else {
                further.published.entry(spot.vantage.zone).or_default()
            };
            shelf.add(seen, spot);
        }
        further
    }

    /// Some inner vantage (or the CAS dialled directly) is asked for a logon: the path is served there, whatever else may be
    /// wrong with it. The same refusal everywhere inside says that it is the server's own; anything else, one server among several
    /// too, settles nothing.
    pub(crate) fn serves(&self, outer: &Spot<'_>) -> Claim {
        let inner = self
            .published
            .range(outer.vantage.zone..)
            .filter(|(zone, _)| **zone > outer.vantage.zone);
        let shelves: Vec<&Shelf<'e>> = inner.map(|(_, shelf)| shelf).chain([&self.nodes]).collect();
        let is_other = |met: &&Met<'e>| met.path != outer.path;
        let outside = outer.answer(&Look::OPTIONS).map(|(_, answer)| answer.status);
        // A server that was dialled directly says what is said outside: another one that serves clears nobody.
        let at_nodes = outside.and_then(|it| self.nodes.others.get(&it));
        if at_nodes.is_some_and(|(_, met)| met.iter().any(|it| is_other(&it)))
            && shelves.iter().any(|it| !it.serving.is_empty())
        {
            return Claim::undecidable();
        }
        if let Some(met) = shelves.iter().flat_map(|it| &it.serving).find(is_other) {
            return Claim::holds(met.reference());
        }
        // A client access server stands among the nodes itself.
        let own = usize::from(outer.endpoint.role == Role::Cas);
        let count: usize = shelves.iter().map(|it| it.count).sum();
        if count == own {
            return Claim::unknown(other_side(outer));
        }
        let alike = || shelves.iter().filter_map(|it| it.others.get(&outside?));
        let of_own = if outside.is_some() { own } else { 0 };
        let same: usize = alike().map(|(count, _)| count).sum();
        let against: Vec<EvidenceRef> =
            alike().flat_map(|(_, met)| met).filter(is_other).map(Met::reference).collect();
        if same.saturating_sub(of_own) == count - own && !against.is_empty() {
            Claim::Fails(against)
        } else {
            Claim::undecidable()
        }
    }
}
