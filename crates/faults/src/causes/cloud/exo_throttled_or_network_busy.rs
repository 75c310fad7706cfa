//! `exo_throttled_or_network_busy`
//!
//! ## What it says
//! The edge of Exchange Online answers for itself that its network is busy. It passes.
//!
//! ## How we know
//! The answer bears the edge's own marks (`X-NanoProxy`, `x-proxyerrormessage`, `x-proxyerrorhresult: 0x80070036`)
//! and no `ActiveSync` header.
//!
//! ## What it is not
//! - `not_exchange_server`: the marks are those of Exchange Online.
//! - `exo_basic_retired`: a 401 to a password.
//! - A 503 of a server on premises: it has none of these marks.
//!
//! ## What to do
//! See the text.

use parallax_model::{Answer, FaultId, Look, TextPlace};

use crate::causes::fe_be::front_logon::{self, FRONTS};
use crate::claim::all;
use crate::claims::is_meant_address;
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::logon;
use crate::seen::Seen;
use crate::sign::along;
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("exo_throttled_or_network_busy"),
    layer: Layer::Cloud,
    owner: Owner::Service,
    era: Era::Online,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("exo_throttled_or_network_busy"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let mut cases = along(
        seen.fronts(),
        |spot| spot.sign(&Look::OPTIONS, is_busy),
        |spot, shown| {
            let said = spot.answer(&Look::OPTIONS).map(|(_, it)| said(it));
            Case::new(spot, all([shown, is_meant_address(spot)]), &[Stage::Anonymous])
                .with(TextPlace::Seen, said.unwrap_or_default())
                .with(TextPlace::Expected, "401 Bearer")
        },
    );
    let logons = front_logon::answered(seen, FRONTS);
    let busy = logons.iter().filter(|it| is_busy(it.answer));
    cases.extend(busy.map(|it| it.case(it.holds(), "200").with(TextPlace::Seen, said(it.answer))));
    cases
}

fn is_busy(answer: &Answer) -> bool {
    let is_of_the_edge = answer.headers.has("X-NanoProxy")
        || answer.headers.has("X-ProxyErrorLabel")
        || answer.headers.has("X-FEServer");
    let is_told = answer.headers.mentions("x-proxyerrormessage", "network is busy")
        || answer.headers.mentions("x-proxyerrorhresult", "0x80070036");
    is_of_the_edge && is_told && !logon::is_active_sync(answer)
}

fn said(answer: &Answer) -> String {
    let message = answer.headers.first("x-proxyerrormessage").unwrap_or_default();
    format!("{} {}", answer.status, words::shortened(message))
}
