//! `clock_skew_kerberos`
//!
//! ## What it says
//! Two servers' clocks are further apart than Kerberos bears, so the front cannot log on to the back end.
//!
//! ## How we know
//! Exchange 2013 and later: the body of its 500 names `TimeSkew`, or its ticket is refused while the two servers told
//! times in the same round that differ too much. A 2003 back end: it offers Negotiate, the password is proven, the
//! CAS still answers 401, and the clocks differ.
//!
//! ## What it is not
//! - `e2003_be_iwa_missing`: there the back end offers no Negotiate.
//! - `fe_be_kerberos_rejected`: the same refusal with clocks that agree or that nobody could read.
//! - A clock of the agent: two servers are compared with each other, never with the one who looks.
//!
//! ## What to do
//! See the text.

use parallax_model::{FaultId, Look, Need, Role, Scheme, Standing};

use super::front_logon::{self, Answered, FRONTS, is_named, is_ticket_refused, ticket_failure};
use crate::causes::legacy2003::legacy;
use crate::claim::{Claim, all, any};
use crate::claims::offers;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::{Seen, Spot};
use crate::texts::pages;
use crate::time::clocks_differ;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("clock_skew_kerberos"),
    layer: Layer::FrontEndToBackEnd,
    owner: Owner::Exchange,
    era: Era::From2007,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("clock_skew_kerberos"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let mut cases = front_logon::cases(seen, FRONTS, is_such, |it| {
        let skew = skew_behind(it);
        if names_skew(it) {
            // Its own word decides; what is measured only strengthens, for the domain controller's clock is not seen.
            let firmer = match skew {
                measured @ Claim::Holds(_) => measured,
                Claim::Fails(_) | Claim::Unknown { .. } => look_at_the_clocks(),
            };
            it.case(it.holds(), "200").firmer(firmer)
        } else {
            it.case(all([it.holds(), skew]), "200").at_most(Standing::Likely)
        }
    });
    cases.extend(behind_2003(seen));
    cases
}

fn is_such(it: &Answered<'_, '_>) -> bool {
    names_skew(it) || (it.is_of_front_end() && is_ticket_refused(it.answer))
}

fn names_skew(it: &Answered<'_, '_>) -> bool {
    it.is_of_front_end()
        && ticket_failure(it.answer).is_some_and(|it| it.eq_ignore_ascii_case("TimeSkew"))
}

fn look_at_the_clocks() -> Claim {
    Claim::unknown(Need::OnTheServer {
        what: "w32tm /stripchart between front end, back end and domain controller",
    })
}

/// The clock of the server that answered and that of the one it chose.
pub(super) fn skew_behind(it: &Answered<'_, '_>) -> Claim {
    let direct = |spot: &&Spot<'_>| matches!(spot.endpoint.role, Role::Cas | Role::Backend);
    let named = |name: Option<&str>| -> Vec<&Spot<'_>> {
        let Some(name) = name else { return Vec::new() };
        it.seen.paths.iter().filter(direct).filter(|spot| is_named(spot, name)).collect()
    };
    let fronts = named(it.answer.headers.first("X-FEServer"));
    let back_ends = named(it.answer.headers.first("X-CalculatedBETarget"));
    let pairs = fronts.iter().flat_map(|front| back_ends.iter().map(move |back| (front, back)));
    let other = pairs.filter(|(front, back)| front.endpoint.name != back.endpoint.name);
    let measured: Vec<Claim> =
        other.filter_map(|(front, back)| clocks_differ(front, back)).collect();
    if measured.is_empty() { look_at_the_clocks() } else { any(measured) }
}

/// Only where the clocks are measured too far apart; otherwise nothing speaks for it.
fn behind_2003(seen: &Seen<'_>) -> Vec<Case> {
    let mut cases = Vec::new();
    for pair in legacy::pairs(seen) {
        let direct = seen.with_role(Role::Cas);
        let measured: Vec<Claim> =
            direct.filter_map(|cas| clocks_differ(cas, pair.back_end)).collect();
        let skew = any(measured);
        if !matches!(skew, Claim::Holds(_)) {
            continue;
        }
        let offers_negotiate =
            pair.back_end_says(|spot| offers(spot, &Look::OPTIONS, |has| has(&Scheme::Negotiate)));
        let words = match &skew {
            Claim::Holds(clocks) => clocks.iter().map(|it| it.value.clone()).collect(),
            Claim::Fails(_) | Claim::Unknown { .. } => Vec::new(),
        };
        let case = pair.case(
            all([offers_negotiate, skew]),
            pair.through_fronts().refused(),
            words.join(", "),
            "less than 5 min apart",
        );
        cases.push(case.at_most(Standing::Likely));
    }
    cases
}
