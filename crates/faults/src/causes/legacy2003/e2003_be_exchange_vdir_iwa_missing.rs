//! `e2003_be_exchange_vdir_iwa_missing`
//!
//! ## What it says
//! In a pure Exchange 2003 front-end and back-end pair, the back end's `/Exchange` directory lacks Integrated
//! authentication, with which the front end logs on there.
//!
//! ## How we know
//! The front end is of 2003 and answers 500 to a logon; `/Exchange/` on port 80 of the back end offers Basic and
//! neither Negotiate nor NTLM.
//!
//! ## What it is not
//! - `e2003_be_iwa_missing`: a newer CAS uses the back end's `ActiveSync` directory, and the device sees 401.
//! - `e2003_exchange_vdir_ssl_or_fba`: there `/Exchange` answers 403.4 or with a form.
//!
//! ## What to do
//! See the text.

use std::collections::BTreeSet;

use parallax_model::{FaultId, Generation, Look, Need, Role, Scheme, Standing, TextPlace};

use crate::causes::fe_be::front_logon::{self, Answered, FRONTS};
use crate::claim::{Claim, all, any, not};
use crate::claims::{is_generation, offers};
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::logon;
use crate::responder;
use crate::seen::{Met, Seen, Spot};
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("e2003_be_exchange_vdir_iwa_missing"),
    layer: Layer::Legacy2003,
    owner: Owner::Exchange,
    era: Era::Mailbox2003,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("e2003_be_exchange_vdir_iwa_missing"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let back_ends: Vec<&Spot<'_>> =
        seen.with_role(Role::Backend).filter(|spot| !spot.endpoint.is_https).collect();
    front_logon::cases(seen, FRONTS, is_such, |it| {
        let claims: Vec<Claim> = back_ends.iter().map(|spot| is_basic_alone(seen, spot)).collect();
        let directory = if claims.is_empty() {
            Claim::unknown(Need::Declared { what: "the back end as an endpoint (http, port 80)" })
        } else {
            any(claims)
        };
        let front = it.front_is(|it| it == Generation::Exchange2003);
        let host = back_ends.first().map(|it| it.endpoint.host.clone()).unwrap_or_default();
        // A 500 that somebody in front may have made, or one of several back ends: not certain.
        let is_of_iis = responder::is_exchange_or_iis(it.answer);
        let names: BTreeSet<_> = back_ends.iter().map(|it| &it.endpoint.name).collect();
        let is_certain = is_of_iis && names.len() == 1;
        it.case(all([it.holds(), front, directory, passes_nowhere_directly(it)]), "200")
            .at_most(if is_certain { Standing::Confirmed } else { Standing::Likely })
            .with(TextPlace::Elsewhere, host)
    })
}

fn is_such(it: &Answered<'_, '_>) -> bool {
    it.answer.status == 500
        && it.is_challenged()
        && !it.answer.headers.has("X-FEServer")
        && responder::publisher_mark(it.answer).is_none()
}

/// Without a mark of IIS the 500 may be a proxy's, so the server has to be asked.
/// A front that lets the same account in when it is dialled directly serves that mailbox: then the 500 is of another making.
fn passes_nowhere_directly(it: &Answered<'_, '_>) -> Claim {
    let mut direct =
        it.seen.with_role(Role::Cas).filter(|spot| spot.answer(&Look::OPTIONS).is_some());
    let asked: Vec<Met<'_>> = it
        .seen
        .with_role(Role::Cas)
        .flat_map(|spot| spot.logons(&it.account.id))
        .filter(|met| met.answer().is_some())
        .collect();
    let is_let_in = |met: &&Met<'_>| met.answer().is_some_and(logon::is_active_sync);
    match (asked.iter().find(is_let_in), direct.next()) {
        (Some(met), _) => Claim::fails(met.reference()),
        (None, Some(spot)) if asked.is_empty() && !responder::is_exchange_or_iis(it.answer) => {
            not(it.passes_at(spot))
        }
        (None, _) => Claim::given(),
    }
}

fn is_basic_alone(seen: &Seen<'_>, spot: &Spot<'_>) -> Claim {
    let what = "generation of the back end";
    all([
        is_generation(seen, spot, |it| it == Generation::Exchange2003, what),
        offers(spot, &Look::EXCHANGE, |has| {
            has(&Scheme::Basic) && !has(&Scheme::Negotiate) && !has(&Scheme::Ntlm)
        }),
    ])
}
