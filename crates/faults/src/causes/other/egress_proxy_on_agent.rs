//! `egress_proxy_on_agent`
//!
//! ## What it says
//! A proxy or an inspecting box in the vantage's own network answers in place of the target; nothing is known of the target from
//! there.
//!
//! ## How we know
//! 407, which only a proxy of the client's own side says. Or control and published name show certificates of one issuer that no
//! public root vouches for, while another vantage sees the control's own.
//!
//! ## What it is not
//! - A reverse proxy in front of Exchange: that does not answer for a control, and it never says 407.
//! - `tls_untrusted_or_selfsigned`: there the control shows its own certificate.
//! - A box that every vantage meets in the same way: that stands before the target.
//!
//! ## What to do
//! See the text.

use std::collections::BTreeSet;

use parallax_model::{Answer, EndpointName, FaultId, Look, Need, Role, TextPlace, Zone};

use crate::claim::{Claim, all};
use crate::condition::Stage;
use crate::controls::{self, Impostor, PROXY_AUTHENTICATION_REQUIRED};
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::{Seen, Spot};
use crate::sign::{Sign, along};
use crate::texts::pages;
use crate::words;

const CONTROL: &str = "an endpoint with role control: something known good on the same side";

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("egress_proxy_on_agent"),
    layer: Layer::NonExchange,
    owner: Owner::Firewall,
    era: Era::Any,
    basis: Basis::Observed,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("egress_proxy_on_agent"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let answered: BTreeSet<&EndpointName> = seen
        .paths
        .iter()
        .filter(|it| it.answer(&Look::OPTIONS).is_some())
        .map(|it| &it.endpoint.name)
        .collect();
    let mut cases = along(
        missed(seen),
        |spot| spot.sign(&Look::OPTIONS, is_proxy_word),
        |spot, said| {
            let is_only_here = answered.contains(&spot.endpoint.name);
            case(spot, said, &said_by(spot)).firmer(is_its_own(seen, spot, is_only_here))
        },
    );
    cases.extend(along(
        missed(seen).filter(|it| impostor(seen, it).is_some()),
        |spot| shows_its_certificate(seen, spot),
        |spot, shown| {
            let found = impostor(seen, spot);
            let by = found.map(|it| Claim::holds(it.by.clone()));
            let issuer = found.and_then(|it| it.issuer).map(words::shortened).unwrap_or_default();
            case(spot, all([shown].into_iter().chain(by)), &format!("issuer {issuer}"))
                .firmer(is_foreign(seen, spot))
        },
    ));
    cases
}

/// Published names of which every look from that far out was lost; where another vantage tells, the exclusion says enough.
fn missed<'a, 'e>(seen: &'a Seen<'e>) -> impl Iterator<Item = &'a Spot<'e>> {
    let told: BTreeSet<(&EndpointName, Zone)> = seen
        .with_role(Role::External)
        .filter(|it| it.is_seen())
        .map(|it| (&it.endpoint.name, it.vantage.zone))
        .collect();
    seen.set_aside.iter().filter(move |spot| {
        let is_told = told
            .iter()
            .any(|(endpoint, zone)| **endpoint == spot.endpoint.name && *zone <= spot.vantage.zone);
        spot.endpoint.role == Role::External && !is_told
    })
}

fn case(spot: &Spot<'_>, must: Claim, said: &str) -> Case {
    Case::new(spot, must, &[Stage::Tls, Stage::Anonymous, Stage::Logon])
        .with(TextPlace::Seen, said)
        .with(TextPlace::Expected, "401 Basic")
}

fn is_proxy_word(answer: &Answer) -> bool {
    answer.status == PROXY_AUTHENTICATION_REQUIRED
}

/// `407, Via: 1.1 proxy1 (squid/5.7)`.
fn said_by(spot: &Spot<'_>) -> String {
    let Some((_, answer)) = spot.answer(&Look::OPTIONS) else { return String::new() };
    let header = ["Via", "Proxy-Authenticate", "Server"].into_iter().find_map(|name| {
        Some(format!(", {name}: {}", words::shortened(answer.headers.first(name)?)))
    });
    format!("{}{}", words::answer(answer), header.unwrap_or_default())
}

/// The control meets the same box, or another vantage is answered otherwise: it stands on this vantage's side.
fn is_its_own(seen: &Seen<'_>, spot: &Spot<'_>, is_only_here: bool) -> Claim {
    if let Some(impostor) = impostor(seen, spot) {
        return Claim::holds(impostor.by.clone());
    }
    let other = seen.paths.iter().filter(|_| is_only_here).find_map(|it| {
        let (met, _) = it.answer(&Look::OPTIONS)?;
        (it.endpoint.name == spot.endpoint.name).then_some(met)
    });
    match other {
        Some(met) => Claim::holds(met.reference()),
        None => Claim::unknown(Need::Declared { what: CONTROL }),
    }
}

fn impostor<'a, 'e>(seen: &'a Seen<'e>, spot: &Spot<'_>) -> Option<&'a Impostor<'e>> {
    seen.doubt(spot.vantage)?.impostor.as_ref()
}

/// The target's certificate comes from whoever made the control's.
fn shows_its_certificate<'e>(seen: &Seen<'e>, spot: &Spot<'e>) -> Sign<'e> {
    let Some(issuer) = impostor(seen, spot).and_then(|it| it.issuer) else {
        return Sign::Unknown(Vec::new());
    };
    spot.tls_sign(|it| {
        it.transport.tls().is_some_and(|tls| {
            !controls::is_publicly_trusted(tls)
                && tls.chain.first().is_some_and(|leaf| leaf.issuer == issuer)
        })
    })
}

/// Another vantage sees the control's own certificate, which a public root vouches for.
fn is_foreign(seen: &Seen<'_>, spot: &Spot<'_>) -> Claim {
    let genuine = seen.with_role(Role::Control).filter(|it| it.vantage.name != spot.vantage.name);
    let shown = genuine.map(|it| {
        it.tls_sign(|it| it.transport.tls().is_some_and(controls::is_publicly_trusted)).claim(it)
    });
    match shown.into_iter().find(|it| matches!(it, Claim::Holds(_))) {
        Some(found) => found,
        None => Claim::undecidable(),
    }
}
