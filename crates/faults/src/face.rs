//! Paths that show the same: most of a thousand healthy ones do, and what one of them denies at first sight the others deny too.
//!
//! A face is what a path shows but for what differs by itself: local ports, request ids, cookies' values, parts of a second.
//!
//! INVARIANT: two paths have one face only if every claim about one path alone comes to the same for both. A path with a logon,
//! with a history of its own, of a doubtful vantage or with an address that is not its own therefore has none.

use std::collections::BTreeMap;

use parallax_model::{
    Answer, DnsFacts, Exchange, Headers, HttpFailure, Observation, Outcome, Report, TlsFacts,
    TlsFailure, Transport, Type2,
};

use crate::seen::Spot;

/// Numbers the faces of paths: each gets the number of the first path that shows the same.
#[derive(Default)]
pub(crate) struct Faces {
    /// By a few plain facts, the places of the first paths of each face.
    known: BTreeMap<Outline, Vec<usize>>,
}

/// What two paths of one face have in common at least; cheap to compare.
type Outline = (usize, u8, usize, Vec<u16>);

impl Faces {
    /// The face of the path at this place, among those before it.
    pub(crate) fn face(&mut self, paths: &[Spot<'_>], place: usize) -> Option<usize> {
        let spot = paths.get(place)?;
        let known = self.known.entry(outline(spot)).or_default();
        let is_same = |it: &&usize| paths.get(**it).is_some_and(|other| is_same(other, spot));
        if let Some(first) = known.iter().find(is_same) {
            return Some(*first);
        }
        known.push(place);
        Some(place)
    }
}

fn outline(spot: &Spot<'_>) -> Outline {
    let answers = spot.exchanges(|_| true);
    let status = answers.iter().map(|it| it.status().unwrap_or_default()).collect();
    (
        std::ptr::from_ref(spot.endpoint).addr(),
        spot.vantage.zone as u8,
        spot.observations().len(),
        status,
    )
}

fn is_same(left: &Spot<'_>, right: &Spot<'_>) -> bool {
    std::ptr::eq(left.endpoint, right.endpoint)
        && left.vantage.zone == right.vantage.zone
        && left.reports().len() == right.reports().len()
        && left
            .reports()
            .iter()
            .zip(right.reports())
            .all(|(a, b)| a.0 == b.0 && is_same_report(a.1, b.1))
}

fn is_same_report(left: &Report, right: &Report) -> bool {
    let (Report::Seen(left), Report::Seen(right)) = (left, right) else { return left == right };
    is_same_outcome(&left.dns, &right.dns, is_same_dns)
        && all_same(&left.observations, &right.observations, is_same_observation)
}

fn all_same<T>(left: &[T], right: &[T], is_same: impl Fn(&T, &T) -> bool) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(a, b)| is_same(a, b))
}

fn is_same_outcome<Facts, Failure: PartialEq>(
    left: &Outcome<Facts, Failure>,
    right: &Outcome<Facts, Failure>,
    is_same: impl Fn(&Facts, &Facts) -> bool,
) -> bool {
    match (left, right) {
        (Outcome::Done(left), Outcome::Done(right)) => is_same(left, right),
        (Outcome::Failed(left), Outcome::Failed(right)) => left == right,
        (Outcome::NotReached, Outcome::NotReached) => true,
        (Outcome::Done(_) | Outcome::Failed(_) | Outcome::NotReached, _) => false,
    }
}

fn is_same_dns(left: &DnsFacts, right: &DnsFacts) -> bool {
    left.source == right.source
        && left.addresses == right.addresses
        && left.cname_chain == right.cname_chain
        && left.v4 == right.v4
        && left.v6 == right.v6
}

fn is_same_observation(left: &Observation, right: &Observation) -> bool {
    left.address == right.address
        && is_same_outcome(&left.tcp, &right.tcp, |a, b| a.took.as_secs() == b.took.as_secs())
        && is_same_transport(&left.transport, &right.transport)
        && is_same_tls(&left.without_sni, &right.without_sni)
        && all_same(&left.exchanges, &right.exchanges, is_same_exchange)
}

fn is_same_transport(left: &Transport, right: &Transport) -> bool {
    left.handshake().is_some() == right.handshake().is_some()
        && left.modern_failure() == right.modern_failure()
        && left
            .handshake()
            .zip(right.handshake())
            .is_none_or(|(left, right)| is_same_tls(left, right))
        && matches!(left, Transport::OldTls { .. }) == matches!(right, Transport::OldTls { .. })
}

fn is_same_tls(
    left: &Outcome<TlsFacts, TlsFailure>,
    right: &Outcome<TlsFacts, TlsFailure>,
) -> bool {
    is_same_outcome(left, right, |a, b| {
        a.version == b.version
            && a.cipher == b.cipher
            && a.alpn == b.alpn
            && a.chain == b.chain
            && a.trust == b.trust
            && a.name_matches == b.name_matches
            && a.dates_hold == b.dates_hold
            && a.client_certificate_requested == b.client_certificate_requested
            && a.took.as_secs() == b.took.as_secs()
    })
}

fn is_same_exchange(left: &Exchange, right: &Exchange) -> bool {
    left.look == right.look
        && left.sent == right.sent
        && left.asked_for_certificate == right.asked_for_certificate
        && left.connection.number == right.connection.number
        && is_same_outcome::<Answer, HttpFailure>(&left.outcome, &right.outcome, is_same_answer)
}

fn is_same_answer(left: &Answer, right: &Answer) -> bool {
    left.status == right.status
        && left.version == right.version
        && left.reason == right.reason
        && left.body == right.body
        && left.took.as_secs() == right.took.as_secs()
        && is_same_type2(left.type2.as_ref(), right.type2.as_ref())
        && all_same(&left.headers.0, &right.headers.0, |a, b| a.0 == b.0)
        && values(&left.headers).eq(values(&right.headers))
}

/// Values as far as they mean something: of a cookie its name, of a date the minute, of a request's id nothing, and of an NTLM
/// message nothing, for it stands decoded beside.
fn values(headers: &Headers) -> impl Iterator<Item = &str> {
    /// `Sun, 25 Oct 2026 10:00`.
    const DATE_TO_THE_MINUTE: usize = 22;
    headers.0.iter().map(|(name, value)| {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if is("request-id") || is("x-request-id") {
            ""
        } else if is("date") {
            value.get(..DATE_TO_THE_MINUTE).unwrap_or(value)
        } else if is("set-cookie") {
            value.split('=').next().unwrap_or(value)
        } else if is("www-authenticate") && value.starts_with("NTLM ") {
            "NTLM"
        } else {
            value
        }
    })
}

fn is_same_type2(left: Option<&Type2>, right: Option<&Type2>) -> bool {
    let minute = |it: &Type2| {
        let since = it.timestamp?.duration_since(std::time::SystemTime::UNIX_EPOCH).ok()?;
        Some(since.as_secs() / 60)
    };
    let plain = |it: &Type2| Type2 { timestamp: None, ..it.clone() };
    match (left, right) {
        (Some(left), Some(right)) => minute(left) == minute(right) && plain(left) == plain(right),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}
