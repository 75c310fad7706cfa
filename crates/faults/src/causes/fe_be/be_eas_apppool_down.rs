//! `be_eas_apppool_down`
//!
//! ## What it says
//! The ActiveSync application pool of a back end (Exchange 2013 or later) does not run.
//!
//! ## How we know
//! Asked directly on port 444, the kernel of the back end answers 503 in its place; and a logon through the front end
//! that chose this back end ends in 503.
//!
//! ## What it is not
//! - A front end whose own pool is down: there the published path answers 503 without a logon.
//! - `fe_be_kerberos_rejected`: the 503 has its phrase, and the back end answers 401.
//! - A blocked port: there nothing answers on 444.
//!
//! ## What to do
//! See the text.

use parallax_model::{Answer, FaultId, Look, Need, PathId, Place, Role, TextPlace};

use super::front_logon::{self, Answered, FRONTS, is_named, is_ticket_refused};
use crate::claim::{Claim, all, any};
use crate::claims::is_generation;
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Explains, Fault, Layer, Owner, Reach, Severity};
use crate::seen::{Seen, Spot};
use crate::sign::along;
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("be_eas_apppool_down"),
    layer: Layer::FrontEndToBackEnd,
    owner: Owner::Exchange,
    era: Era::From2013,
    basis: Basis::Observed,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("be_eas_apppool_down"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let logons = front_logon::answered(seen, FRONTS);
    let failed: Vec<&Answered<'_, '_>> = logons.iter().filter(|it| is_unserved(it)).collect();
    along(
        seen.with_role(Role::Backend),
        |spot| spot.sign(&Look::OPTIONS, is_kernel_503),
        |spot, shown| {
            let met: Vec<&Answered<'_, '_>> =
                failed.iter().copied().filter(|it| chose(it, spot)).collect();
            let is_2013 = is_generation(
                seen,
                spot,
                parallax_model::Generation::is_2013_or_later,
                "generation of the back end",
            );
            let said = spot.answer(&Look::OPTIONS).map(|(_, it)| words::answer(it));
            Case::new(spot, all([shown, is_2013]), &[Stage::Anonymous, Stage::Logon])
                .firmer(met_by_a_logon(seen, &met))
                .explaining(explains(spot, &met))
                .with(TextPlace::Seen, said.unwrap_or_default())
                .with(TextPlace::Expected, "401 Basic")
        },
    )
}

fn is_kernel_503(answer: &Answer) -> bool {
    answer.status == 503
        && answer.headers.mentions("Server", "Microsoft-HTTPAPI")
        && !answer.headers.mentions("Server", "Microsoft-IIS")
}

/// The front end let somebody in, chose a back end and got nothing from it.
fn is_unserved(it: &Answered<'_, '_>) -> bool {
    it.is_of_front_end()
        && it.answer.status == 503
        && it.target().is_some()
        && !is_ticket_refused(it.answer)
}

fn chose(it: &Answered<'_, '_>, back_end: &Spot<'_>) -> bool {
    let target = it.answer.headers.first("X-CalculatedBETarget");
    target.is_some_and(|name| is_named(back_end, name.split([':', '~']).next().unwrap_or(name)))
}

fn met_by_a_logon(seen: &Seen<'_>, met: &[&Answered<'_, '_>]) -> Claim {
    if met.is_empty() {
        return a_logon_would_tell(seen);
    }
    any(met.iter().map(|it| it.holds()))
}

fn a_logon_would_tell(seen: &Seen<'_>) -> Claim {
    let account = seen.accounts(parallax_model::Purpose::Subject).find(|it| it.has_password);
    let spot = seen.fronts().filter(|it| crate::claims::may_carry_a_secret(it)).last();
    match (account.and_then(|it| Some((it, it.first_name()?))), spot) {
        (Some((account, name)), Some(spot)) => {
            let look = Look::logon(account.id.clone(), name.form, Place::ActiveSync);
            Claim::unknown(Need::Logon { path: spot.path.clone(), look })
        }
        (None, _) => Claim::unknown(Need::Subject),
        (Some(_), None) => Claim::undecidable(),
    }
}

fn explains(spot: &Spot<'_>, met: &[&Answered<'_, '_>]) -> Explains {
    let mut paths: Vec<PathId> = vec![spot.path.clone()];
    paths.extend(front_logon::paths_of(met).iter().cloned());
    Explains { paths: paths.into(), stages: &[Stage::Anonymous, Stage::Logon], logons_of: None }
}
