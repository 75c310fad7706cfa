//! `vdir_missing_or_corrupt`
//!
//! ## What it says
//! The `ActiveSync` virtual directory is gone from IIS, or IIS cannot read its configuration.
//!
//! ## How we know
//! The server itself answers `GET` with 404 and `OPTIONS` with 404 or with the bare 200 that IIS gives for any path, or
//! both with 500.19 or 500.21, while `/owa/` on it is served. Firm only where IIS names its own sub-status: a filter may
//! close a path in the same words.
//!
//! ## What it is not
//! - A path that the proxy does not pass on: there the server itself says 401.
//! - `url_filter_blocks`: there `GET` is asked for a logon.
//! - A 500 of an Exchange that is still starting: IIS names no sub-status then.
//!
//! ## What to do
//! See the text.

use parallax_model::{Answer, FaultId, Look};

use super::node::{self, another_path_is_served, on_the_server, said};
use crate::claim::{Claim, all};
use crate::fault::{Basis, Era, Fault, Layer, Owner, Reach, Severity};
use crate::seen::Spot;
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("vdir_missing_or_corrupt"),
    layer: Layer::Iis,
    owner: Owner::Exchange,
    era: Era::Any,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("vdir_missing_or_corrupt"),
    cases: |seen| node::cases(seen, is_sign, premises, "401 Basic"),
};

fn premises(spot: &Spot<'_>) -> (Claim, Claim) {
    let is_gone = said(spot, &Look::GET, |it| matches!(it.status, 403 | 404) || is_broken(it));
    let is_named = spot.answer(&Look::OPTIONS).is_some_and(|(_, it)| is_broken(it));
    let named = if is_named {
        Claim::given()
    } else {
        on_the_server("IIS Manager: whether the application Microsoft-Server-ActiveSync is there")
    };
    (all([is_gone, another_path_is_served(spot)]), named)
}

fn is_sign(answer: &Answer) -> bool {
    let is_bare = matches!(answer.status, 200 | 204)
        && !answer.headers.has("MS-ASProtocolVersions")
        && answer.headers.has("Allow");
    // Exchange's own front end says in this header that it looked for a mailbox: then the directory is there.
    let is_absent = answer.status == 404 && !answer.headers.has("X-CasErrorCode");
    is_absent || is_bare || is_broken(answer)
}

/// IIS says that it cannot read the configuration, or lacks the handler's module.
fn is_broken(answer: &Answer) -> bool {
    let body = &answer.body.beginning;
    answer.status == 500 && ["500.19", "500.21", "500.24"].iter().any(|it| body.contains(it))
}
