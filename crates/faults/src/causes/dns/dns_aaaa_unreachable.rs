//! `dns_aaaa_unreachable`
//!
//! ## What it says
//! The published name has an IPv6 address that does not lead to the service.
//!
//! ## How we know
//! Along one path every IPv4 address is as it should be, and an IPv6 address gets no connection or leads to something else.
//!
//! ## What it is not
//! - `tcp_443_filtered`, `tcp_443_refused`: there IPv4 does not open either.
//! - A vantage without a way to the IPv6 internet: it says so at once (`network unreachable`), or its own control fails over
//!   IPv6.
//!
//! ## What to do
//! See the text.

use parallax_model::{FaultId, Observation, Outcome, Role, TcpFailure, TextPlace};

use super::views::{Found, is_asked};
use crate::claim::{Claim, all};
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::{Seen, Spot};
use crate::sign::{Fact, Sign, along};
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("dns_aaaa_unreachable"),
    layer: Layer::Dns,
    owner: Owner::Dns,
    era: Era::Any,
    basis: Basis::Inferred,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("dns_aaaa_unreachable"),
    cases,
};

const STAGES: &[Stage] = &[Stage::Tcp, Stage::Tls, Stage::Anonymous];

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let published = seen.with_role(Role::External).filter(|it| is_asked(it));
    along(
        published,
        |spot| sign(seen, spot),
        |spot, shown| {
            let wrong = over_v6(spot).find(|(_, it)| is_wrong(seen, spot, it));
            let text =
                wrong.and_then(|(_, it)| Found::at(seen, spot, it).wrong().map(str::to_owned));
            Case::new(spot, all([shown, v4_serves(seen, spot), v6_works(seen, spot)]), STAGES)
                .with(
                    TextPlace::Address,
                    wrong.map(|(_, it)| it.address.ip().to_string()).unwrap_or_default(),
                )
                .with(TextPlace::Seen, text.unwrap_or_default())
                .with(TextPlace::Expected, "401 Basic")
        },
    )
}

fn over_v6<'a, 'e>(spot: &'a Spot<'e>) -> impl Iterator<Item = (u32, &'e Observation)> + 'a {
    spot.observations().iter().copied().filter(|(_, it)| it.address.is_ipv6())
}

/// `network unreachable` is the vantage's own lack of IPv6.
fn is_wrong(seen: &Seen<'_>, spot: &Spot<'_>, observation: &Observation) -> bool {
    observation.tcp != Outcome::Failed(TcpFailure::Unreachable)
        && Found::at(seen, spot, observation).wrong().is_some()
}

fn sign<'e>(seen: &Seen<'e>, spot: &Spot<'e>) -> Sign<'e> {
    let mut denied = None;
    for (round, observation) in over_v6(spot) {
        if is_wrong(seen, spot, observation) {
            return Sign::Shown(Fact::Tls(round, observation));
        }
        denied = denied.or(Some(Fact::Tls(round, observation)));
    }
    match denied.or_else(|| spot.dns().is_some().then_some(Fact::Dns)) {
        Some(fact) => Sign::Denied(fact),
        None => Sign::Unknown(Vec::new()),
    }
}

/// Every IPv4 address leads to the service; if one does not, the family is not what makes the difference.
fn v4_serves(seen: &Seen<'_>, spot: &Spot<'_>) -> Claim {
    let v4 = spot.observations().iter().copied().filter(|(_, it)| it.address.is_ipv4());
    let claims: Vec<Claim> = v4
        .map(|(round, it)| {
            let address = Some(it.address.ip());
            match Found::at(seen, spot, it) {
                Found::Service => {
                    Claim::holds(spot.reference(round, address, "the service answers over IPv4"))
                }
                Found::Misnamed(text)
                | Found::Nothing(text)
                | Found::Stranger(text)
                | Found::Trouble(text) => Claim::fails(spot.reference(round, address, text)),
                Found::Unknown => Claim::undecidable(),
            }
        })
        .collect();
    if claims.is_empty() { Claim::undecidable() } else { all(claims) }
}

/// A control that this vantage reaches over IPv4 and not over IPv6 says that the lack is here.
fn v6_works(seen: &Seen<'_>, spot: &Spot<'_>) -> Claim {
    let mut controls =
        seen.with_role(Role::Control).filter(|it| it.vantage.name == spot.vantage.name);
    let lame = controls.find_map(|it| {
        let (round, failed) = over_v6(it).find(|(_, it)| it.tcp.failed().is_some())?;
        let opens_v6 = over_v6(it).any(|(_, it)| it.tcp.done().is_some());
        (!opens_v6).then(|| {
            it.reference(round, Some(failed.address.ip()), "the control fails over IPv6 as well")
        })
    });
    lame.map_or_else(Claim::given, Claim::fails)
}
