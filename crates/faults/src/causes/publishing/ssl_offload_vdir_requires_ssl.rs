//! `ssl_offload_vdir_requires_ssl`
//!
//! ## What it says
//! TLS ends at the publishing device, which goes on without it, and the directory on Exchange takes requests over TLS only.
//!
//! ## How we know
//! Outside, over TLS, the 403 of a directory that wants TLS, or a redirect to the very address that was asked; the client
//! access server takes the question over TLS, and on port 80, if that is registered, says the same as outside.
//!
//! ## What it is not
//! - `proxy_url_not_published`: there the device itself refuses, and nothing speaks of TLS.
//! - `http_to_https_redirect_drops_post`: there the client had asked without TLS, or is sent to another path.
//! - `e2003_be_ssl_required_on_eas_vdir`: there the leg from CAS to back end is without TLS.
//!
//! ## What to do
//! See the text.

use std::rc::Rc;

use parallax_model::{Answer, FaultId, Look, PathId, TextPlace};

use super::fronts::{
    Inside, Redirect, elsewhere, published, said, said_without_tls, wants_tls, without_tls,
};
use crate::claim::{Claim, all};
use crate::claims::is_meant_address;
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Explains, Fault, Layer, Owner, Reach, Severity};
use crate::seen::{Met, Seen, Spot};
use crate::sign::along;
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("ssl_offload_vdir_requires_ssl"),
    layer: Layer::Publishing,
    owner: Owner::Publishing,
    era: Era::Any,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("ssl_offload_vdir_requires_ssl"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let inside = Inside::of(seen);
    let plain = without_tls(seen);
    along(
        published(seen).filter(|it| it.endpoint.is_https),
        |spot| {
            spot.sign(&Look::OPTIONS, |it| {
                wants_tls(it) || leads_to_itself(spot, it) || said_without_tls(&plain, it).is_some()
            })
        },
        |spot, shown| {
            Case::new(spot, all([shown, is_meant_address(spot)]), &[Stage::Anonymous, Stage::Logon])
                .explaining(explains(&plain, spot))
                .firmer(all([inside.answers_soundly(spot), says_the_same(&plain, spot)]))
                .with(TextPlace::Seen, said(spot, &Look::OPTIONS))
                .with(TextPlace::Expected, "401 Basic")
                .with(TextPlace::Elsewhere, elsewhere(&inside, spot))
        },
    )
}

/// The refusal on port 80 is the same matter, and no fault of its own.
fn explains(plain: &[(Met<'_>, &Answer)], spot: &Spot<'_>) -> Explains {
    let refusing = plain.iter().filter(|(_, it)| it.status != 401).map(|(met, _)| met.path);
    let paths: Rc<[PathId]> = refusing.chain([spot.path]).cloned().collect();
    Explains { paths, stages: &[Stage::Anonymous, Stage::Logon], logons_of: None }
}

/// A redirect over TLS to the address that was asked over TLS: somebody behind takes the request for one without.
fn leads_to_itself(spot: &Spot<'_>, answer: &Answer) -> bool {
    Redirect::of(answer).is_some_and(|it| {
        it.is_https == Some(true)
            && it.is_host(&spot.endpoint.host)
            && it.path.eq_ignore_ascii_case(&spot.endpoint.path)
    })
}

/// Port 80 of the client access server says the same. A challenge there says that it does not mind.
fn says_the_same(plain: &[(Met<'_>, &Answer)], spot: &Spot<'_>) -> Claim {
    let Some((_, outside)) = spot.answer(&Look::OPTIONS) else { return Claim::undecidable() };
    let is_same = |it: &&(Met<'_>, &Answer)| {
        it.1.status == outside.status
            && (wants_tls(it.1) || it.1.body.sha256 == outside.body.sha256)
    };
    if let Some((met, _)) = plain.iter().find(is_same) {
        return Claim::holds(met.reference());
    }
    match plain.iter().find(|(_, it)| it.status == 401) {
        Some((met, _)) => Claim::fails(met.reference()),
        None if wants_tls(outside) => Claim::given(),
        None => Claim::undecidable(),
    }
}
