//! `bad_password`
//!
//! ## What it says
//! The password (or the account behind it) is refused by the box that checks it.
//!
//! ## How we know
//! 401 to a qualified user name from a server that checks the password itself, with no further hop behind it, while another
//! account is accepted there. At most likely: wrong, locked, disabled and expired are one 401 as long as no KDC is asked.
//!
//! ## What it is not
//! - A 401 that a CAS passes on from a back end: the box in front accepted the password.
//! - A name form that the server does not know: then another form of the same account is accepted.
//!
//! ## What to do
//! See the text.

use parallax_model::{
    Account, EvidenceRef, FaultId, Look, Need, Purpose, Role, Standing, TextPlace,
};

use super::user::{self, accepted_anywhere, refused_by_the_checker};
use crate::causes::{at, login, places};
use crate::claim::{Claim, all, not};
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::{Met, Seen, Spot, logon_of};
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("bad_password"),
    layer: Layer::Account,
    owner: Owner::Directory,
    era: Era::Any,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("bad_password"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    seen.accounts(Purpose::Subject)
        .filter(|account| account.has_password)
        .map(|account| {
            let refusing = refused_by_the_checker(seen, account);
            let spot = refusing.as_ref().map(|(spot, _)| *spot).or_else(|| seen.fronts().next());
            Case {
                must: all([
                    not(accepted_anywhere(seen, account)),
                    checked_and_refused(seen, account, refusing.as_ref()),
                    refusing.as_ref().map_or_else(Claim::undecidable, |(spot, met)| {
                        user::another_is_accepted(seen, account, spot, met)
                    }),
                ]),
                firmer: Claim::given(),
                at_most: Standing::Likely,
                role: spot.map_or(Role::Cas, |it| it.endpoint.role),
                explains: user::explains(account),
                places: places([
                    spot.map(at).unwrap_or_default(),
                    vec![
                        (TextPlace::Account, login(account)),
                        (TextPlace::Seen, "401".to_owned()),
                        (TextPlace::Expected, "200".to_owned()),
                    ],
                    seen.accounts(Purpose::Witness)
                        .next()
                        .map(|it| vec![(TextPlace::Witness, login(it))])
                        .unwrap_or_default(),
                ]),
            }
        })
        .collect()
}

fn checked_and_refused(
    seen: &Seen<'_>,
    account: &Account,
    refusing: Option<&(&Spot<'_>, Met<'_>)>,
) -> Claim {
    if let Some((spot, met)) = refusing {
        let is_upn =
            |login: &str| account.upn.as_deref().is_some_and(|upn| upn.eq_ignore_ascii_case(login));
        let is_qualified = logon_of(met.exchange).is_some_and(|(_, form, _)| {
            form.is_qualified()
                || account.names.iter().any(|name| name.form == form && is_upn(&name.login))
        });
        let references = with_the_question(spot, met);
        return if is_qualified {
            Claim::Holds(references)
        } else {
            Claim::Unknown {
                seen: references,
                needs: vec![Need::Declared { what: "the user name as UPN or DOMAIN\\user" }],
            }
        };
    }
    let refused = seen
        .paths
        .iter()
        .flat_map(|spot| spot.logons(&account.id).into_iter().map(move |met| (spot, met)))
        .find(|(_, met)| met.status() == Some(401));
    if let Some((spot, met)) = refused {
        let need = Need::OnTheServer {
            what: "the security log of a domain controller: 4771 or 4776 with 0xC000006A",
        };
        return Claim::Unknown { seen: with_the_question(spot, &met), needs: vec![need] };
    }
    Claim::undecidable()
}

/// The refusal, and the challenge that the password answered.
fn with_the_question(spot: &Spot<'_>, refused: &Met<'_>) -> Vec<EvidenceRef> {
    let asked = spot.answer(&Look::OPTIONS).filter(|(_, answer)| answer.status == 401);
    [refused.reference()].into_iter().chain(asked.map(|(met, _)| met.reference())).collect()
}
