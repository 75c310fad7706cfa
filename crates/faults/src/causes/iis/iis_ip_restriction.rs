//! `iis_ip_restriction`
//!
//! ## What it says
//! IIS on the server refuses requests from some addresses ("IP and Domain Restrictions").
//!
//! ## How we know
//! One vantage gets the server's own 403 at once, for `OPTIONS` and `GET`, where another vantage at the same endpoint, or the same
//! server by its name, is asked for a logon.
//!
//! ## What it is not
//! - A publishing layer's 403: it lacks the server's own marks.
//! - SSL or a client certificate required: that 403 does not ask where a request comes from. Behind one proxy the two look
//!   alike, so the other vantage has to have come the same way.
//! - A user who may not use `ActiveSync`: that 403 comes after a logon.
//!
//! ## What to do
//! See the text.

use std::collections::BTreeMap;

use parallax_model::{Answer, EndpointName, FaultId, Look, TextPlace};

use super::node::{self, on_the_server, said};
use crate::claim::{Claim, all};
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::logon;
use crate::seen::{Met, Seen, Spot};
use crate::sign;
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("iis_ip_restriction"),
    layer: Layer::Iis,
    owner: Owner::Exchange,
    era: Era::Any,
    basis: Basis::Inferred,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("iis_ip_restriction"),
    cases,
};

/// By endpoint, the servers that ask for a logon there, and the answer of one of them.
type Open<'a, 'e> = BTreeMap<&'a EndpointName, BTreeMap<String, (&'a Spot<'e>, Met<'e>)>>;

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let spots = node::asked(seen);
    let mut open = Open::new();
    for spot in &spots {
        if let Some((met, answer)) = spot.answer(&Look::OPTIONS)
            && answer.status == 401
            && let Some(server) = node::server(spot, answer)
        {
            open.entry(&spot.endpoint.name).or_default().entry(server).or_insert((*spot, met));
        }
    }
    sign::along(
        spots.iter().copied(),
        |spot| spot.sign(&Look::OPTIONS, |answer| node::is_own(spot, answer) && is_sign(answer)),
        |spot, shown| case(&open, spot, shown),
    )
}

fn case<'a>(open: &Open<'a, '_>, spot: &'a Spot<'_>, shown: Claim) -> Case {
    let said_here = spot.answer(&Look::OPTIONS).map(|(_, it)| it);
    let server = said_here.and_then(|answer| node::server(spot, answer));
    let elsewhere = server.and_then(|it| open.get(&spot.endpoint.name)?.get(&it).copied());
    let other = match &elsewhere {
        Some((_, met)) => Claim::holds(met.reference()),
        None => on_the_server("the IIS log: 403.6, or another sub-status"),
    };
    Case::new(
        spot,
        all([shown, said(spot, &Look::GET, is_sign), other]),
        &[Stage::Anonymous, Stage::Logon],
    )
    .with(TextPlace::Seen, said_here.map(words::answer).unwrap_or_default())
    .with(TextPlace::Expected, "401 Basic")
    .with(
        TextPlace::Elsewhere,
        elsewhere.map(|(spot, _)| spot.vantage.name.to_string()).unwrap_or_default(),
    )
}

/// 403 at once, and no word of SSL or of a client certificate.
fn is_sign(answer: &Answer) -> bool {
    let body = answer.body.beginning.to_ascii_lowercase();
    answer.status == 403
        && !logon::is_slow(answer)
        && !["403.4", "403.7", "secure channel", "ssl", "client certificate"]
            .iter()
            .any(|it| body.contains(it))
}
