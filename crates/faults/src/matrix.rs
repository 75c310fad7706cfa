//! The matrix: one row per path and address, one cell per stage.
//!
//! Absent on purpose: colours and headings; they belong to whoever shows it.

use parallax_model::{
    Cell, DnsSource, Look, MatrixRow, Observation, Outcome, PathCondition, Report, Role, TlsFacts,
    Transport,
};

use crate::condition::{self, Marks, Stage};
use crate::logon;
use crate::seen::{Seen, Spot, logon_of};
use crate::words;

/// Every path, outermost first.
pub(crate) fn rows(seen: &Seen<'_>, marks: &Marks) -> Vec<MatrixRow> {
    let mut spots = seen.every();
    spots.extend(&seen.set_aside);
    spots.sort_by_key(|it| it.place);
    spots.into_iter().flat_map(|spot| rows_of(seen, spot, marks)).collect()
}

fn rows_of(seen: &Seen<'_>, spot: &Spot<'_>, marks: &Marks) -> Vec<MatrixRow> {
    let condition = condition::condition(seen, spot, marks);
    let row = |address, cells| MatrixRow { path: spot.path.clone(), address, condition, cells };
    if !spot.is_seen() {
        return vec![row(None, unseen(spot))];
    }
    let observations = spot.observations();
    if observations.is_empty() {
        return vec![row(
            None,
            [
                dns(spot),
                Cell::NotReached,
                Cell::NotReached,
                Cell::NotReached,
                Cell::NotReached,
                Cell::NotReached,
            ],
        )];
    }
    observations
        .iter()
        .map(|(_, observation)| {
            let cells = [
                dns(spot),
                tcp(observation, condition),
                tls(spot, observation, marks),
                anonymous(seen, spot, observation),
                logons(spot, observation, marks),
                active_sync(spot, observation),
            ];
            row(Some(observation.address.ip()), cells)
        })
        .collect()
}

fn unseen(spot: &Spot<'_>) -> [Cell; 6] {
    let first = match spot.last_report() {
        Some((_, Report::Refused { rule })) => Cell::Held(words::shortened(rule)),
        Some((_, Report::Unable { detail })) => Cell::Plain(words::shortened(detail)),
        Some((_, Report::Silent(silence))) => Cell::Plain(words::silence(silence).to_owned()),
        Some((_, Report::Seen(_))) | None => Cell::Silent,
    };
    [first, Cell::Silent, Cell::Silent, Cell::Silent, Cell::Silent, Cell::Silent]
}

fn dns(spot: &Spot<'_>) -> Cell {
    match spot.dns().map(|(_, outcome)| outcome) {
        Some(Outcome::Done(facts)) if facts.source == DnsSource::Declared => {
            Cell::Plain("declared".to_owned())
        }
        Some(Outcome::Done(facts)) => Cell::Good(words::milliseconds(facts.took)),
        Some(Outcome::Failed(failure)) => Cell::Bad(words::dns_failure(failure)),
        Some(Outcome::NotReached) | None => Cell::NotReached,
    }
}

fn tcp(observation: &Observation, condition: PathCondition) -> Cell {
    match &observation.tcp {
        Outcome::Done(facts) => Cell::Good(words::milliseconds(facts.took)),
        Outcome::Failed(failure) if condition == PathCondition::OutOfReach => {
            Cell::Plain(words::tcp_failure(failure))
        }
        Outcome::Failed(failure) => Cell::Bad(words::tcp_failure(failure)),
        Outcome::NotReached => Cell::NotReached,
    }
}

/// The handshake, and what besides it tells of the box: an old protocol, a wish for certificates, another face without SNI.
fn tls(spot: &Spot<'_>, observation: &Observation, marks: &Marks) -> Cell {
    let beside = beside_tls(observation);
    match handshake(spot, observation, marks) {
        Cell::Good(text) => Cell::Good(text + &beside),
        Cell::Bad(text) => Cell::Bad(text + &beside),
        Cell::Plain(text) => Cell::Plain(text + &beside),
        cell @ (Cell::Held(_) | Cell::NotReached | Cell::NotAsked | Cell::Silent) => cell,
    }
}

fn beside_tls(observation: &Observation) -> String {
    let mut text = String::new();
    if let Transport::OldTls { modern, old: Outcome::Done(_) } = &observation.transport {
        text = format!(" (modern: {})", words::tls_failure(modern));
    }
    let facts = observation.transport.tls();
    let is_asked = facts.is_some_and(|it| it.client_certificate_requested)
        || observation.exchanges.iter().any(|it| it.asked_for_certificate);
    if is_asked {
        text.push_str(", asks for a certificate");
    }
    let leaf = |facts: &TlsFacts| facts.chain.first().map(|it| it.sha256);
    match (&observation.without_sni, facts) {
        (Outcome::Failed(failure), Some(_)) => {
            text.push_str(", no SNI: ");
            text.push_str(&words::tls_failure(failure));
        }
        (Outcome::Done(other), Some(facts)) if leaf(other) != leaf(facts) => {
            text.push_str(", no SNI: another certificate");
        }
        (Outcome::Done(_) | Outcome::Failed(_) | Outcome::NotReached, _) => {}
    }
    text
}

fn handshake(spot: &Spot<'_>, observation: &Observation, marks: &Marks) -> Cell {
    let mark = marks.of(spot.path).find(|it| {
        it.stage == Stage::Tls && it.reference.address == Some(observation.address.ip())
    });
    match (observation.transport.handshake(), mark) {
        (None, _) => Cell::Plain("http".to_owned()),
        (Some(_), Some(mark)) => Cell::Bad(mark.reference.value.clone()),
        (Some(Outcome::Done(facts)), None) if !facts.may_carry_a_secret() => {
            let why = if facts.name_matches {
                words::chain_judgement(facts.trust.endpoint)
            } else {
                "another name"
            };
            Cell::Plain(format!("{} {why}", words::tls_version(facts.version)))
        }
        (Some(Outcome::Done(facts)), None) => Cell::Good(format!(
            "{} {}",
            words::tls_version(facts.version),
            words::milliseconds(facts.took)
        )),
        (Some(Outcome::Failed(failure)), None) => Cell::Plain(words::tls_failure(failure)),
        (Some(Outcome::NotReached), None) => Cell::NotReached,
    }
}

fn anonymous(seen: &Seen<'_>, spot: &Spot<'_>, observation: &Observation) -> Cell {
    let met = spot
        .latest(&Look::OPTIONS)
        .iter()
        .find(|met| met.observation.address.ip() == observation.address.ip());
    match met {
        None => Cell::NotReached,
        Some(met) => match met.answer() {
            Some(answer) if spot.endpoint.role == Role::Control => {
                Cell::Plain(words::answer(answer))
            }
            Some(answer) if condition::is_anonymous_healthy(seen, spot.endpoint, answer) => {
                Cell::Good(words::answer(answer))
            }
            _ if met.exchange.outcome == Outcome::NotReached => Cell::NotReached,
            _ => Cell::Bad(words::exchange(met.exchange)),
        },
    }
}

/// The latest logon of each account, in one cell.
fn logons(spot: &Spot<'_>, observation: &Observation, marks: &Marks) -> Cell {
    let met: Vec<_> = spot
        .exchanges(Look::is_logon)
        .into_iter()
        .filter(|met| met.observation.address.ip() == observation.address.ip())
        .collect();
    if met.is_empty() {
        return Cell::NotAsked;
    }
    let text = met
        .iter()
        .map(|met| {
            let account = logon_of(met.exchange)
                .map(|(account, _, _)| account.to_string())
                .unwrap_or_default();
            let status = met
                .status()
                .map_or_else(|| words::exchange(met.exchange), |status| status.to_string());
            format!("{account} {status}")
        })
        .collect::<Vec<_>>()
        .join(", ");
    if met.iter().all(|met| !met.exchange.sent) {
        return Cell::Held(text);
    }
    let is_bad = marks.of(spot.path).any(|it| it.stage == Stage::Logon);
    if is_bad { Cell::Bad(text) } else { Cell::Good(text) }
}

/// The highest protocol version that an accepted `OPTIONS` names.
fn active_sync(spot: &Spot<'_>, observation: &Observation) -> Cell {
    let versions = spot
        .exchanges(Look::is_logon)
        .into_iter()
        .filter(|met| met.observation.address.ip() == observation.address.ip())
        .filter_map(|met| met.answer())
        .filter(|answer| logon::is_active_sync(answer))
        .filter_map(|answer| {
            answer.headers.first("MS-ASProtocolVersions")?.split(',').next_back().map(str::trim)
        })
        .next_back();
    versions.map_or(Cell::NotAsked, |version| Cell::Good(words::shortened(version)))
}
