//! `cas_proxy_target_not_https`
//!
//! ## What it says
//! A client access server refuses to hand requests on, because the internal URL of the target is plain HTTP.
//!
//! ## How we know
//! 403 for an account of the other site through the first server, while the account logs on at the target, which is
//! registered with an `http` URL. At most likely: the URL that the first server reads stands in the directory.
//!
//! ## What it is not
//! - `no_target_cas_discovered`: there event 1044 says that no target is known.
//! - A user who may not use `ActiveSync`: then the target refuses as well.
//!
//! ## What to do
//! See the text.

use parallax_model::{FaultId, Generation, Need, Standing, TextPlace};

use super::front_logon::{self, Answered, FRONTS};
use crate::claim::{Claim, all, any};
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::responder;
use crate::seen::{Seen, Spot};
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("cas_proxy_target_not_https"),
    layer: Layer::FrontEndToBackEnd,
    owner: Owner::Exchange,
    era: Era::From2007,
    basis: Basis::Observed,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("cas_proxy_target_not_https"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    front_logon::cases(seen, FRONTS, is_such, |it| {
        let plain: Vec<&Spot<'_>> = it
            .other_servers()
            .into_iter()
            .filter(|server| !server.endpoint.is_https && is_client_access(seen, server))
            .collect();
        let elsewhere = plain.first().map(|it| it.endpoint.name.to_string()).unwrap_or_default();
        let target = if plain.is_empty() {
            Claim::unknown(Need::OnTheServer {
                what: "Get-ActiveSyncVirtualDirectory | fl Server,InternalUrl",
            })
        } else {
            any(plain.into_iter().map(|server| it.passes_at(server)))
        };
        let front = it.front_is(|it| it.is_2007_or_2010() || it == Generation::Exchange2013);
        it.case(all([it.holds(), front, target]), "200")
            .at_most(Standing::Likely)
            .with(TextPlace::Elsewhere, elsewhere)
    })
}

fn is_client_access(seen: &Seen<'_>, server: &Spot<'_>) -> bool {
    responder::generation(seen, server.endpoint).is_some_and(Generation::is_2007_or_2010)
}

fn is_such(it: &Answered<'_, '_>) -> bool {
    it.answer.status == 403
        && it.is_challenged()
        && it.account.mailbox.is_none_or(Generation::is_2007_or_2010)
}
