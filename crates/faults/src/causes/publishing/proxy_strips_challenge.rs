//! `proxy_strips_challenge`
//!
//! ## What it says
//! The publishing device takes `WWW-Authenticate` out of Exchange's 401, so clients that wait for a challenge never send a
//! password.
//!
//! ## How we know
//! Outside 401 without a challenge, inside with Basic; and a logon sent without being asked is accepted outside.
//!
//! ## What it is not
//! - `proxy_delegation_none`: there the logon outside is refused as well; until one was made, each is only likely.
//! - `vdir_basic_disabled`: there the server itself offers no Basic.
//!
//! ## What to do
//! See the text.

use parallax_model::{FaultId, Look, Need, Place, Purpose, TextPlace};

use super::fronts::{Inside, Tried, accepted_inside, elsewhere, met_here, published, said, tried};
use crate::claim::{Claim, all};
use crate::claims::{Logons, Spelling};
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::logon;
use crate::seen::{Seen, Spot};
use crate::sign::along;
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("proxy_strips_challenge"),
    layer: Layer::Publishing,
    owner: Owner::Publishing,
    era: Era::Any,
    basis: Basis::Observed,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("proxy_strips_challenge"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let inside = Inside::of(seen);
    let tried: Vec<Tried<'_>> = published(seen).flat_map(|spot| tried(seen, spot)).collect();
    along(
        published(seen),
        |spot| spot.sign(&Look::OPTIONS, |it| it.status == 401 && it.challenges.is_empty()),
        |spot, shown| {
            Case::new(
                spot,
                all([shown, inside.answers_soundly(spot), is_not_refused(&met_here(&tried, spot))]),
                &[Stage::Anonymous],
            )
            .firmer(a_logon_passes(seen, spot, &met_here(&tried, spot)))
            .with(TextPlace::Seen, said(spot, &Look::OPTIONS))
            .with(TextPlace::Expected, "401 Basic")
            .with(TextPlace::Elsewhere, elsewhere(&inside, spot))
        },
    )
}

/// A password that was refused here speaks for a device that does not pass passwords on, or for a wrong password.
fn is_not_refused(tried: &[&Tried<'_>]) -> Claim {
    if tried.iter().any(|it| logon::is_active_sync(it.answer)) {
        return Claim::given();
    }
    let refused = tried.iter().find(|it| it.answer.status == 401);
    refused.map_or_else(Claim::given, |it| Claim::Unknown {
        seen: vec![it.met.reference()],
        needs: Vec::new(),
    })
}

/// Only what comes back is touched: a password sent without being asked for reaches Exchange.
fn a_logon_passes(seen: &Seen<'_>, spot: &Spot<'_>, tried: &[&Tried<'_>]) -> Claim {
    if let Some(passed) = tried.iter().find(|it| logon::is_active_sync(it.answer)) {
        return Claim::holds(passed.met.reference());
    }
    if let Some(refused) = tried.iter().find(|it| it.answer.status == 401) {
        return match accepted_inside(seen, spot, refused.account, refused.form) {
            Claim::Holds(_) => Claim::fails(refused.met.reference()),
            Claim::Fails(_) | Claim::Unknown { .. } => Claim::undecidable(),
        };
    }
    let mut accounts = seen.accounts(Purpose::Subject).chain(seen.accounts(Purpose::Witness));
    let Some(account) = accounts.find(|it| it.has_password) else {
        return Claim::unknown(Need::Subject);
    };
    let (spelling, place, spots) = (Spelling::Any, Place::ActiveSync, vec![spot]);
    Logons { seen, account, spelling, place, spots }.accepted()
}
