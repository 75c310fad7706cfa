//! `mdm_gateway_block`
//!
//! ## What it says
//! A gateway for managed devices refuses what comes without a device that it knows.
//!
//! ## How we know
//! Some answer outside names such a gateway by its realm or `Server`, and anonymous `OPTIONS`, or a logon that the CAS
//! accepts directly, gets 401, 403 or 503 without a mark of Exchange. At most likely: a probe is no managed device, and may
//! rightly be refused where the phones pass.
//!
//! ## What it is not
//! - A 401 of the gateway to the anonymous question: that is how it asks for a password.
//! - `proxy_url_not_published`: there no gateway for devices answers.
//! - `eas_disabled_for_user`: there Exchange itself answers 403, after 20 s.
//!
//! ## What to do
//! See the text.

use parallax_model::{Answer, Look, Need, Place, Standing, TextPlace};

use super::fronts::{Inside, accepted_inside, is_marked_by_exchange, published, tried};
use super::preauth::{self, is_sound_behind};
use crate::claim::{Claim, all};
use crate::condition::Stage;
use crate::fault::{Basis, Case, Fault};
use crate::seen::{Met, Seen, Spot, logon_of};
use crate::sign::{self, Fact, Sign};
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault =
    preauth::fault("mdm_gateway_block", Basis::Documented, pages!("mdm_gateway_block"), cases);

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let inside = Inside::of(seen);
    let spots: Vec<&Spot<'_>> = published(seen).collect();
    sign::along(spots, block, |spot, shown| {
        let blocked = blocked(spot);
        Case::new(
            spot,
            all([shown, is_good(seen, spot, blocked.as_ref())]),
            &[Stage::Anonymous, Stage::Logon],
        )
        .firmer(all([
            is_sound_behind(&inside, spot, true),
            Claim::unknown(Need::OnTheServer {
                what: "whether the console of the MDM knows the device and lets it in",
            }),
        ]))
        .at_most(Standing::Likely)
        .with(TextPlace::Seen, blocked.map(|it| words::exchange(it.exchange)).unwrap_or_default())
        .with(TextPlace::Expected, "401 Basic, 200")
    })
}

/// A logon that was refused says nothing of a gateway unless the password is good.
fn is_good(seen: &Seen<'_>, spot: &Spot<'_>, blocked: Option<&Met<'_>>) -> Claim {
    let Some(blocked) = blocked.filter(|it| it.exchange.look.is_logon()) else {
        return Claim::given();
    };
    let logon =
        tried(seen, spot).into_iter().find(|it| std::ptr::eq(it.met.exchange, blocked.exchange));
    logon.map_or_else(Claim::undecidable, |it| accepted_inside(seen, spot, it.account, it.form))
}

fn block<'e>(spot: &Spot<'e>) -> Sign<'e> {
    match (blocked(spot), spot.latest(&Look::OPTIONS).iter().find(|it| it.answer().is_some())) {
        (Some(met), _) => Sign::Shown(Fact::Exchange(met)),
        (None, Some(met)) => Sign::Denied(Fact::Exchange(*met)),
        (None, None) => Sign::Unknown(Vec::new()),
    }
}

/// The latest refusal, if a gateway for devices gives itself away along the path.
fn blocked<'e>(spot: &Spot<'e>) -> Option<Met<'e>> {
    if !preauth::is_behind_mobile_gateway(spot) {
        return None;
    }
    spot.met().iter().rev().find(|met| is_refusal(met)).copied()
}

fn is_refusal(met: &Met<'_>) -> bool {
    let is_refused = |answer: &Answer, statuses: &[u16]| {
        statuses.contains(&answer.status) && !is_marked_by_exchange(answer)
    };
    let is_logon = logon_of(met.exchange).is_some_and(|(_, _, place)| place == Place::ActiveSync);
    let statuses: &[u16] = if is_logon { &[401, 403, 503] } else { &[403, 503] };
    (is_logon || met.exchange.look == Look::OPTIONS)
        && met.answer().is_some_and(|it| is_refused(it, statuses))
}
