//! `client_access_rule_blocks`
//!
//! ## What it says
//! A client access rule refuses the account by where the client comes from.
//!
//! ## How we know
//! The same account is let in from further in and gets Exchange's own late 403, with the name of the mailbox server, from
//! further out. At most likely: the rule itself is seen with `Get-ClientAccessRule` only.
//!
//! ## What it is not
//! - `eas_disabled_for_user`: there every vantage gets the 403.
//! - A proxy or a restriction in IIS: that 403 comes at once, and before the logon.
//!
//! ## What to do
//! See the text.

use parallax_model::{Account, FaultId, Generation, Need, Purpose, Role, TextPlace};

use super::user;
use crate::claim::{Claim, all};
use crate::claims::{is_generation, other_side};
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::logon;
use crate::seen::{Met, Seen, Spot};
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("client_access_rule_blocks"),
    layer: Layer::Account,
    owner: Owner::Exchange,
    era: Era::Any,
    basis: Basis::Observed,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("client_access_rule_blocks"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    seen.accounts(Purpose::Subject).filter_map(|account| case(seen, account)).collect()
}

fn case(seen: &Seen<'_>, account: &Account) -> Option<Case> {
    let answers = user::told(seen, account);
    let (spot, met) = answers.iter().copied().find(|(spot, met)| {
        met.answer().is_some_and(|it| user::is_refusal(seen, spot, account, it))
    })?;
    let era = is_generation(
        seen,
        spot,
        |it| {
            matches!(
                it,
                Generation::Exchange2019 | Generation::SubscriptionEdition | Generation::Online
            )
        },
        "generation of the client access server",
    );
    let inside: Vec<_> =
        answers.iter().filter(|(other, _)| is_further_in(spot, other)).copied().collect();
    let accepted = let_in_there(spot, &inside);
    let elsewhere = inside
        .iter()
        .find(|(_, met)| met.answer().is_some_and(logon::is_active_sync))
        .map(|(spot, _)| spot.vantage.name.to_string());
    let rule = Need::OnTheServer { what: "Get-ClientAccessRule" };
    Some(
        user::case(account, spot, &met, all([Claim::holds(met.reference()), era, accepted]))
            .firmer(Claim::unknown(rule))
            .with(TextPlace::Elsewhere, elsewhere.unwrap_or_default()),
    )
}

fn is_further_in(outer: &Spot<'_>, other: &Spot<'_>) -> bool {
    other.path != outer.path
        && (other.vantage.zone > outer.vantage.zone
            || (other.endpoint.role == Role::Cas && outer.endpoint.role == Role::External))
}

fn let_in_there(spot: &Spot<'_>, inside: &[(&Spot<'_>, Met<'_>)]) -> Claim {
    let let_in = inside.iter().find(|(_, met)| met.answer().is_some_and(logon::is_active_sync));
    if let Some((_, met)) = let_in {
        return Claim::holds(met.reference());
    }
    match inside.iter().find(|(_, met)| met.status() == Some(403)) {
        Some((_, met)) => Claim::fails(met.reference()),
        None => Claim::unknown(other_side(spot)),
    }
}
