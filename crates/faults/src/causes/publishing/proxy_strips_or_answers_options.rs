//! `proxy_strips_or_answers_options`
//!
//! ## What it says
//! A device in front of Exchange answers, refuses or rewrites `OPTIONS` itself.
//!
//! ## How we know
//! Outside `OPTIONS` gets a success without `ActiveSync` headers, or 403, 405 or 501, while `GET` on the same path gets
//! Exchange's 401; the CAS dialled directly answers `OPTIONS` with 401. Or the accepted `OPTIONS` lacks outside the headers
//! that it has inside.
//!
//! ## What it is not
//! - `proxy_url_not_published`: there `GET` is refused as well.
//! - `cdn_waf_challenge`, `ssl_offload_vdir_requires_ssl`, `proxy_injects_invalid_header`: there `GET` fails as well.
//! - `proxy_rewrites_versions`: there the headers are only shorter.
//! - A wrong handler on the server: there the CAS itself answers so.
//!
//! ## What to do
//! See the text.

use parallax_model::{Answer, FaultId, Look, Purpose, Role, Standing, TextPlace};

use super::fronts::Inside;
use super::preauth;
use crate::causes::{at, places};
use crate::claim::{Claim, all};
use crate::claims::{is_active_sync_path, unanswered, works_further_in};
use crate::condition::{self, Stage};
use crate::fault::{Basis, Case, Era, Explains, Fault, Layer, Owner, Reach, Severity};
use crate::logon;
use crate::seen::{Met, Seen, Spot};
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("proxy_strips_or_answers_options"),
    layer: Layer::Publishing,
    owner: Owner::Publishing,
    era: Era::Any,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("proxy_strips_or_answers_options"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let inside = Inside::of(seen);
    seen.with_role(Role::External)
        .flat_map(|spot| {
            [answers_itself(seen, &inside, spot)].into_iter().chain(strips_headers(seen, spot))
        })
        .collect()
}

fn answers_itself(seen: &Seen<'_>, inside: &Inside<'_, '_>, spot: &Spot<'_>) -> Case {
    let said = spot.answer(&Look::OPTIONS).map(|(_, it)| words::answer(it)).unwrap_or_default();
    Case {
        must: all([
            options_is_wrong(spot),
            get_is_challenged(spot),
            inside.no_server_says_the_same(spot),
        ]),
        firmer: works_further_in(seen, spot),
        at_most: Standing::Confirmed,
        role: Role::External,
        explains: Explains::path(spot.path, &[Stage::Anonymous, Stage::Logon]),
        places: places([
            at(spot),
            vec![(TextPlace::Seen, said), (TextPlace::Expected, "401 Basic".to_owned())],
        ]),
    }
}

fn is_not_of_exchange(answer: &Answer) -> bool {
    let is_wrong = matches!(answer.status, 200 | 204 | 403 | 405 | 501);
    is_wrong && !answer.headers.has("MS-ASProtocolVersions") && !answer.headers.has("X-FEServer")
}

fn options_is_wrong(spot: &Spot<'_>) -> Claim {
    match spot.answer(&Look::OPTIONS) {
        Some((met, answer)) if is_not_of_exchange(answer) => Claim::holds(met.reference()),
        Some((met, _)) => Claim::fails(met.reference()),
        None => unanswered(spot, &Look::OPTIONS),
    }
}

fn get_is_challenged(spot: &Spot<'_>) -> Claim {
    match spot.answer(&Look::GET) {
        Some((met, answer)) if answer.status == 401 => Claim::holds(met.reference()),
        Some((met, _)) => Claim::fails(met.reference()),
        None => unanswered(spot, &Look::GET),
    }
}

/// The other face: the challenge passes, and the accepted `OPTIONS` comes back without its headers, outside only.
fn strips_headers(seen: &Seen<'_>, spot: &Spot<'_>) -> Option<Case> {
    // Another path than that of ActiveSync has no such headers to lose.
    if !is_active_sync_path(spot.endpoint) {
        return None;
    }
    let (account, bare) = seen
        .accounts(Purpose::Subject)
        .chain(seen.accounts(Purpose::Witness))
        .find_map(|account| {
            Some((
                account,
                spot.logons(&account.id)
                    .into_iter()
                    .find(|met| met.answer().is_some_and(is_stripped))?,
            ))
        })?;
    let inside = seen
        .fronts()
        .filter(|it| {
            it.path != spot.path
                && (it.endpoint.role == Role::Cas || it.vantage.zone > spot.vantage.zone)
        })
        .flat_map(|it| it.logons(&account.id))
        .find(|met| met.answer().is_some_and(logon::is_active_sync));
    let challenged = spot
        .answer(&Look::OPTIONS)
        .filter(|(_, it)| condition::is_anonymous_healthy(seen, spot.endpoint, it));
    let inside_claim = inside
        .as_ref()
        .map_or_else(Claim::undecidable, |met: &Met<'_>| Claim::holds(met.reference()));
    Some(Case {
        must: all([
            Claim::holds(bare.reference()),
            challenged.map_or_else(Claim::undecidable, |(met, _)| Claim::holds(met.reference())),
            inside_claim,
        ]),
        firmer: Claim::given(),
        at_most: Standing::Likely,
        role: Role::External,
        explains: Explains::path(spot.path, &[Stage::Logon]),
        places: places([
            at(spot),
            vec![
                (TextPlace::Seen, words::exchange(bare.exchange)),
                (TextPlace::Expected, "MS-ASProtocolVersions".to_owned()),
            ],
        ]),
    })
}

fn is_stripped(answer: &Answer) -> bool {
    answer.status == 200
        && !answer.headers.has("MS-ASProtocolVersions")
        && preauth::gate(answer).is_none()
}
