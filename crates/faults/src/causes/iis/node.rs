//! What the faults of one IIS server share: where its own word is to be had, and along which paths clients meet the same.
//!
//! A client access server that is dialled directly speaks for itself; outside `X-FEServer` shows that Exchange's own site
//! answered, though something may have touched the answer on its way.
//!
//! INVARIANT: what a publishing layer answers is never taken for the server's word.

use std::collections::BTreeMap;
use std::rc::Rc;

use parallax_model::{Answer, Generation, Look, Need, PathId, Role, Scheme, TextPlace};

use crate::claim::{Claim, all};
use crate::claims::{is_active_sync_path, other_side, unanswered};
use crate::condition::Stage;
use crate::fault::{Case, Explains};
use crate::responder;
use crate::seen::{Met, Seen, Spot};
use crate::sign;
use crate::words;

const STAGES: &[Stage] = &[Stage::Anonymous, Stage::Logon];

/// Whether IIS or Exchange of this endpoint answered, and nothing in front of it.
pub(super) fn is_own(spot: &Spot<'_>, answer: &Answer) -> bool {
    let is_direct = spot.endpoint.role == Role::Cas
        && responder::is_exchange_or_iis(answer)
        && responder::publisher_mark(answer).is_none();
    is_direct || answer.headers.has("X-FEServer")
}

/// The server that gave an answer: by its own name, else by the endpoint that was dialled directly.
pub(super) fn server(spot: &Spot<'_>, answer: &Answer) -> Option<String> {
    if !is_own(spot, answer) {
        return None;
    }
    let named = answer.headers.first("X-FEServer").map(str::to_ascii_lowercase);
    named.or_else(|| Some(spot.endpoint.name.to_string()))
}

/// Where the servers themselves can be heard: those dialled directly, and published names along which `X-FEServer` comes
/// back; every published name where no server is dialled directly with success. A URL that leads past the `ActiveSync` directory
/// hears another directory, and of that these faults say nothing.
pub(super) fn asked<'a, 'e>(seen: &'a Seen<'e>) -> Vec<&'a Spot<'e>> {
    let on_premises = |spot: &&Spot<'_>| {
        !matches!(
            responder::generation(seen, spot.endpoint),
            Some(Generation::Online | Generation::Other)
        )
    };
    let has_node = seen.with_role(Role::Cas).any(|it| it.answer(&Look::OPTIONS).is_some());
    let is_heard = |spot: &&Spot<'_>| {
        spot.is_seen()
            && (spot.endpoint.role == Role::Cas
                || !has_node
                || spot
                    .answer(&Look::OPTIONS)
                    .is_some_and(|(_, answer)| answer.headers.has("X-FEServer")))
    };
    seen.fronts()
        .filter(|it| is_active_sync_path(it.endpoint))
        .filter(is_heard)
        .filter(on_premises)
        .collect()
}

/// A fault of a server that shows in its answer to the anonymous question: one case for each place where it can be heard,
/// accounting for every path along which the same comes back. `premises` gives what else must hold and what makes it firm.
pub(super) fn cases<'e>(
    seen: &Seen<'e>,
    is_such: impl Fn(&Answer) -> bool,
    premises: impl Fn(&Spot<'e>) -> (Claim, Claim),
    expected: &str,
) -> Vec<Case> {
    let spots = asked(seen);
    let paths: Rc<[PathId]> = seen
        .fronts()
        .filter(|it| it.latest(&Look::OPTIONS).iter().any(|met| met.answer().is_some_and(&is_such)))
        .map(|it| it.path.clone())
        .collect();
    let words_of_nodes = words_of_nodes(seen);
    sign::along(
        spots,
        |spot| spot.sign(&Look::OPTIONS, &is_such),
        |spot, shown| {
            let said = spot.latest(&Look::OPTIONS).iter().find_map(Met::answer);
            let (must, firmer) = premises(spot);
            let direct = at_the_server(&words_of_nodes, spot, &is_such);
            Case::new(spot, all([shown, is_own_word(spot), must]), STAGES)
                .firmer(all([direct, firmer]))
                .explaining(Explains { paths: Rc::clone(&paths), stages: STAGES, logons_of: None })
                .with(TextPlace::Seen, said.map(words::answer).unwrap_or_default())
                .with(TextPlace::Expected, expected)
        },
    )
}

/// By server, what it said to the anonymous question when it was dialled directly.
fn words_of_nodes<'e>(seen: &Seen<'e>) -> BTreeMap<String, (Met<'e>, &'e Answer)> {
    seen.with_role(Role::Cas)
        .filter_map(|spot| {
            let (met, answer) = spot.answer(&Look::OPTIONS)?;
            Some((server(spot, answer)?, (met, answer)))
        })
        .collect()
}

/// The answer is the server's own.
fn is_own_word(spot: &Spot<'_>) -> Claim {
    match spot.answer(&Look::OPTIONS) {
        Some((_, answer)) if is_own(spot, answer) => Claim::given(),
        Some(_) if spot.endpoint.role == Role::External => Claim::unknown(other_side(spot)),
        Some(_) => Claim::undecidable(),
        None => unanswered(spot, &Look::OPTIONS),
    }
}

/// Nothing on the way can have made the answer: dialled directly, or the same server says so when dialled directly.
fn at_the_server(
    nodes: &BTreeMap<String, (Met<'_>, &Answer)>,
    spot: &Spot<'_>,
    is_such: impl Fn(&Answer) -> bool,
) -> Claim {
    if spot.endpoint.role == Role::Cas {
        return Claim::given();
    }
    let name = spot.answer(&Look::OPTIONS).and_then(|(_, answer)| server(spot, answer));
    match name.and_then(|name| nodes.get(&name)) {
        Some((met, answer)) if is_such(answer) => Claim::holds(met.reference()),
        Some((met, _)) => Claim::fails(met.reference()),
        None => Claim::unknown(other_side(spot)),
    }
}

/// Another path of the same server is served, so that the fault is one of this directory.
pub(super) fn another_path_is_served(spot: &Spot<'_>) -> Claim {
    said(spot, &Look::OWA, |answer| {
        matches!(answer.status, 200 | 301 | 302 | 303 | 307 | 401 | 440)
    })
}

/// The server said such a thing to another free look; an open one names the look.
pub(super) fn said(spot: &Spot<'_>, look: &Look, is_such: impl Fn(&Answer) -> bool) -> Claim {
    match spot.answer(look) {
        Some((met, answer)) if is_such(answer) => Claim::holds(met.reference()),
        Some((met, _)) => Claim::fails(met.reference()),
        None => unanswered(spot, look),
    }
}

/// Only the server's own configuration tells.
pub(super) fn on_the_server(what: &'static str) -> Claim {
    Claim::unknown(Need::OnTheServer { what })
}

/// Which servers offer Basic to the anonymous question and which do not, by their own word. A server that was seen to do
/// both stands in neither list.
pub(super) struct Offers<'a, 'e> {
    pub(super) with: BTreeMap<String, Met<'e>>,
    pub(super) without: BTreeMap<String, (&'a Spot<'e>, Met<'e>)>,
}

pub(super) fn offers<'a, 'e>(seen: &'a Seen<'e>) -> Offers<'a, 'e> {
    let mut found = Offers { with: BTreeMap::new(), without: BTreeMap::new() };
    for spot in asked(seen) {
        for met in spot.exchanges(|look| *look == Look::OPTIONS) {
            let Some(answer) = met.answer().filter(|it| it.status == 401) else { continue };
            let Some(server) = server(spot, answer) else { continue };
            if has_basic(answer) {
                found.with.insert(server, met);
            } else {
                // The place nearest to the server speaks for it.
                let known = found.without.get(&server);
                if known.is_none_or(|(it, _)| it.endpoint.role <= spot.endpoint.role) {
                    found.without.insert(server, (spot, met));
                }
            }
        }
    }
    let both: Vec<String> =
        found.with.keys().filter(|it| found.without.contains_key(*it)).cloned().collect();
    for server in both {
        found.with.remove(&server);
        found.without.remove(&server);
    }
    found
}

pub(super) fn has_basic(answer: &Answer) -> bool {
    answer.challenges.iter().any(|it| it.scheme == Scheme::Basic)
}
