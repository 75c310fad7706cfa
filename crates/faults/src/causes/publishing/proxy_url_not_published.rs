//! `proxy_url_not_published`
//!
//! ## What it says
//! The publishing device lets other paths of the server through, and `/Microsoft-Server-ActiveSync` not.
//!
//! ## How we know
//! Outside, `OPTIONS` and `GET` on the path both get 403, 404 or a redirect to a portal, also with a credential of nobody,
//! while `/owa/` is served; the CAS dialled directly answers 401.
//!
//! ## What it is not
//! - `proxy_strips_or_answers_options`: there `GET` is challenged.
//! - A device that answers only anonymous requests with 403: then the credential of nobody gets 401.
//! - Pre-authentication: the redirect leads to a logon page, and every path is guarded.
//! - A virtual directory that is missing on the server: there the CAS answers the same.
//!
//! ## What to do
//! See the text.

use std::collections::BTreeMap;

use parallax_model::{
    Answer, EndpointName, FaultId, Generation, Look, Need, Role, Standing, TextPlace,
};

use crate::causes::{at, places};
use crate::claim::{Claim, all};
use crate::claims::{unanswered, works_further_in};
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Explains, Fault, Layer, Owner, Reach, Severity};
use crate::responder;
use crate::seen::{Met, Seen, Spot};
use crate::texts::pages;
use crate::words;

/// Parts of a `Location` that lead to somebody's logon page rather than to a portal.
const LOGON_PAGES: [&str; 11] = [
    "/owa/auth/",
    "cookieauth.dll",
    "/adfs/ls",
    "login.microsoftonline.com",
    "/my.policy",
    "/vpn/",
    "/cgi/",
    "/internalsite/",
    "reason=",
    "/logon",
    "/signin",
];

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("proxy_url_not_published"),
    layer: Layer::Publishing,
    owner: Owner::Publishing,
    era: Era::Any,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("proxy_url_not_published"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let mut told = Told::new();
    for spot in seen.with_role(Role::External) {
        if let Some(found) = spot.answer(&Look::IMPOSSIBLE_USER) {
            told.entry(&spot.endpoint.name).or_insert(found);
        }
    }
    seen.with_role(Role::External)
        .filter(|spot| responder::generation(seen, spot.endpoint) != Some(Generation::Online))
        .map(|spot| {
            let said =
                spot.answer(&Look::OPTIONS).map(|(_, it)| words::answer(it)).unwrap_or_default();
            Case {
                must: all([
                    refused(spot, &Look::OPTIONS),
                    refused(spot, &Look::GET),
                    another_path_is_served(spot),
                ]),
                firmer: all([works_further_in(seen, spot), also_with_a_credential(&told, spot)]),
                at_most: if is_redirect(spot) { Standing::Likely } else { Standing::Confirmed },
                role: Role::External,
                explains: Explains::path(spot.path, &[Stage::Anonymous, Stage::Logon]),
                places: places([
                    at(spot),
                    vec![(TextPlace::Seen, said), (TextPlace::Expected, "401 Basic".to_owned())],
                ]),
            }
        })
        .collect()
}

fn is_refusal(answer: &Answer) -> bool {
    let is_closed = matches!(answer.status, 403 | 404);
    let location = answer.headers.first("Location").unwrap_or_default().to_ascii_lowercase();
    let is_portal = matches!(answer.status, 301 | 302 | 303 | 307 | 308)
        && !location.contains("microsoft-server-activesync")
        && !LOGON_PAGES.iter().any(|it| location.contains(it));
    (is_closed || is_portal) && !answer.headers.has("X-FEServer")
}

fn is_redirect(spot: &Spot<'_>) -> bool {
    spot.answer(&Look::OPTIONS).is_some_and(|(_, answer)| (300..400).contains(&answer.status))
}

fn refused(spot: &Spot<'_>, look: &Look) -> Claim {
    match spot.answer(look) {
        Some((met, answer)) if is_refusal(answer) => Claim::holds(met.reference()),
        Some((met, _)) => Claim::fails(met.reference()),
        None => unanswered(spot, look),
    }
}

fn another_path_is_served(spot: &Spot<'_>) -> Claim {
    match spot.answer(&Look::OWA) {
        Some((met, answer)) if is_served(answer, spot) => Claim::holds(met.reference()),
        Some((met, _)) => Claim::fails(met.reference()),
        None => unanswered(spot, &Look::OWA),
    }
}

/// `/owa/` is alive, and not just the same redirect that every path gets.
fn is_served(owa: &Answer, spot: &Spot<'_>) -> bool {
    let same_redirect = spot
        .answer(&Look::OPTIONS)
        .and_then(|(_, it)| it.headers.first("Location"))
        .is_some_and(|it| owa.headers.first("Location") == Some(it));
    matches!(owa.status, 200 | 301 | 302 | 307 | 401 | 440) && !same_redirect
}

/// What a user name that cannot exist was told, by endpoint.
type Told<'e> = BTreeMap<&'e EndpointName, (Met<'e>, &'e Answer)>;

/// A user name that cannot exist is refused in the same way: it is the path that is closed, not the anonymous request. It
/// is asked once per endpoint, so what one vantage was told counts for all of them.
fn also_with_a_credential(told: &Told<'_>, spot: &Spot<'_>) -> Claim {
    match told.get(&spot.endpoint.name) {
        Some((met, answer)) if is_refusal(answer) => Claim::holds(met.reference()),
        Some((met, _)) => Claim::fails(met.reference()),
        None => Claim::unknown(Need::Look { path: spot.path.clone(), look: Look::IMPOSSIBLE_USER }),
    }
}
