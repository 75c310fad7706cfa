//! `cas_proxy_subdir_auth_missing`
//!
//! ## What it says
//! The client access server that would serve this mailbox offers no Windows authentication on its `/Proxy` directory,
//! so another one cannot hand requests on to it.
//!
//! ## How we know
//! The account is let in where its mailbox is served and gets 401 through the first server; a Type-1 to the target's
//! `/Proxy` is answered without NTLM and Negotiate; another account passes through the first server.
//!
//! ## What it is not
//! - `bad_password`: the target itself took the secret.
//! - `e2003_be_iwa_missing`: there the mailbox is on Exchange 2003, which has no `/Proxy`.
//! - `cas_cas_tls_untrusted`: there the first server answers 500.
//!
//! ## What to do
//! See the text.

use parallax_model::{Answer, FaultId, Look, Scheme, TextPlace};

use super::front_logon::{self, Answered, FRONTS};
use crate::claim::{Claim, all};
use crate::claims::is_generation;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::responder;
use crate::seen::{Seen, Spot};
use crate::sign::{Fact, Sign};
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("cas_proxy_subdir_auth_missing"),
    layer: Layer::FrontEndToBackEnd,
    owner: Owner::Exchange,
    era: Era::From2007,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("cas_proxy_subdir_auth_missing"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let logons = front_logon::answered(seen, FRONTS);
    let refused = logons.iter().filter(|it| it.answer.status == 401 && is_proxied(it));
    refused.flat_map(|it| it.other_servers().into_iter().map(|server| case(it, server))).collect()
}

/// Where the target is the very server that was asked, or one without `/Proxy`, nothing is handed on.
fn is_proxied(it: &Answered<'_, '_>) -> bool {
    it.account.mailbox.is_none_or(parallax_model::Generation::is_2007_or_2010)
}

fn case(it: &Answered<'_, '_>, server: &Spot<'_>) -> Case {
    let lacks = match proxy_directory(it.seen, server) {
        Sign::Shown(fact) => all([Claim::holds(fact.reference(server)), it.passes_at(server)]),
        denied @ Sign::Denied(_) => denied.claim(server),
        unknown @ Sign::Unknown(_) => unknown.claim(server),
    };
    let front = it.front_is(parallax_model::Generation::is_2007_or_2010);
    it.case(all([it.holds(), front, is_such_a_server(it, server), lacks]), "200")
        .firmer(it.another_passes())
        .with(TextPlace::Elsewhere, server.endpoint.name.to_string())
        .with(TextPlace::Host, server.endpoint.host.clone())
}

/// An Exchange 2003 back end has no such directory, and refuses the look in the same way.
fn is_such_a_server(it: &Answered<'_, '_>, server: &Spot<'_>) -> Claim {
    let what = "generation of the client access server that would serve the mailbox";
    is_generation(it.seen, server, parallax_model::Generation::is_2007_or_2010, what)
}

/// Only a server of 2007 or 2010 has such a directory for others.
fn proxy_directory<'e>(seen: &Seen<'e>, server: &Spot<'e>) -> Sign<'e> {
    let generation = responder::generation(seen, server.endpoint);
    if generation.is_some_and(|it| !it.is_2007_or_2010()) {
        let met = server.latest(&Look::OPTIONS).first().copied();
        return met.map_or(Sign::Unknown(Vec::new()), |it| Sign::Denied(Fact::Exchange(it)));
    }
    server.sign(&Look::NTLM_PROXY, lacks_windows_authentication)
}

fn lacks_windows_authentication(answer: &Answer) -> bool {
    let is_windows = |it: &Scheme| matches!(it, Scheme::Ntlm | Scheme::Negotiate);
    matches!(answer.status, 401 | 404)
        && answer.type2.is_none()
        && !answer.challenges.iter().any(|it| is_windows(&it.scheme))
}
