//! `client_cert_untrusted_or_expired`
//!
//! ## What it says
//! IIS got a client certificate and refuses it: not trusted, expired, revoked (or its revocation list out of reach), or mapped
//! to nobody who may enter.
//!
//! ## How we know
//! The page names 403.12, 403.13, 403.16 or 403.17, although we sent none: then it is the certificate with which the device in
//! front presents itself. A client's own certificate cannot be judged while nobody here holds one.
//!
//! ## What it is not
//! - `tls_client_cert_required`: there none was sent, 403.7.
//!
//! ## What to do
//! See the text.

use parallax_model::{Answer, FaultId, Look, Standing, TextPlace};

use super::handshakes::{CERTIFICATE_NEEDED, names_sub_status, request};
use crate::claim::{Claim, all};
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::{Seen, Spot};
use crate::sign::{Sign, along};
use crate::texts::pages;
use crate::words;

/// Sub-statuses of 403 about a certificate that was sent.
const REFUSALS: [&str; 4] = ["403.12", "403.13", "403.16", "403.17"];

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("client_cert_untrusted_or_expired"),
    layer: Layer::Tls,
    owner: Owner::Certificate,
    era: Era::Any,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("client_cert_untrusted_or_expired"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    along(seen.fronts().filter(|spot| spot.endpoint.is_https), sign, case)
}

/// Denied only where a page says so or no certificate is asked for and an answer came.
fn sign<'e>(spot: &Spot<'e>) -> Sign<'e> {
    match (spot.sign(&Look::OPTIONS, is_refusal), request(spot)) {
        (Sign::Denied(_), Some(asked)) => Sign::Shown(asked),
        (sign, _) => sign,
    }
}

fn is_refusal(answer: &Answer) -> bool {
    REFUSALS.iter().any(|it| names_sub_status(answer, it))
}

fn case(spot: &Spot<'_>, shown: Claim) -> Case {
    let refused = spot.answer(&Look::OPTIONS).filter(|(_, it)| is_refusal(it));
    let must = match refused {
        Some(_) => shown,
        None => all([shown, Claim::unknown(CERTIFICATE_NEEDED)]),
    };
    Case::new(spot, must, &[Stage::Anonymous])
        .firmer(Claim::unknown(CERTIFICATE_NEEDED))
        .at_most(Standing::Likely)
        .with(TextPlace::Seen, refused.map(|(_, it)| words::answer(it)).unwrap_or_default())
        .with(TextPlace::Expected, "200 with a client certificate")
}
