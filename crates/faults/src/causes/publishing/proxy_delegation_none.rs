//! `proxy_delegation_none`
//!
//! ## What it says
//! The publishing rule of ISA Server or TMG neither passes the password on nor lets the client log on to Exchange itself.
//!
//! ## How we know
//! Outside 401 without any challenge, to a good password too; the CAS dialled directly asks for Basic and accepts the same
//! password. Confirmed with a mark of ISA Server or TMG along the path.
//!
//! ## What it is not
//! - `proxy_strips_challenge`: there a password that is sent at once passes.
//! - `proxy_strips_authorization`: there the challenge of Exchange is to be seen outside.
//! - `vdir_basic_disabled`: there the CAS itself offers nothing.
//!
//! ## What to do
//! See the text.

use parallax_model::{Look, NameForm, Place, Purpose, TextPlace};

use super::fronts::{Inside, accepted_inside, published};
use super::preauth::{self, is_isa, is_sound_behind};
use crate::claim::{Claim, all, any};
use crate::claims::{Logons, Spelling};
use crate::condition::Stage;
use crate::fault::{Basis, Case, Fault};
use crate::seen::{Seen, Spot};
use crate::sign;
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = preauth::fault(
    "proxy_delegation_none",
    Basis::Documented,
    pages!("proxy_delegation_none"),
    cases,
);

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let inside = Inside::of(seen);
    let spots: Vec<&Spot<'_>> = published(seen).collect();
    sign::along(
        spots,
        |spot| spot.sign(&Look::OPTIONS, |it| it.status == 401 && it.challenges.is_empty()),
        |spot, shown| {
            let said = spot.answer(&Look::OPTIONS).map(|(_, it)| words::answer(it));
            // A logon is worth its price only where the front was seen to answer so.
            let must = match shown {
                Claim::Holds(_) => all([
                    shown,
                    is_sound_behind(&inside, spot, true),
                    good_password_is_refused(seen, spot),
                ]),
                Claim::Fails(_) | Claim::Unknown { .. } => shown,
            };
            Case::new(spot, must, &[Stage::Anonymous, Stage::Logon])
                .firmer(is_isa(spot, "the authentication delegation of the publishing rule"))
                .with(TextPlace::Seen, said.unwrap_or_default())
                .with(TextPlace::Expected, "401 Basic")
        },
    )
}

/// A password that was accepted further in is refused along this path.
fn good_password_is_refused(seen: &Seen<'_>, spot: &Spot<'_>) -> Claim {
    let mut claims: Vec<Claim> = Vec::new();
    for account in seen.accounts(Purpose::Subject).filter(|it| it.has_password) {
        let Some(form) = account.first_name().map(|it| it.form) else { continue };
        claims.push(all([
            refused_here(seen, spot, account, form),
            accepted_inside(seen, spot, account, form),
        ]));
    }
    if claims.is_empty() {
        claims.push(Claim::unknown(parallax_model::Need::Subject));
    }
    any(claims)
}

fn refused_here<'e>(
    seen: &Seen<'e>,
    spot: &Spot<'e>,
    account: &'e parallax_model::Account,
    form: NameForm,
) -> Claim {
    Logons {
        seen,
        account,
        spelling: Spelling::Only(form),
        place: Place::ActiveSync,
        spots: vec![spot],
    }
    .refused()
}
