//! `e2003_be_iwa_missing`
//!
//! ## What it says
//! The Exchange 2003 back end offers Basic only, and the newer CAS can log on to it with Kerberos only.
//!
//! ## How we know
//! Asked directly, the back end challenges with Basic alone and accepts the account; through the CAS the same secret gets
//! 401, while an account homed on the newer server is let in.
//!
//! ## What it is not
//! - `bad_password`: the back end itself accepted the secret, checked at that moment and not from a cached token.
//! - `e2003_negotiate_provider_missing`: NTLM is offered, Negotiate is not.
//! - `default_domain_missing`: the user name is qualified.
//! - A CAS in back-off: that is a quick 503, and worth asking again after a minute.
//!
//! ## What to do
//! See the text: Exchange System Manager, never IIS Manager.

use parallax_model::{FaultId, Look, Scheme, Standing};

use super::legacy;
use super::{e2003_hotfix_937031_missing, e2003_iwa_set_in_iis_manager};
use crate::claim::Claim;
use crate::claims::offers;
use crate::fault::{Basis, Era, Fault, Layer, Owner, Reach, Severity};
use crate::texts::pages;
use crate::time::Earlier;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("e2003_be_iwa_missing"),
    layer: Layer::Legacy2003,
    owner: Owner::Exchange,
    era: Era::Mailbox2003,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("e2003_be_iwa_missing"),
    cases: |seen| {
        let earlier = Earlier::new(seen, &Look::OPTIONS);
        let has_no_hotfix = matches!(e2003_hotfix_937031_missing::told(seen), Claim::Holds(_));
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
                        has(&Scheme::Basic) && !has(&Scheme::Negotiate) && !has(&Scheme::Ntlm)
                    })
                });
                // Where it is known why the setting is off, that is the finding to act on, and this one stands beside it.
                let is_explained =
                    has_no_hotfix || e2003_iwa_set_in_iis_manager::is_certain(&pair, &earlier);
                let at_most = if is_explained { Standing::Likely } else { Standing::Confirmed };
                pair.case(shows, pair.through_fronts().refused(), offered, "Negotiate, NTLM, Basic")
                    .at_most(at_most)
            })
            .collect()
    },
};
