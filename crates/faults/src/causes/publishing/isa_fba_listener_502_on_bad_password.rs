//! `isa_fba_listener_502_on_bad_password`
//!
//! ## What it says
//! The forms listener of ISA Server 2006 answers a wrong password with 502, so that the phone never asks for the new one.
//!
//! ## How we know
//! Outside the anonymous question gets 401 with Basic and another account is let in, while this logon gets 502; a user name
//! that cannot exist gets 502 as well. Confirmed where a CAS dialled directly refuses the same secret with 401.
//!
//! ## What it is not
//! - `proxy_upstream_unreachable`: there everybody gets 502, and nobody is let in.
//! - `bad_password`: it is the reason behind it, and this is why nobody is told.
//! - A mailbox that the proxy cannot reach: then a user name that cannot exist gets 401.
//!
//! ## What to do
//! See the text.

use parallax_model::{Account, Look, Place, Purpose, Role, Scheme, TextPlace};

use super::fronts::{is_marked_by_exchange, published};
use super::preauth::{self, Told, is_isa, nobody_is};
use crate::causes::login;
use crate::claim::{Claim, all, any};
use crate::claims::{Logons, Spelling, offers};
use crate::condition::Stage;
use crate::fault::{Basis, Case, Explains, Fault};
use crate::seen::{Seen, Spot};
use crate::sign::{self, Fact, Sign};
use crate::texts::pages;

pub(crate) const FAULT: Fault = preauth::fault(
    "isa_fba_listener_502_on_bad_password",
    Basis::Documented,
    pages!("isa_fba_listener_502_on_bad_password"),
    cases,
);

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let told = preauth::told(seen);
    let mut cases = Vec::new();
    for account in seen.accounts(Purpose::Subject) {
        let spots: Vec<&Spot<'_>> =
            published(seen).filter(|it| !it.logons(&account.id).is_empty()).collect();
        cases.extend(sign::along(
            spots,
            |spot| refused_with_502(spot, account),
            |spot, shown| case(seen, &told, spot, account, shown),
        ));
    }
    cases
}

fn case(
    seen: &Seen<'_>,
    told: &Told<'_>,
    spot: &Spot<'_>,
    account: &Account,
    shown: Claim,
) -> Case {
    // Another logon is worth its price only where this one came to 502.
    let must = match shown {
        Claim::Holds(_) => all([
            shown,
            offers(spot, &Look::OPTIONS, |has| has(&Scheme::Basic)),
            another_is_let_in(seen, spot, account),
        ]),
        Claim::Fails(_) | Claim::Unknown { .. } => shown,
    };
    Case::new(spot, must, &[Stage::Logon])
        .firmer(all([
            nobody_is(told, spot, |it| it.status == 502 && !is_marked_by_exchange(it)),
            is_isa(spot, "whether ISA Server 2006 with a forms listener stands in front"),
            is_refused_inside(seen, account),
        ]))
        .explaining(Explains {
            logons_of: Some((account.id.clone(), Vec::new())),
            ..Explains::path(spot.path, &[Stage::Logon])
        })
        .with(TextPlace::Account, login(account))
        .with(TextPlace::Seen, "502")
        .with(TextPlace::Expected, "401")
}

fn refused_with_502<'e>(spot: &Spot<'e>, account: &Account) -> Sign<'e> {
    let logons = spot.logons(&account.id);
    let is_such = |status: u16| status == 502;
    let found = logons.iter().find(|met| {
        met.answer().is_some_and(|it| is_such(it.status) && !is_marked_by_exchange(it))
    });
    match (found, logons.iter().find(|it| it.answer().is_some())) {
        (Some(met), _) => Sign::Shown(Fact::Exchange(*met)),
        (None, Some(met)) => Sign::Denied(Fact::Exchange(*met)),
        (None, None) => Sign::Unknown(Vec::new()),
    }
}

/// The same front lets another account in, so what stands behind it can be reached. One that is refused as well settles nothing.
fn another_is_let_in(seen: &Seen<'_>, spot: &Spot<'_>, account: &Account) -> Claim {
    let others = seen.evidence.accounts.iter().filter(|it| it.id != account.id);
    let spots: Vec<&Spot<'_>> =
        seen.paths.iter().filter(|it| it.endpoint.name == spot.endpoint.name).collect();
    let mut claims: Vec<Claim> = others
        .map(|other| Logons {
            seen,
            account: other,
            spelling: Spelling::Any,
            place: Place::ActiveSync,
            spots: spots.clone(),
        })
        .map(|logons| match logons.accepted() {
            Claim::Fails(seen) => Claim::Unknown { seen, needs: Vec::new() },
            settled @ (Claim::Holds(_) | Claim::Unknown { .. }) => settled,
        })
        .collect();
    if claims.is_empty() {
        claims.push(Claim::unknown(parallax_model::Need::Witness));
    }
    any(claims)
}

/// A client access server dialled directly refuses the same secret. It is not asked for that: one refusal is enough.
fn is_refused_inside(seen: &Seen<'_>, account: &Account) -> Claim {
    let asked: Vec<_> =
        seen.with_role(Role::Cas).flat_map(|spot| spot.logons(&account.id)).collect();
    match asked.iter().find(|it| matches!(it.status(), Some(200 | 401))) {
        Some(met) if met.status() == Some(401) => Claim::holds(met.reference()),
        Some(met) => Claim::fails(met.reference()),
        None => Claim::undecidable(),
    }
}
