//! `http_to_https_redirect_drops_post`
//!
//! ## What it says
//! The `ActiveSync` path is answered with a redirect; clients follow it with `OPTIONS` and lose the body of the `POST` that
//! comes next.
//!
//! ## How we know
//! `OPTIONS` gets 301, 302 or 303 to the same service over TLS, or to another spelling of its path, and that place answers
//! as it should.
//!
//! ## What it is not
//! - `ssl_offload_vdir_requires_ssl`: there the redirect leads to the very address that was asked.
//! - `host_header_not_preserved`: there it leads to another host.
//! - A redirect to a portal or a logon page: that is not the path of `ActiveSync`.
//!
//! ## What to do
//! See the text.

use parallax_model::{Answer, FaultId, Look, Standing, TextPlace};

use super::fronts::{Inside, Redirect, also, elsewhere, published, said};
use crate::claim::{Claim, all, any};
use crate::claims::is_meant_address;
use crate::condition::{self, Stage};
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::{Seen, Spot};
use crate::sign::along;
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("http_to_https_redirect_drops_post"),
    layer: Layer::Publishing,
    owner: Owner::Publishing,
    era: Era::Any,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("http_to_https_redirect_drops_post"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let inside = Inside::of(seen);
    let over_tls: Vec<(&Spot<'_>, Claim)> = published(seen)
        .filter(|it| it.endpoint.is_https)
        .filter_map(|it| Some((it, it.answer(&Look::OPTIONS)?)))
        .filter(|(it, (_, answer))| condition::is_anonymous_healthy(seen, it.endpoint, answer))
        .map(|(it, (met, _))| (it, Claim::holds(met.reference())))
        .take(ENOUGH)
        .collect();
    along(
        published(seen),
        |spot| spot.sign(&Look::OPTIONS, |it| is_redirected(spot, it)),
        |spot, shown| {
            let there = over_tls
                .iter()
                .find(|(it, _)| it.endpoint.host.eq_ignore_ascii_case(&spot.endpoint.host))
                .map_or_else(Claim::undecidable, |(_, claim)| claim.clone());
            let must = all([
                shown,
                also(spot, &Look::GET, |it| is_redirected(spot, it)),
                is_meant_address(spot),
            ]);
            let keeps_method =
                spot.answer(&Look::OPTIONS).is_some_and(|(_, it)| matches!(it.status, 307 | 308));
            Case::new(spot, must, &[Stage::Anonymous, Stage::Logon])
                .firmer(any([there, inside.answers_soundly(spot)]))
                .at_most(if keeps_method { Standing::Likely } else { Standing::Confirmed })
                .with(TextPlace::Seen, said(spot, &Look::OPTIONS))
                .with(TextPlace::Expected, "401 Basic")
                .with(TextPlace::Elsewhere, elsewhere(&inside, spot))
        },
    )
}

/// A target has few published names; one sound path to each is enough.
const ENOUGH: usize = 64;

/// To the same service over TLS, or to its path in another spelling; not to the address itself.
fn is_redirected(spot: &Spot<'_>, answer: &Answer) -> bool {
    let Some(to) = Redirect::of(answer) else { return false };
    let is_other = !to.path.eq_ignore_ascii_case(&spot.endpoint.path);
    let is_upgrade = !spot.endpoint.is_https && to.is_https == Some(true);
    let is_downgrade = spot.endpoint.is_https && to.is_https == Some(false);
    to.is_active_sync()
        && to.is_host(&spot.endpoint.host)
        && (is_upgrade || is_downgrade || is_other)
}
