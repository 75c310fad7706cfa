//! `proxy_cert_name_mismatch_to_backend`
//!
//! ## What it says
//! The publishing device goes to Exchange over TLS under a name that the certificate there does not contain, and gives up.
//!
//! ## How we know
//! Its page carries the code of Windows for that (`-2146893022`, "the target principal name is incorrect"), while Exchange
//! answers a direct question.
//!
//! ## What it is not
//! - `proxy_upstream_unreachable`: there the device tells no reason. Where the certificate inside does not fit, this stays
//!   open beside it.
//! - `tls_cert_name_mismatch`: that is the certificate which clients see.
//!
//! ## What to do
//! See the text.

use parallax_model::{Answer, FaultId, Look, Need, TextPlace};

use super::fronts::{
    Inside, elsewhere, is_gateway_word, is_marked_by_exchange, published, said, says,
};
use crate::claim::{Claim, all};
use crate::claims::is_meant_address;
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::{Seen, Spot};
use crate::sign::along;
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("proxy_cert_name_mismatch_to_backend"),
    layer: Layer::Publishing,
    owner: Owner::Publishing,
    era: Era::Any,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("proxy_cert_name_mismatch_to_backend"),
    cases,
};

/// `SEC_E_WRONG_PRINCIPAL`, in the forms in which ISA Server and TMG print it; the number is the same in every language.
const CODES: [&str; 3] = ["-2146893022", "0x80090322", "target principal name is incorrect"];

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let inside = Inside::of(seen);
    along(
        published(seen),
        |spot| spot.sign(&Look::OPTIONS, |it| says_so(it) || is_refused_upstream(it)),
        |spot, shown| {
            let is_told = spot.answer(&Look::OPTIONS).is_some_and(|(_, it)| says_so(it));
            let must = if is_told {
                all([shown, is_meant_address(spot)])
            } else {
                all([shown, misfit(&inside, spot), logged_by_the_device()])
            };
            Case::new(spot, must, &[Stage::Anonymous, Stage::Logon])
                .firmer(inside.answers_soundly(spot))
                .with(TextPlace::Seen, said(spot, &Look::OPTIONS))
                .with(TextPlace::Expected, names_inside(&inside, spot))
                .with(TextPlace::Elsewhere, elsewhere(&inside, spot))
        },
    )
}

/// The device itself tells the reason.
pub(super) fn says_so(answer: &Answer) -> bool {
    matches!(answer.status, 500 | 502 | 503)
        && !is_marked_by_exchange(answer)
        && CODES.iter().any(|it| says(answer, it))
}

/// Other devices say 502 and write the reason into their log.
fn is_refused_upstream(answer: &Answer) -> bool {
    matches!(answer.status, 502 | 526) && is_gateway_word(answer)
}

fn names_inside(inside: &Inside<'_, '_>, spot: &Spot<'_>) -> String {
    let tls = inside.sound(spot).and_then(|it| it.met.observation.transport.tls());
    let leaf = tls.and_then(|it| it.chain.first());
    leaf.map(|it| words::shortened(&it.names.join(", "))).unwrap_or_default()
}

/// The certificate of Exchange, asked directly under the published name, does not contain it.
fn misfit(inside: &Inside<'_, '_>, spot: &Spot<'_>) -> Claim {
    let Some(sound) = inside.sound(spot) else { return Claim::undecidable() };
    let mut reference = sound.met.reference();
    reference.value = format!("certificate for {}", names_inside(inside, spot));
    match sound.met.observation.transport.tls() {
        Some(tls) if tls.name_matches => Claim::fails(reference),
        Some(_) => Claim::holds(reference),
        None => Claim::undecidable(),
    }
}

fn logged_by_the_device() -> Claim {
    Claim::unknown(Need::OnTheServer {
        what: "error log of the publishing device: verification of the upstream certificate",
    })
}
