//! `not_exchange_server`
//!
//! ## What it says
//! What answers is an `ActiveSync` server of another product.
//!
//! ## How we know
//! Realm, `Server` or a header of the application names the product, and no vantage sees a mark of IIS or Exchange.
//!
//! ## What it is not
//! - Exchange behind a proxy of another make: some vantage, or the answer itself, still shows Exchange.
//! - A server that the operator declared to be something else: that is no fault.
//!
//! ## What to do
//! See the text.

use parallax_model::{FaultId, Generation, Place, Role, Standing, TextPlace};

use crate::causes::{at, places};
use crate::claim::{Claim, all, any, not};
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Explains, Fault, Layer, Owner, Reach, Severity};
use crate::responder;
use crate::seen::{Seen, Spot};
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("not_exchange_server"),
    layer: Layer::NonExchange,
    owner: Owner::Service,
    era: Era::NonExchange,
    basis: Basis::Observed,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("not_exchange_server"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let is_declared_other = seen.evidence.target.generation == Some(Generation::Other);
    let externals: Vec<&Spot<'_>> = seen
        .with_role(Role::External)
        .filter(|it| it.endpoint.generation != Some(Generation::Other))
        .collect();
    if is_declared_other || externals.is_empty() {
        return Vec::new();
    }
    let named: Vec<(&Spot<'_>, String)> =
        externals.iter().filter_map(|spot| Some((*spot, product(spot)?))).collect();
    let Some((first, words)) = named
        .first()
        .map(|(spot, words)| (*spot, words.clone()))
        .or_else(|| Some((*externals.first()?, String::new())))
    else {
        return Vec::new();
    };
    vec![Case {
        must: all([any(externals.iter().map(|it| names_another(it))), not(shows_exchange(seen))]),
        firmer: Claim::given(),
        at_most: Standing::Confirmed,
        role: Role::External,
        explains: Explains {
            paths: seen
                .fronts()
                .filter(|it| product(it).is_some())
                .map(|it| it.path.clone())
                .collect(),
            stages: &[Stage::Anonymous, Stage::Logon],
            logons_of: None,
        },
        places: places([
            at(first),
            vec![
                (TextPlace::Seen, words),
                (TextPlace::Expected, "Microsoft-IIS, X-FEServer".to_owned()),
            ],
        ]),
    }]
}

fn product(spot: &Spot<'_>) -> Option<String> {
    spot.exchanges(|look| look.place == Place::ActiveSync)
        .into_iter()
        .filter_map(|met| met.answer())
        .find_map(responder::other_product)
}

fn names_another(spot: &Spot<'_>) -> Claim {
    let mut against = None;
    for met in spot.exchanges(|look| look.place == Place::ActiveSync) {
        let Some(answer) = met.answer() else { continue };
        if let Some(product) = responder::other_product(answer) {
            let mut reference = met.reference();
            reference.value = format!("{}, {product}", reference.value);
            return Claim::holds(reference);
        }
        against = Some(met);
    }
    against.map_or_else(Claim::undecidable, |met| Claim::fails(met.reference()))
}

fn shows_exchange(seen: &Seen<'_>) -> Claim {
    seen.fronts()
        .flat_map(|spot| {
            spot.exchanges(|look| matches!(look.place, Place::ActiveSync | Place::ActiveSyncProxy))
        })
        .find(|met| met.answer().is_some_and(responder::is_exchange_or_iis))
        .map_or(Claim::Fails(Vec::new()), |met| Claim::holds(met.reference()))
}
