//! `probe_caused_lockout`
//!
//! ## What it says
//! The account is refused because our own refused logons reached the lockout threshold.
//!
//! ## How we know
//! It was accepted before; since then as many of our own logons were refused within the lockout window as the declared threshold
//! allows. The ledger forbids it, so a threshold was declared too high then, or several installations use one account.
//!
//! ## What it is not
//! - `bad_password`: there the count of our own refused logons stays below the threshold.
//! - A lockout that others caused: our count is too small for it.
//! - Proof: only the domain controller's event says who locked it.
//!
//! ## What to do
//! See the text.

use std::time::Duration;

use parallax_model::{
    Account, EvidenceRef, Exchange, FaultId, Look, Need, Past, Place, Role, Standing, TextPlace,
    Threshold,
};

use crate::causes::{at, login, places};
use crate::claim::{Claim, all};
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Explains, Fault, Layer, Owner, Reach, Severity};
use crate::logon;
use crate::seen::{Met, Seen, logon_of};
use crate::texts::pages;
use crate::words;

/// Where no window is declared: the default of Active Directory.
const WINDOW: Duration = Duration::from_mins(30);
/// Nobody locks accounts after fewer; below it an unknown threshold is not asked for.
const PLAUSIBLE_MIN: u32 = 3;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("probe_caused_lockout"),
    layer: Layer::Account,
    owner: Owner::Service,
    era: Era::Any,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("probe_caused_lockout"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    seen.evidence.accounts.iter().filter_map(|account| case(seen, account)).collect()
}

/// Only where a logon of the account was refused in this diagnosis.
fn case(seen: &Seen<'_>, account: &Account) -> Option<Case> {
    let spots = || seen.paths.iter().chain(&seen.set_aside);
    let refused: Vec<Met<'_>> = spots()
        .flat_map(|it| it.logons(&account.id))
        .filter(|it| it.status() == Some(401))
        .collect();
    let last = refused.iter().max_by_key(|it| it.round)?;
    let spot = spots().find(|it| it.path == last.path)?;
    let before = past_logons(seen, account);
    let accepted = before
        .iter()
        .find(|(_, exchange)| exchange.outcome.done().is_some_and(logon::is_active_sync))
        .map(|(past, exchange)| reference(past, exchange));
    let accepted_now = spots()
        .flat_map(|it| it.logons(&account.id))
        .find(|it| it.round < last.round && it.answer().is_some_and(logon::is_active_sync));
    let accepted = accepted_now.map(|it| it.reference()).or(accepted);
    let explains = Explains {
        paths: refused.iter().map(|it| it.path.clone()).collect(),
        stages: &[Stage::Logon],
        logons_of: Some((account.id.clone(), Vec::new())),
    };
    Some(Case {
        must: all([
            Claim::holds(last.reference()),
            accepted.map_or_else(Claim::undecidable, Claim::holds),
            reached(account, &refused, &before),
        ]),
        firmer: Claim::unknown(Need::OnTheServer {
            what: "events 4740 and 4625 on the domain controller, and the computer they name",
        }),
        at_most: Standing::Likely,
        role: spot.endpoint.role.max(Role::Cas),
        explains,
        places: places([
            at(spot),
            vec![
                (TextPlace::Account, login(account)),
                (TextPlace::Seen, words::exchange(last.exchange)),
            ],
        ]),
    })
}

/// As many of our own logons were refused as lock the account.
fn reached(account: &Account, now: &[Met<'_>], before: &[(&Past, &Exchange)]) -> Claim {
    let earlier = before.iter().filter(|(_, it)| it.outcome.done().is_some_and(is_refusal));
    let mut references: Vec<EvidenceRef> = now.iter().map(Met::reference).collect();
    references.extend(earlier.map(|(past, it)| reference(past, it)));
    let count = u32::try_from(references.len()).unwrap_or(u32::MAX);
    let declared = |text: &str| {
        Seen::declared(format!("lockout threshold {text}; refused logons of ours: {count}"))
    };
    match account.lockout.threshold {
        Threshold::At(limit) if count >= limit => {
            references.push(declared(&limit.to_string()));
            Claim::Holds(references)
        }
        Threshold::At(limit) => Claim::fails(declared(&limit.to_string())),
        Threshold::Never => Claim::fails(declared("none")),
        Threshold::Unknown if count >= PLAUSIBLE_MIN => {
            let needs = vec![Need::Declared { what: "the directory's lockout threshold" }];
            Claim::Unknown { seen: references, needs }
        }
        Threshold::Unknown => Claim::fails(declared("unknown")),
    }
}

fn is_refusal(answer: &parallax_model::Answer) -> bool {
    answer.status == 401
}

/// Our earlier logons of the account within its lockout window.
fn past_logons<'e>(seen: &Seen<'e>, account: &Account) -> Vec<(&'e Past, &'e Exchange)> {
    let window = account.lockout.window.unwrap_or(WINDOW);
    let is_wanted = |exchange: &&Exchange| {
        exchange.sent
            && logon_of(exchange)
                .is_some_and(|(id, _, place)| *id == account.id && place == Place::ActiveSync)
    };
    let recent =
        seen.evidence.history.iter().filter(|past| {
            seen.evidence.now.duration_since(past.at).is_ok_and(|age| age <= window)
        });
    recent
        .flat_map(|past| {
            let exchanges = past.sight.observations.iter().flat_map(|it| &it.exchanges);
            exchanges.filter(is_wanted).map(move |exchange| (past, exchange))
        })
        .collect()
}

fn reference(past: &Past, exchange: &Exchange) -> EvidenceRef {
    let look: &Look = &exchange.look;
    EvidenceRef {
        round: 0,
        path: Some(past.path.clone()),
        address: None,
        look: Some(look.clone()),
        value: format!("earlier: {}", words::exchange(exchange)),
    }
}
