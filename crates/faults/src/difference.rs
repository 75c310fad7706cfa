//! The first difference: the first pair of neighbours, from the client inwards, that do not see the same; else two
//! accounts that one hop treats differently.
//!
//! Only outcomes make a difference (a stage that fails here and not there, a status, the schemes offered, what a logon
//! came to); what merely names the server is shown beside them.

use parallax_model::{
    Account, DifferentField, FirstDifference, Look, Observation, Outcome, Role, Transport,
};

use crate::seen::{Seen, Spot};
use crate::words;

/// What one path came to, field by field, in the order in which they are compared; every side has the same fields.
struct Side {
    outcomes: Vec<Field>,
    /// What merely names the server, shown beside.
    marks: Vec<(String, Option<String>)>,
    /// Version and cipher.
    tls: Option<String>,
    /// Only the old stack gets on there, so version and cipher matter.
    is_old_tls: bool,
}

/// An outcome that makes a difference.
struct Field {
    /// The request; none: DNS, TCP, TLS.
    look: Option<Look>,
    name: String,
    /// None: not known here.
    value: Option<String>,
}

impl Field {
    fn new(look: Option<Look>, name: impl Into<String>, value: Option<String>) -> Self {
        Self { look, name: name.into(), value }
    }
}

pub(crate) fn first(seen: &Seen<'_>) -> Option<FirstDifference> {
    let hops: Vec<&Spot<'_>> =
        seen.paths.iter().filter(|it| it.endpoint.role != Role::Control && it.is_seen()).collect();
    let sides: Vec<Side> = hops.iter().map(|spot| side(seen, spot)).collect();
    let between_hops = first_pair(&sides)
        .map(|(left, right)| between(hops[left], hops[right], &sides[left], &sides[right]));
    between_hops.or_else(|| hops.iter().find_map(|spot| between_accounts(seen, spot)))
}

/// The outermost pair of hops of which one outcome is known and differs, with no hop between them that knows it too.
fn first_pair(sides: &[Side]) -> Option<(usize, usize)> {
    let fields = sides.first()?.outcomes.len();
    let value_at = |hop: &usize, field: usize| sides[*hop].outcomes[field].value.as_ref();
    (0..fields)
        .filter_map(|field| {
            let known: Vec<usize> =
                (0..sides.len()).filter(|hop| value_at(hop, field).is_some()).collect();
            known
                .windows(2)
                .map(|pair| (pair[0], pair[1]))
                .find(|(left, right)| value_at(left, field) != value_at(right, field))
        })
        .min()
}

fn between(left: &Spot<'_>, right: &Spot<'_>, a: &Side, b: &Side) -> FirstDifference {
    let mut equal = 0;
    let mut look = None;
    let mut fields = Vec::new();
    for (mine, other) in a.outcomes.iter().zip(&b.outcomes) {
        match (&mine.value, &other.value) {
            (Some(left), Some(right)) if left == right => equal += 1,
            (Some(left), Some(right)) => {
                if fields.is_empty() {
                    look.clone_from(&mine.look);
                }
                fields.push(DifferentField {
                    field: mine.name.clone(),
                    left: left.clone(),
                    right: right.clone(),
                });
            }
            (None, _) | (_, None) => {}
        }
    }
    for ((name, mine), (_, other)) in a.marks.iter().zip(&b.marks) {
        if mine == other {
            equal += 1;
        } else {
            let shown =
                |value: &Option<String>| value.clone().unwrap_or_else(|| "(absent)".to_owned());
            fields.push(DifferentField {
                field: name.clone(),
                left: shown(mine),
                right: shown(other),
            });
        }
    }
    if (a.is_old_tls || b.is_old_tls) && a.tls != b.tls {
        let [left, right] =
            [&a.tls, &b.tls].map(|it| it.clone().unwrap_or_else(|| "(absent)".to_owned()));
        fields.push(DifferentField { field: "TLS version, cipher".to_owned(), left, right });
    }
    FirstDifference {
        left: left.path.clone(),
        left_account: None,
        right: right.path.clone(),
        right_account: None,
        look,
        fields,
        equal,
    }
}

fn side(seen: &Seen<'_>, spot: &Spot<'_>) -> Side {
    let mut outcomes = vec![
        Field::new(None, "DNS", dns(spot)),
        Field::new(None, "TCP", tcp(spot)),
        Field::new(None, "TLS", tls(spot)),
    ];
    for (look, name) in [(Look::OPTIONS, "OPTIONS"), (Look::GET, "GET")] {
        let answer = spot.answer(&look);
        let failed = spot
            .latest(&look)
            .iter()
            .find_map(|met| met.exchange.outcome.failed().map(words::http_failure));
        let status = answer.map(|(_, it)| it.status.to_string()).or(failed);
        outcomes.push(Field::new(Some(look.clone()), format!("{name} status"), status));
        if name == "OPTIONS" {
            let schemes = answer
                .filter(|(_, it)| it.status == 401)
                .map(|(_, it)| words::schemes(&it.challenges));
            outcomes.push(Field::new(Some(look), "WWW-Authenticate", schemes));
        }
    }
    for account in &seen.evidence.accounts {
        let result = last_logon(spot, account);
        let look = result.as_ref().map(|(look, _)| look.clone());
        outcomes.push(Field::new(
            look,
            format!("logon {}", account.id),
            result.map(|(_, status)| status),
        ));
    }
    let header = |name: &str| {
        spot.answer(&Look::OPTIONS).and_then(|(_, it)| it.headers.first(name).map(words::shortened))
    };
    let leaf = spot.observations().iter().find_map(|(_, it)| it.transport.tls()?.chain.first());
    let leaf = leaf.map(|it| words::hexadecimal(&it.sha256[..4]));
    let is_old = |it: &Observation| matches!(it.transport, Transport::OldTls { .. });
    Side {
        tls: spot.observations().iter().find_map(|(_, it)| it.transport.tls()).map(|it| {
            format!("{}, {}", words::tls_version(it.version), words::shortened(&it.cipher))
        }),
        is_old_tls: spot.observations().iter().any(|(_, it)| is_old(it)),
        outcomes,
        marks: vec![
            ("Server".to_owned(), header("Server")),
            ("X-FEServer".to_owned(), header("X-FEServer")),
            ("certificate sha256".to_owned(), leaf),
        ],
    }
}

fn dns(spot: &Spot<'_>) -> Option<String> {
    match spot.dns()?.1 {
        Outcome::Done(_) => Some("resolves".to_owned()),
        Outcome::Failed(failure) => Some(words::dns_failure(failure)),
        Outcome::NotReached => None,
    }
}

fn tcp(spot: &Spot<'_>) -> Option<String> {
    let observations = spot.observations();
    let failure = observations.iter().find_map(|(_, it)| it.tcp.failed()).map(words::tcp_failure);
    failure.or_else(|| {
        observations.iter().any(|(_, it)| it.tcp.done().is_some()).then(|| "opens".to_owned())
    })
}

fn tls(spot: &Spot<'_>) -> Option<String> {
    spot.observations().iter().find_map(|(_, it)| match it.transport.handshake() {
        None | Some(Outcome::NotReached) => None,
        Some(Outcome::Failed(failure)) => Some(words::tls_failure(failure)),
        Some(Outcome::Done(facts)) => {
            let name = if facts.name_matches { "name fits" } else { "name does not fit" };
            Some(format!(
                "chain of {} {}, {name}",
                facts.chain.len(),
                words::chain_judgement(facts.trust.endpoint)
            ))
        }
    })
}

fn last_logon(spot: &Spot<'_>, account: &Account) -> Option<(Look, String)> {
    let met = spot
        .logons(&account.id)
        .into_iter()
        .rev()
        .find(|met| met.exchange.look.place == parallax_model::Place::ActiveSync)?;
    Some((
        met.exchange.look.clone(),
        met.status().map_or_else(|| words::exchange(met.exchange), |status| status.to_string()),
    ))
}

fn between_accounts(seen: &Seen<'_>, spot: &Spot<'_>) -> Option<FirstDifference> {
    let results: Vec<(&Account, Look, String)> = seen
        .evidence
        .accounts
        .iter()
        .filter_map(|it| last_logon(spot, it).map(|(look, status)| (it, look, status)))
        .collect();
    let (first, look, status) = results.first()?;
    let (other, _, differs) = results.iter().find(|(_, _, it)| it != status)?;
    Some(FirstDifference {
        left: spot.path.clone(),
        left_account: Some(first.id.clone()),
        right: spot.path.clone(),
        right_account: Some(other.id.clone()),
        look: Some(look.clone()),
        fields: vec![DifferentField {
            field: "status".to_owned(),
            left: status.clone(),
            right: differs.clone(),
        }],
        equal: 0,
    })
}
