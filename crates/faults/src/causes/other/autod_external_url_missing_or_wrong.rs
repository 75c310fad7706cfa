//! `autod_external_url_missing_or_wrong`
//!
//! ## What it says
//! The registered URL is not the `ActiveSync` directory: another part of the same server answers there.
//!
//! ## How we know
//! The path of the URL is not `/Microsoft-Server-ActiveSync`, and what answers is IIS or Exchange, but not `ActiveSync`: 200
//! without its headers, a challenge without Basic as other directories have, or 404.
//!
//! ## What it is not
//! - A publishing layer that maps a path of its own to the right directory: then `ActiveSync` headers or its challenge come back.
//! - `proxy_strips_or_answers_options`, `vdir_basic_disabled`: there the path is the right one.
//! - Proof of what Autodiscover says: only its own answer shows that, so it is likely at most.
//!
//! ## What to do
//! See the text.

use parallax_model::{
    Answer, Endpoint, FaultId, Generation, Look, Need, Scheme, Standing, TextPlace,
};

use crate::claim::{Claim, all};
use crate::claims::{ACTIVE_SYNC_PATH, is_active_sync_path};
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::responder;
use crate::seen::{Seen, Spot};
use crate::sign::{Fact, Sign, along};
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("autod_external_url_missing_or_wrong"),
    layer: Layer::Iis,
    owner: Owner::Exchange,
    era: Era::From2007,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("autod_external_url_missing_or_wrong"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let spots = seen
        .fronts()
        .filter(|it| !is_active_sync_path(it.endpoint))
        .filter(|it| responder::generation(seen, it.endpoint) != Some(Generation::Other));
    along(spots, elsewhere, |spot, shown| {
        let said = match elsewhere(spot) {
            Sign::Shown(Fact::Exchange(met)) => words::exchange(met.exchange),
            Sign::Shown(_) | Sign::Denied(_) | Sign::Unknown(_) => String::new(),
        };
        Case::new(spot, all([declared(spot.endpoint), shown]), &[Stage::Anonymous, Stage::Logon])
            .firmer(Claim::unknown(Need::OnTheServer {
                what: "ExternalUrl in Get-ActiveSyncVirtualDirectory, or what Autodiscover answers",
            }))
            .at_most(Standing::Likely)
            .with(TextPlace::Seen, format!("{}: {said}", words::shortened(&spot.endpoint.path)))
            .with(TextPlace::Expected, ACTIVE_SYNC_PATH)
    })
}

fn declared(endpoint: &Endpoint) -> Claim {
    Claim::holds(Seen::declared(format!(
        "{}: path {}",
        endpoint.name,
        words::shortened(&endpoint.path)
    )))
}

/// An accepted logon says most, then the anonymous question.
fn elsewhere<'e>(spot: &Spot<'e>) -> Sign<'e> {
    let is_at_path =
        |look: &Look| look.is_logon() && look.place == parallax_model::Place::ActiveSync;
    let logon = spot.exchanges(is_at_path).into_iter().rfind(|met| met.status() == Some(200));
    match logon {
        Some(met) if met.answer().is_some_and(is_bare) => Sign::Shown(Fact::Exchange(met)),
        Some(met) => Sign::Denied(Fact::Exchange(met)),
        None => anonymously(spot),
    }
}

fn anonymously<'e>(spot: &Spot<'e>) -> Sign<'e> {
    spot.sign(&Look::OPTIONS, |answer| {
        let offers_basic = answer.challenges.iter().any(|it| it.scheme == Scheme::Basic);
        let is_other_directory = match answer.status {
            200 => is_bare(answer),
            401 => !answer.challenges.is_empty() && !offers_basic,
            status => status == 404,
        };
        is_other_directory && responder::is_exchange_or_iis(answer)
    })
}

/// A success without what MS-ASHTTP demands of it.
fn is_bare(answer: &Answer) -> bool {
    !answer.headers.has("MS-ASProtocolVersions") && !answer.headers.has("MS-Server-ActiveSync")
}
