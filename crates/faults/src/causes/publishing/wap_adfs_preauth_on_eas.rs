//! `wap_adfs_preauth_on_eas`
//!
//! ## What it says
//! Web Application Proxy publishes ActiveSync with pre-authentication at AD FS, which no phone can follow.
//!
//! ## How we know
//! Outside, `OPTIONS` is redirected to `/adfs/ls`, or gets 401 with nothing but a token of AD FS, or 403 with
//! `X-Forms_Based_Auth_Required`; the CAS dialled directly answers 401 with Basic. Confirmed only with a mark that no other
//! client of AD FS leaves.
//!
//! ## What it is not
//! - `f5_apm_not_clientless`, `netscaler_aaa_redirect_or_connector_block`: their cookie stands beside the address of AD FS.
//! - Exchange that offers a token of AD FS itself: it offers Basic beside it, and names its front end.
//! - `proxy_url_not_published`: there the redirect leads to no logon page.
//!
//! ## What to do
//! See the text.

use parallax_model::{Answer, Place, Standing};

use super::preauth::{self, Gate};
use crate::fault::{Basis, Fault};
use crate::recognise::{self, Product};
use crate::texts::pages;

pub(crate) const FAULT: Fault = preauth::fault(
    "wap_adfs_preauth_on_eas",
    Basis::Documented,
    pages!("wap_adfs_preauth_on_eas"),
    |seen| preauth::cases(seen, |it| it == Gate::WebApplicationProxy, true, at_most),
);

/// Also others send their users to AD FS, so the address alone says no more than likely.
fn at_most(answer: &Answer) -> Standing {
    let is_product = |it| it == Product::WebApplicationProxy;
    if recognise::is_marked(answer, Place::ActiveSync, is_product) {
        Standing::Confirmed
    } else {
        Standing::Likely
    }
}
