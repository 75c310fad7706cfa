//! `isa_useragent_mapping_forms`
//!
//! ## What it says
//! The listener of ISA Server or TMG takes some phones for browsers and shows them a form.
//!
//! ## How we know
//! Along the path a form of ISA Server or TMG answers `ActiveSync`, to the anonymous question or to a logon. Whether it is
//! shown by `User-Agent` the probe cannot tell, for it has one of its own: the mapping on the listener tells.
//!
//! ## What it is not
//! - `fba_intercepts_eas`: the form is for everybody.
//! - `isa_fba_listener_502_on_bad_password`: there the answer to a logon is 502, and a good password passes.
//!
//! ## What to do
//! See the text.

use parallax_model::{Look, Place, TextPlace};

use super::fba_intercepts_eas::MAPPING;
use super::fronts::published;
use super::preauth::{self, Gate};
use crate::claim::{Claim, all};
use crate::condition::Stage;
use crate::fault::{Basis, Case, Fault};
use crate::seen::{Met, Seen, Spot};
use crate::sign::{self, Fact, Sign};
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = preauth::fault(
    "isa_useragent_mapping_forms",
    Basis::Documented,
    pages!("isa_useragent_mapping_forms"),
    |seen: &Seen<'_>| {
        let spots: Vec<&Spot<'_>> = published(seen).collect();
        sign::along(spots, form, |spot, shown| {
            let said = latest_form(spot).map(|met| words::exchange(met.exchange));
            Case::new(
                spot,
                all([shown, Claim::unknown(MAPPING)]),
                &[Stage::Anonymous, Stage::Logon],
            )
            .with(TextPlace::Seen, said.unwrap_or_default())
            .with(TextPlace::Expected, "401 Basic")
        })
    },
);

/// Somebody was shown a form of ISA Server or TMG in place of `ActiveSync`.
fn form<'e>(spot: &Spot<'e>) -> Sign<'e> {
    match (latest_form(spot), spot.latest(&Look::OPTIONS).first()) {
        (Some(met), _) => Sign::Shown(Fact::Exchange(met)),
        (None, Some(met)) => Sign::Denied(Fact::Exchange(*met)),
        (None, None) => Sign::Unknown(Vec::new()),
    }
}

fn latest_form<'e>(spot: &Spot<'e>) -> Option<Met<'e>> {
    let is_form = |met: &&Met<'e>| {
        met.exchange.look.place == Place::ActiveSync
            && met.answer().and_then(preauth::gate) == Some(Gate::IsaOrTmg)
    };
    spot.met().iter().rev().find(is_form).copied()
}
