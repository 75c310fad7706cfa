//! `entra_app_proxy_preauth`
//!
//! ## What it says
//! Microsoft Entra application proxy publishes ActiveSync with pre-authentication in Entra ID, which no phone can follow.
//!
//! ## How we know
//! Outside, `OPTIONS` is redirected to `login.microsoftonline.com`, with a cookie or a state of the application proxy or at
//! least without a mark of another box; the CAS dialled directly answers 401.
//!
//! ## What it is not
//! - `f5_apm_not_clientless`, `netscaler_aaa_redirect_or_connector_block`: their cookie stands beside the address of Entra
//!   ID.
//! - `fba_intercepts_eas`: a redirect with a request in SAML comes from another box that has its identities in Entra ID.
//! - Modern authentication: Exchange offers Bearer in a 401 and redirects nobody.
//!
//! ## What to do
//! See the text.

use parallax_model::Standing;

use super::preauth::{self, Gate};
use crate::fault::{Basis, Fault};
use crate::texts::pages;

pub(crate) const FAULT: Fault = preauth::fault(
    "entra_app_proxy_preauth",
    Basis::Inferred,
    pages!("entra_app_proxy_preauth"),
    |seen| preauth::cases(seen, |it| it == Gate::EntraProxy, true, |_| Standing::Confirmed),
);
