//! `upn_mismatch`
//!
//! ## What it says
//! The mail address is used as user name, and the directory knows the account by another UPN.
//!
//! ## How we know
//! The same secret is accepted with the UPN or `DOMAIN\user` and refused with the mail address.
//!
//! ## What it is not
//! - A wrong password: a qualified form is accepted.
//!
//! ## What to do
//! See the text.

use parallax_model::{Account, FaultId, NameForm, Place, Role, Standing, TextPlace, UserName};

use crate::causes::{at, places};
use crate::claim::{Claim, all};
use crate::claims::{Logons, Spelling, boxes_between};
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Explains, Fault, Layer, Owner, Reach, Severity};
use crate::seen::{Seen, Spot};
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("upn_mismatch"),
    layer: Layer::Account,
    owner: Owner::Directory,
    era: Era::Any,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("upn_mismatch"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    form_cases(seen, NameForm::Smtp)
}

/// A form of the name that is refused where a qualified form of the same account is accepted: along the same path, since
/// another front may refuse for reasons of its own. One case per path that accepted the qualified form; before any did, one
/// case that asks for it.
pub(in crate::causes) fn form_cases<'e>(seen: &Seen<'e>, form: NameForm) -> Vec<Case> {
    let is_known =
        |account: &Account| seen.evidence.target.accounts.iter().any(|it| it.account == account.id);
    let mut cases = Vec::new();
    for account in seen.evidence.accounts.iter().filter(|account| is_known(account)) {
        let Some(name) = account.names.iter().find(|name| name.form == form) else { continue };
        if account.upn.as_deref().is_some_and(|upn| upn.eq_ignore_ascii_case(&name.login)) {
            continue;
        }
        let accepting: Vec<&Spot<'e>> = seen
            .fronts()
            .filter(|spot| {
                matches!(
                    logons(seen, account, Spelling::Qualified, vec![spot]).accepted(),
                    Claim::Holds(_)
                )
            })
            .collect();
        if accepting.is_empty() {
            cases.extend(case(seen, account, name, seen.fronts().collect()));
        }
        // Where the form was tried, that settles it; elsewhere it would be one logon more for nothing.
        let is_tried = |spot: &&Spot<'e>| {
            let with_form = logons(seen, account, Spelling::Only(form), vec![*spot]).refused();
            !matches!(with_form, Claim::Unknown { seen, .. } if seen.is_empty())
        };
        let tried: Vec<&Spot<'e>> = accepting.iter().copied().filter(is_tried).collect();
        let nearest = accepting.into_iter().min_by_key(|spot| boxes_between(spot));
        let asked = if tried.is_empty() { nearest.into_iter().collect() } else { tried };
        for spot in asked {
            cases.extend(case(seen, account, name, vec![spot]));
        }
    }
    cases
}

fn case<'e>(
    seen: &Seen<'e>,
    account: &'e Account,
    name: &UserName,
    spots: Vec<&Spot<'e>>,
) -> Option<Case> {
    let spot = spots.last().copied()?;
    let qualified = Spelling::Qualified.of(account).map(|it| it.login.clone()).unwrap_or_default();
    Some(Case {
        must: all([
            logons(seen, account, Spelling::Qualified, spots.clone()).accepted(),
            logons(seen, account, Spelling::Only(name.form), spots).refused(),
        ]),
        firmer: Claim::given(),
        at_most: Standing::Confirmed,
        role: Role::Cas,
        explains: Explains {
            paths: [].into(),
            stages: &[Stage::Logon],
            logons_of: Some((account.id.clone(), vec![name.form])),
        },
        places: places([
            at(spot),
            vec![
                (TextPlace::Account, name.login.clone()),
                (TextPlace::Witness, qualified),
                (TextPlace::Seen, "401".to_owned()),
                (TextPlace::Expected, "200".to_owned()),
            ],
        ]),
    })
}

fn logons<'a, 'e>(
    seen: &'a Seen<'e>,
    account: &'e Account,
    spelling: Spelling,
    spots: Vec<&'a Spot<'e>>,
) -> Logons<'a, 'e> {
    Logons { seen, account, spelling, place: Place::ActiveSync, spots }
}
