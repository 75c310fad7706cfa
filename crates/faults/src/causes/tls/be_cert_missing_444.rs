//! `be_cert_missing_444`
//!
//! ## What it says
//! The site "Exchange Back End" has no certificate bound on port 444, so the front end cannot talk to its back end.
//!
//! ## How we know
//! TCP 444 opens and the TLS handshake is reset or closed at once, for everybody who looks, while the front still answers its
//! 401. Certain when a logon through the front comes to a prompt 500 or 503 that names this very back end as its target.
//!
//! ## What it is not
//! - `tcp_cas_to_be_port_blocked`: there TCP itself does not open.
//! - An application pool that is stopped: there TLS works and the answer is a 503.
//! - `fe_be_kerberos_rejected`: there the reason phrase says that the back end refused the front end's logon.
//!
//! ## What to do
//! See the text.

use std::collections::BTreeSet;
use std::rc::Rc;

use parallax_model::{
    Account, Answer, EndpointName, FaultId, Generation, Look, Need, Observation, PathId, Place,
    Purpose, Role, TextPlace, TlsFailure, Zone,
};

use super::handshakes::{failure, sessions};
use crate::claim::{Claim, all, any};
use crate::claims::{Logons, Spelling};
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Explains, Fault, Layer, Owner, Reach, Severity};
use crate::logon::is_slow;
use crate::responder;
use crate::seen::{Met, Seen, Spot};
use crate::sign::along;
use crate::texts::pages;
use crate::words;

/// The port of the site "Exchange Back End".
const BACK_END_PORT: u16 = 444;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("be_cert_missing_444"),
    layer: Layer::Tls,
    owner: Owner::Exchange,
    era: Era::From2013,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("be_cert_missing_444"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let finished: BTreeSet<&EndpointName> = seen
        .with_role(Role::Backend)
        .filter(|spot| sessions(spot).next().is_some())
        .map(|spot| &spot.endpoint.name)
        .collect();
    let refused = refused_logons(seen);
    let at_back_ends = along(
        seen.with_role(Role::Backend).filter(|spot| {
            let generation = responder::generation(seen, spot.endpoint);
            spot.endpoint.is_https
                && spot.endpoint.port == BACK_END_PORT
                && generation.is_none_or(Generation::is_2013_or_later)
        }),
        |spot| spot.tls_sign(is_cut_off),
        |spot, shown| case(seen, &finished, spot, shown),
    );
    // The same fault also accounts for what the front says to those whose mailbox is there.
    let through_fronts: Vec<Case> = at_back_ends
        .iter()
        .map(|it| {
            let explains =
                Explains { paths: Rc::clone(&refused), stages: &[Stage::Logon], logons_of: None };
            it.clone().explaining(explains)
        })
        .filter(|it| !it.explains.paths.is_empty())
        .collect();
    at_back_ends.into_iter().chain(through_fronts).collect()
}

/// http.sys ends a handshake for which no certificate is bound with a reset.
fn is_cut_off(observation: &Observation) -> bool {
    matches!(failure(&observation.transport), Some(TlsFailure::Reset | TlsFailure::Closed))
}

fn case(
    seen: &Seen<'_>,
    finished: &BTreeSet<&EndpointName>,
    spot: &Spot<'_>,
    shown: Claim,
) -> Case {
    let words = spot.observations().iter().find(|(_, it)| is_cut_off(it));
    let front = seen.fronts().find(|it| is_alive(it));
    Case::new(
        spot,
        all([shown, is_cut_off_for_all(seen, finished, spot), is_front_alive(front)]),
        &[Stage::Tls],
    )
    .firmer(all([is_seen_from_beside(seen, spot), front_misses_it(seen, spot)]))
    .with(TextPlace::Seen, words.map(|(_, it)| words::transport(&it.transport)).unwrap_or_default())
    .with(TextPlace::Expected, "a finished TLS handshake on port 444")
    .with(TextPlace::Elsewhere, front.map(|it| it.endpoint.name.to_string()).unwrap_or_default())
}

/// A vantage that finishes the handshake says that a certificate is bound.
fn is_cut_off_for_all(
    seen: &Seen<'_>,
    finished: &BTreeSet<&EndpointName>,
    spot: &Spot<'_>,
) -> Claim {
    if !finished.contains(&spot.endpoint.name) {
        return Claim::given();
    }
    let other = seen
        .with_role(Role::Backend)
        .filter(|it| it.endpoint.name == spot.endpoint.name)
        .find_map(|it| sessions(it).next());
    other.map_or_else(Claim::given, |it| {
        Claim::fails(it.reference(words::tls_version(it.tls.version)))
    })
}

fn is_alive(spot: &Spot<'_>) -> bool {
    spot.answer(&Look::OPTIONS).is_some_and(|(_, it)| it.status == 401)
}

fn is_front_alive(front: Option<&Spot<'_>>) -> Claim {
    match front.and_then(|it| it.answer(&Look::OPTIONS)) {
        Some((met, _)) => Claim::holds(met.reference()),
        None => Claim::undecidable(),
    }
}

/// From the server's own network: no firewall of another site has cut it off.
fn is_seen_from_beside(seen: &Seen<'_>, spot: &Spot<'_>) -> Claim {
    let beside = seen.with_role(Role::Backend).find(|it| {
        it.endpoint.name == spot.endpoint.name
            && it.vantage.zone == Zone::Backend
            && it.observations().iter().any(|(_, it)| is_cut_off(it))
    });
    match beside.and_then(|it| Some((it, it.observations().first()?))) {
        Some((beside, (round, it))) => Claim::holds(beside.reference(
            *round,
            Some(it.address.ip()),
            words::transport(&it.transport),
        )),
        None => Claim::unknown(Need::Vantage { zone: Zone::Backend }),
    }
}

/// A logon through the front, checked there, ends at this back end. Another status speaks of another mailbox or password.
fn front_misses_it(seen: &Seen<'_>, spot: &Spot<'_>) -> Claim {
    let host = spot.endpoint.host.as_str();
    let mut claims: Vec<Claim> = seen
        .accounts(Purpose::Subject)
        .chain(seen.accounts(Purpose::Witness))
        .map(|account| logons(seen, account).answered(|it| is_missed(it) && is_target(it, host)))
        .map(|claim| match claim {
            Claim::Fails(seen) => Claim::Unknown { seen, needs: Vec::new() },
            Claim::Holds(_) | Claim::Unknown { .. } => claim,
        })
        .collect();
    if claims.is_empty() {
        claims.push(Claim::unknown(Need::Subject));
    }
    any(claims)
}

fn logons<'a, 'e>(seen: &'a Seen<'e>, account: &'e Account) -> Logons<'a, 'e> {
    Logons {
        seen,
        account,
        spelling: Spelling::Qualified,
        place: Place::ActiveSync,
        spots: seen.fronts().collect(),
    }
}

/// Exchange's own prompt error after the logon, with no back end having answered.
fn is_missed(answer: &Answer) -> bool {
    matches!(answer.status, 500 | 503)
        && !is_slow(answer)
        && answer.headers.has("X-FEServer")
        && !answer.headers.has("X-BEServer")
        && !answer.reason.contains("Failed authentication")
        && !answer.body.beginning.contains("NegotiateSecurityContext")
}

fn is_target(answer: &Answer, host: &str) -> bool {
    answer.headers.first("X-CalculatedBETarget").is_some_and(|it| it.eq_ignore_ascii_case(host))
}

/// Paths to a front along which the latest logon came to such an error.
fn refused_logons(seen: &Seen<'_>) -> Rc<[PathId]> {
    let is_refused = |spot: &&Spot<'_>| {
        let met = spot.exchanges(Look::is_logon);
        met.last().and_then(Met::answer).is_some_and(is_missed)
    };
    seen.fronts().filter(is_refused).map(|it| it.path.clone()).collect()
}
