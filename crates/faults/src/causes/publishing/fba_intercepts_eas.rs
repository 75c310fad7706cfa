//! `fba_intercepts_eas`
//!
//! ## What it says
//! A logon page answers ActiveSync in place of a challenge that a phone can answer.
//!
//! ## How we know
//! Outside, anonymous `OPTIONS` and `GET` get a redirect to a logon page, or the page itself, without a mark of Exchange; a
//! user name that cannot exist gets it too; the CAS dialled directly answers 401. With forms of ISA Server or TMG at most
//! likely: they may be shown to some clients only.
//!
//! ## What it is not
//! - A product with a cause of its own (`f5_apm_not_clientless`, `netscaler_aaa_redirect_or_connector_block`,
//!   `wap_adfs_preauth_on_eas`, `entra_app_proxy_preauth`): its cookie, header or address is there.
//! - `proxy_url_not_published`: there the answer is a refusal or a portal.
//! - `proxy_strips_or_answers_options`: there `GET` is asked for a password.
//! - A redirect of the server itself (`iis_http_redirect_inherited`): the CAS dialled directly answers the same.
//! - `isa_useragent_mapping_forms`: the same page, for this client only; the mapping on the listener tells.
//!
//! ## What to do
//! See the text.

use parallax_model::{Need, Standing};

use super::preauth::{self, Gate};
use crate::claim::{Claim, all};
use crate::fault::{Basis, Case, Fault};
use crate::seen::Seen;
use crate::texts::pages;

pub(crate) const FAULT: Fault =
    preauth::fault("fba_intercepts_eas", Basis::Documented, pages!("fba_intercepts_eas"), cases);

/// What parts forms for everybody from forms for some clients.
pub(super) const MAPPING: Need =
    Need::OnTheServer { what: "the user-agent mapping of the ISA Server or TMG web listener" };

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let mut cases = preauth::cases(seen, |it| it == Gate::Unnamed, false, |_| Standing::Confirmed);
    let isa = preauth::cases(seen, |it| it == Gate::IsaOrTmg, true, |_| Standing::Likely);
    cases.extend(isa.into_iter().map(|it| {
        let firmer = all([it.firmer.clone(), Claim::unknown(MAPPING)]);
        it.firmer(firmer)
    }));
    cases
}
