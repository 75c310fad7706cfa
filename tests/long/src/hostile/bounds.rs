//! Does everything that is kept of a sight keep its bounds, and does the controller take it?

use parallax_model::{Answer, FamilyAnswer, Observation, Sight, TlsFacts};
use parallax_wire::pb;

use super::probe::PASSWORD;

const HEAD_KEPT: usize = 17 * 1024;
/// Bytes outside UTF-8 become three.
const BODY_KEPT: usize = 2 * 1024 * 3;
/// Of a sight as text, which shows every field.
const TEXT_MAX: usize = 2 << 20;
/// Of a sight as a message; the session's messages have 1 MiB.
const REPORT_MAX: usize = 900 * 1024;

/// What does not hold, in words.
pub(super) fn complaints(sight: &Sight) -> Vec<String> {
    let mut found = Vec::new();
    let mut at_most = |what: &str, is: usize, most: usize| {
        if is > most {
            found.push(format!("{what}: {is}, at most {most}"));
        }
    };
    at_most("observations", sight.observations.len(), 8);
    if let Some(facts) = sight.dns.done() {
        at_most("addresses", facts.addresses.len(), 16);
        at_most("aliases", facts.cname_chain.len(), 8);
        for family in [&facts.v4, &facts.v6] {
            if let FamilyAnswer::Addresses(addresses) = family {
                at_most("addresses of a family", addresses.len(), 16);
            }
        }
        for alias in &facts.cname_chain {
            at_most("an alias", alias.len(), 1024);
        }
    }
    for observation in &sight.observations {
        if let Some(facts) = observation.transport.tls() {
            session(facts, &mut at_most);
        }
        for answer in answers(observation) {
            kept(answer, &mut at_most);
        }
    }
    let size = prost::Message::encoded_len(&pb::Sight::from(sight));
    at_most("the report on the wire", size, REPORT_MAX);
    let text = format!("{sight:?}");
    at_most("the sight as text", text.len(), TEXT_MAX);
    if text.contains(PASSWORD) {
        found.push("the secret is in the sight".to_owned());
    }
    match Sight::try_from(pb::Sight::from(sight)) {
        Err(error) => found.push(format!("the controller would not take it: {error}")),
        Ok(back) if back.observations.len() != sight.observations.len() => {
            found.push("the controller would read something else".to_owned());
        }
        Ok(_) => {}
    }
    found
}

fn answers(observation: &Observation) -> impl Iterator<Item = &Answer> {
    observation.exchanges.iter().filter_map(|it| it.outcome.done())
}

fn session(facts: &TlsFacts, at_most: &mut impl FnMut(&str, usize, usize)) {
    at_most("certificates", facts.chain.len(), 16);
    for certificate in &facts.chain {
        at_most("names of a certificate", certificate.names.len(), 100);
        for text in certificate.names.iter().chain([
            &certificate.subject,
            &certificate.issuer,
            &certificate.serial,
        ]) {
            at_most("a text of a certificate", text.chars().count(), 2048);
        }
    }
}

fn kept(answer: &Answer, at_most: &mut impl FnMut(&str, usize, usize)) {
    let head: usize = answer.headers.0.iter().map(|(name, value)| name.len() + value.len()).sum();
    at_most("the head kept", head + answer.reason.len(), HEAD_KEPT);
    at_most("header fields", answer.headers.0.len(), 100);
    at_most("challenges", answer.challenges.len(), 16);
    at_most("the body kept", answer.body.beginning.len(), BODY_KEPT);
    at_most("the body read", usize::try_from(answer.body.length).unwrap_or(usize::MAX), 65_536);
}
