//! `proxy_upstream_unreachable`
//!
//! ## What it says
//! The publishing device answers for the name and cannot use the server behind it.
//!
//! ## How we know
//! Outside, `OPTIONS`, `GET` and every other path get the device's own 502 or 504, while Exchange answers a direct question.
//!
//! ## What it is not
//! - `lb_health_check_false_down`: a 503 may be either, so then this is only likely.
//! - `lb_pool_member_bad`: there the answers vary. `proxy_upstream_timeout`: there the anonymous question passes.
//! - `proxy_cert_name_mismatch_to_backend`: there the device says so, or the certificate inside does not fit; then only likely.
//! - ISA Server's 502 for a wrong password: there the anonymous question is challenged.
//! - A server that is down: there the direct question fails as well.
//!
//! ## What to do
//! See the text.

use parallax_model::{Answer, FaultId, Look, TextPlace};

use super::fronts::{Inside, also, elsewhere, is_gateway_word, or_unknown, published, said};
use super::lb_health_check_false_down::is_every_health_page_good;
use crate::claim::{Claim, all, not};
use crate::claims::is_meant_address;
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::responder;
use crate::seen::{Seen, Spot};
use crate::sign::along;
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("proxy_upstream_unreachable"),
    layer: Layer::Publishing,
    owner: Owner::Publishing,
    era: Era::Any,
    basis: Basis::Observed,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("proxy_upstream_unreachable"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let inside = Inside::of(seen);
    along(
        published(seen),
        |spot| spot.sign(&Look::OPTIONS, is_gateway_word),
        |spot, shown| {
            let must = all([
                shown,
                also(spot, &Look::GET, is_gateway_word),
                not(also(spot, &Look::GET, super::proxy_cert_name_mismatch_to_backend::says_so)),
                inside.answers_soundly(spot),
                no_server_was_taken_out(&inside, spot),
                is_meant_address(spot),
            ]);
            let firmer = all([
                or_unknown(also(spot, &Look::OWA, is_gateway_word)),
                or_unknown(inside.every_node_is_sound()),
                fits_inside(&inside, spot),
                every_address_is_alike(spot),
            ]);
            Case::new(spot, must, &[Stage::Anonymous, Stage::Logon])
                .firmer(firmer)
                .with(TextPlace::Seen, said(spot, &Look::OPTIONS))
                .with(TextPlace::Expected, "401 Basic")
                .with(TextPlace::Elsewhere, elsewhere(&inside, spot))
        },
    )
}

/// A 503 where the health page of a server is bad may be a balancer that does what it should.
fn no_server_was_taken_out(inside: &Inside<'_, '_>, spot: &Spot<'_>) -> Claim {
    match spot.answer(&Look::OPTIONS) {
        Some((_, answer)) if answer.status == 503 => or_unknown(is_every_health_page_good(inside)),
        Some(_) | None => Claim::given(),
    }
}

/// Plainly a gateway's: 503 is also what a balancer says of servers that it believes to be down, and what http.sys says of a
/// stopped application pool.
fn is_plain(answer: &Answer) -> bool {
    let is_windows = responder::publisher_mark(answer).is_none()
        && (answer.headers.mentions("Server", "Microsoft-HTTPAPI")
            || answer.headers.mentions("Server", "Microsoft-IIS"));
    matches!(answer.status, 502 | 504) && !is_windows
}

/// One address of several may be a device of its own.
fn every_address_is_alike(spot: &Spot<'_>) -> Claim {
    let mut answers = spot.latest(&Look::OPTIONS).iter();
    let is_alike =
        answers.all(|met| met.answer().is_some_and(|it| is_gateway_word(it) && is_plain(it)));
    if is_alike { Claim::given() } else { Claim::undecidable() }
}

/// A certificate inside that does not fit the name may be why the device refuses its server.
fn fits_inside(inside: &Inside<'_, '_>, spot: &Spot<'_>) -> Claim {
    let tls = inside.sound(spot).and_then(|it| it.met.observation.transport.tls());
    if tls.is_some_and(|it| it.name_matches && it.dates_hold) {
        Claim::given()
    } else {
        Claim::undecidable()
    }
}
