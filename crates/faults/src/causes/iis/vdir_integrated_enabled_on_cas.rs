//! `vdir_integrated_enabled_on_cas`
//!
//! ## What it says
//! A server that clients reach offers Negotiate or NTLM beside Basic on the `ActiveSync` virtual directory.
//!
//! ## How we know
//! The server's own 401 lists both. Most devices take Basic all the same; a few old ones and some proxies do not. Whether a
//! publishing layer logs on there with Kerberos on purpose cannot be seen, unless no such layer answers outside.
//!
//! ## What it is not
//! - An Exchange 2003 back end, where Integrated is required behind a newer client access server.
//! - `vdir_basic_disabled`: there Basic is missing.
//!
//! ## What to do
//! See the text.

use parallax_model::{Answer, FaultId, Generation, Look, Need, Role, Scheme, TextPlace};

use super::node;
use crate::claim::{Claim, all, any};
use crate::claims::is_generation;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::responder;
use crate::seen::Seen;
use crate::sign;
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("vdir_integrated_enabled_on_cas"),
    layer: Layer::Iis,
    owner: Owner::Exchange,
    era: Era::From2007,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Warning,
    pages: pages!("vdir_integrated_enabled_on_cas"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let unwanted = nobody_delegates(seen);
    sign::along(
        node::asked(seen),
        |spot| {
            spot.sign(&Look::OPTIONS, |answer| node::is_own(spot, answer) && offers_both(answer))
        },
        |spot, shown| {
            let offered = spot
                .answer(&Look::OPTIONS)
                .map(|(_, it)| words::schemes(&it.challenges))
                .unwrap_or_default();
            let era = is_generation(
                seen,
                spot,
                |it| it.is_2007_or_2010() || Generation::is_2013_or_later(it),
                "generation of the client access server",
            );
            Case::new(spot, all([shown, era]), &[])
                .firmer(unwanted.clone())
                .with(TextPlace::Seen, offered)
                .with(TextPlace::Expected, "Basic")
        },
    )
}

fn offers_both(answer: &Answer) -> bool {
    let is_integrated = answer
        .challenges
        .iter()
        .any(|it| matches!(it.scheme, Scheme::Negotiate | Scheme::Ntlm) && it.token.is_none());
    answer.status == 401 && node::has_basic(answer) && is_integrated
}

/// Outside Exchange itself asks for the logon, so no layer in between logs on in its own way.
fn nobody_delegates(seen: &Seen<'_>) -> Claim {
    let need = Need::OnTheServer { what: "whether a publishing layer delegates with Kerberos" };
    let itself = seen.with_role(Role::External).filter_map(|spot| {
        let (met, answer) = spot.answer(&Look::OPTIONS)?;
        let is_plain = answer.status == 401 && responder::is_exchange_itself(seen, spot);
        is_plain.then(|| Claim::holds(met.reference()))
    });
    any(itself.take(1).chain([Claim::unknown(need)]))
}
