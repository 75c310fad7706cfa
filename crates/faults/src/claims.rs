//! The claims that several faults share, each a question to the evidence with three possible answers.

use std::collections::BTreeSet;
use std::time::Duration;

use parallax_model::{
    Account, Answer, Endpoint, Generation, Look, NameForm, Need, Place, Role, Scheme, UserName,
    VantageName, Zone,
};

use crate::claim::Claim;
use crate::logon::{self, LogonOutcome};
use crate::responder;
use crate::seen::{Met, Seen, Spot, logon_of};

/// A CAS that had three errors of a back end within 60 s answers 503 for 60 s.
const BACK_OFF: Duration = Duration::from_mins(1);

/// Which spellings of a user name count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// UPN or `DOMAIN\user`.
    Qualified,
    Only(NameForm),
    Any,
}

impl Spelling {
    fn is(self, form: NameForm) -> bool {
        match self {
            Self::Qualified => form.is_qualified(),
            Self::Only(only) => form == only,
            Self::Any => true,
        }
    }

    pub(crate) fn of(self, account: &Account) -> Option<&UserName> {
        account.names.iter().filter(|name| self.is(name.form)).min_by_key(|name| name.form)
    }
}

/// Logons of an account at a place along some paths.
pub(crate) struct Logons<'a, 'e> {
    pub(crate) seen: &'a Seen<'e>,
    pub(crate) account: &'e Account,
    pub(crate) spelling: Spelling,
    pub(crate) place: Place,
    /// Outermost first.
    pub(crate) spots: Vec<&'a Spot<'e>>,
}

impl<'e> Logons<'_, 'e> {
    fn met(&self) -> Vec<(&Spot<'e>, Met<'e>)> {
        let is_wanted = |met: &Met<'e>| {
            logon_of(met.exchange)
                .is_some_and(|(_, form, place)| place == self.place && self.spelling.is(form))
        };
        let mut found: Vec<(&Spot<'e>, Met<'e>)> = Vec::new();
        for spot in &self.spots {
            found.extend(
                spot.logons(&self.account.id).into_iter().filter(is_wanted).map(|met| (*spot, met)),
            );
        }
        found
    }

    /// The server let the account in, with its password checked now.
    pub(crate) fn accepted(&self) -> Claim {
        let mut cached = Vec::new();
        let mut against = Vec::new();
        for (spot, met) in self.met().into_iter().rev() {
            match logon::outcome(Some((self.seen, spot)), met.exchange) {
                LogonOutcome::Accepted => {
                    match logon::cached_token(self.seen.evidence, self.account, &met) {
                        None => return Claim::holds(met.reference()),
                        Some(why) => cached.push((met, why)),
                    }
                }
                LogonOutcome::Refused => {
                    against.push(met.reference());
                }
                LogonOutcome::Unproven | LogonOutcome::NotSent => {}
            }
        }
        if let Some((met, why)) = cached.pop() {
            let after = Duration::from_mins(15);
            let again =
                Need::AskAgain { path: met.path.clone(), look: met.exchange.look.clone(), after };
            return Claim::Unknown { seen: vec![met.reference(), why], needs: vec![again] };
        }
        if against.is_empty() { self.unasked() } else { Claim::Fails(against) }
    }

    /// The server answered this status to the account. Something that passes by itself (a back-off, a gateway's word) is
    /// unknown and worth asking again, never a denial.
    pub(crate) fn answered(&self, test: impl Fn(&Answer) -> bool) -> Claim {
        let mut again = Vec::new();
        let mut against = Vec::new();
        for (_, met) in self.met().into_iter().rev() {
            match met.answer() {
                Some(answer) if test(answer) => return Claim::holds(met.reference()),
                Some(answer) if !matches!(answer.status, 429 | 502..=504) => {
                    against.push(met.reference());
                }
                Some(_) | None => again.push(met),
            }
        }
        if let Some(met) = again.pop() {
            let need = Need::AskAgain {
                path: met.path.clone(),
                look: met.exchange.look.clone(),
                after: BACK_OFF,
            };
            return Claim::Unknown { seen: vec![met.reference()], needs: vec![need] };
        }
        if against.is_empty() { self.unasked() } else { Claim::Fails(against) }
    }

    pub(crate) fn refused(&self) -> Claim {
        self.answered(|answer| answer.status == 401)
    }

    /// Nobody asked: the logon that would tell, along the innermost path that can carry a secret.
    fn unasked(&self) -> Claim {
        let Some(name) = self.spelling.of(self.account) else {
            return Claim::unknown(Need::Declared { what: "the user name as UPN or DOMAIN\\user" });
        };
        if !self.account.has_password {
            return Claim::unknown(Need::Declared { what: "a password for the account" });
        }
        let look = Look::logon(self.account.id.clone(), name.form, self.place);
        let mut willing: Vec<&&Spot<'_>> =
            self.spots.iter().filter(|spot| is_answering(spot)).collect();
        willing.sort_by_key(|spot| (boxes_between(spot), spot.path));
        if willing.is_empty() {
            return Claim::undecidable();
        }
        match willing.into_iter().find(|spot| may_carry_a_secret(spot)) {
            Some(spot) => Claim::unknown(Need::Logon { path: spot.path.clone(), look }),
            None => Claim::unknown(Need::Declared {
                what: "allow_plaintext_logon or a trust that the certificate satisfies",
            }),
        }
    }
}

/// The order in which a logon is asked for: where the fewest boxes stand between vantage and server.
pub(crate) fn boxes_between(spot: &Spot<'_>) -> u8 {
    match (spot.endpoint.role, spot.vantage.zone) {
        (Role::Backend, Zone::Backend) => 0,
        (_, Zone::Internal) => 1,
        (_, Zone::Backend) => 2,
        (_, Zone::Dmz) => 3,
        (_, Zone::External) => 4,
    }
}

/// Whether the anonymous question was answered at all.
pub(crate) fn is_answering(spot: &Spot<'_>) -> bool {
    spot.answer(&Look::OPTIONS).is_some()
}

/// Vantages that have a control and did not tell what it came to: what is seen there may be their own lack, or a box of theirs.
/// Where the agent's own policy forbids it, it is as if there were none.
pub(crate) fn not_vouched_for<'e>(seen: &Seen<'e>) -> BTreeSet<&'e VantageName> {
    let controls = || seen.with_role(Role::Control);
    let mut found: BTreeSet<_> =
        controls().filter(|it| it.is_silent()).map(|it| &it.vantage.name).collect();
    for heard in controls().filter(|it| it.is_seen()) {
        found.remove(&heard.vantage.name);
    }
    found
}

/// Whether a secret may go along this path.
pub(crate) fn may_carry_a_secret(spot: &Spot<'_>) -> bool {
    if !spot.endpoint.is_https {
        return spot.endpoint.allow_plaintext_logon;
    }
    spot.observations()
        .iter()
        .any(|(_, it)| it.transport.tls().is_some_and(parallax_model::TlsFacts::may_carry_a_secret))
}

/// A server offers exactly some schemes to the anonymous question.
pub(crate) fn offers(
    spot: &Spot<'_>,
    look: &Look,
    test: impl Fn(&dyn Fn(&Scheme) -> bool) -> bool,
) -> Claim {
    match spot.answer(look) {
        Some((met, answer)) if answer.status == 401 => {
            let has = |scheme: &Scheme| answer.challenges.iter().any(|it| it.scheme == *scheme);
            if test(&has) { Claim::holds(met.reference()) } else { Claim::fails(met.reference()) }
        }
        Some((met, _)) => Claim::fails(met.reference()),
        None => unanswered(spot, look),
    }
}

/// No answer yet: the look that would tell, unless the path ends before it.
pub(crate) fn unanswered(spot: &Spot<'_>, look: &Look) -> Claim {
    Claim::Unknown { seen: Vec::new(), needs: needed_look(spot, look) }
}

/// The look that would tell, where it was not taken and may be answered.
pub(crate) fn needed_look(spot: &Spot<'_>, look: &Look) -> Vec<Need> {
    let is_taken = !spot.latest(look).is_empty();
    if is_taken || (spot.is_seen() && !is_answering(spot)) {
        return Vec::new();
    }
    vec![Need::Look { path: spot.path.clone(), look: look.clone() }]
}

/// The same answer but for what changes by itself: date, request ids, cookies. A credential that makes no difference was not
/// looked at.
pub(crate) fn is_same_answer(left: &Answer, right: &Answer) -> bool {
    const CHANGES: [&str; 7] = [
        "date",
        "request-id",
        "x-request-id",
        "set-cookie",
        "expires",
        "last-modified",
        "content-length",
    ];
    let steady = |answer: &'_ Answer| -> Vec<(String, String)> {
        let fields = answer.headers.0.iter();
        let fields = fields.map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
        let mut fields: Vec<_> =
            fields.filter(|(name, _)| !CHANGES.contains(&name.as_str())).collect();
        fields.sort();
        fields
    };
    left.status == right.status
        && left.reason == right.reason
        && left.body.sha256 == right.body.sha256
        && steady(left) == steady(right)
}

/// The generation behind an endpoint is one of these.
pub(crate) fn is_generation(
    seen: &Seen<'_>,
    spot: &Spot<'_>,
    test: impl Fn(Generation) -> bool,
    what: &'static str,
) -> Claim {
    match responder::generation(seen, spot.endpoint) {
        Some(generation) => {
            let declared =
                spot.endpoint.generation.is_some() || seen.evidence.target.generation.is_some();
            let words = crate::words::generation(generation);
            let reference = if declared {
                Seen::declared(format!("{}: {words}", spot.endpoint.name))
            } else {
                spot.reference(0, None, format!("recognised: {words}"))
            };
            if test(generation) { Claim::holds(reference) } else { Claim::fails(reference) }
        }
        None => Claim::unknown(Need::Declared { what }),
    }
}

/// Some inner vantage (or the CAS dialled directly) is asked for a logon: the path is served there, whatever else may be
/// wrong with it. The same refusal inside says that it is the server's own; anything else settles nothing.
pub(crate) fn works_further_in(seen: &Seen<'_>, outer: &Spot<'_>) -> Claim {
    seen.further.serves(outer)
}

/// Where `ActiveSync` lives on every Exchange server; letter case does not matter to IIS.
pub(crate) const ACTIVE_SYNC_PATH: &str = "/Microsoft-Server-ActiveSync";

/// Whether an endpoint's URL leads to that directory: what another path answers says nothing about it.
pub(crate) fn is_active_sync_path(endpoint: &Endpoint) -> bool {
    endpoint.path.trim_end_matches('/').eq_ignore_ascii_case(ACTIVE_SYNC_PATH)
}

/// The name leads where the operator says it is published; otherwise the record is stale, and what is found there is
/// somebody else's.
pub(crate) fn is_meant_address(spot: &Spot<'_>) -> Claim {
    let declared = &spot.endpoint.published_on;
    if declared.is_empty() || spot.endpoint.connect.is_some() {
        return Claim::given();
    }
    let stray = spot.resolved().into_iter().find(|it| !declared.contains(it));
    match (stray, spot.dns()) {
        (Some(address), Some((round, _))) => {
            Claim::fails(spot.reference(round, Some(address), "not among the declared addresses"))
        }
        (Some(_) | None, _) => Claim::given(),
    }
}

/// A look from the other side of the publishing layer than this one.
pub(crate) fn other_side(spot: &Spot<'_>) -> Need {
    let zone = if spot.vantage.zone <= Zone::Dmz { Zone::Internal } else { Zone::External };
    Need::Vantage { zone }
}
