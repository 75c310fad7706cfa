//! `anonymous_403_instead_of_401`
//!
//! ## What it says
//! The box that answers first says 403 to whoever brings no credential, and never asks for one. Clients that wait for the
//! challenge do not send a password; those that send it unasked get through.
//!
//! ## How we know
//! `OPTIONS` and `GET` without a credential get 403 at once; with one (of nobody, or of an account) the same path is challenged
//! or accepted.
//!
//! ## What it is not
//! - `proxy_url_not_published`, an address rule, a country rule: a credential makes no difference there.
//! - `proxy_strips_or_answers_options`: there `GET` is challenged without a credential.
//! - The server's own refusal: then the CAS dialled directly says 403 to the anonymous question as well.
//!
//! ## What to do
//! See the text.

use std::collections::BTreeMap;

use parallax_model::{
    Answer, EndpointName, FaultId, Generation, Look, Need, Role, Standing, TextPlace,
};

use crate::claim::{Claim, all};
use crate::claims::works_further_in;
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::logon;
use crate::responder;
use crate::seen::{Met, Seen, Spot};
use crate::sign::along;
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("anonymous_403_instead_of_401"),
    layer: Layer::Publishing,
    owner: Owner::Publishing,
    era: Era::Any,
    basis: Basis::Observed,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("anonymous_403_instead_of_401"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let nobody: BTreeMap<&EndpointName, Met<'_>> = seen
        .with_role(Role::External)
        .filter_map(|it| Some((&it.endpoint.name, it.answer(&Look::IMPOSSIBLE_USER)?.0)))
        .collect();
    let spots = seen
        .with_role(Role::External)
        .filter(|it| responder::generation(seen, it.endpoint) != Some(Generation::Online));
    along(
        spots,
        |spot| spot.sign(&Look::OPTIONS, is_prompt_refusal),
        |spot, refused| {
            let get = spot.sign(&Look::GET, is_prompt_refusal).claim(spot);
            let accepted = accepted(seen, spot);
            let at_most = if accepted.is_some() { Standing::Confirmed } else { Standing::Likely };
            let heard = accepted.map_or_else(
                || is_heard(spot, nobody.get(&spot.endpoint.name)),
                |met| Claim::holds(met.reference()),
            );
            let said = spot.answer(&Look::OPTIONS).map(|(_, it)| words::answer(it));
            Case::new(spot, all([refused, get, heard]), &[Stage::Anonymous, Stage::Logon])
                .firmer(is_not_exchange_own(seen, spot))
                .at_most(at_most)
                .with(TextPlace::Seen, said.unwrap_or_default())
                .with(TextPlace::Expected, "401 Basic")
        },
    )
}

fn is_prompt_refusal(answer: &Answer) -> bool {
    answer.status == 403 && !logon::is_slow(answer) && !answer.headers.has("X-FEServer")
}

/// Some account gets through where nobody is asked.
fn accepted<'e>(seen: &Seen<'e>, spot: &Spot<'e>) -> Option<Met<'e>> {
    let logons = seen.evidence.accounts.iter().flat_map(|it| spot.logons(&it.id));
    logons.into_iter().find(|met| met.answer().is_some_and(logon::is_active_sync))
}

/// A credential changes the answer: nobody's is challenged. It is asked once per endpoint, so what one vantage was told counts.
fn is_heard(spot: &Spot<'_>, nobody: Option<&Met<'_>>) -> Claim {
    match nobody {
        Some(met) if met.status() == Some(401) => Claim::holds(met.reference()),
        // 403 again: closed whoever asks. Anything else is somebody's own trouble.
        Some(met) if met.status() == Some(403) => Claim::fails(met.reference()),
        Some(_) => Claim::undecidable(),
        None => Claim::unknown(Need::Look { path: spot.path.clone(), look: Look::IMPOSSIBLE_USER }),
    }
}

/// Exchange itself challenges; another product may well be the one that says 403.
fn is_not_exchange_own(seen: &Seen<'_>, spot: &Spot<'_>) -> Claim {
    if responder::generation(seen, spot.endpoint) == Some(Generation::Other) {
        return Claim::given();
    }
    works_further_in(seen, spot)
}
