//! `exo_basic_retired`
//!
//! ## What it says
//! Exchange Online no longer takes Basic; the client has to use OAuth.
//!
//! ## How we know
//! The endpoint is Exchange Online's own host, or declared so, and a logon with Basic is refused there.
//!
//! ## What it is not
//! - `bad_password`: the password was never looked at.
//! - The 451 to an anonymous request: expected.
//!
//! ## What to do
//! See the text.

use parallax_model::{FaultId, Generation, Place, Role, Standing, TextPlace};

use crate::causes::{at, login, places};
use crate::claim::{Claim, all};
use crate::claims::{Logons, Spelling, is_generation};
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Explains, Fault, Layer, Owner, Reach, Severity};
use crate::responder;
use crate::seen::{Seen, Spot};
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("exo_basic_retired"),
    layer: Layer::Cloud,
    owner: Owner::Client,
    era: Era::Online,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("exo_basic_retired"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let online: Vec<&Spot<'_>> = seen
        .with_role(Role::External)
        .filter(|spot| responder::generation(seen, spot.endpoint) == Some(Generation::Online))
        .collect();
    let Some(first) = online.first().copied() else { return Vec::new() };
    seen.evidence
        .accounts
        .iter()
        .filter(|account| account.has_password)
        .map(|account| Case {
            must: all([
                is_online(seen, first),
                Logons {
                    seen,
                    account,
                    spelling: Spelling::Any,
                    place: Place::ActiveSync,
                    spots: online.clone(),
                }
                .refused(),
            ]),
            firmer: Claim::given(),
            at_most: Standing::Confirmed,
            role: Role::External,
            explains: Explains {
                paths: [].into(),
                stages: &[Stage::Logon],
                logons_of: Some((account.id.clone(), Vec::new())),
            },
            places: places([
                at(first),
                vec![
                    (TextPlace::Account, login(account)),
                    (TextPlace::Seen, "401".to_owned()),
                    (TextPlace::Expected, "Bearer".to_owned()),
                ],
            ]),
        })
        .collect()
}

fn is_online(seen: &Seen<'_>, spot: &Spot<'_>) -> Claim {
    if responder::is_online_host(&spot.endpoint.host) {
        return Claim::holds(Seen::declared(format!(
            "{}: host {}",
            spot.endpoint.name, spot.endpoint.host
        )));
    }
    is_generation(seen, spot, |it| it == Generation::Online, "generation of the service")
}
