//! `cas_cas_tls_untrusted`
//!
//! ## What it says
//! One client access server hands a request on to another, and does not trust the other's certificate.
//!
//! ## How we know
//! A logon through the first server ends in a quick 500 that Exchange made, the certificate of another registered
//! server is expired, for another name or not trusted. At most likely: which server is asked stands in event 1035.
//!
//! ## What it is not
//! - `cas_proxy_subdir_auth_missing`: there the answer is 401.
//! - `fe_be_spn_missing`: the 500 of Exchange 2013 and later names its reason.
//! - A bad certificate at the front itself: clients meet that before any logon.
//!
//! ## What to do
//! See the text.

use parallax_model::{
    ChainJudgement, FaultId, Generation, Look, Need, Observation, Standing, TextPlace,
};

use super::front_logon::{self, Answered, FRONTS};
use crate::claim::{Claim, all, any};
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::{Seen, Spot};
use crate::texts::pages;
use crate::time;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("cas_cas_tls_untrusted"),
    layer: Layer::FrontEndToBackEnd,
    owner: Owner::Exchange,
    era: Era::From2007,
    basis: Basis::Observed,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("cas_cas_tls_untrusted"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    front_logon::cases(seen, FRONTS, is_such, |it| {
        let event = time::logged(seen, &["1035"], "event 1035 of MSExchange ActiveSync");
        let bad = it.other_servers().into_iter().find(|server| is_untrusted(server));
        let elsewhere = bad.map(|it| it.endpoint.name.to_string()).unwrap_or_default();
        let front = it.front_is(Generation::is_2007_or_2010);
        it.case(all([it.holds(), front, some_server_is_untrusted(it)]), "200")
            .firmer(any([event, it.another_passes()]))
            .at_most(Standing::Likely)
            .with(TextPlace::Elsewhere, elsewhere)
    })
}

fn is_such(it: &Answered<'_, '_>) -> bool {
    it.answer.status == 500
        && !it.is_slow()
        && !it.answer.headers.has("X-FEServer")
        && it.is_of_exchange()
        && it.account.mailbox.is_none_or(Generation::is_2007_or_2010)
}

fn some_server_is_untrusted(it: &Answered<'_, '_>) -> Claim {
    let claims: Vec<Claim> = it.other_servers().into_iter().filter_map(certificate).collect();
    if claims.is_empty() {
        let what = "the client access server of the mailbox's site, as an endpoint";
        return Claim::unknown(Need::Declared { what });
    }
    any(claims)
}

fn certificate(server: &Spot<'_>) -> Option<Claim> {
    let (round, observation) =
        server.observations().iter().find(|(_, it)| it.transport.tls().is_some())?;
    let value = crate::words::transport(&observation.transport);
    let mut reference = server.reference(*round, Some(observation.address.ip()), value);
    reference.look = server.answer(&Look::OPTIONS).map(|_| Look::OPTIONS);
    Some(if is_bad(observation) { Claim::holds(reference) } else { Claim::fails(reference) })
}

fn is_untrusted(server: &Spot<'_>) -> bool {
    server.observations().iter().any(|(_, it)| is_bad(it))
}

/// As a Windows server judges it: trusted chain, name, dates.
fn is_bad(observation: &Observation) -> bool {
    observation.transport.tls().is_some_and(|it| {
        it.trust.endpoint != ChainJudgement::Trusted || !it.name_matches || !it.dates_hold
    })
}
