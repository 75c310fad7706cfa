//! `vdir_basic_disabled`
//!
//! ## What it says
//! The `ActiveSync` virtual directory itself does not offer Basic, and mobile clients do not negotiate anything else.
//!
//! ## How we know
//! Every client access server dialled directly answers 401 without Basic. Without such a look: the answer outside carries
//! `X-FEServer`, so it is Exchange's own.
//!
//! ## What it is not
//! - A proxy that takes the challenge away: the server itself still offers Basic.
//! - `vdir_basic_disabled_one_node`: there another server still offers Basic.
//! - A directory that takes client certificates alone: one is asked for, and the 401 offers nothing.
//! - A 2003 back end, or Exchange Online.
//!
//! ## What to do
//! See the text.

use std::rc::Rc;

use parallax_model::{
    FaultId, Generation, Look, Need, PathId, Place, Role, Scheme, Standing, TextPlace,
};

use super::node;
use crate::causes::tls::handshakes::is_asked;
use crate::causes::{at, places};
use crate::claim::{Claim, all, not};
use crate::claims::{is_active_sync_path, other_side, unanswered};
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Explains, Fault, Layer, Owner, Reach, Severity};
use crate::logon;
use crate::responder;
use crate::seen::{Met, Seen, Spot};
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("vdir_basic_disabled"),
    layer: Layer::Iis,
    owner: Owner::Exchange,
    era: Era::From2007,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("vdir_basic_disabled"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let applies = |spot: &&Spot<'_>| {
        is_active_sync_path(spot.endpoint)
            && !matches!(
                responder::generation(seen, spot.endpoint),
                Some(Generation::Online | Generation::Other | Generation::Exchange2003)
            )
    };
    let nodes: Vec<&Spot<'_>> =
        seen.with_role(Role::Cas).filter(|it| it.is_seen()).filter(applies).collect();
    let nodes_answer = nodes.iter().any(|it| it.answer(&Look::OPTIONS).is_some());
    let asked: Vec<&Spot<'_>> = if nodes_answer {
        nodes
    } else {
        seen.with_role(Role::External).filter(|it| it.is_seen()).filter(applies).collect()
    };
    let answering: Vec<&Spot<'_>> =
        asked.into_iter().filter(|it| it.answer(&Look::OPTIONS).is_some()).collect();
    // What a path to a node did not say might have been the contrary.
    let is_unheard = |spot: &Spot<'_>| {
        spot.answer(&Look::OPTIONS).is_none() && (spot.opens() || spot.is_silent())
    };
    let nodes_agree =
        answering.iter().all(|it| has_no_basic(it)) && !seen.with_role(Role::Cas).any(is_unheard);
    let without: Rc<[PathId]> =
        seen.fronts().filter(|it| has_no_basic(it)).map(|it| it.path.clone()).collect();
    let elsewhere = offered_elsewhere(seen);
    let in_front = not_asked_in_front(seen);
    answering
        .iter()
        .map(|spot| case(&without, spot, nodes_answer, nodes_agree, &elsewhere, &in_front))
        .collect()
}

/// `without`: every path along which no Basic is offered.
fn case(
    without: &Rc<[PathId]>,
    spot: &Spot<'_>,
    is_dialled_directly: bool,
    nodes_agree: bool,
    elsewhere: &Claim,
    in_front: &Claim,
) -> Case {
    let offered = spot
        .answer(&Look::OPTIONS)
        .map(|(_, it)| words::schemes(&it.challenges))
        .unwrap_or_default();
    Case {
        must: all([
            offers_no_basic(spot),
            is_own_answer(spot),
            not(elsewhere.clone()),
            in_front.clone(),
            is_for_passwords(spot),
        ]),
        firmer: if is_dialled_directly { Claim::given() } else { Claim::unknown(other_side(spot)) },
        // One node that was seen to do both, or not heard by all: something changes, or something stands in between.
        at_most: if nodes_agree { Standing::Confirmed } else { Standing::Likely },
        role: Role::Cas,
        // Only the same answer is explained by it; a proxy's own 403 or 405 is another matter.
        explains: Explains {
            paths: Rc::clone(without),
            stages: &[Stage::Anonymous, Stage::Logon],
            logons_of: None,
        },
        places: places([
            at(spot),
            vec![(TextPlace::Seen, offered), (TextPlace::Expected, "Basic".to_owned())],
        ]),
    }
}

/// A server of the same name does offer it.
fn offered_elsewhere(seen: &Seen<'_>) -> Claim {
    let offers = node::offers(seen);
    let is_split = !offers.without.is_empty();
    let with = offers.with.values().next().filter(|_| is_split);
    with.map_or_else(|| Claim::Fails(Vec::new()), |met| Claim::holds(met.reference()))
}

/// A publishing layer may ask for the password itself and log on with Kerberos: then Basic is off on purpose, and a logon that
/// passes shows it.
fn not_asked_in_front(seen: &Seen<'_>) -> Claim {
    let mut asking = None;
    for spot in seen.with_role(Role::External) {
        let offered = spot.answer(&Look::OPTIONS).filter(|(_, answer)| node::has_basic(answer));
        let Some((met, _)) = offered else { continue };
        let passed = spot.exchanges(|look| look.is_logon() && look.place == Place::ActiveSync);
        let is_let_in = |it: &&Met<'_>| it.answer().is_some_and(logon::is_active_sync);
        if let Some(passed) = passed.iter().find(is_let_in) {
            return Claim::fails(passed.reference());
        }
        asking = asking.or(Some(met));
    }
    asking.map_or_else(Claim::given, |met| Claim::Unknown {
        seen: vec![met.reference()],
        needs: vec![Need::OnTheServer { what: "whether a publishing layer logs on with Kerberos" }],
    })
}

fn has_no_basic(spot: &Spot<'_>) -> bool {
    matches!(offers_no_basic(spot), Claim::Holds(_))
}

fn offers_no_basic(spot: &Spot<'_>) -> Claim {
    match spot.answer(&Look::OPTIONS) {
        Some((met, answer))
            if answer.status == 401
                && !answer.challenges.iter().any(|it| it.scheme == Scheme::Basic) =>
        {
            Claim::holds(met.reference())
        }
        Some((met, _)) => Claim::fails(met.reference()),
        None => unanswered(spot, &Look::OPTIONS),
    }
}

/// A directory that takes client certificates alone is challenged by nothing either, and Basic is off there on purpose.
fn is_for_passwords(spot: &Spot<'_>) -> Claim {
    match spot.answer(&Look::OPTIONS) {
        Some((met, answer)) if answer.challenges.is_empty() && is_asked(&met) => Claim::Unknown {
            seen: vec![met.reference()],
            needs: vec![Need::Declared {
                what: "whether clients are meant to log on with certificates",
            }],
        },
        Some(_) | None => Claim::given(),
    }
}

/// Exchange's or IIS's own word: dialled directly with a mark of IIS, or with `X-FEServer`.
fn is_own_answer(spot: &Spot<'_>) -> Claim {
    match spot.answer(&Look::OPTIONS) {
        Some((met, answer)) => {
            if node::is_own(spot, answer) {
                Claim::holds(met.reference())
            } else {
                Claim::undecidable()
            }
        }
        None => unanswered(spot, &Look::OPTIONS),
    }
}
