//! What the faults of one user share: what the account was told, by whom, and whether another account fares better there.
//!
//! Wrong, locked, disabled, expired and restricted are one 401 as long as nobody asks a domain controller: such faults stand
//! open side by side, with the log that tells them apart.
//!
//! INVARIANT: a 401 that a front may have passed on from elsewhere is never taken for the word of the box that checks.

use parallax_model::{Account, Answer, Generation, Need, Place, Purpose, Role, TextPlace};

use crate::causes::login;
use crate::claim::{Claim, all, any, not};
use crate::claims::{Logons, Spelling};
use crate::condition::Stage;
use crate::fault::{Case, Explains};
use crate::logon;
use crate::responder;
use crate::seen::{Met, Seen, Spot, logon_of};
use crate::words;

/// Every answer to a logon of the account on the `ActiveSync` path, outermost path first.
pub(in crate::causes) fn told<'a, 'e>(
    seen: &'a Seen<'e>,
    account: &Account,
) -> Vec<(&'a Spot<'e>, Met<'e>)> {
    let is_here = |met: &Met<'_>| {
        logon_of(met.exchange).is_some_and(|(_, _, place)| place == Place::ActiveSync)
    };
    seen.paths
        .iter()
        .filter(|spot| spot.endpoint.role != Role::Control)
        .flat_map(|spot| {
            spot.logons(&account.id).into_iter().filter(is_here).map(move |met| (spot, met))
        })
        .collect()
}

/// Every logon of the account, in whatever form of its name.
pub(in crate::causes) fn explains(account: &Account) -> Explains {
    Explains {
        paths: [].into(),
        stages: &[Stage::Logon],
        logons_of: Some((account.id.clone(), Vec::new())),
    }
}

/// A case about what an account was told along a path.
pub(super) fn case(account: &Account, spot: &Spot<'_>, met: &Met<'_>, must: Claim) -> Case {
    Case::new(spot, must, &[Stage::Logon])
        .explaining(explains(account))
        .with(TextPlace::Account, login(account))
        .with(TextPlace::Seen, words::exchange(met.exchange))
        .with(TextPlace::Expected, "200")
}

/// The same secret was accepted, checked at that moment: it is right.
pub(super) fn accepted_anywhere(seen: &Seen<'_>, account: &Account) -> Claim {
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

/// The 401 of a box that checks the password itself, the innermost one.
pub(super) fn refused_by_the_checker<'a, 'e>(
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

/// Another account of the same directory is accepted at the same endpoint and place.
pub(in crate::causes) fn another_is_accepted<'e>(
    seen: &Seen<'e>,
    account: &Account,
    spot: &Spot<'e>,
    met: &Met<'e>,
) -> Claim {
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

/// What a reason for a 401 hangs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::causes) enum Reason {
    /// Wherever the account logs on, it is refused.
    OfTheAccount,
    /// One server may refuse it and another accept it.
    OfTheServer,
}

/// Faults that hide behind one 401: open as soon as an account is refused, and nothing but a log (`what`) decides them.
pub(in crate::causes) fn behind_a_refusal(
    seen: &Seen<'_>,
    reason: Reason,
    what: &'static str,
) -> Vec<Case> {
    let mut cases = Vec::new();
    for account in seen.accounts(Purpose::Subject).filter(|it| it.has_password) {
        let answers: Vec<_> =
            told(seen, account).into_iter().filter(|(spot, _)| !is_elsewhere(seen, spot)).collect();
        let refused = answers.iter().rev().find(|(_, met)| met.status() == Some(401));
        let Some((spot, met)) = refused.or(answers.last()) else { continue };
        let is_refused = match refused_by_the_checker(seen, account) {
            Some((_, checked)) => Claim::holds(checked.reference()),
            None if refused.is_some() => {
                Claim::Unknown { seen: vec![met.reference()], needs: Vec::new() }
            }
            None if met.answer().is_some() => Claim::fails(met.reference()),
            None => Claim::undecidable(),
        };
        let nowhere = not(accepted_anywhere(seen, account));
        let possible = match (reason, divergence(seen, account)) {
            (Reason::OfTheServer, Some(it)) => {
                Claim::Holds(vec![it.accepted.reference(), it.refused.reference()])
            }
            (Reason::OfTheServer | Reason::OfTheAccount, _) => nowhere,
        };
        let decided = Claim::unknown(Need::OnTheServer { what });
        cases.push(case(account, spot, met, all([is_refused, possible, decided])));
    }
    cases
}

/// Exchange Online and other products have states of their own.
fn is_elsewhere(seen: &Seen<'_>, spot: &Spot<'_>) -> bool {
    matches!(
        responder::generation(seen, spot.endpoint),
        Some(Generation::Online | Generation::Other)
    )
}

/// The same secret accepted by one server and refused by another that checks it itself.
pub(super) struct Divergence<'a, 'e> {
    pub(super) accepted: Met<'e>,
    pub(super) refusing: &'a Spot<'e>,
    pub(super) refused: Met<'e>,
}

pub(super) fn divergence<'a, 'e>(
    seen: &'a Seen<'e>,
    account: &Account,
) -> Option<Divergence<'a, 'e>> {
    let answers = told(seen, account);
    let (_, accepted, accepting) = answers.iter().rev().find_map(|(spot, met)| {
        let answer = met.answer().filter(|it| logon::is_active_sync(it))?;
        Some((spot, *met, server(spot, answer)?))
    })?;
    answers.iter().rev().find_map(|(spot, met)| {
        let answer = met.answer().filter(|it| it.status == 401)?;
        let is_other = server(spot, answer)? != accepting
            && logon::is_checked_here(seen, spot, account, answer)
            && logon_of(met.exchange).is_some_and(|(_, form, _)| form.is_qualified());
        is_other.then_some(Divergence { accepted, refusing: spot, refused: *met })
    })
}

/// The server that gave an answer: by its own name, else the endpoint that was dialled directly.
fn server(spot: &Spot<'_>, answer: &Answer) -> Option<String> {
    let named = answer.headers.first("X-FEServer").map(str::to_ascii_lowercase);
    named.or_else(|| {
        matches!(spot.endpoint.role, Role::Cas | Role::Backend)
            .then(|| spot.endpoint.name.to_string())
    })
}

/// The account was let in to `ActiveSync` somewhere.
pub(super) fn let_in(seen: &Seen<'_>, account: &Account) -> Claim {
    let found = told(seen, account)
        .into_iter()
        .find(|(_, met)| met.answer().is_some_and(logon::is_active_sync));
    found.map_or_else(|| Claim::Fails(Vec::new()), |(_, met)| Claim::holds(met.reference()))
}

/// Exchange's own 403 to an account that it knows, innermost path first.
pub(super) fn refused_after_logon<'a, 'e>(
    seen: &'a Seen<'e>,
    account: &Account,
) -> Option<(&'a Spot<'e>, Met<'e>)> {
    told(seen, account)
        .into_iter()
        .rev()
        .find(|(spot, met)| met.answer().is_some_and(|it| is_refusal(seen, spot, account, it)))
}

/// From 2013 on Exchange holds its own 403 back for 20 s and names the mailbox server; 2007 and 2010 say it as a box that
/// was dialled directly, about a mailbox of their own. A 403 of IIS or of a proxy is something else.
pub(super) fn is_refusal(
    seen: &Seen<'_>,
    spot: &Spot<'_>,
    account: &Account,
    answer: &Answer,
) -> bool {
    let was_challenged = spot
        .answer(&parallax_model::Look::OPTIONS)
        .is_some_and(|(_, it)| matches!(it.status, 401 | 451));
    if answer.status != 403 || !was_challenged {
        return false;
    }
    let names_mailbox_server =
        answer.headers.has("X-BEServer") || answer.headers.has("X-CalculatedBETarget");
    match responder::generation(seen, spot.endpoint) {
        Some(it) if it.is_2007_or_2010() => {
            account.mailbox.is_none_or(|mailbox| mailbox == it)
                && responder::is_exchange_itself(seen, spot)
                && responder::is_exchange_or_iis(answer)
                && responder::publisher_mark(answer).is_none()
        }
        Some(Generation::Exchange2003 | Generation::Other) => false,
        Some(_) | None => logon::is_slow(answer) && names_mailbox_server,
    }
}

/// Whether one of its names is that of an account that Windows or Exchange makes for itself.
pub(super) fn is_built_in(account: &Account) -> bool {
    const NAMES: [&str; 4] = ["administrator", "guest", "krbtgt", "defaultaccount"];
    const BEGINNINGS: [&str; 5] = [
        "systemmailbox{",
        "healthmailbox",
        "federatedemail.",
        "discoverysearchmailbox",
        "migration.8f3e7716",
    ];
    account.names.iter().any(|name| {
        let lower = name.login.to_ascii_lowercase();
        let user = lower.rsplit('\\').next().unwrap_or_default();
        let user = user.split('@').next().unwrap_or_default();
        NAMES.contains(&user) || BEGINNINGS.iter().any(|it| user.starts_with(it))
    })
}
