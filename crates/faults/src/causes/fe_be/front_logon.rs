//! What the causes behind a logon share: the logons that a server answered, what the answer says of the leg behind it, and
//! whether another account fares better at the same place.
//!
//! INVARIANT: a logon that nobody made is no case at all; the search for health asks for it.

use std::rc::Rc;

use parallax_model::{Account, Answer, Generation, Look, Need, PathId, Place, Role, TextPlace};

use crate::causes::login;
use crate::claim::{Claim, any};
use crate::claims::{Logons, Spelling, is_generation};
use crate::condition::Stage;
use crate::fault::{Case, Explains};
use crate::judge::EVIDENCE_MAX;
use crate::logon;
use crate::responder;
use crate::seen::{Met, Seen, Spot, logon_of};
use crate::words;

/// The latest answered logon of an account along a path.
pub(in crate::causes) struct Answered<'a, 'e> {
    pub(in crate::causes) seen: &'a Seen<'e>,
    pub(in crate::causes) spot: &'a Spot<'e>,
    pub(in crate::causes) account: &'e Account,
    pub(in crate::causes) met: Met<'e>,
    pub(in crate::causes) answer: &'e Answer,
}

/// Every latest answered logon on the `ActiveSync` path of endpoints with these roles.
pub(in crate::causes) fn answered<'a, 'e>(
    seen: &'a Seen<'e>,
    roles: &[Role],
) -> Vec<Answered<'a, 'e>> {
    let mut found: Vec<Answered<'a, 'e>> = Vec::new();
    for spot in seen.paths.iter().filter(|it| roles.contains(&it.endpoint.role)) {
        for met in spot.exchanges(|look| look.is_logon() && look.place == Place::ActiveSync) {
            let (Some((id, _, _)), Some(answer)) = (logon_of(met.exchange), met.answer()) else {
                continue;
            };
            let known = seen.evidence.accounts.iter().find(|it| it.id == *id);
            let Some(account) = known.filter(|_| met.exchange.sent) else { continue };
            found.retain(|it| !(it.spot.path == spot.path && it.account.id == account.id));
            found.push(Answered { seen, spot, account, met, answer });
        }
    }
    found
}

/// One case per answered logon at a front that looks like it; of the others as many denials as anybody reads.
pub(in crate::causes) fn cases(
    seen: &Seen<'_>,
    roles: &[Role],
    is_such: impl Fn(&Answered<'_, '_>) -> bool,
    case: impl Fn(&Answered<'_, '_>) -> Case,
) -> Vec<Case> {
    let (such, others): (Vec<_>, Vec<_>) = answered(seen, roles).into_iter().partition(is_such);
    let denied = others.iter().take(EVIDENCE_MAX);
    let denied = denied.map(|it| it.case(Claim::fails(it.met.reference()), "200"));
    such.iter().map(case).chain(denied).collect()
}

/// Roles of what a client or an inner vantage takes for the front.
pub(in crate::causes) const FRONTS: &[Role] = &[Role::External, Role::Cas];

impl<'a, 'e> Answered<'a, 'e> {
    /// A case that accounts for this logon.
    pub(in crate::causes) fn case(&self, must: Claim, expected: &str) -> Case {
        let explains = Explains {
            paths: Rc::from([self.spot.path.clone()]),
            stages: &[Stage::Logon],
            logons_of: Some((self.account.id.clone(), Vec::new())),
        };
        Case::new(self.spot, must, &[Stage::Logon])
            .explaining(explains)
            .with(TextPlace::Account, login(self.account))
            .with(TextPlace::Seen, self.words())
            .with(TextPlace::Expected, expected)
            .with(TextPlace::Elsewhere, self.target().unwrap_or_default())
            .with(TextPlace::Witness, self.other().map(login).unwrap_or_default())
    }

    /// Seen so at this place.
    pub(in crate::causes) fn holds(&self) -> Claim {
        let mut reference = self.met.reference();
        reference.value = self.words();
        Claim::holds(reference)
    }

    fn words(&self) -> String {
        let answer = words::answer(self.answer);
        let reason = words::shortened(&self.answer.reason);
        let is_told = matches!(self.answer.status, 500..=599) && !reason.is_empty();
        if is_told { format!("{answer} {reason}") } else { answer }
    }

    /// The server that the front end chose, as it says itself.
    pub(in crate::causes) fn target(&self) -> Option<String> {
        self.answer.headers.first("X-CalculatedBETarget").map(words::shortened)
    }

    /// The front end of 2013 or later made this answer itself, and no back end did.
    pub(in crate::causes) fn is_of_front_end(&self) -> bool {
        self.answer.headers.has("X-FEServer") && !self.is_of_back_end()
    }

    /// A back end of 2013 or later made this answer.
    pub(in crate::causes) fn is_of_back_end(&self) -> bool {
        self.answer.headers.has("X-BEServer") || self.answer.headers.has("X-DiagInfo")
    }

    /// Exchange itself asked the anonymous question here, and the answer bears no publisher's mark.
    pub(in crate::causes) fn is_of_exchange(&self) -> bool {
        responder::is_exchange_itself(self.seen, self.spot)
            && responder::publisher_mark(self.answer).is_none()
    }

    pub(in crate::causes) fn is_slow(&self) -> bool {
        logon::is_slow(self.answer)
    }

    pub(in crate::causes) fn front_is(&self, test: impl Fn(Generation) -> bool) -> Claim {
        is_generation(self.seen, self.spot, test, "generation of the client access server")
    }

    /// The operator says where this account's mailbox lives, and it is such a place.
    pub(in crate::causes) fn mailbox_is(&self, test: impl Fn(Generation) -> bool) -> Claim {
        match self.account.mailbox {
            Some(generation) => {
                let value = format!(
                    "{}: mailbox on {}",
                    login(self.account),
                    words::generation(generation)
                );
                let reference = Seen::declared(value);
                if test(generation) { Claim::holds(reference) } else { Claim::fails(reference) }
            }
            None => Claim::unknown(Need::Declared { what: "where the account's mailbox lives" }),
        }
    }

    /// Without credentials the same path asks for a logon, as a healthy one does.
    pub(in crate::causes) fn is_challenged(&self) -> bool {
        self.spot.answer(&Look::OPTIONS).is_some_and(|(_, it)| it.status == 401)
    }

    fn other(&self) -> Option<&'e Account> {
        let accounts = self.seen.evidence.accounts.iter();
        accounts.filter(|it| it.has_password).find(|it| it.id != self.account.id)
    }

    /// Another account gets through at this endpoint, so the fault is behind it and not in it.
    pub(in crate::causes) fn another_passes(&self) -> Claim {
        let accounts = self.seen.evidence.accounts.iter();
        let others: Vec<&Account> =
            accounts.filter(|it| it.has_password && it.id != self.account.id).collect();
        if others.is_empty() {
            return Claim::unknown(Need::Witness);
        }
        let spots = self.spots_of_this_front();
        any(others.into_iter().map(|account| {
            let logons = Logons {
                seen: self.seen,
                account,
                spelling: Spelling::Any,
                place: Place::ActiveSync,
                spots: spots.clone(),
            };
            // One that fails as well has a trouble of its own, or the same.
            match logons.answered(logon::is_active_sync) {
                Claim::Fails(seen) => Claim::Unknown { seen, needs: Vec::new() },
                settled @ (Claim::Holds(_) | Claim::Unknown { .. }) => settled,
            }
        }))
    }

    /// The paths to this endpoint; with a single client access server the published name leads to it, so both are one front.
    fn spots_of_this_front(&self) -> Vec<&'a Spot<'e>> {
        let endpoints = self.seen.evidence.target.endpoints.iter();
        let is_single = endpoints.filter(|it| it.role == Role::Cas).count() == 1;
        let is_here = |it: &&Spot<'e>| {
            it.endpoint.name == self.spot.endpoint.name
                || (is_single && FRONTS.contains(&it.endpoint.role))
        };
        self.seen.paths.iter().filter(is_here).collect()
    }

    /// The account logs on at another server directly; where nobody asked, that logon would tell.
    pub(in crate::causes) fn passes_at(&self, server: &Spot<'e>) -> Claim {
        let paths = self.seen.paths.iter();
        let spots: Vec<&Spot<'_>> =
            paths.filter(|it| it.endpoint.name == server.endpoint.name).collect();
        Logons {
            seen: self.seen,
            account: self.account,
            spelling: Spelling::Any,
            place: Place::ActiveSync,
            spots,
        }
        .accepted()
    }

    /// Client access servers and back ends other than this one, each once, innermost look first.
    pub(in crate::causes) fn other_servers(&self) -> Vec<&'a Spot<'e>> {
        let mut names = std::collections::BTreeSet::new();
        let mut spots: Vec<&Spot<'e>> = self
            .seen
            .paths
            .iter()
            .filter(|it| matches!(it.endpoint.role, Role::Cas | Role::Backend))
            .filter(|it| it.endpoint.name != self.spot.endpoint.name && it.is_seen())
            .collect();
        spots.sort_by_key(|it| std::cmp::Reverse(it.vantage.zone));
        spots.retain(|it| names.insert(it.endpoint.name.clone()));
        spots
    }
}

/// The status word in the body of a front end that could not build its ticket: `TargetUnknown`, `LogonDenied`, `TimeSkew`.
pub(in crate::causes) fn ticket_failure(answer: &Answer) -> Option<&str> {
    let (_, rest) = answer.body.beginning.split_once("NegotiateSecurityContext failed")?;
    let (_, rest) = rest.split_once("with status '")?;
    rest.split_once('\'').map(|(word, _)| word).filter(|it| !it.is_empty())
}

/// The back end refused the front end's ticket; Exchange 2013 and later say so in the reason phrase.
pub(in crate::causes) fn is_ticket_refused(answer: &Answer) -> bool {
    let reason = answer.reason.to_ascii_lowercase();
    answer.status == 503 && reason.contains("failed authentication on backend server")
}

/// The host that a 451 names.
pub(in crate::causes) fn named_host(answer: &Answer) -> Option<String> {
    let place = answer.headers.first("X-MS-Location").filter(|_| answer.status == 451)?;
    let (_, rest) = place.split_once("://")?;
    let host = rest.split(['/', ':', '?']).next()?.trim();
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

/// Whether a server along this path goes by this name: its URL's host, or what its own Type-2 message says.
pub(in crate::causes) fn is_named(spot: &Spot<'_>, name: &str) -> bool {
    let leaf = |name: &str| name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let is_full = |it: &str| it.eq_ignore_ascii_case(name);
    is_full(&spot.endpoint.host)
        || spot.exchanges(|_| true).iter().any(|met| {
            let answer = met.answer();
            let by_type2 = answer.and_then(|it| it.type2.as_ref()).is_some_and(|type2| {
                type2.dns_computer.as_deref().is_some_and(is_full)
                    || type2.netbios_computer.as_deref().is_some_and(|it| leaf(it) == leaf(name))
            });
            let by_header = answer.and_then(|it| it.headers.first("X-FEServer"));
            by_type2 || by_header.is_some_and(|it| leaf(it) == leaf(name))
        })
}

/// Paths of some logons, for a case that accounts for all of them.
pub(in crate::causes) fn paths_of(logons: &[&Answered<'_, '_>]) -> Rc<[PathId]> {
    logons.iter().map(|it| it.spot.path.clone()).collect()
}
