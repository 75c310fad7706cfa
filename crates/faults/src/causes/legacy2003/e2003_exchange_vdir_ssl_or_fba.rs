//! `e2003_exchange_vdir_ssl_or_fba`
//!
//! ## What it says
//! The `/Exchange` directory of an Exchange 2003 server requires SSL or forms-based authentication, and `ActiveSync`
//! on that server reaches mailboxes through it over plain HTTP.
//!
//! ## How we know
//! `OPTIONS` succeeds; an anonymous `GET /Exchange/` on port 80 of the back end is answered 403.4 or sent to the
//! logon form. Devices fail in the next step with 500.
//!
//! ## What it is not
//! - `e2003_be_ssl_required_on_eas_vdir`: there the `ActiveSync` directory itself answers 403.4, and `OPTIONS` fails.
//! - `e2003_be_exchange_vdir_iwa_missing`: there `/Exchange` asks for a logon, without Negotiate.
//!
//! ## What to do
//! See the text.

use parallax_model::{Answer, FaultId, Generation, Look, Place, Purpose, Role, TextPlace};

use super::legacy::is_403_4;
use crate::claim::{Claim, all, any};
use crate::claims::{Logons, Spelling, is_generation};
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::logon;
use crate::seen::{Seen, Spot};
use crate::sign::along;
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("e2003_exchange_vdir_ssl_or_fba"),
    layer: Layer::Legacy2003,
    owner: Owner::Exchange,
    era: Era::Mailbox2003,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("e2003_exchange_vdir_ssl_or_fba"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    along(
        seen.with_role(Role::Backend).filter(|spot| !spot.endpoint.is_https),
        |spot| spot.sign(&Look::EXCHANGE, is_closed_to_plain_http),
        |spot, shown| {
            let what = "generation of the back end";
            let is_2003 = is_generation(seen, spot, |it| it == Generation::Exchange2003, what);
            let said = spot.answer(&Look::EXCHANGE).map(|(_, it)| words::answer(it));
            // Nobody fails by it in `OPTIONS`, so it is worth a look only where a logon is to be made as well.
            let is_unasked = matches!(shown, Claim::Unknown { .. });
            let beside = if is_unasked { somebody_passes(seen, spot) } else { Claim::given() };
            Case::new(spot, all([shown, is_2003, beside]), &[])
                .with(TextPlace::Seen, said.unwrap_or_default())
                .with(TextPlace::Expected, "401 Negotiate, NTLM, Basic")
        },
    )
}

/// `OPTIONS` with a logon succeeds at this back end. That it fails says nothing of `/Exchange`.
fn somebody_passes(seen: &Seen<'_>, spot: &Spot<'_>) -> Claim {
    let spots: Vec<&Spot<'_>> =
        seen.with_role(Role::Backend).filter(|it| it.endpoint.name == spot.endpoint.name).collect();
    let accounts = seen.accounts(Purpose::Subject);
    let here = accounts.filter(|it| it.mailbox == Some(Generation::Exchange2003));
    let claim = any(here.map(|account| {
        let (spelling, place) = (Spelling::Any, Place::ActiveSync);
        Logons { seen, account, spelling, place, spots: spots.clone() }
            .answered(logon::is_active_sync)
    }));
    match claim {
        Claim::Fails(seen) => Claim::Unknown { seen, needs: Vec::new() },
        settled @ (Claim::Holds(_) | Claim::Unknown { .. }) => settled,
    }
}

/// 403.4, or the redirect to the logon form of Outlook Web Access.
fn is_closed_to_plain_http(answer: &Answer) -> bool {
    let is_form = (300..400).contains(&answer.status)
        && (answer.headers.mentions("Location", "owalogon")
            || answer.headers.mentions("Location", "/exchweb/bin/auth"));
    is_form || is_403_4(answer)
}
