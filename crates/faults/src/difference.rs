//! The first difference: the first pair of neighbours, from the client inwards, that do not see the same; else two
//! accounts that one hop treats differently.
//!
//! Only outcomes make a difference (a stage that fails here and not there, a status, the schemes offered, what a logon
//! came to); what merely names the server is shown beside them.

use parallax_model::{Account, DifferentField, FirstDifference, Look, Outcome, Role, Transport};

use crate::seen::{Seen, Spot};
use crate::words;

/// Fields of one path, in the order in which they are compared.
struct Side {
    /// Make a difference: look (none: DNS, TCP, TLS), name, value; no value: not known here.
    outcomes: Vec<(Option<Look>, String, Option<String>)>,
    /// Shown beside.
    marks: Vec<(String, Option<String>)>,
}

pub(crate) fn first(seen: &Seen<'_>) -> Option<FirstDifference> {
    let hops: Vec<&Spot<'_>> =
        seen.paths.iter().filter(|it| it.endpoint.role != Role::Control && it.is_seen()).collect();
    let between_hops = hops.windows(2).find_map(|pair| between(seen, pair[0], pair[1]));
    between_hops.or_else(|| hops.iter().find_map(|spot| between_accounts(seen, spot)))
}

fn between(seen: &Seen<'_>, left: &Spot<'_>, right: &Spot<'_>) -> Option<FirstDifference> {
    let (a, b) = (side(seen, left), side(seen, right));
    let mut equal = 0;
    let mut look = None;
    let mut fields = Vec::new();
    for ((asked, name, mine), (_, _, other)) in a.outcomes.into_iter().zip(b.outcomes) {
        match (mine, other) {
            (Some(mine), Some(other)) if mine == other => equal += 1,
            (Some(mine), Some(other)) => {
                if fields.is_empty() {
                    look = asked;
                }
                fields.push(DifferentField { field: name, left: mine, right: other });
            }
            (None, _) | (_, None) => {}
        }
    }
    if fields.is_empty() {
        return None;
    }
    for ((name, mine), (_, other)) in a.marks.into_iter().zip(b.marks) {
        if mine == other {
            equal += 1;
        } else {
            let absent = || "(absent)".to_owned();
            fields.push(DifferentField {
                field: name,
                left: mine.unwrap_or_else(absent),
                right: other.unwrap_or_else(absent),
            });
        }
    }
    Some(FirstDifference {
        left: left.path.clone(),
        left_account: None,
        right: right.path.clone(),
        right_account: None,
        look,
        fields,
        equal,
    })
}

fn side(seen: &Seen<'_>, spot: &Spot<'_>) -> Side {
    let mut outcomes = vec![
        (None, "DNS".to_owned(), dns(spot)),
        (None, "TCP".to_owned(), tcp(spot)),
        (None, "TLS".to_owned(), tls(spot)),
    ];
    for (look, name) in [(Look::OPTIONS, "OPTIONS"), (Look::GET, "GET")] {
        let answer = spot.answer(&look);
        let failed = spot
            .latest(&look)
            .into_iter()
            .find_map(|met| met.exchange.outcome.failed().map(words::http_failure));
        let status = answer.map(|(_, it)| it.status.to_string()).or(failed);
        outcomes.push((Some(look.clone()), format!("{name} status"), status));
        if name == "OPTIONS" {
            let schemes = answer
                .filter(|(_, it)| it.status == 401)
                .map(|(_, it)| words::schemes(&it.challenges));
            outcomes.push((Some(look), "WWW-Authenticate".to_owned(), schemes));
        }
    }
    for account in &seen.evidence.accounts {
        let result = last_logon(spot, account);
        let look = result.as_ref().map(|(look, _)| look.clone());
        outcomes.push((look, format!("logon {}", account.id), result.map(|(_, status)| status)));
    }
    let header = |name: &str| {
        spot.answer(&Look::OPTIONS).and_then(|(_, it)| it.headers.first(name).map(words::shortened))
    };
    let leaf =
        spot.observations().into_iter().find_map(|(_, it)| it.transport.tls()?.chain.first());
    let leaf = leaf.map(|it| words::hexadecimal(&it.sha256[..4]));
    Side {
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
    spot.observations().into_iter().find_map(|(_, it)| match &it.transport {
        Transport::Plain | Transport::Tls(Outcome::NotReached) => None,
        Transport::Tls(Outcome::Failed(failure)) => Some(words::tls_failure(failure)),
        Transport::Tls(Outcome::Done(facts)) => {
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
