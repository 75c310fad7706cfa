//! `client_cert_mapping_off`
//!
//! ## What it says
//! IIS takes the client certificate in the handshake and then maps it to nobody, because the mapping is switched off.
//!
//! ## How we know
//! A certificate is asked for, and the 401 offers no scheme at all: certificates are the only way in. Only a client that shows
//! a good one and gets that same 401 tells the mapping that is off from a directory in order.
//!
//! ## What it is not
//! - `proxy_strips_challenge`: there nobody asks for a certificate.
//! - A directory that takes certificates and passwords: its 401 offers Basic.
//!
//! ## What to do
//! See the text.

use parallax_model::{FaultId, Generation, Look, Standing, TextPlace};

use super::handshakes::{CERTIFICATE_NEEDED, is_asked};
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
    id: FaultId("client_cert_mapping_off"),
    layer: Layer::Tls,
    owner: Owner::Exchange,
    era: Era::From2007,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("client_cert_mapping_off"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    along(
        seen.fronts().filter(|spot| {
            let generation = responder::generation(seen, spot.endpoint);
            spot.endpoint.is_https
                && FAULT.era.may_concern(generation)
                && generation != Some(Generation::Online)
        }),
        sign,
        |spot, shown| {
            let said = spot.answer(&Look::OPTIONS).map(|(_, it)| words::answer(it));
            Case::new(spot, all([shown, Claim::unknown(CERTIFICATE_NEEDED)]), &[Stage::Anonymous])
                .at_most(Standing::Likely)
                .with(TextPlace::Seen, said.unwrap_or_default())
                .with(TextPlace::Expected, "200 with a client certificate")
        },
    )
}

fn sign<'e>(spot: &Spot<'e>) -> Sign<'e> {
    let met = spot.latest(&Look::OPTIONS);
    if let Some(found) = met.iter().find(|it| takes_certificates_only(it)) {
        return Sign::Shown(Fact::Exchange(*found));
    }
    match met.iter().find(|it| it.answer().is_some()) {
        Some(answered) => Sign::Denied(Fact::Exchange(*answered)),
        None => Sign::Unknown(needed_look(spot, &Look::OPTIONS)),
    }
}

fn takes_certificates_only(met: &Met<'_>) -> bool {
    is_asked(met) && met.answer().is_some_and(|it| it.status == 401 && it.challenges.is_empty())
}
