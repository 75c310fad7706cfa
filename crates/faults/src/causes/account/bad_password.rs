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

use parallax_model::{Account, FaultId, Need, Place, Purpose, Role, Standing, TextPlace};

use crate::causes::{at, login, places};
use crate::claim::{Claim, all, any, not};
use crate::claims::{Logons, Spelling};
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Explains, Fault, Layer, Owner, Reach, Severity};
use crate::logon;
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
                    another_is_accepted(seen, account, refusing.as_ref()),
                ]),
                firmer: Claim::given(),
                at_most: Standing::Likely,
                role: spot.map_or(Role::Cas, |it| it.endpoint.role),
                explains: Explains {
                    paths: [].into(),
                    stages: &[Stage::Logon],
                    logons_of: Some((account.id.clone(), Vec::new())),
                },
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

/// The same secret was accepted, checked at that moment: it is right.
fn accepted_anywhere(seen: &Seen<'_>, account: &Account) -> Claim {
    let all_spots: Vec<&Spot<'_>> =
        seen.paths.iter().filter(|it| it.endpoint.role != Role::Control).collect();
    let places = [Place::ActiveSync, Place::Autodiscover, Place::Ews];
    let Some(account) = seen.evidence.accounts.iter().find(|it| it.id == account.id) else {
        return Claim::undecidable();
    };
    for place in places {
        let claim =
            Logons { seen, account, spelling: Spelling::Any, place, spots: all_spots.clone() }
                .accepted();
        if matches!(claim, Claim::Holds(_)) {
            return claim;
        }
        // A cached token leaves the question open.
        if matches!(&claim, Claim::Unknown { seen, .. } if !seen.is_empty()) {
            return claim;
        }
    }
    Claim::Fails(Vec::new())
}

fn refused_by_the_checker<'a, 'e>(
    seen: &'a Seen<'e>,
    account: &Account,
) -> Option<(&'a Spot<'e>, Met<'e>)> {
    seen.paths.iter().rev().find_map(|spot| {
        let met = spot.logons(&account.id).into_iter().find(|met| {
            met.answer().is_some_and(|answer| {
                answer.status == 401 && logon::is_checked_here(seen, spot, account, answer)
            })
        })?;
        Some((spot, met))
    })
}

fn checked_and_refused(
    seen: &Seen<'_>,
    account: &Account,
    refusing: Option<&(&Spot<'_>, Met<'_>)>,
) -> Claim {
    if let Some((_, met)) = refusing {
        let is_upn =
            |login: &str| account.upn.as_deref().is_some_and(|upn| upn.eq_ignore_ascii_case(login));
        let is_qualified = logon_of(met.exchange).is_some_and(|(_, form, _)| {
            form.is_qualified()
                || account.names.iter().any(|name| name.form == form && is_upn(&name.login))
        });
        return if is_qualified {
            Claim::holds(met.reference())
        } else {
            Claim::Unknown {
                seen: vec![met.reference()],
                needs: vec![Need::Declared { what: "the user name as UPN or DOMAIN\\user" }],
            }
        };
    }
    let refused = seen
        .paths
        .iter()
        .flat_map(|spot| spot.logons(&account.id))
        .find(|met| met.status() == Some(401));
    if let Some(met) = refused {
        let need = Need::OnTheServer {
            what: "the security log of a domain controller: 4771 or 4776 with 0xC000006A",
        };
        return Claim::Unknown { seen: vec![met.reference()], needs: vec![need] };
    }
    Claim::undecidable()
}

fn another_is_accepted(
    seen: &Seen<'_>,
    account: &Account,
    refusing: Option<&(&Spot<'_>, Met<'_>)>,
) -> Claim {
    let Some((spot, met)) = refusing else { return Claim::undecidable() };
    let place = logon_of(met.exchange).map_or(Place::ActiveSync, |(_, _, place)| place);
    let others: Vec<&Account> = seen
        .evidence
        .accounts
        .iter()
        .filter(|it| it.id != account.id && it.directory == account.directory)
        .collect();
    if others.is_empty() {
        return Claim::unknown(Need::Witness);
    }
    let same_endpoint: Vec<&Spot<'_>> =
        seen.paths.iter().filter(|it| it.endpoint.name == spot.endpoint.name).collect();
    any(others.into_iter().map(|other| {
        let claim = Logons {
            seen,
            account: other,
            spelling: Spelling::Any,
            place,
            spots: same_endpoint.clone(),
        }
        .accepted();
        // Another account that is refused as well says nothing about this one's password.
        match claim {
            Claim::Fails(seen) => Claim::Unknown { seen, needs: Vec::new() },
            settled @ (Claim::Holds(_) | Claim::Unknown { .. }) => settled,
        }
    }))
}
