//! `e2003_hotfix_937031_missing`
//!
//! ## What it says
//! The Exchange 2003 server lacks the hotfix without which Exchange System Manager does not let anybody change the
//! authentication of this directory.
//!
//! ## How we know
//! The back end offers Basic alone, and the operator entered that the setting is greyed out or that KB 937031 is not
//! installed. No look shows it.
//!
//! ## What it is not
//! - `e2003_be_iwa_missing`: the same back end, with nothing known of the hotfix. It is true here as well, and stands
//!   beside it.
//!
//! ## What to do
//! See the text.

use parallax_model::{EventKind, FaultId, Look, Scheme};

use super::legacy;
use crate::claim::{Claim, all};
use crate::claims::offers;
use crate::fault::{Basis, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::Seen;
use crate::texts::pages;
use crate::time;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("e2003_hotfix_937031_missing"),
    layer: Layer::Legacy2003,
    owner: Owner::Exchange,
    era: Era::Mailbox2003,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("e2003_hotfix_937031_missing"),
    cases: |seen| {
        let told = told(seen);
        // Nothing but the operator's word speaks for it.
        if !matches!(told, Claim::Holds(_)) {
            return Vec::new();
        }
        let pairs = legacy::pairs(seen).into_iter();
        let cases = pairs.map(|pair| {
            let offered = pair.back_end.answer(&Look::OPTIONS);
            let offered = offered.map(|(_, it)| words::schemes(&it.challenges)).unwrap_or_default();
            let is_basic = pair.back_end_says(|spot| {
                offers(spot, &Look::OPTIONS, |has| {
                    has(&Scheme::Basic) && !has(&Scheme::Negotiate) && !has(&Scheme::Ntlm)
                })
            });
            let shows = all([is_basic, told.clone()]);
            pair.case(shows, pair.through_fronts().refused(), offered, "Negotiate, NTLM, Basic")
        });
        cases.collect()
    },
};

/// How people call a setting that cannot be changed.
const GREYED: [&str; 6] =
    ["greyed", "grayed", "grey out", "gray out", "\u{7070}\u{8272}", "\u{30b0}\u{30ec}\u{30fc}"];
/// How people call an update that is not there, beside its number.
const ABSENT: [&str; 8] = [
    "not installed",
    "missing",
    "absent",
    "without",
    "never installed",
    "\u{672a}\u{9069}\u{7528}",
    "\u{9069}\u{7528}\u{3055}\u{308c}\u{3066}\u{3044}\u{306a}\u{3044}",
    "\u{306a}\u{3057}",
];

/// The newest word of the operator about the hotfix or the setting it makes changeable.
pub(super) fn told(seen: &Seen<'_>) -> Claim {
    let kinds =
        [EventKind::UserReport, EventKind::ServerLog, EventKind::AdminChange, EventKind::Update];
    let says_one = |text: &str, words: &[&str]| words.iter().any(|word| time::says(text, word));
    for event in time::events(seen, &kinds) {
        let names_it = time::says(&event.text, "937031");
        if says_one(&event.text, &GREYED) || (names_it && says_one(&event.text, &ABSENT)) {
            return Claim::holds(time::event_reference(event));
        }
        if names_it {
            return Claim::fails(time::event_reference(event));
        }
    }
    Claim::undecidable()
}
