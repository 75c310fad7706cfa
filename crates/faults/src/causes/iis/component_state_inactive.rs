//! `component_state_inactive`
//!
//! ## What it says
//! The server component `ActiveSyncProxy` is inactive: maintenance, or Managed Availability took it out.
//!
//! ## How we know
//! On Exchange 2013 and later the server's own site (`X-FEServer`) answers the anonymous question and the health page with
//! 503, while `/owa/` is served. At most likely: only `Get-ServerComponentState` names the component and who switched it off.
//!
//! ## What it is not
//! - `iis_apppool_stopped`: there http.sys answers, without `X-FEServer`.
//! - A balancer that takes a healthy server out: there the health page says 200.
//!
//! ## What to do
//! See the text.

use parallax_model::{Answer, FaultId, Generation, Look};

use super::node::{self, another_path_is_served, on_the_server, said};
use crate::claim::all;
use crate::claims::is_generation;
use crate::fault::{Basis, Era, Fault, Layer, Owner, Reach, Severity};
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("component_state_inactive"),
    layer: Layer::Iis,
    owner: Owner::Exchange,
    era: Era::From2013,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("component_state_inactive"),
    cases: |seen| {
        node::cases(
            seen,
            is_own_503,
            |spot| {
                let era = is_generation(
                    seen,
                    spot,
                    Generation::is_2013_or_later,
                    "generation of the client access server",
                );
                let health_page = said(spot, &Look::HEALTH_CHECK, is_own_503);
                let named = on_the_server("Get-ServerComponentState: ActiveSyncProxy");
                (all([era, health_page, another_path_is_served(spot)]), named)
            },
            "401 Basic",
        )
    },
};

fn is_own_503(answer: &Answer) -> bool {
    answer.status == 503 && answer.headers.has("X-FEServer")
}
