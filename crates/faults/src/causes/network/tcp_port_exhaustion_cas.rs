//! `tcp_port_exhaustion_cas`
//!
//! ## What it says
//! A client access server runs out of TCP ports: connections that it left in `CLOSE_WAIT` pile up until it is recycled.
//!
//! ## How we know
//! One node of several now times out or answers 503, did so before, and worked in between; its other directories fail with it,
//! while another node is in order. The event log of the node has the last word, so this is never more than likely.
//!
//! ## What it is not
//! - A stopped application pool or an inactive component: it does not come and go by itself.
//! - `tcp_443_filtered`: a rule that drops packets does not let them pass in between.
//!
//! ## What to do
//! See the text.

use parallax_model::{
    FaultId, Generation, HttpFailure, Look, Need, Observation, Outcome, Role, Standing, TcpFailure,
    TextPlace,
};

use super::tcp::came_and_went;
use crate::claim::{Claim, all, any};
use crate::claims::is_generation;
use crate::condition::{self, Stage};
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::{Seen, Spot};
use crate::sign::{Fact, Sign, along};
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("tcp_port_exhaustion_cas"),
    layer: Layer::Network,
    owner: Owner::Exchange,
    era: Era::From2013,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("tcp_port_exhaustion_cas"),
    cases,
};

const LOG: &str = "Event 4227 (Tcpip) and the connections in CLOSE_WAIT on the node: netstat -ano";

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let sound: Vec<&Spot<'_>> = seen.with_role(Role::Cas).filter(|it| is_sound(seen, it)).collect();
    along(seen.with_role(Role::Cas), sign, |spot, shown| {
        let other = sound.iter().find(|it| it.endpoint.name != spot.endpoint.name);
        let must = all([
            shown,
            is_affected(seen, spot),
            others_fail_too(spot),
            came_and_went(seen, spot, is_exhausted),
        ]);
        Case::new(spot, must, &[Stage::Tcp, Stage::Tls, Stage::Anonymous, Stage::Logon])
            .firmer(all([another_is_sound(other), Claim::unknown(Need::OnTheServer { what: LOG })]))
            .at_most(Standing::Likely)
            .with(TextPlace::Seen, seen_words(spot))
            .with(TextPlace::Expected, "401 Basic")
            .with(
                TextPlace::Elsewhere,
                other.map(|it| it.endpoint.name.to_string()).unwrap_or_default(),
            )
    })
}

/// What a node without free ports looks like: nothing is accepted, or the front end gets no port towards its own back end.
fn is_exhausted(observation: &Observation) -> bool {
    let is_late = matches!(observation.tcp.failed(), Some(TcpFailure::TimedOut { .. }));
    is_late
        || observation.exchanges.iter().filter(|it| it.look == Look::OPTIONS).any(|it| {
            match &it.outcome {
                Outcome::Done(answer) => answer.status == 503,
                Outcome::Failed(failure) => matches!(failure, HttpFailure::TimedOut { .. }),
                Outcome::NotReached => false,
            }
        })
}

fn sign<'e>(spot: &Spot<'e>) -> Sign<'e> {
    let observations = spot.observations();
    match (observations.iter().find(|(_, it)| is_exhausted(it)), observations.first()) {
        (Some((round, it)), _) => Sign::Shown(Fact::Tcp(*round, it)),
        (None, Some((round, it))) => Sign::Denied(Fact::Tcp(*round, it)),
        (None, None) => Sign::Unknown(Vec::new()),
    }
}

fn seen_words(spot: &Spot<'_>) -> String {
    let exhausted = spot.observations().iter().find(|(_, it)| is_exhausted(it));
    let words = exhausted.and_then(|(_, it)| {
        it.tcp.failed().map(words::tcp_failure).or_else(|| {
            it.exchanges.iter().find(|it| it.look == Look::OPTIONS).map(words::exchange)
        })
    });
    words.unwrap_or_default()
}

fn is_affected(seen: &Seen<'_>, spot: &Spot<'_>) -> Claim {
    is_generation(
        seen,
        spot,
        |it| matches!(it, Generation::Exchange2013 | Generation::Exchange2016),
        "generation of the client access server",
    )
}

/// The machine fails, not a directory: its other directories do not answer either. Without a connection that is said already.
fn others_fail_too(spot: &Spot<'_>) -> Claim {
    let is_closed = spot.observations().iter().all(|(_, it)| it.tcp.done().is_none());
    if is_closed {
        return Claim::given();
    }
    let others = [Look::OWA, Look::EWS, Look::AUTODISCOVER];
    let claims: Vec<Claim> = others
        .iter()
        .flat_map(|look| spot.latest(look))
        .map(|met| match &met.exchange.outcome {
            Outcome::Done(answer) if answer.status == 503 => Claim::holds(met.reference()),
            Outcome::Done(_) => Claim::fails(met.reference()),
            Outcome::Failed(HttpFailure::TimedOut { .. }) => Claim::holds(met.reference()),
            Outcome::Failed(_) | Outcome::NotReached => Claim::undecidable(),
        })
        .collect();
    if claims.is_empty() { Claim::undecidable() } else { any(claims) }
}

fn is_sound(seen: &Seen<'_>, spot: &Spot<'_>) -> bool {
    spot.answer(&Look::OPTIONS)
        .is_some_and(|(_, answer)| condition::is_anonymous_healthy(seen, spot.endpoint, answer))
}

fn another_is_sound(other: Option<&&Spot<'_>>) -> Claim {
    let met = other.and_then(|it| it.answer(&Look::OPTIONS));
    met.map_or_else(Claim::undecidable, |(met, _)| Claim::holds(met.reference()))
}
