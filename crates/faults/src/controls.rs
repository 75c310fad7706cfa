//! Whether a vantage can be believed: what its own controls say of everything else that was seen from there.
//!
//! Nothing answers at the control: the vantage lacks a network, or a way to there. What did not answer from there says nothing
//! about the target then; what did answer stands. Another box answers in the control's place: only what proved who it is stands.
//! What a proxy on the vantage's side said itself (407) is never the target's word, control or not.
//! Absent on purpose: what stands between (`egress_proxy_on_agent` says so).
//!
//! INVARIANT: one control that answers for itself clears its vantage.
//! INVARIANT: an answer is never taken for the control's own because the agent's store trusts an inspecting box: where another
//! vantage sees a public certificate, another one is foreign.

use std::collections::{BTreeMap, BTreeSet};

use parallax_model::{
    ChainJudgement, EndpointName, EvidenceRef, Look, Observation, Outcome, Role, TlsFacts,
    VantageName,
};

use crate::seen::{Met, Spot};
use crate::words;

/// The status that only a proxy of the client's own side gives (RFC 9110 section 15.5.8).
pub(crate) const PROXY_AUTHENTICATION_REQUIRED: u16 = 407;

/// A vantage of which every control that was looked at fails.
pub(crate) struct Doubtful<'e> {
    /// What the controls came to.
    pub(crate) by: Vec<EvidenceRef>,
    /// Set where another box answers in a control's place.
    pub(crate) impostor: Option<Impostor<'e>>,
}

/// A box that answers in a control's place.
pub(crate) struct Impostor<'e> {
    pub(crate) by: EvidenceRef,
    /// Who issued the certificate that it shows instead.
    pub(crate) issuer: Option<&'e str>,
}

/// What a control came to at one address.
enum Came<'e> {
    Itself,
    Nothing(EvidenceRef),
    Another(Impostor<'e>),
}

/// The vantages that fail their own controls.
pub(crate) fn doubtful<'e>(paths: &[Spot<'e>]) -> BTreeMap<&'e VantageName, Doubtful<'e>> {
    let controls = || paths.iter().filter(|it| it.endpoint.role == Role::Control && it.is_seen());
    let public: BTreeSet<&EndpointName> = controls()
        .filter(|it| it.observations().iter().any(|(_, it)| is_public(it)))
        .map(|it| &it.endpoint.name)
        .collect();
    let mut found: BTreeMap<&VantageName, Doubtful<'_>> = BTreeMap::new();
    let mut cleared: BTreeSet<&VantageName> = BTreeSet::new();
    for spot in controls() {
        for came in came(spot, public.contains(&spot.endpoint.name)) {
            let doubt = found
                .entry(&spot.vantage.name)
                .or_insert_with(|| Doubtful { by: Vec::new(), impostor: None });
            match came {
                Came::Itself => {
                    cleared.insert(&spot.vantage.name);
                }
                Came::Nothing(reference) => doubt.by.push(reference),
                Came::Another(impostor) => {
                    doubt.by.push(impostor.by.clone());
                    doubt.impostor.get_or_insert(impostor);
                }
            }
        }
    }
    found.retain(|vantage, doubt| !cleared.contains(vantage) && !doubt.by.is_empty());
    found
}

/// What a proxy on the vantage's own side answered in place of the target.
pub(crate) fn word_of_a_proxy<'e>(spot: &Spot<'e>) -> Option<Met<'e>> {
    let latest = spot.latest(&Look::OPTIONS);
    latest.iter().find(|it| it.status() == Some(PROXY_AUTHENTICATION_REQUIRED)).copied()
}

/// Whether what was seen along a path counts: it is the target's own word, and where the vantage fails its controls, it proved so.
pub(crate) fn stands(spot: &Spot<'_>, doubt: Option<&Doubtful<'_>>) -> bool {
    if word_of_a_proxy(spot).is_some() {
        return false;
    }
    let Some(doubt) = doubt else { return true };
    spot.endpoint.role != Role::Control
        && spot.observations().iter().any(|(_, it)| {
            let is_answered = it.exchanges.iter().any(|it| it.outcome.done().is_some());
            is_answered && doubt.impostor.as_ref().is_none_or(|impostor| is_proven(it, impostor))
        })
}

/// It showed a certificate that its own endpoint accepts and that is not of the impostor's making.
fn is_proven(observation: &Observation, impostor: &Impostor<'_>) -> bool {
    observation.transport.tls().is_some_and(|tls| {
        let issuer = tls.chain.first().map(|it| it.issuer.as_str());
        tls.may_carry_a_secret() && (impostor.issuer.is_none() || issuer != impostor.issuer)
    })
}

/// What a control came to: at its name, or at each address.
fn came<'e>(spot: &Spot<'e>, is_elsewhere_public: bool) -> Vec<Came<'e>> {
    if let Some((round, dns @ Outcome::Failed(_))) = spot.dns() {
        return vec![Came::Nothing(spot.reference(round, None, words::dns(dns)))];
    }
    let at = |round: u32, it: &Observation, value: String| {
        spot.reference(round, Some(it.address.ip()), value)
    };
    let each = spot.observations().iter().map(|&(round, it)| {
        let answer = it.exchanges.iter().find_map(|it| it.outcome.done());
        let foreign = it.transport.tls().filter(|tls| {
            !tls.may_carry_a_secret() || (is_elsewhere_public && !is_publicly_trusted(tls))
        });
        match (answer, foreign) {
            (Some(answer), _) if answer.status == PROXY_AUTHENTICATION_REQUIRED => {
                let issuer = it.transport.tls().filter(|it| !is_publicly_trusted(it));
                let issuer = issuer.and_then(issuer_of);
                Came::Another(Impostor { by: at(round, it, words::answer(answer)), issuer })
            }
            (_, Some(tls)) => {
                let issuer = issuer_of(tls);
                let by = issuer.map(words::shortened).unwrap_or_default();
                let value = format!("{}, issued by {by}", words::transport(&it.transport));
                Came::Another(Impostor { by: at(round, it, value), issuer })
            }
            (Some(_), None) => Came::Itself,
            (None, None) => Came::Nothing(at(round, it, silence(it))),
        }
    });
    each.collect()
}

/// How far it came without an answer.
fn silence(observation: &Observation) -> String {
    if observation.tcp.done().is_none() {
        words::tcp(&observation.tcp)
    } else if matches!(observation.transport.handshake(), Some(Outcome::Failed(_))) {
        words::transport(&observation.transport)
    } else {
        "no answer".to_owned()
    }
}

fn is_public(observation: &Observation) -> bool {
    observation.transport.tls().is_some_and(|it| is_publicly_trusted(it) && it.name_matches)
}

pub(crate) fn is_publicly_trusted(tls: &TlsFacts) -> bool {
    tls.trust.public == ChainJudgement::Trusted
}

fn issuer_of(tls: &TlsFacts) -> Option<&str> {
    tls.chain.first().map(|it| it.issuer.as_str())
}
