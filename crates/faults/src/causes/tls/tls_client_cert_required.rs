//! `tls_client_cert_required`
//!
//! ## What it says
//! The server, or the device in front of it, insists on a client certificate, and clients with a password have none.
//!
//! ## How we know
//! The handshake is ended because no certificate came; or one is asked for and the anonymous request gets a prompt 403; or the
//! page itself names 403.7, or nginx's words for the same.
//!
//! ## What it is not
//! - A certificate that is asked for and may be left out: then the 401 with Basic follows as always.
//! - A user who may not use `ActiveSync`: that 403 comes after a logon and is held back for 20 s.
//! - Exchange Online's host for certificate logon, which is there for that.
//!
//! ## What to do
//! See the text.

use parallax_model::{
    Answer, Exchange, FaultId, Generation, HttpFailure, Look, Need, Outcome, Purpose, Standing,
    TextPlace,
};

use super::handshakes::{is_asked, is_refused_without_certificate, names_sub_status};
use crate::claim::{Claim, all};
use crate::claims::{is_meant_address, needed_look};
use crate::condition::{self, Stage};
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::logon::is_slow;
use crate::responder;
use crate::seen::{Met, Seen, Spot};
use crate::sign::{Fact, Sign, along};
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("tls_client_cert_required"),
    layer: Layer::Tls,
    owner: Owner::Exchange,
    era: Era::Any,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("tls_client_cert_required"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let clients = clients_with_a_password(seen);
    let free = seen.fronts().find(|spot| {
        spot.answer(&Look::OPTIONS)
            .is_some_and(|(_, it)| condition::is_anonymous_healthy(seen, spot.endpoint, it))
    });
    along(
        seen.fronts().filter(|spot| {
            spot.endpoint.is_https
                && responder::generation(seen, spot.endpoint) != Some(Generation::Online)
        }),
        sign,
        |spot, shown| case(&clients, free, spot, shown),
    )
}

/// Accounts with a password stand for clients that are meant to get in without a certificate.
fn clients_with_a_password(seen: &Seen<'_>) -> Claim {
    match seen.accounts(Purpose::Subject).find(|it| it.has_password) {
        Some(account) => {
            Claim::holds(Seen::declared(format!("{} logs on with a password", account.id)))
        }
        None => Claim::unknown(Need::Declared {
            what: "an account with a password: whether clients are meant to get in without a certificate",
        }),
    }
}

fn sign<'e>(spot: &Spot<'e>) -> Sign<'e> {
    if let shown @ Sign::Shown(_) = spot.tls_sign(is_refused_without_certificate) {
        return shown;
    }
    let met = spot.latest(&Look::OPTIONS);
    if let Some(found) = met.iter().find(|it| demand(it).is_some()) {
        return Sign::Shown(Fact::Exchange(*found));
    }
    match met.iter().find(|it| it.answer().is_some()) {
        Some(answered) => Sign::Denied(Fact::Exchange(*answered)),
        None => Sign::Unknown(needed_look(spot, &Look::OPTIONS)),
    }
}

/// How surely an exchange says that a certificate is demanded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Demand {
    /// In words, or by asking for it after this very request.
    Sure,
    /// Asked for before the request was known; the 403 may have another reason.
    Maybe,
}

fn demand(met: &Met<'_>) -> Option<Demand> {
    let Some(answer) = met.answer() else {
        return is_cut_off(met.exchange).then_some(Demand::Maybe);
    };
    if is_said(answer) {
        return Some(Demand::Sure);
    }
    let is_prompt_403 = answer.status == 403 && !is_slow(answer);
    match (is_prompt_403, met.exchange.asked_for_certificate) {
        (true, true) => Some(Demand::Sure),
        (true, false) if is_asked(met) => Some(Demand::Maybe),
        (true | false, _) => None,
    }
}

/// IIS 6 (and later versions to local clients) names the sub-status; nginx has a page of its own, with status 400.
fn is_said(answer: &Answer) -> bool {
    names_sub_status(answer, "403.7")
        || (answer.status == 400
            && answer.body.beginning.contains("No required SSL certificate was sent"))
}

/// The server asked after the request, got none, and ended the connection.
fn is_cut_off(exchange: &Exchange) -> bool {
    exchange.asked_for_certificate
        && matches!(exchange.outcome, Outcome::Failed(HttpFailure::Reset | HttpFailure::Closed))
}

fn case(clients: &Claim, free: Option<&Spot<'_>>, spot: &Spot<'_>, shown: Claim) -> Case {
    let refused =
        spot.observations().iter().find(|(_, it)| is_refused_without_certificate(it)).copied();
    let met = spot.latest(&Look::OPTIONS).iter().find(|it| demand(it).is_some());
    let said = refused.map(|(_, it)| words::transport(&it.transport)).or_else(|| {
        met.map(|it| format!("{}, client certificate asked for", words::exchange(it.exchange)))
    });
    let is_sure = refused.is_some() || met.and_then(|it| demand(it)) == Some(Demand::Sure);
    let stages = &[Stage::Tls, Stage::Anonymous, Stage::Logon];
    Case::new(spot, all([shown, is_meant_address(spot)]), stages)
        .firmer(clients.clone())
        .at_most(if is_sure { Standing::Confirmed } else { Standing::Likely })
        .with(TextPlace::Seen, said.unwrap_or_default())
        .with(TextPlace::Expected, "401 Basic")
        .with(
            TextPlace::Elsewhere,
            free.map(|it| format!("{} ({})", it.endpoint.name, it.vantage.name))
                .unwrap_or_default(),
        )
}
