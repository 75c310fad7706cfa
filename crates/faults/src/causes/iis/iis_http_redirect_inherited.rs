//! `iis_http_redirect_inherited`
//!
//! ## What it says
//! IIS on the server redirects the `ActiveSync` directory to `/owa`, usually by the redirect set on the root of the site.
//!
//! ## How we know
//! The server itself answers `OPTIONS` and `GET` with a redirect whose path begins with `/owa` and is no logon page.
//!
//! ## What it is not
//! - A proxy that sends the path elsewhere: the server dialled directly says 401.
//! - A logon page (`/owa/auth/`, a portal): that is forms authentication on the path.
//!
//! ## What to do
//! See the text.

use parallax_model::{Answer, FaultId, Look};

use super::node::{self, said};
use crate::claim::Claim;
use crate::fault::{Basis, Era, Fault, Layer, Owner, Reach, Severity};
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("iis_http_redirect_inherited"),
    layer: Layer::Iis,
    owner: Owner::Exchange,
    era: Era::Any,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("iis_http_redirect_inherited"),
    cases: |seen| {
        node::cases(
            seen,
            is_to_owa,
            |spot| (said(spot, &Look::GET, is_to_owa), Claim::given()),
            "401 Basic",
        )
    },
};

fn is_to_owa(answer: &Answer) -> bool {
    let location = answer.headers.first("Location").unwrap_or_default().to_ascii_lowercase();
    let path = match location.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default(),
        None => location.as_str(),
    };
    let is_owa = path == "/owa" || path.starts_with("/owa/");
    matches!(answer.status, 301 | 302 | 303 | 307 | 308)
        && is_owa
        && !path.starts_with("/owa/auth")
        && !path.contains("reason=")
}
