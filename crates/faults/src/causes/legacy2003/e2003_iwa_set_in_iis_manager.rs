//! `e2003_iwa_set_in_iis_manager`
//!
//! ## What it says
//! Somebody switched Integrated authentication on in IIS Manager, and the System Attendant wrote the old setting
//! back.
//!
//! ## How we know
//! Earlier sights of the back end tell: its challenge list gained Negotiate and lost it within the 15 minutes in
//! which DS2MB copies the directory over the metabase; now it is Basic alone again, and legacy users are refused
//! through the CAS. Confirmed where the sights or the operator's own entry pin the change to these 15 minutes;
//! somebody who took it back on purpose looks the same otherwise.
//!
//! ## What it is not
//! - `e2003_be_iwa_missing`: the same state without that past. It is true here as well, and stands beside it.
//! - A list that kept Negotiate for longer and lost it at no restart: nothing tells why.
//! - Exchange 2007 and later: there IIS itself holds the truth, and nothing flips back.
//!
//! ## What to do
//! See the text.

use std::time::SystemTime;

use parallax_model::{Answer, Event, EventKind, FaultId, Look, Need, Scheme, Standing};

use super::legacy::{self, Legacy};
use crate::claim::{Claim, all};
use crate::claims::offers;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::Seen;
use crate::texts::pages;
use crate::time::{self, Earlier, Flip};
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("e2003_iwa_set_in_iis_manager"),
    layer: Layer::Legacy2003,
    owner: Owner::Exchange,
    era: Era::Mailbox2003,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("e2003_iwa_set_in_iis_manager"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let earlier = Earlier::new(seen, &Look::OPTIONS);
    let pairs = legacy::pairs(seen);
    pairs.iter().filter_map(|pair| case(pair, &earlier)).collect()
}

/// Only where the past shows it; a back end without such a past is no case.
fn case(pair: &Legacy<'_, '_>, earlier: &Earlier<'_>) -> Option<Case> {
    let (flip, lost) = flip_back(pair, earlier)?;
    let is_basic_again = pair.back_end_says(|spot| {
        offers(spot, &Look::OPTIONS, |has| {
            has(&Scheme::Basic) && !has(&Scheme::Negotiate) && !has(&Scheme::Ntlm)
        })
    });
    let offered =
        pair.back_end.answer(&Look::OPTIONS).map(|(_, it)| words::schemes(&it.challenges));
    let at_most = if is_pinned(pair.seen, &flip) { Standing::Confirmed } else { Standing::Likely };
    let case = pair.case_by_the_past(
        all([is_basic_again, lost]),
        offered.unwrap_or_default(),
        "Negotiate, NTLM, Basic",
    );
    Some(case.at_most(at_most))
}

/// The latest flip of this back end along the path that speaks for it, and what it claims.
fn flip_back(pair: &Legacy<'_, '_>, earlier: &Earlier<'_>) -> Option<(Flip, Claim)> {
    let path = pair.back_end.path;
    let (_, answer) = pair.back_end.answer(&Look::OPTIONS)?;
    let past = earlier.of(path);
    let is_challenge = |it: &Answer| it.status == 401;
    let mut sights: Vec<(SystemTime, bool)> = past
        .iter()
        .filter(|(_, it)| is_challenge(it))
        .map(|(at, it)| (*at, time::offers_integrated(it)))
        .collect();
    if is_challenge(answer) {
        sights.push((pair.seen.evidence.now, time::offers_integrated(answer)));
    }
    let flip = time::flip(&sights)?;
    let references = past
        .iter()
        .filter(|(at, _)| [flip.before, flip.first, flip.last, flip.after].contains(at))
        .map(|(at, it)| time::earlier_reference(path, *at, it))
        .collect();
    let claim = if flip.may_be_overwritten() || restarted_between(pair.seen, &flip) {
        Claim::Holds(references)
    } else {
        let what = "a restart of the System Attendant when Negotiate vanished, as an event";
        Claim::Unknown { seen: references, needs: vec![Need::Declared { what }] }
    };
    Some((flip, claim))
}

/// The past tells it without a doubt.
pub(super) fn is_certain(pair: &Legacy<'_, '_>, earlier: &Earlier<'_>) -> bool {
    let flip = flip_back(pair, earlier);
    flip.is_some_and(|(flip, claim)| {
        matches!(claim, Claim::Holds(_)) && is_pinned(pair.seen, &flip)
    })
}

/// At its start the System Attendant writes too.
fn restarted_between(seen: &Seen<'_>, flip: &Flip) -> bool {
    time::events(seen, &[EventKind::Restart])
        .iter()
        .any(|it| it.at >= flip.last && it.at <= flip.after)
}

/// No longer than the interval from the change to its end, and nobody entered a change back.
fn is_pinned(seen: &Seen<'_>, flip: &Flip) -> bool {
    let changes = time::events(seen, &[EventKind::AdminChange]);
    let is_before = |it: &&&Event| it.at >= flip.before && it.at <= flip.first;
    let gained = changes.iter().find(is_before).map_or(flip.before, |it| it.at);
    let is_taken_back = changes.iter().any(|it| it.at > flip.first && it.at <= flip.after);
    flip.is_overwritten(gained) && !is_taken_back
}
