//! `cdn_waf_challenge`
//!
//! ## What it says
//! A delivery network or web application firewall answers with a test for browsers, which no phone can pass.
//!
//! ## How we know
//! Outside 403, 429 or 503 with the marks of such a service and its page, for `GET` as well, while Exchange answers a direct
//! question.
//!
//! ## What it is not
//! - `proxy_strips_or_answers_options`: there `GET` passes.
//! - `proxy_url_not_published`: there the refusal carries no such page.
//! - `proxy_upstream_unreachable`: there the service says that it cannot reach its origin.
//!
//! ## What to do
//! See the text.

use parallax_model::{FaultId, Look, TextPlace};

use super::fronts::{Inside, also, elsewhere, is_challenge_page, published, said};
use crate::claim::all;
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::Seen;
use crate::sign::along;
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("cdn_waf_challenge"),
    layer: Layer::Publishing,
    owner: Owner::Publishing,
    era: Era::Any,
    basis: Basis::Inferred,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("cdn_waf_challenge"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let inside = Inside::of(seen);
    along(
        published(seen),
        |spot| spot.sign(&Look::OPTIONS, is_challenge_page),
        |spot, shown| {
            let must = all([shown, also(spot, &Look::GET, is_challenge_page)]);
            Case::new(spot, must, &[Stage::Anonymous, Stage::Logon])
                .firmer(inside.answers_soundly(spot))
                .with(TextPlace::Seen, said(spot, &Look::OPTIONS))
                .with(TextPlace::Expected, "401 Basic")
                .with(TextPlace::Elsewhere, elsewhere(&inside, spot))
        },
    )
}
