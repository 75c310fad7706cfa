//! `mailbox_other_site_451`
//!
//! ## What it says
//! The mailbox is served by another published name of the organisation, and Exchange says so instead of handing the
//! request on.
//!
//! ## How we know
//! After a good logon 451, and `X-MS-Location` names another host that is not Exchange Online's; another account
//! passes at the name that was asked. A host outside the organisation's own domain may be another cloud's: then it stays open.
//!
//! ## What it is not
//! - `hybrid_user_moved_451`: there the named host is Exchange Online's.
//! - `exo_anonymous_451_cba`: a 451 to a request without a logon.
//! - `external_url_loop_451`: there the named host is the one that was asked.
//!
//! ## What to do
//! See the text.

use parallax_model::{FaultId, Generation, Need};

use super::front_logon::{self, Answered, FRONTS, named_host};
use crate::claim::{Claim, all};
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::responder;
use crate::seen::Seen;
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("mailbox_other_site_451"),
    layer: Layer::FrontEndToBackEnd,
    owner: Owner::Exchange,
    era: Era::From2007,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("mailbox_other_site_451"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    front_logon::cases(seen, FRONTS, is_such, |it| {
        let host = named_host(it.answer).unwrap_or_default();
        let place = if is_of_the_organisation(it, &host) {
            Claim::given()
        } else {
            Claim::unknown(Need::Declared { what: "whose host the answer names" })
        };
        it.case(all([it.holds(), place]), "200")
            .firmer(it.another_passes())
            .with(parallax_model::TextPlace::Elsewhere, host)
    })
}

fn is_of_the_organisation(it: &Answered<'_, '_>, host: &str) -> bool {
    let domain = |host: &str| -> Option<String> {
        let mut labels = host.rsplit('.');
        let (top, second) = (labels.next()?, labels.next()?);
        Some(format!("{second}.{top}").to_ascii_lowercase())
    };
    let endpoints = &it.seen.evidence.target.endpoints;
    endpoints.iter().any(|it| it.host.eq_ignore_ascii_case(host))
        || domain(host).is_some_and(|found| domain(&it.spot.endpoint.host) == Some(found))
}

fn is_such(it: &Answered<'_, '_>) -> bool {
    if responder::generation(it.seen, it.spot.endpoint) == Some(Generation::Online) {
        return false;
    }
    named_host(it.answer).is_some_and(|host| {
        !responder::is_online_host(&host) && !host.eq_ignore_ascii_case(&it.spot.endpoint.host)
    })
}
