//! `netscaler_aaa_redirect_or_connector_block`
//!
//! ## What it says
//! Citrix `NetScaler` sends ActiveSync clients to the logon page of its AAA or gateway server.
//!
//! ## How we know
//! Outside, anonymous `OPTIONS` and `GET` are redirected to `/vpn/`, `/cgi/` or `/logon/LogonPoint/` with a cookie `NSC_…`,
//! a user name that cannot exist too; the CAS dialled directly answers 401. The other half of it, a callout to a connector
//! that drops unknown devices, no probe without a device id can see.
//!
//! ## What it is not
//! - `fba_intercepts_eas`: the page bears no mark of Citrix.
//! - A `NetScaler` that only balances: it sets `NSC_…` as well, and redirects nobody to those paths.
//! - `mdm_gateway_block`: there a gateway for devices refuses, and no logon page is shown.
//!
//! ## What to do
//! See the text.

use parallax_model::Standing;

use super::preauth::{self, Gate};
use crate::fault::{Basis, Fault};
use crate::texts::pages;

pub(crate) const FAULT: Fault = preauth::fault(
    "netscaler_aaa_redirect_or_connector_block",
    Basis::Observed,
    pages!("netscaler_aaa_redirect_or_connector_block"),
    |seen| preauth::cases(seen, |it| it == Gate::Citrix, true, |_| Standing::Confirmed),
);
