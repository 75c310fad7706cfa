//! `url_filter_blocks`
//!
//! ## What it says
//! A filter in IIS (`URLScan`, request filtering, a rewrite rule) refuses `OPTIONS` on the server itself.
//!
//! ## How we know
//! The server's own answer to `OPTIONS` is 404, 403, 405 or 501, and to `GET` on the same path 401. A 404 for one method
//! only is what the filters answer; the others may also come from a handler, so they are likely.
//!
//! ## What it is not
//! - `proxy_strips_or_answers_options`: there the server dialled directly answers `OPTIONS` with 401.
//! - `vdir_missing_or_corrupt`: there `GET` fails as well.
//!
//! ## What to do
//! See the text.

use parallax_model::{Answer, FaultId, Look};

use super::node::{self, on_the_server, said};
use crate::claim::Claim;
use crate::fault::{Basis, Era, Fault, Layer, Owner, Reach, Severity};
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("url_filter_blocks"),
    layer: Layer::Iis,
    owner: Owner::Exchange,
    era: Era::Any,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("url_filter_blocks"),
    cases: |seen| {
        node::cases(
            seen,
            is_refusal,
            |spot| {
                let is_404 = spot.answer(&Look::OPTIONS).is_some_and(|(_, it)| it.status == 404);
                let firm = if is_404 {
                    Claim::given()
                } else {
                    on_the_server("the IIS log: sub-status of the refused OPTIONS")
                };
                (said(spot, &Look::GET, |it| it.status == 401), firm)
            },
            "401 Basic",
        )
    },
};

fn is_refusal(answer: &Answer) -> bool {
    matches!(answer.status, 403 | 404 | 405 | 501) && !answer.headers.has("X-CasErrorCode")
}
