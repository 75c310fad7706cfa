//! `stale_cached_token_divergence`
//!
//! ## What it says
//! The password was changed, and one server still accepts the old one from its cache while another refuses it.
//!
//! ## How we know
//! The same secret is accepted by one server and refused by another that checks it itself, and the operator says that the
//! password was changed within the last day. At most likely: the servers may also ask different domain controllers.
//!
//! ## What it is not
//! - A proxy that drops the credential: then both answers come from one server.
//! - A 401 that a client access server passes on from a back end.
//! - A right or restriction at one server only: without a change of the password nothing separates them.
//!
//! ## What to do
//! See the text.

use std::time::Duration;

use parallax_model::{EventKind, FaultId, Need, Standing, TextPlace};

use super::user;
use crate::claim::{Claim, all};
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::Seen;
use crate::texts::pages;
use crate::words;

/// Devices went on for 8 to 24 h with an old password or a disabled account (KB 2612821).
const CACHED_MAX: Duration = Duration::from_hours(24);

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("stale_cached_token_divergence"),
    layer: Layer::Account,
    owner: Owner::Exchange,
    era: Era::Any,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("stale_cached_token_divergence"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let changed = changed_lately(seen);
    seen.evidence
        .accounts
        .iter()
        .filter_map(|account| {
            let it = user::divergence(seen, account)?;
            let both = Claim::Holds(vec![it.accepted.reference(), it.refused.reference()]);
            let case = user::case(account, it.refusing, &it.refused, all([both, changed.clone()]));
            let elsewhere = it.accepted.path.endpoint.to_string();
            Some(case.at_most(Standing::Likely).with(TextPlace::Elsewhere, elsewhere))
        })
        .collect()
}

fn changed_lately(seen: &Seen<'_>) -> Claim {
    let change = seen.evidence.target.events.iter().find(|it| {
        it.kind == EventKind::PasswordChange
            && seen.evidence.now.duration_since(it.at).is_ok_and(|age| age <= CACHED_MAX)
    });
    match change {
        Some(event) => Claim::holds(Seen::declared(format!(
            "password change: {}",
            words::shortened(&event.text)
        ))),
        None => Claim::unknown(Need::Declared { what: "when the password was last changed" }),
    }
}
