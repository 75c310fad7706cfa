//! `client_cert_strong_mapping_enforced`
//!
//! ## What it says
//! The domain controllers accept only certificates that name their account strongly (KB 5014754), and the phones' ones do not.
//!
//! ## How we know
//! It shows only to a client with such a certificate, and in the domain controllers' log (events 39, 40, 41). What can be seen
//! from here is that certificates are asked for at all.
//!
//! ## What it is not
//! - `client_cert_mapping_off`: there no domain controller is asked.
//!
//! ## What to do
//! See the text.

use parallax_model::{FaultId, Need, Standing, TextPlace};

use super::handshakes::{CERTIFICATE_NEEDED, request};
use crate::claim::{Claim, all};
use crate::claims::is_answering;
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::responder;
use crate::seen::{Seen, Spot};
use crate::sign::{Sign, along};
use crate::texts::pages;

const ON_THE_DOMAIN_CONTROLLER: Need =
    Need::OnTheServer { what: "events 39, 40 and 41 of the KDC on the domain controllers" };

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("client_cert_strong_mapping_enforced"),
    layer: Layer::Tls,
    owner: Owner::Directory,
    era: Era::From2007,
    basis: Basis::Inferred,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("client_cert_strong_mapping_enforced"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    along(
        seen.fronts().filter(|spot| {
            spot.endpoint.is_https
                && FAULT.era.may_concern(responder::generation(seen, spot.endpoint))
        }),
        sign,
        |spot, shown| {
            let nobody_knows = Claim::Unknown {
                seen: Vec::new(),
                needs: vec![CERTIFICATE_NEEDED, ON_THE_DOMAIN_CONTROLLER],
            };
            Case::new(spot, all([shown, nobody_knows]), &[Stage::Anonymous])
                .at_most(Standing::Likely)
                .with(TextPlace::Expected, "200 with a client certificate")
        },
    )
}

/// Where nobody asks for a certificate, none is mapped.
fn sign<'e>(spot: &Spot<'e>) -> Sign<'e> {
    match request(spot) {
        Some(asked) => Sign::Shown(asked),
        None if is_answering(spot) => spot.tls_sign(|_| false),
        None => Sign::Unknown(Vec::new()),
    }
}
