//! `exo_anonymous_451_cba`
//!
//! ## What it says
//! Exchange Online sends anonymous requests to its host for certificate logon. Expected, and no fault.
//!
//! ## How we know
//! 451 with `X-MS-Location: https://outlook-cba.office365.com/…` to a request without `Authorization`.
//!
//! ## What it is not
//! - A redirect of a mailbox: that is a 451 after a logon.
//!
//! ## What to do
//! Nothing.

use parallax_model::{EvidenceRef, FaultId, Look};

use crate::condition::is_certificate_host_redirect;
use crate::seen::Seen;

/// Known behaviour that looks like a fault and is none.
pub(crate) fn notes(seen: &Seen<'_>) -> Vec<(FaultId, Vec<EvidenceRef>)> {
    let met: Vec<EvidenceRef> = seen
        .fronts()
        .filter_map(|spot| spot.answer(&Look::OPTIONS))
        .filter(|(_, answer)| is_certificate_host_redirect(answer))
        .map(|(met, _)| met.reference())
        .collect();
    if met.is_empty() { Vec::new() } else { vec![(FaultId("exo_anonymous_451_cba"), met)] }
}
