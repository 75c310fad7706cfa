//! `e2003_negotiate_provider_missing`
//!
//! ## What it says
//! The Exchange 2003 back end offers NTLM without Negotiate, so the Kerberos-only logon of the CAS has nothing to take.
//!
//! ## How we know
//! Asked directly, the back end challenges with NTLM and not with Negotiate; the password is proven; through the CAS the
//! same secret gets 401, while an account homed on the newer server is let in.
//!
//! ## What it is not
//! - `e2003_be_iwa_missing`: there neither NTLM nor Negotiate is offered.
//!
//! ## What to do
//! See the text.

use parallax_model::{FaultId, Look, Scheme};

use super::legacy;
use crate::claims::offers;
use crate::fault::{Basis, Era, Fault, Layer, Owner, Reach, Severity};
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("e2003_negotiate_provider_missing"),
    layer: Layer::Legacy2003,
    owner: Owner::Exchange,
    era: Era::Mailbox2003,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("e2003_negotiate_provider_missing"),
    cases: |seen| {
        legacy::pairs(seen)
            .into_iter()
            .map(|pair| {
                let offered = pair
                    .back_end
                    .answer(&Look::OPTIONS)
                    .map(|(_, it)| words::schemes(&it.challenges))
                    .unwrap_or_default();
                let shows = pair.back_end_says(|spot| {
                    offers(spot, &Look::OPTIONS, |has| {
                        has(&Scheme::Ntlm) && !has(&Scheme::Negotiate)
                    })
                });
                pair.case(shows, pair.through_fronts().refused(), offered, "Negotiate, NTLM, Basic")
            })
            .collect()
    },
};
