//! `dns_internal_be_name_wrong`
//!
//! ## What it says
//! Beside the client access servers, the back end's name leads to another machine or to an old address.
//!
//! ## How we know
//! The vantage beside the client access servers is given another address than the one beside the back end; there the service
//! does not answer, or another computer gives its name (NTLM Type-2), while at the other address the back end is healthy.
//!
//! ## What it is not
//! - `tcp_cas_to_be_port_blocked`: there both are given the same address.
//! - A back end that is down: then it does not answer beside it either.
//!
//! ## What to do
//! See the text.

use parallax_model::{Credential, FaultId, Look, Need, Outcome, Role, TextPlace, Type2, Zone};

use super::views::is_asked;
use crate::causes::network::back_end::{front_fails, users};
use crate::claim::{Claim, all};
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Explains, Fault, Layer, Owner, Reach, Severity};
use crate::seen::{Seen, Spot};
use crate::sign::{Fact, Sign, along};
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("dns_internal_be_name_wrong"),
    layer: Layer::Dns,
    owner: Owner::Dns,
    era: Era::From2007,
    basis: Basis::Inferred,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("dns_internal_be_name_wrong"),
    cases,
};

const STAGES: &[Stage] = &[Stage::Dns, Stage::Tcp, Stage::Tls, Stage::Anonymous];

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let near: Vec<&Spot<'_>> = seen
        .with_role(Role::Backend)
        .filter(|it| it.vantage.zone == Zone::Backend && is_asked(it))
        .collect();
    let beside_cas =
        seen.with_role(Role::Backend).filter(|it| it.vantage.zone < Zone::Backend && is_asked(it));
    let twin = |spot: &Spot<'_>| {
        near.iter().copied().find(|it| it.endpoint.name == spot.endpoint.name && it.is_seen())
    };
    let mut cases = along(
        beside_cas,
        |spot| sign(spot, twin(spot)),
        |spot, shown| case(seen, spot, twin(spot), shown, None),
    );
    // What the users of that back end meet at the front comes from the same name.
    let shown: Vec<&Spot<'_>> = seen
        .with_role(Role::Backend)
        .filter(|it| it.vantage.zone < Zone::Backend && is_asked(it))
        .filter(|it| matches!(sign(it, twin(it)), Sign::Shown(_)))
        .collect();
    for spot in shown {
        for account in users(seen, spot.endpoint) {
            let fails = front_fails(seen, account);
            let logons = Explains {
                paths: [].into(),
                stages: &[Stage::Logon],
                logons_of: Some((account.id.clone(), Vec::new())),
            };
            cases.push(case(seen, spot, twin(spot), fails, Some(logons)));
        }
    }
    cases
}

/// Two answers to one name, of which this vantage's has nothing in common with the other.
fn sign<'e>(spot: &Spot<'e>, twin: Option<&Spot<'e>>) -> Sign<'e> {
    let Some(twin) = twin else { return Sign::Unknown(Vec::new()) };
    let theirs = twin.resolved();
    if theirs.is_empty() || !spot.is_seen() {
        return Sign::Unknown(Vec::new());
    }
    let is_common = spot.resolved().iter().any(|it| theirs.contains(it));
    if is_common { Sign::Denied(Fact::Dns) } else { Sign::Shown(Fact::Dns) }
}

fn case(
    seen: &Seen<'_>,
    spot: &Spot<'_>,
    twin: Option<&Spot<'_>>,
    shown: Claim,
    logons: Option<Explains>,
) -> Case {
    let must = all([shown, is_not_there(spot, twin), is_there(twin)]);
    let case = Case::new(spot, must, STAGES)
        .firmer(is_there_for_this_vantage(spot, twin))
        .with(TextPlace::Seen, seen_words(spot))
        .with(TextPlace::Expected, twin.map(addresses).unwrap_or_default())
        .with(TextPlace::Elsewhere, twin.map(|it| it.vantage.name.to_string()).unwrap_or_default());
    let case = match users(seen, spot.endpoint).next() {
        Some(account) => case.with(
            TextPlace::Account,
            account.first_name().map(|it| it.login.clone()).unwrap_or_default(),
        ),
        None => case,
    };
    match logons {
        Some(logons) => case.explaining(logons),
        None => case,
    }
}

fn addresses(spot: &Spot<'_>) -> String {
    let addresses: Vec<String> = spot.resolved().iter().map(ToString::to_string).collect();
    words::shortened(&addresses.join(", "))
}

fn seen_words(spot: &Spot<'_>) -> String {
    match spot.dns() {
        Some((_, outcome)) => words::dns(outcome),
        None => String::new(),
    }
}

/// At the address that this vantage was given stands no back end, or another computer.
fn is_not_there(spot: &Spot<'_>, twin: Option<&Spot<'_>>) -> Claim {
    if let Some((round, Outcome::Failed(failure))) = spot.dns() {
        return Claim::holds(spot.reference(round, None, words::dns_failure(failure)));
    }
    if let (Some((computer, reference)), Some((other, more))) =
        (computer(spot), twin.and_then(computer))
    {
        return if computer.eq_ignore_ascii_case(&other) {
            Claim::Fails(vec![reference, more])
        } else {
            Claim::Holds(vec![reference, more])
        };
    }
    if let Some((met, answer)) = spot.answer(&Look::OPTIONS) {
        // Somebody answers and does not say who.
        return if answer.status == 401 {
            Claim::Unknown { seen: vec![met.reference()], needs: Vec::new() }
        } else {
            Claim::holds(met.reference())
        };
    }
    let wrong = spot.observations().iter().find_map(|(round, it)| {
        let value = match (it.tcp.failed(), it.transport.handshake()) {
            (Some(failure), _) => words::tcp_failure(failure),
            (None, Some(Outcome::Failed(failure))) => words::tls_failure(failure),
            (None, _) => return None,
        };
        Some(spot.reference(*round, Some(it.address.ip()), value))
    });
    wrong.map_or_else(Claim::undecidable, Claim::holds)
}

/// The computer that says its name in an NTLM Type-2.
fn computer(spot: &Spot<'_>) -> Option<(String, parallax_model::EvidenceRef)> {
    let typed = |look: &Look| look.credential == Credential::NtlmType1;
    spot.exchanges(typed).into_iter().rev().find_map(|met| {
        let Type2 { dns_computer, netbios_computer, .. } = met.answer()?.type2.as_ref()?;
        let name = dns_computer.as_ref().or(netbios_computer.as_ref())?.clone();
        let mut reference = met.reference();
        reference.value = format!("NTLM Type-2 of {}", words::shortened(&name));
        Some((name, reference))
    })
}

/// Beside the back end it answers as one.
fn is_there(twin: Option<&Spot<'_>>) -> Claim {
    let Some(twin) = twin else { return Claim::unknown(Need::Vantage { zone: Zone::Backend }) };
    match twin.answer(&Look::OPTIONS) {
        Some((met, answer)) if answer.status == 401 && !answer.challenges.is_empty() => {
            Claim::holds(met.reference())
        }
        Some((met, _)) => Claim::fails(met.reference()),
        None => Claim::undecidable(),
    }
}

/// This vantage meets the back end at the address that the one beside it was given.
fn is_there_for_this_vantage(spot: &Spot<'_>, twin: Option<&Spot<'_>>) -> Claim {
    let theirs = twin.map(Spot::resolved).unwrap_or_default();
    let answered = spot.elsewhere().iter().find_map(|(round, it)| {
        let exchange = it.exchanges.iter().find(|it| it.look == Look::OPTIONS)?;
        let answer = exchange.outcome.done().filter(|it| it.status == 401)?;
        Some(spot.reference(*round, Some(it.address.ip()), words::answer(answer)))
    });
    match (answered, theirs.first()) {
        (Some(reference), _) => Claim::holds(reference),
        (None, Some(address))
            if !spot.elsewhere().iter().any(|(_, it)| it.address.ip() == *address) =>
        {
            Claim::unknown(Need::Dial {
                path: spot.path.clone(),
                address: *address,
                look: Look::OPTIONS,
            })
        }
        (None, _) => Claim::undecidable(),
    }
}
