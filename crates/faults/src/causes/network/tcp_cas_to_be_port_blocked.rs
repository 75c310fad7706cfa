//! `tcp_cas_to_be_port_blocked`
//!
//! ## What it says
//! A firewall between the client access servers and the back end closes the port that they speak over.
//!
//! ## How we know
//! Beside the client access servers the back end's port gets no connection, beside the back end the same address opens; a
//! client access server answers the users of that back end with a server error.
//!
//! ## What it is not
//! - A back end that is down: then the port does not open beside it either.
//! - `dns_internal_be_name_wrong`: there the two vantages are given different addresses.
//! - A rule for the agent's own machine alone: then the users of that back end pass.
//!
//! ## What to do
//! See the text.

use std::net::SocketAddr;

use parallax_model::{FaultId, Need, Observation, Role, TcpFailure, TextPlace, Zone};

use super::back_end::{front_fails, users};
use crate::claim::{Claim, all};
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Explains, Fault, Layer, Owner, Reach, Severity};
use crate::seen::{Seen, Spot};
use crate::sign::{Sign, along};
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("tcp_cas_to_be_port_blocked"),
    layer: Layer::Network,
    owner: Owner::Firewall,
    era: Era::From2007,
    basis: Basis::Inferred,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("tcp_cas_to_be_port_blocked"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let beside_cas = || seen.with_role(Role::Backend).filter(|it| it.vantage.zone < Zone::Backend);
    let mut cases = along(beside_cas(), sign, |spot, shown| {
        let front = users(seen, spot.endpoint)
            .next()
            .map_or_else(|| Claim::unknown(Need::Subject), |it| front_fails(seen, it));
        case(seen, spot, shown, front, None)
    });
    // What the users of that back end meet at the front comes from the same port.
    for spot in beside_cas().filter(|it| matches!(sign(it), Sign::Shown(_))) {
        for account in users(seen, spot.endpoint) {
            let logons = Explains {
                paths: [].into(),
                stages: &[Stage::Logon],
                logons_of: Some((account.id.clone(), Vec::new())),
            };
            let shown = all([sign(spot).claim(spot), front_fails(seen, account)]);
            cases.push(case(seen, spot, shown, Claim::given(), Some(logons)));
        }
    }
    cases
}

fn is_closed(observation: &Observation) -> bool {
    match observation.tcp.failed() {
        Some(
            TcpFailure::TimedOut { .. }
            | TcpFailure::Refused
            | TcpFailure::Reset
            | TcpFailure::Unreachable,
        ) => true,
        Some(TcpFailure::Other { .. }) | None => false,
    }
}

/// Some address of it opens: then nothing is closed.
fn sign<'e>(spot: &Spot<'e>) -> Sign<'e> {
    let opens = spot.tcp_sign(|it| it.tcp.done().is_some());
    match opens {
        Sign::Shown(fact) => Sign::Denied(fact),
        Sign::Denied(_) | Sign::Unknown(_) => spot.tcp_sign(is_closed),
    }
}

fn case(
    seen: &Seen<'_>,
    spot: &Spot<'_>,
    shown: Claim,
    front: Claim,
    logons: Option<Explains>,
) -> Case {
    let closed: Option<(SocketAddr, &TcpFailure)> = spot
        .observations()
        .iter()
        .filter(|(_, it)| is_closed(it))
        .find_map(|(_, it)| Some((it.address, it.tcp.failed()?)));
    let beside = seen
        .with_role(Role::Backend)
        .find(|it| it.endpoint.name == spot.endpoint.name && it.vantage.zone == Zone::Backend);
    let user = users(seen, spot.endpoint).next().and_then(|it| it.first_name());
    let case = Case::new(spot, all([shown, opens_beside(seen, spot)]), &[Stage::Tcp])
        .firmer(front)
        .with(TextPlace::Address, closed.map(|(it, _)| it.to_string()).unwrap_or_default())
        .with(TextPlace::Seen, closed.map(|(_, it)| words::tcp_failure(it)).unwrap_or_default())
        .with(TextPlace::Expected, "SYN-ACK")
        .with(TextPlace::Account, user.map(|it| it.login.clone()).unwrap_or_default())
        .with(
            TextPlace::Elsewhere,
            beside.map(|it| it.vantage.name.to_string()).unwrap_or_default(),
        );
    match logons {
        Some(logons) => case.explaining(logons),
        None => case,
    }
}

/// The same address opens for a vantage that stands nearer.
fn opens_beside(seen: &Seen<'_>, spot: &Spot<'_>) -> Claim {
    let mut against = Vec::new();
    let mut is_looked_at = false;
    let nearer = seen
        .with_role(Role::Backend)
        .filter(|it| it.endpoint.name == spot.endpoint.name && it.vantage.zone > spot.vantage.zone);
    for it in nearer {
        for (round, observation) in it.observations() {
            is_looked_at = true;
            let mine = spot.observations().iter().any(|(_, at)| at.address == observation.address);
            let address = Some(observation.address.ip());
            if mine && observation.tcp.done().is_some() {
                return Claim::holds(it.reference(*round, address, "TCP opens"));
            }
            if mine && is_closed(observation) {
                against.push(it.reference(*round, address, words::tcp(&observation.tcp)));
            }
        }
    }
    if !against.is_empty() {
        Claim::Fails(against)
    } else if is_looked_at {
        Claim::undecidable()
    } else {
        Claim::unknown(Need::Vantage { zone: Zone::Backend })
    }
}
