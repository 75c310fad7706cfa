//! `iis_apppool_stopped`
//!
//! ## What it says
//! The application pool behind the `ActiveSync` directory takes no requests: it is stopped, or its queue is full.
//!
//! ## How we know
//! On the server itself `OPTIONS`, `GET` and the health page all get 503 from http.sys (`Microsoft-HTTPAPI` alone), while
//! `/owa/`, which has a pool of its own, is served.
//!
//! ## What it is not
//! - The pool of the back end: there the anonymous question is still answered with 401.
//! - `component_state_inactive`: there IIS and Exchange answer, with their own headers.
//! - A whole server without web service: there `/owa/` fails as well.
//!
//! ## What to do
//! See the text.

use parallax_model::{Answer, FaultId, Look};

use super::node::{self, another_path_is_served, said};
use crate::claim::{Claim, all};
use crate::fault::{Basis, Era, Fault, Layer, Owner, Reach, Severity};
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("iis_apppool_stopped"),
    layer: Layer::Iis,
    owner: Owner::Exchange,
    era: Era::Any,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("iis_apppool_stopped"),
    cases: |seen| {
        node::cases(
            seen,
            is_kernel_503,
            |spot| {
                let elsewhere = another_path_is_served(spot);
                let get = said(spot, &Look::GET, is_kernel_503);
                let health_page = said(spot, &Look::HEALTH_CHECK, is_kernel_503);
                (all([get, health_page, elsewhere]), Claim::given())
            },
            "401 Basic",
        )
    },
};

fn is_kernel_503(answer: &Answer) -> bool {
    answer.status == 503
        && answer.headers.mentions("Server", "Microsoft-HTTPAPI")
        && !answer.headers.mentions("Server", "Microsoft-IIS")
        && !answer.headers.has("X-FEServer")
}
