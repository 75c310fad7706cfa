//! `exo_consumer_account_451`
//!
//! ## What it says
//! The account is a consumer one (Outlook.com, Hotmail), and Microsoft's front sends it to the host that serves it.
//!
//! ## How we know
//! 451 from Exchange Online's own front with `X-MS-Location` naming `outlook.office365.com`, and the front says that
//! the 451 came from behind it (`x-proxy-backendserverstatus: 451`). To a request without a logon at most likely.
//!
//! ## What it is not
//! - `exo_anonymous_451_cba`: there the named host is the one for certificates.
//! - `hybrid_user_moved_451`: there a server on premises answers.
//! - `mailbox_other_site_451`: there another host of the organisation is named.
//!
//! ## What to do
//! See the text.

use parallax_model::{Answer, FaultId, Look, Standing, TextPlace};

use crate::causes::fe_be::front_logon::{self, FRONTS, named_host};
use crate::condition::{self, Stage};
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::responder;
use crate::seen::Seen;
use crate::sign::along;
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("exo_consumer_account_451"),
    layer: Layer::Cloud,
    owner: Owner::Client,
    era: Era::Online,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("exo_consumer_account_451"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let mut cases = along(
        seen.fronts(),
        |spot| spot.sign(&Look::OPTIONS, is_sent_home),
        |spot, shown| {
            let said = spot.answer(&Look::OPTIONS).map(|(_, it)| it);
            Case::new(spot, shown, &[Stage::Anonymous, Stage::Logon])
                .at_most(Standing::Likely)
                .with(TextPlace::Seen, said.map(words::answer).unwrap_or_default())
                .with(TextPlace::Elsewhere, said.and_then(named_host).unwrap_or_default())
                .with(TextPlace::Expected, "401 Bearer")
        },
    );
    let logons = front_logon::answered(seen, FRONTS);
    let sent_home = logons.iter().filter(|it| is_sent_home(it.answer));
    cases.extend(sent_home.map(|it| {
        it.case(it.holds(), "200")
            .with(TextPlace::Elsewhere, named_host(it.answer).unwrap_or_default())
    }));
    cases
}

fn is_sent_home(answer: &Answer) -> bool {
    let is_of_the_edge = answer.headers.first("X-Proxy-BackendServerStatus") == Some("451");
    is_of_the_edge
        && !condition::is_certificate_host_redirect(answer)
        && named_host(answer).is_some_and(|host| responder::is_online_host(&host))
}
