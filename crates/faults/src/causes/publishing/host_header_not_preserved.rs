//! `host_header_not_preserved`
//!
//! ## What it says
//! The publishing device asks Exchange under the inner name of the server instead of the published one.
//!
//! ## How we know
//! Outside http.sys says that the host name is invalid, or a redirect leads to another host's `ActiveSync` path, or the
//! answer is the one that the same server gives inside to another host name; asked directly under the published name,
//! Exchange answers as it should.
//!
//! ## What it is not
//! - `proxy_injects_invalid_header`: there http.sys complains of a header.
//! - `http_to_https_redirect_drops_post`: there the redirect stays on the published name.
//! - `proxy_url_not_published`: there other paths of the name are served.
//!
//! ## What to do
//! See the text.

use std::rc::Rc;

use parallax_model::{Answer, FaultId, Look, PathId, TextPlace};

use super::fronts::{Answered, Inside, Redirect, elsewhere, published, said, says};
use crate::claim::{Claim, all};
use crate::claims::is_meant_address;
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Explains, Fault, Layer, Owner, Reach, Severity};
use crate::seen::{Seen, Spot};
use crate::sign::along;
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("host_header_not_preserved"),
    layer: Layer::Publishing,
    owner: Owner::Publishing,
    era: Era::Any,
    basis: Basis::Inferred,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("host_header_not_preserved"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let inside = Inside::of(seen);
    let by_another_name: Vec<&Answered<'_, '_>> = inside
        .nodes
        .iter()
        .filter(|it| !it.is_sound && it.answer.status != 401)
        .filter(|it| inside.nodes.iter().any(|other| is_same_machine(it, other)))
        .collect();
    along(
        published(seen),
        |spot| {
            spot.sign(&Look::OPTIONS, |it| {
                is_host_unknown(it)
                    || leads_to_another_host(spot, it)
                    || by_another_name.iter().any(|node| is_alike(spot, it, node))
            })
        },
        |spot, shown| {
            let again = reproduced(&by_another_name, spot);
            let must = all([shown, again, inside.answers_soundly(spot), is_meant_address(spot)]);
            Case::new(spot, must, &[])
                .explaining(explains(&by_another_name, spot))
                .with(TextPlace::Seen, said(spot, &Look::OPTIONS))
                .with(TextPlace::Expected, "401 Basic")
                .with(TextPlace::Elsewhere, elsewhere(&inside, spot))
        },
    )
}

/// What the server says inside to its other name is the same matter.
fn explains(by_another_name: &[&Answered<'_, '_>], spot: &Spot<'_>) -> Explains {
    let others = by_another_name.iter().map(|it| it.spot.path);
    let paths: Rc<[PathId]> = others.chain([spot.path]).cloned().collect();
    Explains { paths, stages: &[Stage::Anonymous, Stage::Logon], logons_of: None }
}

/// The same address answers soundly under another host name.
pub(super) fn is_same_machine(bad: &Answered<'_, '_>, other: &Answered<'_, '_>) -> bool {
    other.is_sound
        && other.met.observation.address == bad.met.observation.address
        && !other.spot.endpoint.host.eq_ignore_ascii_case(&bad.spot.endpoint.host)
}

/// http.sys has no binding for the host of the request.
fn is_host_unknown(answer: &Answer) -> bool {
    const TEXTS: [&str; 2] = ["request hostname is invalid", "bad request - invalid hostname"];
    answer.status == 400 && TEXTS.iter().any(|it| says(answer, it))
}

fn leads_to_another_host(spot: &Spot<'_>, answer: &Answer) -> bool {
    Redirect::of(answer).is_some_and(|it| it.is_active_sync() && !it.is_host(&spot.endpoint.host))
}

/// What the server says inside to a name that is not the published one.
fn is_alike(spot: &Spot<'_>, answer: &Answer, node: &Answered<'_, '_>) -> bool {
    answer.status == node.answer.status
        && answer.body.sha256 == node.answer.body.sha256
        && !node.spot.endpoint.host.eq_ignore_ascii_case(&spot.endpoint.host)
}

/// Shown where another name was tried inside; else the answer itself has to tell.
fn reproduced(by_another_name: &[&Answered<'_, '_>], spot: &Spot<'_>) -> Claim {
    let answer = spot.answer(&Look::OPTIONS).map(|(_, it)| it);
    let found = answer.and_then(|it| by_another_name.iter().find(|node| is_alike(spot, it, node)));
    found.map_or_else(Claim::given, |node| Claim::holds(node.met.reference()))
}
