//! `f5_apm_not_clientless`
//!
//! ## What it says
//! An access policy of F5 BIG-IP APM sends ActiveSync clients to its logon page instead of asking them for a password in
//! Basic.
//!
//! ## How we know
//! Outside, anonymous `OPTIONS` and `GET` are redirected with a session cookie of APM or to `/my.policy`, a user name that
//! cannot exist too; the CAS dialled directly answers 401.
//!
//! ## What it is not
//! - `fba_intercepts_eas`: the page bears no mark of APM.
//! - A BIG-IP that only balances: its cookie is `BIGipServer…`, and no policy runs.
//! - `wap_adfs_preauth_on_eas`: APM may ask AD FS for identities; the cookie names the box that answered.
//!
//! ## What to do
//! See the text.

use parallax_model::Standing;

use super::preauth::{self, Gate};
use crate::fault::{Basis, Fault};
use crate::texts::pages;

pub(crate) const FAULT: Fault = preauth::fault(
    "f5_apm_not_clientless",
    Basis::Documented,
    pages!("f5_apm_not_clientless"),
    |seen| preauth::cases(seen, |it| it == Gate::F5Apm, true, |_| Standing::Confirmed),
);
