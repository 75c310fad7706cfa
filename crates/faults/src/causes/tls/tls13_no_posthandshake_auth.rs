//! `tls13_no_posthandshake_auth`
//!
//! ## What it says
//! IIS wants a client certificate for the `ActiveSync` directory alone, and over TLS 1.3 it has no way to ask for it after the
//! handshake: it ends the connection.
//!
//! ## How we know
//! Over TLS 1.3, at a node dialled directly, `OPTIONS` and `GET` of the directory are both cut off after the request, while
//! `/owa/` on the same server is served. A client with a certificate and TLS 1.2 would tell for certain.
//!
//! ## What it is not
//! - `ips_resets_options`: there `GET` of the same path passes.
//! - `tls_client_cert_required`: there the server does ask, and says that it wants one.
//!
//! ## What to do
//! See the text.

use parallax_model::{
    FaultId, HttpFailure, Look, Need, Outcome, Role, Standing, TextPlace, TlsVersion,
};

use super::handshakes::CERTIFICATE_NEEDED;
use crate::claim::{Claim, all};
use crate::claims::needed_look;
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::responder;
use crate::seen::{Met, Seen, Spot};
use crate::sign::{Fact, Sign, along};
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("tls13_no_posthandshake_auth"),
    layer: Layer::Tls,
    owner: Owner::Exchange,
    era: Era::From2013,
    basis: Basis::Inferred,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("tls13_no_posthandshake_auth"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    along(
        seen.fronts().filter(|spot| {
            spot.endpoint.is_https
                && FAULT.era.may_concern(responder::generation(seen, spot.endpoint))
        }),
        |spot| cut_off(spot, &Look::OPTIONS),
        |spot, shown| {
            let got = cut_off(spot, &Look::GET).claim(spot);
            let said = spot.latest(&Look::OPTIONS).first().map(|it| words::exchange(it.exchange));
            Case::new(
                spot,
                all([shown, got, is_another_path_served(spot), is_dialled_directly(spot)]),
                &[Stage::Anonymous],
            )
            .firmer(Claim::unknown(CERTIFICATE_NEEDED))
            .at_most(Standing::Likely)
            .with(TextPlace::Seen, said.unwrap_or_default())
            .with(TextPlace::Expected, "401 Basic")
        },
    )
}

/// Over TLS 1.3 the connection ends after this request, without a word.
fn cut_off<'e>(spot: &Spot<'e>, look: &Look) -> Sign<'e> {
    let met = spot.latest(look);
    if let Some(found) = met.iter().find(|it| is_cut_off(it)) {
        return Sign::Shown(Fact::Exchange(*found));
    }
    match met.iter().find(|it| it.exchange.outcome != Outcome::NotReached) {
        Some(other) => Sign::Denied(Fact::Exchange(*other)),
        None => Sign::Unknown(needed_look(spot, look)),
    }
}

fn is_cut_off(met: &Met<'_>) -> bool {
    let is_13 = met.observation.transport.tls().is_some_and(|it| it.version == TlsVersion::Tls13);
    is_13
        && met.exchange.sent
        && !met.exchange.asked_for_certificate
        && matches!(met.exchange.outcome, Outcome::Failed(HttpFailure::Reset | HttpFailure::Closed))
}

fn is_another_path_served(spot: &Spot<'_>) -> Claim {
    match spot.answer(&Look::OWA) {
        Some((met, _)) => Claim::holds(met.reference()),
        None => Claim::undecidable(),
    }
}

/// Nothing stands between the node and whoever dials it that could cut a path off.
fn is_dialled_directly(spot: &Spot<'_>) -> Claim {
    if spot.endpoint.role == Role::Cas {
        Claim::given()
    } else {
        Claim::unknown(Need::Vantage { zone: parallax_model::Zone::Internal })
    }
}
