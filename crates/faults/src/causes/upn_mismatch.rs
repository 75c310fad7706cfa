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

use parallax_model::{Account, FaultId, NameForm, Place, Purpose, Role, Standing, TextPlace};

use crate::causes::{at, places};
use crate::claim::{Claim, all};
use crate::claims::{Logons, Spelling};
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Explains, Fault, Layer, Owner};
use crate::seen::{Seen, Spot};

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("upn_mismatch"),
    layer: Layer::Account,
    owner: Owner::Directory,
    era: Era::Any,
    basis: Basis::Documented,
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    seen.evidence
        .accounts
        .iter()
        .filter_map(|account| form_case(seen, account, NameForm::Smtp))
        .collect()
}

/// A form of the name that is refused where a qualified form of the same account is accepted.
pub(super) fn form_case(seen: &Seen<'_>, account: &Account, form: NameForm) -> Option<Case> {
    let name = account.names.iter().find(|name| name.form == form)?;
    let is_the_upn =
        account.upn.as_deref().is_some_and(|upn| upn.eq_ignore_ascii_case(&name.login));
    if is_the_upn
        || !seen
            .accounts(Purpose::Subject)
            .chain(seen.accounts(Purpose::Witness))
            .any(|it| it.id == account.id)
    {
        return None;
    }
    let account = seen.evidence.accounts.iter().find(|it| it.id == account.id)?;
    let fronts: Vec<&Spot<'_>> = seen.fronts().collect();
    let with = |spelling| Logons {
        seen,
        account,
        spelling,
        place: Place::ActiveSync,
        spots: fronts.clone(),
    };
    let spot = fronts.last()?;
    Some(Case {
        must: all([with(Spelling::Qualified).accepted(), with(Spelling::Only(form)).refused()]),
        firmer: Claim::given(),
        at_most: Standing::Confirmed,
        role: Role::Cas,
        explains: Explains {
            paths: Vec::new(),
            stages: &[Stage::Logon],
            logons_of: Some((account.id.clone(), vec![form])),
        },
        places: places([
            at(spot),
            vec![
                (TextPlace::Account, name.login.clone()),
                (
                    TextPlace::Witness,
                    Spelling::Qualified.of(account).map(|it| it.login.clone()).unwrap_or_default(),
                ),
                (TextPlace::Seen, "401".to_owned()),
                (TextPlace::Expected, "200".to_owned()),
            ],
        ]),
    })
}
