//! What a logon came to, what it costs and when it proves a password.
//!
//! INVARIANT: headers alone prove nothing (Horde sends `ActiveSync` headers with a 401); a status from a publishing layer
//! proves nothing (ISA answers a wrong password with 502).
//! INVARIANT: an acceptance from a cached token is no proof.

use std::time::Duration;

use parallax_model::{
    Account, Answer, Credential, EventKind, Evidence, EvidenceRef, Exchange, Generation,
    HttpFailure, Look, Outcome, PathId, Place, Role,
};

use crate::responder;
use crate::seen::{Met, Seen, Spot, logon_of};

/// IIS caches the token of a Basic logon this long by default.
const TOKEN_CACHE: Duration = Duration::from_mins(15);

/// Exchange 2013 and later holds back its own errors for 20 s; infrastructure answers within a second or two.
const SLOW: Duration = Duration::from_secs(15);

/// What a logon came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogonOutcome {
    /// The password was right, whatever the service then did.
    Accepted,
    /// 401.
    Refused,
    /// Anything else, also an answer lost after the credential was sent.
    Unproven,
    /// No byte of the credential left the agent.
    NotSent,
}

/// Classifies one logon exchange along a path, in the light of everything else that was seen there.
pub fn classify(evidence: &Evidence, path: &PathId, exchange: &Exchange) -> LogonOutcome {
    let seen = Seen::new(evidence);
    seen.find(path)
        .map_or_else(|| outcome(None, exchange), |spot| outcome(Some((&seen, spot)), exchange))
}

/// What an accepted logon is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// The secret was checked at that moment.
    Proof,
    /// It may have been a token from a cache: proves nothing about the secret now.
    MaybeCached,
}

/// Whether a logon along a path was accepted, and what that is worth; `None`: it was not accepted.
pub fn acceptance(evidence: &Evidence, path: &PathId, exchange: &Exchange) -> Option<Acceptance> {
    let seen = Seen::new(evidence);
    let spot = seen.find(path)?;
    let (id, _, _) = logon_of(exchange)?;
    let account = evidence.accounts.iter().find(|it| it.id == *id)?;
    if outcome(Some((&seen, spot)), exchange) != LogonOutcome::Accepted {
        return None;
    }
    let met = spot.logons(id).into_iter().find(|met| std::ptr::eq(met.exchange, exchange))?;
    Some(match cached_token(evidence, account, &met) {
        None => Acceptance::Proof,
        Some(_) => Acceptance::MaybeCached,
    })
}

/// Cost of one refused logon along a path in counts of the directory: base × m.
pub fn cost(evidence: &Evidence, path: &PathId) -> u32 {
    let seen = Seen::new(evidence);
    let Some(spot) = seen.find(path) else {
        return cost_unseen(evidence, path);
    };
    let base = spot.endpoint.logon_cost.unwrap_or_else(|| base(spot));
    base * if responder::is_exchange_itself(&seen, spot) { 1 } else { 2 }
}

/// Before anything was seen: the worst that the declared endpoint allows.
fn cost_unseen(evidence: &Evidence, path: &PathId) -> u32 {
    let Some(endpoint) = evidence.target.endpoint(&path.endpoint) else { return BASE_UNKNOWN * 2 };
    let is_direct =
        matches!(endpoint.role, Role::Cas | Role::Backend) || endpoint.connect.is_some();
    let is_exchange = endpoint
        .generation
        .or(evidence.target.generation)
        .is_some_and(|it| it != Generation::Other);
    let base = if is_exchange { BASE_UNKNOWN } else { BASE_PHP };
    endpoint.logon_cost.unwrap_or(base) * if is_direct { 1 } else { 2 }
}

/// IIS up to 7.5, or unknown: the Basic module tries a password twice.
const BASE_UNKNOWN: u32 = 2;
/// Z-Push and other PHP servers: the IMAP library behind them tries a password three times.
const BASE_PHP: u32 = 3;

fn base(spot: &Spot<'_>) -> u32 {
    let Some((_, answer)) = spot.answer(&Look::OPTIONS) else { return BASE_UNKNOWN };
    if answer.headers.mentions("X-Powered-By", "PHP") || responder::other_product(answer).is_some()
    {
        return BASE_PHP;
    }
    let version = answer
        .headers
        .first("Server")
        .and_then(|it| it.split("Microsoft-IIS/").nth(1))
        .and_then(|it| it.split(['.', ' ']).next())
        .and_then(|it| it.parse::<u32>().ok());
    if version.is_some_and(|it| it >= 8) { 1 } else { BASE_UNKNOWN }
}

pub(crate) fn outcome(place: Option<(&Seen<'_>, &Spot<'_>)>, exchange: &Exchange) -> LogonOutcome {
    let answer = match &exchange.outcome {
        Outcome::Done(answer) => answer,
        Outcome::Failed(HttpFailure::UntrustedPeer | HttpFailure::NotPermitted { .. }) => {
            return LogonOutcome::NotSent;
        }
        Outcome::Failed(_) | Outcome::NotReached if !exchange.sent => return LogonOutcome::NotSent,
        Outcome::Failed(_) | Outcome::NotReached => return LogonOutcome::Unproven,
    };
    if answer.status == 401 {
        return LogonOutcome::Refused;
    }
    let Some((seen, spot)) = place else { return LogonOutcome::Unproven };
    let before = spot
        .answer(&Look::anonymous(exchange.look.method, exchange.look.place))
        .map(|(_, answer)| answer);
    if proves_acceptance(seen, spot, before, answer, exchange.look.place) {
        LogonOutcome::Accepted
    } else {
        LogonOutcome::Unproven
    }
}

fn proves_acceptance(
    seen: &Seen<'_>,
    spot: &Spot<'_>,
    before: Option<&Answer>,
    answer: &Answer,
    place: Place,
) -> bool {
    let was_challenged = before.is_some_and(|it| it.status == 401);
    if answer.headers.has("X-CalculatedBETarget") {
        return true;
    }
    if place == Place::ActiveSync && is_active_sync(answer) {
        return before.is_none_or(|it| it.status == 401);
    }
    if answer.headers.has("X-FEServer") && answer.took >= SLOW {
        return true;
    }
    let is_gateway_word = matches!(answer.status, 429 | 502..=504);
    !is_gateway_word
        && was_challenged
        && responder::publisher_mark(answer).is_none()
        && responder::is_exchange_itself(seen, spot)
}

/// 200 with both headers that MS-ASHTTP 2.2.4.1.2 demands of an OPTIONS answer.
pub(crate) fn is_active_sync(answer: &Answer) -> bool {
    answer.status == 200
        && answer.headers.has("MS-ASProtocolVersions")
        && answer.headers.has("MS-ASProtocolCommands")
}

/// Whether an answer came so late that Exchange itself must have held it back (`ErrorResponseDelay`, 20 s).
pub(crate) fn is_slow(answer: &Answer) -> bool {
    answer.took >= SLOW
}

/// Why an accepted logon proves nothing about the password: a token may have been cached.
pub(crate) fn cached_token(
    evidence: &Evidence,
    account: &Account,
    met: &Met<'_>,
) -> Option<EvidenceRef> {
    let recent = |at: std::time::SystemTime| {
        evidence.now.duration_since(at).is_ok_and(|age| age <= TOKEN_CACHE)
    };
    if let Some(event) = evidence
        .target
        .events
        .iter()
        .find(|it| it.kind == EventKind::PasswordChange && recent(it.at))
    {
        return Some(Seen::declared(format!(
            "password change: {}",
            crate::words::shortened(&event.text)
        )));
    }
    let is_success = |exchange: &Exchange| {
        matches!(&exchange.look.credential, Credential::Account { account: it, .. } if *it == account.id)
            && exchange.outcome.done().is_some_and(is_active_sync)
    };
    evidence
        .history
        .iter()
        .filter(|past| past.path.endpoint == met.path.endpoint && recent(past.at))
        .find(|past| past.sight.observations.iter().flat_map(|it| &it.exchanges).any(is_success))
        .map(|past| EvidenceRef {
            round: 0,
            path: Some(past.path.clone()),
            address: None,
            look: Some(past.look.clone()),
            value: "accepted less than 15 min before: the token may be cached".to_owned(),
        })
}

/// Whether a logon went straight to a box that checks the password itself, with no further hop behind it.
pub(crate) fn is_checked_here(
    seen: &Seen<'_>,
    spot: &Spot<'_>,
    account: &Account,
    answer: &Answer,
) -> bool {
    let generation = responder::generation(seen, spot.endpoint);
    if generation.is_some_and(parallax_model::Generation::is_2013_or_later) {
        return answer.headers.has("X-FEServer") || spot.endpoint.role == Role::Cas;
    }
    match spot.endpoint.role {
        Role::Backend => true,
        Role::Cas => generation.is_some() && account.mailbox == generation,
        Role::External => {
            generation.is_some()
                && account.mailbox == generation
                && responder::is_exchange_itself(seen, spot)
        }
        Role::Control => false,
    }
}
