//! `lb_health_check_false_down`
//!
//! ## What it says
//! The load balancer believes that its servers are down, and they are not.
//!
//! ## How we know
//! Outside it answers 503 itself, while every client access server, asked from the balancer's own network too, is sound and
//! its health page says so.
//!
//! ## What it is not
//! - `proxy_upstream_unreachable`: there the way to the servers is closed; a 503 may be either, so each is only likely.
//! - `component_state_inactive`: there the health page itself is not 200, and the balancer is right.
//! - `lb_pool_member_bad`: there some answers are sound.
//!
//! ## What to do
//! See the text.

use parallax_model::{Answer, FaultId, Look, Need, TextPlace, Zone};

use super::fronts::{Inside, also, elsewhere, is_gateway_word, published, said, says};
use crate::claim::{Claim, all};
use crate::claims::is_meant_address;
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::responder;
use crate::seen::Seen;
use crate::sign::along;
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("lb_health_check_false_down"),
    layer: Layer::Publishing,
    owner: Owner::Publishing,
    era: Era::Any,
    basis: Basis::Inferred,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("lb_health_check_false_down"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let inside = Inside::of(seen);
    let servers = all([
        inside.every_node_is_sound(),
        is_every_health_page_good(&inside),
        reachable_from_the_balancer(&inside),
    ]);
    along(
        published(seen),
        |spot| spot.sign(&Look::OPTIONS, has_no_server),
        |spot, shown| {
            let must = all([
                shown,
                also(spot, &Look::GET, has_no_server),
                servers.clone(),
                is_meant_address(spot),
            ]);
            Case::new(spot, must, &[Stage::Anonymous, Stage::Logon])
                .with(TextPlace::Seen, said(spot, &Look::OPTIONS))
                .with(TextPlace::Expected, "401 Basic")
                .with(TextPlace::Elsewhere, elsewhere(&inside, spot))
        },
    )
}

/// A balancer's own words for having no server left.
fn has_no_server(answer: &Answer) -> bool {
    const TEXTS: [&str; 3] = [
        "no server is available to handle this request",
        "<b>http/1.1 service unavailable</b>",
        "no pool member",
    ];
    const MAKES: [&str; 5] = ["haproxy", "bigip", "netscaler", "kemp", "awselb"];
    let names_itself = || {
        answer.headers.first("Server").is_some_and(|server| {
            let server = server.to_ascii_lowercase();
            MAKES.iter().any(|it| server.contains(it))
        })
    };
    answer.status == 503
        && is_gateway_word(answer)
        && !responder::is_exchange_or_iis(answer)
        && (TEXTS.iter().any(|it| says(answer, it)) || names_itself())
}

/// A health page that is not 200 takes the server out on purpose. Exchange 2010 and before have none.
pub(super) fn is_every_health_page_good(inside: &Inside<'_, '_>) -> Claim {
    for node in &inside.nodes {
        if let Some((met, page)) = node.spot.answer(&Look::HEALTH_CHECK)
            && !matches!(page.status, 200 | 401 | 404)
        {
            return Claim::fails(met.reference());
        }
    }
    Claim::given()
}

/// From the network in which the balancer stands the way is open; else the way may be what is wrong.
fn reachable_from_the_balancer(inside: &Inside<'_, '_>) -> Claim {
    match inside.nodes.iter().find(|it| it.is_sound && it.spot.vantage.zone <= Zone::Dmz) {
        Some(it) => Claim::holds(it.met.reference()),
        None => Claim::unknown(Need::Vantage { zone: Zone::Dmz }),
    }
}
