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
//! - Pre-authentication (`fba_intercepts_eas` and the products beside it): the redirect leads to a logon page.
//! - `mdm_gateway_block`: a gateway for managed devices answers along the path.
//! - `ssl_offload_vdir_requires_ssl`, `cdn_waf_challenge`: there the refusal says whose it is and why.
//! - `host_header_not_preserved`: there no path of the name is served.
//! - A virtual directory that is missing on the server: there the CAS answers the same.
//!
//! ## What to do
//! See the text.

use parallax_model::{Answer, FaultId, Generation, Look, Role, Standing, TextPlace};

use super::fronts::{Inside, is_challenge_page, said_without_tls, wants_tls, without_tls};
use super::preauth;
use crate::causes::{at, places};
use crate::claim::{Claim, all};
use crate::claims::{unanswered, works_further_in};
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Explains, Fault, Layer, Owner, Reach, Severity};
use crate::recognise::holds;
use crate::responder;
use crate::seen::{Met, Seen, Spot};
use crate::texts::pages;
use crate::words;

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
    let told = preauth::told(seen);
    let plain = without_tls(seen);
    let inside = Inside::of(seen);
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
                    is_not_about_tls(&plain, spot),
                    inside.no_server_says_the_same(spot),
                ]),
                firmer: all([
                    works_further_in(seen, spot),
                    preauth::nobody_is(&told, spot, is_refusal),
                ]),
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
    let location = answer.headers.first("Location").unwrap_or_default();
    let is_portal = matches!(answer.status, 301 | 302 | 303 | 307 | 308)
        && !holds(location, "microsoft-server-activesync")
        && !preauth::is_logon_address(location);
    (is_closed || is_portal)
        && !answer.headers.has("X-FEServer")
        && !wants_tls(answer)
        && !is_challenge_page(answer)
        && preauth::gate(answer).is_none()
}

/// Exchange says the same where it is asked without TLS: then it is the server's own refusal.
fn is_not_about_tls(plain: &[(Met<'_>, &Answer)], spot: &Spot<'_>) -> Claim {
    let answer = spot.answer(&Look::OPTIONS).map(|(_, it)| it);
    match answer.and_then(|it| said_without_tls(plain, it)) {
        Some(met) => Claim::fails(met.reference()),
        None => Claim::given(),
    }
}

fn is_redirect(spot: &Spot<'_>) -> bool {
    spot.answer(&Look::OPTIONS).is_some_and(|(_, answer)| (300..400).contains(&answer.status))
}

fn refused(spot: &Spot<'_>, look: &Look) -> Claim {
    match spot.answer(look) {
        Some((met, answer)) if is_refusal(answer) && !preauth::is_behind_mobile_gateway(spot) => {
            Claim::holds(met.reference())
        }
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
