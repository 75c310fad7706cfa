//! `legacy_blocked_on_new_cas`
//!
//! ## What it says
//! The newer client access server is told not to serve legacy mailboxes, or the back end is older than 2003.
//!
//! ## How we know
//! 403 for the legacy account through the CAS, while the back end lets the same account in and offers Negotiate, and
//! a mailbox on the newer server passes. At most likely: the switch stands in a file of the CAS, its traces are the
//! events 1030 and 1028.
//!
//! ## What it is not
//! - `e2003_be_ssl_required_on_eas_vdir`: there the back end answers 403.4 on port 80.
//! - `e2003_direct_push_off_or_mobile_disabled`: there the back end itself answers the logon with 403.
//!
//! ## What to do
//! See the text.

use parallax_model::{FaultId, Look, Role, Scheme, Standing};

use super::legacy;
use crate::claim::{Claim, all};
use crate::claims::offers;
use crate::fault::{Basis, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::Seen;
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("legacy_blocked_on_new_cas"),
    layer: Layer::Legacy2003,
    owner: Owner::Exchange,
    era: Era::Mailbox2003,
    basis: Basis::Observed,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("legacy_blocked_on_new_cas"),
    cases: |seen| {
        let pairs = legacy::pairs(seen).into_iter();
        let cases = pairs.filter(|pair| pair.is_met_with(403)).map(|pair| {
            let offers_negotiate = pair
                .back_end_says(|spot| offers(spot, &Look::OPTIONS, |has| has(&Scheme::Negotiate)));
            let shows =
                all([offers_negotiate, pair.accepted_by_back_end(), no_back_end_is_closed(seen)]);
            let front_says = pair.through_fronts().answered(|answer| answer.status == 403);
            pair.case_without_proof(shows, front_says, "403".to_owned(), "200")
                .at_most(Standing::Likely)
        });
        cases.collect()
    },
};

/// A back end that answers 403 before any logon, on whatever port, gives the 403 that the CAS passes on.
fn no_back_end_is_closed(seen: &Seen<'_>) -> Claim {
    let closed = seen
        .with_role(Role::Backend)
        .find_map(|spot| spot.answer(&Look::OPTIONS).filter(|(_, answer)| answer.status == 403));
    closed.map_or_else(Claim::given, |(met, _)| Claim::Unknown {
        seen: vec![met.reference()],
        needs: Vec::new(),
    })
}
