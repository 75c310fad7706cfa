//! `proxy_injects_invalid_header`
//!
//! ## What it says
//! The publishing device adds a header to the request that Windows does not accept, so http.sys refuses it before IIS sees it.
//!
//! ## How we know
//! Outside 400 with http.sys's words about an invalid header, while Exchange answers a direct question without that header.
//!
//! ## What it is not
//! - `host_header_not_preserved`: there it is the host name that http.sys does not know.
//! - Our own request: the direct one is the same, and passes.
//!
//! ## What to do
//! See the text.

use parallax_model::{Answer, FaultId, Look, TextPlace};

use super::fronts::{Inside, also, elsewhere, published, said, says};
use crate::claim::all;
use crate::claims::is_meant_address;
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::Seen;
use crate::sign::along;
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("proxy_injects_invalid_header"),
    layer: Layer::Publishing,
    owner: Owner::Publishing,
    era: Era::Any,
    basis: Basis::Observed,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("proxy_injects_invalid_header"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let inside = Inside::of(seen);
    along(
        published(seen),
        |spot| spot.sign(&Look::OPTIONS, is_invalid_header),
        |spot, shown| {
            let must =
                all([shown, also(spot, &Look::GET, is_invalid_header), is_meant_address(spot)]);
            Case::new(spot, must, &[Stage::Anonymous, Stage::Logon])
                .firmer(inside.answers_soundly(spot))
                .with(TextPlace::Seen, said(spot, &Look::OPTIONS))
                .with(TextPlace::Expected, "401 Basic")
                .with(TextPlace::Elsewhere, elsewhere(&inside, spot))
        },
    )
}

/// The texts of http.sys are English on every Windows; a device in front may put its own name into `Server`.
fn is_invalid_header(answer: &Answer) -> bool {
    const TEXTS: [&str; 2] = ["invalid header name", "bad request - invalid header"];
    answer.status == 400 && TEXTS.iter().any(|it| says(answer, it))
}
