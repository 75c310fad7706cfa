//! What time tells: earlier sights of a path, what the operator says happened, and how far the clocks of two servers are apart.
//!
//! Absent on purpose: a clock. "Now" is the evidence's own; two servers are compared by what both said in the same round.
//!
//! INVARIANT: an event that nobody entered and a sight that nobody took are unknown, never a denial.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use parallax_model::{
    Answer, Event, EventKind, EvidenceRef, Exchange, Look, Need, Outcome, Past, PathId, Scheme,
};

use crate::calendar;
use crate::claim::Claim;
use crate::seen::{Seen, Spot};
use crate::words;

/// Kerberos refuses a ticket when two clocks are further apart (default of the domain policy).
const KERBEROS_TOLERANCE: Duration = Duration::from_mins(5);
/// Two paths of one round are looked at within the limit of a step.
const WITHIN_A_ROUND: Duration = Duration::from_secs(75);
/// The System Attendant writes the directory's settings over the metabase at least this often; one minute for our own sight.
const OVERWRITTEN_WITHIN: Duration = Duration::from_mins(16);

/// Earlier answers to one look, by path, oldest first.
pub(crate) struct Earlier<'e> {
    by_path: BTreeMap<&'e PathId, Vec<(SystemTime, &'e Answer)>>,
}

impl<'e> Earlier<'e> {
    pub(crate) fn new(seen: &Seen<'e>, look: &Look) -> Self {
        let mut by_path: BTreeMap<&PathId, Vec<(SystemTime, &Answer)>> = BTreeMap::new();
        let evidence = seen.evidence;
        for past in evidence.history.iter().filter(|it| it.at <= evidence.now) {
            let answers = answers(past, look).map(|it| (past.at, it));
            by_path.entry(&past.path).or_default().extend(answers);
        }
        for answers in by_path.values_mut() {
            answers.sort_by_key(|(at, _)| *at);
        }
        Self { by_path }
    }

    pub(crate) fn of(&self, path: &PathId) -> &[(SystemTime, &'e Answer)] {
        self.by_path.get(path).map_or(&[], Vec::as_slice)
    }
}

fn answers<'e>(past: &'e Past, look: &Look) -> impl Iterator<Item = &'e Answer> {
    let exchanges = past.sight.observations.iter().flat_map(|it| &it.exchanges);
    let wanted = exchanges.filter(move |it: &&Exchange| it.look == *look);
    wanted.filter_map(|it| match &it.outcome {
        Outcome::Done(answer) => Some(answer),
        Outcome::Failed(_) | Outcome::NotReached => None,
    })
}

/// What was seen along a path at an earlier time.
pub(crate) fn earlier_reference(path: &PathId, at: SystemTime, answer: &Answer) -> EvidenceRef {
    EvidenceRef {
        round: 0,
        path: Some(path.clone()),
        address: None,
        look: None,
        value: format!("{}: {}", calendar::date_and_time(at), words::answer(answer)),
    }
}

/// A challenge list gained Integrated authentication and lost it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flip {
    /// Last sight without it, before.
    pub(crate) before: SystemTime,
    /// First and last sight with it.
    pub(crate) first: SystemTime,
    pub(crate) last: SystemTime,
    /// First sight without it, after.
    pub(crate) after: SystemTime,
}

impl Flip {
    /// It was there at least this long.
    pub(crate) fn at_least(&self) -> Duration {
        self.last.duration_since(self.first).unwrap_or_default()
    }

    /// It was gone before the System Attendant's interval was over, as far as the sights tell.
    pub(crate) fn may_be_overwritten(&self) -> bool {
        self.at_least() <= OVERWRITTEN_WITHIN
    }

    /// It was certainly gone so soon, if it came at `gained` or later.
    pub(crate) fn is_overwritten(&self, gained: SystemTime) -> bool {
        let from = gained.max(self.before);
        self.after.duration_since(from).is_ok_and(|it| it <= OVERWRITTEN_WITHIN)
    }
}

/// The latest time that Integrated authentication came and went, from sights in the order of time.
pub(crate) fn flip(sights: &[(SystemTime, bool)]) -> Option<Flip> {
    let last = sights.iter().rposition(|(_, is_there)| *is_there)?;
    let first = sights[..last].iter().rposition(|(_, is_there)| !is_there)?;
    let at = |place: usize| sights.get(place).map(|(at, _)| *at);
    Some(Flip { before: at(first)?, first: at(first + 1)?, last: at(last)?, after: at(last + 1)? })
}

/// Whether an answer to the anonymous question offers what Integrated authentication stands for.
pub(crate) fn offers_integrated(answer: &Answer) -> bool {
    answer.challenges.iter().any(|it| matches!(it.scheme, Scheme::Negotiate | Scheme::Ntlm))
}

/// Events of these kinds that lie before now, newest first.
pub(crate) fn events<'e>(seen: &Seen<'e>, kinds: &[EventKind]) -> Vec<&'e Event> {
    let evidence = seen.evidence;
    let is_wanted = |it: &&Event| kinds.contains(&it.kind) && it.at <= evidence.now;
    let mut found: Vec<&Event> = evidence.target.events.iter().filter(is_wanted).collect();
    found.sort_by_key(|it| std::cmp::Reverse(it.at));
    found
}

pub(crate) fn event_reference(event: &Event) -> EvidenceRef {
    let text = words::shortened(&event.text);
    Seen::declared(format!("{}: {text}", calendar::date_and_time(event.at)))
}

/// The operator entered an event of such a kind, not longer ago than `within`.
pub(crate) fn happened(
    seen: &Seen<'_>,
    kinds: &[EventKind],
    within: Duration,
    what: &'static str,
) -> Claim {
    let now = seen.evidence.now;
    let is_recent = |it: &&Event| now.duration_since(it.at).is_ok_and(|age| age <= within);
    events(seen, kinds).into_iter().find(is_recent).map_or_else(
        || Claim::unknown(Need::Declared { what }),
        |it| Claim::holds(event_reference(it)),
    )
}

/// The operator entered what a server's own log says: one of these words stands there. Without it somebody has to look.
pub(crate) fn logged(seen: &Seen<'_>, words: &[&str], what: &'static str) -> Claim {
    let logs = events(seen, &[EventKind::ServerLog, EventKind::UserReport]);
    logs.into_iter().find(|it| words.iter().any(|word| says(&it.text, word))).map_or_else(
        || Claim::unknown(Need::OnTheServer { what }),
        |it| Claim::holds(event_reference(it)),
    )
}

/// Whether a text holds a word, whatever its letter case; a number only as a whole one.
pub(crate) fn says(text: &str, word: &str) -> bool {
    let (text, word) = (text.to_lowercase(), word.to_lowercase());
    let is_digit = |it: Option<char>| it.is_some_and(|it| it.is_ascii_digit());
    text.match_indices(&word).any(|(at, found)| {
        let before = text.get(..at).and_then(|it| it.chars().next_back());
        let after = text.get(at + found.len()..).and_then(|it| it.chars().next());
        let is_number = word.chars().all(|it| it.is_ascii_digit());
        !is_number || !(is_digit(before) || is_digit(after))
    })
}

/// Two servers' clocks are further apart than Kerberos bears. `None`: no round tells.
pub(crate) fn clocks_differ(left: &Spot<'_>, right: &Spot<'_>) -> Option<Claim> {
    let others = clocks(right);
    let mut nearest: Option<(Duration, [EvidenceRef; 2])> = None;
    for (round, mine, my_reference) in clocks(left) {
        let Some((_, other, reference)) = others.iter().find(|(it, ..)| *it == round) else {
            continue;
        };
        let apart = mine.duration_since(*other).or_else(|_| other.duration_since(mine));
        let apart = apart.unwrap_or_default();
        if nearest.as_ref().is_none_or(|(least, _)| apart < *least) {
            nearest = Some((apart, [my_reference, reference.clone()]));
        }
    }
    let (apart, references) = nearest?;
    Some(if apart > KERBEROS_TOLERANCE + WITHIN_A_ROUND {
        Claim::Holds(references.to_vec())
    } else if apart + WITHIN_A_ROUND < KERBEROS_TOLERANCE {
        Claim::Fails(references.to_vec())
    } else {
        Claim::Unknown { seen: references.to_vec(), needs: Vec::new() }
    })
}

/// What a server said of its own time, once per round: in a Type-2 message, else in `Date`.
fn clocks(spot: &Spot<'_>) -> Vec<(u32, SystemTime, EvidenceRef)> {
    let mut found: BTreeMap<u32, (bool, SystemTime, EvidenceRef)> = BTreeMap::new();
    for met in spot.exchanges(|_| true) {
        let Some(answer) = met.answer() else { continue };
        let from_type2 = answer.type2.as_ref().and_then(|it| it.timestamp);
        let from_date = || answer.headers.first("Date").and_then(calendar::http_date);
        let Some(time) = from_type2.or_else(from_date) else { continue };
        let is_better =
            found.get(&met.round).is_none_or(|(has_type2, ..)| from_type2.is_some() && !has_type2);
        if is_better {
            let mut reference = met.reference();
            reference.value = format!("clock {}", calendar::date_and_time(time));
            found.insert(met.round, (from_type2.is_some(), time, reference));
        }
    }
    found.into_iter().map(|(round, (_, time, reference))| (round, time, reference)).collect()
}
