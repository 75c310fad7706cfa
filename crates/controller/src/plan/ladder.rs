//! Where an account logs on first: where the fewest boxes stand between it and the directory.
//!
//! The back end whose declared generation is that of the mailbox; for a mailbox on 2003 behind a back end that may not be
//! asked, the witness paths of the CAS; then the CAS from inside, from the DMZ, and its witness paths where its `ActiveSync`
//! directory takes no Basic; then the published name, innermost first.
//!
//! INVARIANT: an address that only another vantage was given never opens a rung: no secret goes there.

use parallax_model::{
    Account, Endpoint, Evidence, Generation, Look, Observation, PathId, Place, Role, Scheme, Sight,
    Target, TlsFacts, Vantage, Zone,
};

/// Beside `ActiveSync`, where a CAS checks the same password: first the one that is cheaper for the server.
const WITNESS_PLACES: [Place; 2] = [Place::Autodiscover, Place::Ews];

/// One rung: a path and the place to log on at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rung {
    pub(super) path: PathId,
    pub(super) place: Place,
}

/// Every rung that the declarations allow, the first one first. What was seen is not looked at.
pub(super) fn ladder(target: &Target, vantages: &[Vantage], account: &Account) -> Vec<Rung> {
    let mut rungs = Vec::new();
    let back_ends: Vec<&Endpoint> = target
        .endpoints
        .iter()
        .filter(|it| {
            it.role == Role::Backend && it.generation.is_some() && it.generation == account.mailbox
        })
        .filter(|it| it.is_https || it.allow_plaintext_logon)
        .collect();
    for endpoint in &back_ends {
        rungs.extend(paths(endpoint, vantages, Place::ActiveSync));
    }
    let client_access: Vec<&Endpoint> =
        target.endpoints.iter().filter(|it| it.role == Role::Cas).collect();
    let is_hidden = back_ends.is_empty() && account.mailbox == Some(Generation::Exchange2003);
    let [witness, second_witness] = WITNESS_PLACES;
    let places = if is_hidden {
        [witness, second_witness, Place::ActiveSync]
    } else {
        [Place::ActiveSync, witness, second_witness]
    };
    for place in places {
        for endpoint in &client_access {
            rungs.extend(paths(endpoint, vantages, place));
        }
    }
    for endpoint in target.endpoints.iter().filter(|it| it.role == Role::External) {
        rungs.extend(paths(endpoint, vantages, Place::ActiveSync));
    }
    rungs
}

/// Paths to an endpoint: internal vantages first, then those beside the back end, then the DMZ, then outside.
fn paths(endpoint: &Endpoint, vantages: &[Vantage], place: Place) -> Vec<Rung> {
    let order = |zone| match (endpoint.role, zone) {
        (Role::Backend, Zone::Backend) => 0,
        (_, Zone::Internal) => 1,
        (_, Zone::Backend) => 2,
        (_, Zone::Dmz) => 3,
        (_, Zone::External) => 4,
    };
    let mut meant: Vec<&Vantage> = vantages.iter().filter(|it| endpoint.is_for(it)).collect();
    meant.sort_by_key(|it| (order(it.zone), it.name.clone()));
    meant
        .into_iter()
        .map(|it| Rung {
            path: PathId { vantage: it.name.clone(), endpoint: endpoint.name.clone() },
            place,
        })
        .collect()
}

/// Whether what was seen on the rung's path invites a logon there: answered, able to carry a secret, and offering Basic
/// (or an answer from which a phone would send Basic anyway: the endpoint's own `ActiveSync` path of Exchange Online).
pub(super) fn is_open(evidence: &Evidence, rung: &Rung) -> bool {
    let Some(endpoint) = evidence.target.endpoint(&rung.path.endpoint) else { return false };
    let look = anonymous(rung.place);
    let observations = own_observations(evidence, &rung.path);
    let carries = if endpoint.is_https {
        observations.iter().any(|it| it.transport.tls().is_some_and(TlsFacts::may_carry_a_secret))
    } else {
        endpoint.allow_plaintext_logon
    };
    carries
        && observations
            .iter()
            .flat_map(|it| &it.exchanges)
            .filter(|it| it.look == look)
            .filter_map(|it| it.outcome.done())
            .any(|answer| {
                let offers_basic = answer.challenges.iter().any(|it| it.scheme == Scheme::Basic);
                // A pre-emptive Basic may pass where only the challenge was taken away.
                let is_stripped = answer.status == 401 && answer.challenges.is_empty();
                let is_online = answer.status == 451
                    || answer.challenges.iter().any(|it| it.scheme == Scheme::Bearer);
                offers_basic || (rung.place == Place::ActiveSync && (is_online || is_stripped))
            })
}

/// The anonymous question that belongs to a place.
pub(super) fn anonymous(place: Place) -> Look {
    match place {
        Place::Autodiscover => Look::AUTODISCOVER,
        Place::Ews => Look::EWS,
        Place::Exchange => Look::EXCHANGE,
        Place::ActiveSync
        | Place::ActiveSyncProxy
        | Place::HealthCheck
        | Place::Owa
        | Place::AutodiscoverJson => Look::OPTIONS,
    }
}

pub(super) fn sights<'e>(evidence: &'e Evidence, path: &PathId) -> Vec<&'e Sight> {
    evidence
        .rounds
        .iter()
        .flat_map(|round| &round.reports)
        .filter(|it| it.path == *path)
        .filter_map(|it| it.report.seen())
        .collect()
}

/// What was seen along a path at addresses that its own vantage was given, in the order of the rounds.
pub(super) fn own_observations<'e>(evidence: &'e Evidence, path: &PathId) -> Vec<&'e Observation> {
    let sights = sights(evidence, path);
    let given = evidence
        .target
        .endpoint(&path.endpoint)
        .and_then(|endpoint| parallax_faults::given_addresses(endpoint, sights.iter().copied()));
    let is_own =
        |it: &&Observation| given.as_ref().is_none_or(|given| given.contains(&it.address.ip()));
    sights.into_iter().flat_map(|it| &it.observations).filter(is_own).collect()
}
