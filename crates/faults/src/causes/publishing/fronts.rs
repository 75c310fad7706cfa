//! What the causes of the publishing layer share: who answered in front, what Exchange itself says behind it, and whether
//! the two are one voice.
//!
//! Absent on purpose: the names of products and their logon pages; each cause knows its own.
//!
//! INVARIANT: a mark of Exchange that is missing says nothing by itself, for many devices take marks away. What counts is that
//! Exchange, asked directly, answers the same question otherwise.
//! INVARIANT: [`Inside`] is made once per cause, and each question to it costs the same however many paths there are.

use std::collections::BTreeMap;

use parallax_model::{Account, Answer, Generation, Look, NameForm, Place, Role, Scheme, Zone};

use crate::claim::{Claim, all};
use crate::claims::{Logons, Spelling, is_same_answer, other_side};
use crate::condition;
use crate::responder;
use crate::seen::{Met, Seen, Spot, logon_of};
use crate::words;

/// Of many servers that are alike, as many as anybody reads.
const TOLD_MAX: usize = 4;

/// One answer to the anonymous question, and where it was given.
#[derive(Clone, Copy)]
pub(super) struct Answered<'a, 'e> {
    pub(super) spot: &'a Spot<'e>,
    pub(super) met: Met<'e>,
    pub(super) answer: &'e Answer,
    pub(super) is_sound: bool,
}

/// How far in a path leads: client access servers dialled directly are the furthest, then the published name by zone.
fn depth(spot: &Spot<'_>) -> (bool, Zone) {
    (spot.endpoint.role == Role::Cas, spot.vantage.zone)
}

/// What is seen behind the publishing layer.
pub(super) struct Inside<'a, 'e> {
    /// Client access servers dialled directly over TLS: every answer.
    pub(super) nodes: Vec<Answered<'a, 'e>>,
    /// The sound answer furthest in, over TLS.
    sound: Option<Answered<'a, 'e>>,
    /// For each status, the answer furthest in.
    by_status: BTreeMap<u16, Answered<'a, 'e>>,
    /// The path furthest in that has a report.
    furthest: Option<&'a Spot<'e>>,
}

impl<'a, 'e> Inside<'a, 'e> {
    pub(super) fn of(seen: &'a Seen<'e>) -> Self {
        let mut inside =
            Self { nodes: Vec::new(), sound: None, by_status: BTreeMap::new(), furthest: None };
        for spot in seen.fronts().filter(|it| it.is_seen() && it.endpoint.is_https) {
            if inside.furthest.is_none_or(|it| depth(spot) > depth(it)) {
                inside.furthest = Some(spot);
            }
            for met in spot.latest(&Look::OPTIONS) {
                let Some(answer) = met.answer() else { continue };
                let is_sound = condition::is_anonymous_healthy(seen, spot.endpoint, answer);
                inside.note(Answered { spot, met: *met, answer, is_sound });
            }
        }
        inside
    }

    fn note(&mut self, it: Answered<'a, 'e>) {
        let is_further = |known: &Answered<'_, '_>| depth(it.spot) > depth(known.spot);
        if it.is_sound && self.sound.as_ref().is_none_or(is_further) {
            self.sound = Some(it);
        }
        if self.by_status.get(&it.answer.status).is_none_or(is_further) {
            self.by_status.insert(it.answer.status, it);
        }
        if it.spot.endpoint.role == Role::Cas {
            self.nodes.push(it);
        }
    }

    /// The sound answer from behind this path.
    pub(super) fn sound(&self, outer: &Spot<'_>) -> Option<&Answered<'a, 'e>> {
        self.sound.as_ref().filter(|it| is_behind(it.spot, outer))
    }

    /// Exchange, asked from behind this path, answers the anonymous question as it should. The same status there says that
    /// it is the server's own; anything else settles nothing.
    pub(super) fn answers_soundly(&self, outer: &Spot<'_>) -> Claim {
        if let Some(sound) = self.sound(outer) {
            return all([Claim::holds(sound.met.reference()), self.no_server_says_the_same(outer)]);
        }
        let outside = outer.answer(&Look::OPTIONS).map(|(_, answer)| answer.status);
        let same = outside.and_then(|status| self.by_status.get(&status));
        match (same.filter(|it| is_behind(it.spot, outer)), self.furthest) {
            (Some(same), _) => Claim::fails(same.met.reference()),
            (None, Some(spot)) if is_behind(spot, outer) => Claim::undecidable(),
            (None, Some(_) | None) => Claim::unknown(other_side(outer)),
        }
    }

    /// No client access server that was dialled directly gives the answer that is met in front: that one may be what the
    /// outside is led to, whatever the others say. The same machine under another name is no other server.
    pub(super) fn no_server_says_the_same(&self, outer: &Spot<'_>) -> Claim {
        let Some((_, outside)) = outer.answer(&Look::OPTIONS) else { return Claim::given() };
        let is_another_name = |node: &Answered<'_, '_>| {
            self.nodes.iter().any(|other| {
                other.is_sound && other.met.observation.address == node.met.observation.address
            })
        };
        let same = self.nodes.iter().find(|it| {
            !it.is_sound
                && it.spot.path != outer.path
                && it.answer.status == outside.status
                && !is_another_name(it)
        });
        same.map_or_else(Claim::given, |it| Claim::Unknown {
            seen: vec![it.met.reference()],
            needs: Vec::new(),
        })
    }

    /// No client access server that was dialled directly answers otherwise than it should.
    pub(super) fn every_node_is_sound(&self) -> Claim {
        match self.nodes.iter().find(|it| !it.is_sound) {
            Some(it) => Claim::fails(it.met.reference()),
            None if self.nodes.is_empty() => Claim::undecidable(),
            None => Claim::Holds(
                self.nodes.iter().take(TOLD_MAX).map(|it| it.met.reference()).collect(),
            ),
        }
    }

    /// The 401 in front is Exchange's own, passed on: it names a front end that was dialled directly, or its realm is the
    /// one that the same host name has there.
    pub(super) fn is_own_challenge(&self, outer: &Spot<'_>) -> Claim {
        let Some((met, answer)) = outer.answer(&Look::OPTIONS) else { return Claim::undecidable() };
        if answer.headers.has("X-FEServer") {
            return Claim::holds(met.reference());
        }
        let Some(realm) = basic_realm(answer) else { return Claim::undecidable() };
        let host = &outer.endpoint.host;
        // IIS puts the host of the request there, so only the same host compares.
        let mut compared = self
            .nodes
            .iter()
            .filter(|it| it.spot.endpoint.host.eq_ignore_ascii_case(host))
            .filter_map(|it| Some((it, basic_realm(it.answer)?)))
            .peekable();
        let Some((first, _)) = compared.peek().copied() else { return Claim::undecidable() };
        match compared.find(|(_, it)| *it == realm) {
            // A device that takes the server's name away, or one that speaks for itself under the same realm: nobody can tell.
            Some((same, _)) if same.answer.headers.has("X-FEServer") => Claim::undecidable(),
            Some((same, _)) => {
                all([Claim::holds(met.reference()), Claim::holds(same.met.reference())])
            }
            None => {
                let mut reference = first.met.reference();
                reference.value = format!("{}, another realm", reference.value);
                Claim::fails(reference)
            }
        }
    }
}

fn is_behind(inner: &Spot<'_>, outer: &Spot<'_>) -> bool {
    inner.path != outer.path
        && (inner.endpoint.role == Role::Cas || inner.vantage.zone > outer.vantage.zone)
}

pub(super) fn basic_realm(answer: &Answer) -> Option<&str> {
    answer.challenges.iter().find(|it| it.scheme == Scheme::Basic)?.realm()
}

/// Published paths of servers on premises: Exchange Online has its own front.
pub(super) fn published<'a, 'e: 'a>(
    seen: &'a Seen<'e>,
) -> impl Iterator<Item = &'a Spot<'e>> + use<'a, 'e> {
    seen.with_role(Role::External)
        .filter(|spot| responder::generation(seen, spot.endpoint) != Some(Generation::Online))
}

/// The account was let in from behind this path, with this form of its name.
pub(super) fn accepted_inside(
    seen: &Seen<'_>,
    outer: &Spot<'_>,
    account: &Account,
    form: NameForm,
) -> Claim {
    let logons = Logons {
        seen,
        account: match seen.evidence.accounts.iter().find(|it| it.id == account.id) {
            Some(account) => account,
            None => return Claim::undecidable(),
        },
        spelling: Spelling::Only(form),
        place: Place::ActiveSync,
        spots: seen.fronts().filter(|it| is_behind(it, outer)).collect(),
    };
    logons.accepted()
}

/// Exchange behind this path, for people: where it was asked and what it said.
pub(super) fn elsewhere(inside: &Inside<'_, '_>, outer: &Spot<'_>) -> String {
    inside.sound(outer).map_or_else(String::new, |it| {
        let (endpoint, vantage) = (&it.spot.endpoint.name, &it.spot.vantage.name);
        format!("{endpoint} ({vantage}): {}", words::answer(it.answer))
    })
}

/// What the anonymous question got here, for people.
pub(super) fn said(spot: &Spot<'_>, look: &Look) -> String {
    spot.answer(look).map(|(_, it)| words::answer(it)).unwrap_or_default()
}

/// A denial that does not deny the fault, and only keeps it from being certain.
pub(super) fn or_unknown(claim: Claim) -> Claim {
    match claim {
        Claim::Fails(_) => Claim::undecidable(),
        other @ (Claim::Holds(_) | Claim::Unknown { .. }) => other,
    }
}

/// Another request along the same path gets such an answer as well; it was not asked for: unknown.
pub(super) fn also(spot: &Spot<'_>, look: &Look, is_such: impl Fn(&Answer) -> bool) -> Claim {
    spot.sign(look, is_such).claim(spot)
}

/// A logon along a path: its account, the form of the name and what came back, the latest of each.
pub(super) struct Tried<'e> {
    pub(super) account: &'e Account,
    pub(super) form: NameForm,
    pub(super) met: Met<'e>,
    pub(super) answer: &'e Answer,
}

/// The answered `ActiveSync` logons along a path, latest first.
pub(super) fn tried<'e>(seen: &Seen<'e>, spot: &Spot<'e>) -> Vec<Tried<'e>> {
    let evidence = seen.evidence;
    let mut found = Vec::new();
    for met in spot.exchanges(Look::is_logon).into_iter().rev().filter(|it| it.exchange.sent) {
        let Some((id, form, Place::ActiveSync)) = logon_of(met.exchange) else { continue };
        let account = evidence.accounts.iter().find(|it| it.id == *id);
        if let (Some(account), Some(answer)) = (account, met.answer()) {
            found.push(Tried { account, form, met, answer });
        }
    }
    found
}

/// The logon got exactly the answer of the anonymous question.
pub(super) fn is_same_as_anonymous(spot: &Spot<'_>, tried: &Tried<'_>) -> Claim {
    let address = tried.met.observation.address.ip();
    let anonymous = spot
        .exchanges(|look| *look == Look::OPTIONS)
        .into_iter()
        .filter(|it| it.observation.address.ip() == address);
    let mut against = Vec::new();
    for met in anonymous {
        match met.answer() {
            Some(answer) if is_same_answer(answer, tried.answer) => {
                return Claim::holds(met.reference());
            }
            // Another server of the pool has another name on its answer, and tells nothing.
            Some(answer)
                if answer.headers.first("X-FEServer")
                    == tried.answer.headers.first("X-FEServer") =>
            {
                against = vec![met.reference()];
            }
            Some(_) | None => {}
        }
    }
    if against.is_empty() { Claim::undecidable() } else { Claim::Fails(against) }
}

/// The logons that went to an address which this path leads to, from whatever vantage: they met the same device.
pub(super) fn met_here<'a, 'e>(all: &'a [Tried<'e>], spot: &Spot<'_>) -> Vec<&'a Tried<'e>> {
    let leads_to = |tried: &&Tried<'_>| {
        let address = tried.met.observation.address;
        spot.observations().iter().any(|(_, it)| it.address == address)
    };
    all.iter().filter(leads_to).collect()
}

/// Whether an answer carries what Exchange alone writes, whoever passed it on.
pub(super) fn is_marked_by_exchange(answer: &Answer) -> bool {
    const MARKS: [&str; 6] = [
        "X-FEServer",
        "X-CalculatedBETarget",
        "X-BEServer",
        "X-CasErrorCode",
        "X-OWA-Version",
        "MS-Server-ActiveSync",
    ];
    MARKS.iter().any(|it| answer.headers.has(it))
}

/// A gateway's word that it got nothing from behind: 502 to 504, and the numbers of Cloudflare for an origin it cannot use.
pub(super) fn is_gateway_word(answer: &Answer) -> bool {
    let is_status = matches!(answer.status, 502..=504)
        || (matches!(answer.status, 520..=526) && answer.headers.has("cf-ray"));
    is_status && !is_marked_by_exchange(answer)
}

/// Whether the beginning of the body contains a text, whatever its letter case.
pub(super) fn says(answer: &Answer, text: &str) -> bool {
    let body = answer.body.beginning.as_bytes();
    body.windows(text.len().max(1)).any(|it| it.eq_ignore_ascii_case(text.as_bytes()))
}

/// The page with which a web application firewall or a delivery network stops what is not a browser.
pub(super) fn is_challenge_page(answer: &Answer) -> bool {
    const HEADERS: [&str; 3] = ["cf-mitigated", "x-amzn-waf-action", "x-sucuri-block"];
    const CDN_TEXTS: [&str; 4] =
        ["just a moment", "attention required", "challenge-platform", "captcha"];
    const OTHER_TEXTS: [&str; 2] =
        ["the requested url was rejected. please consult", "incapsula incident id"];
    if !matches!(answer.status, 200 | 403 | 405 | 429 | 503) || is_marked_by_exchange(answer) {
        return false;
    }
    let is_network = answer.headers.has("cf-ray")
        || answer.headers.mentions("Server", "cloudflare")
        || answer.headers.mentions("Server", "AkamaiGHost");
    HEADERS.iter().any(|it| answer.headers.has(it))
        || (is_network && CDN_TEXTS.iter().any(|it| says(answer, it)))
        || OTHER_TEXTS.iter().any(|it| says(answer, it))
}

/// IIS 403.4 or 403.5: the directory takes requests over TLS only, and this one came to it without.
pub(super) fn wants_tls(answer: &Answer) -> bool {
    answer.status == 403
        && ["viewed over a secure channel", "403.4", "403.5"].iter().any(|it| says(answer, it))
}

/// Client access servers that are registered without TLS: what their port says.
pub(super) fn without_tls<'e>(seen: &Seen<'e>) -> Vec<(Met<'e>, &'e Answer)> {
    seen.with_role(Role::Cas)
        .filter(|it| !it.endpoint.is_https)
        .filter_map(|it| it.answer(&Look::OPTIONS))
        .collect()
}

/// IIS 7 and later does not tell strangers that it means TLS; its page is the same on the port without it.
pub(super) fn said_without_tls<'a, 'e>(
    plain: &'a [(Met<'e>, &'e Answer)],
    answer: &Answer,
) -> Option<&'a Met<'e>> {
    let is_same = |it: &&(Met<'_>, &Answer)| {
        it.1.status == 403 && it.1.body.length > 0 && it.1.body.sha256 == answer.body.sha256
    };
    plain.iter().filter(|_| answer.status == 403).find(is_same).map(|(met, _)| met)
}

/// Where a redirect leads.
pub(super) struct Redirect<'e> {
    /// None: the same scheme and host.
    pub(super) is_https: Option<bool>,
    pub(super) host: Option<&'e str>,
    pub(super) path: &'e str,
}

impl<'e> Redirect<'e> {
    /// `None`: it is no redirect, or names no place.
    pub(super) fn of(answer: &'e Answer) -> Option<Self> {
        if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
            return None;
        }
        let location = answer.headers.first("Location")?.trim();
        let (is_https, rest) = match location.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Some(true), rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Some(false), rest),
            _ => return Some(Self { is_https: None, host: None, path: location }),
        };
        let split = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(split);
        let host = authority.split(':').next().unwrap_or_default();
        Some(Self { is_https, host: Some(host), path })
    }

    /// Whether it leads to the path of `ActiveSync` again.
    pub(super) fn is_active_sync(&self) -> bool {
        const PATH: &str = "/microsoft-server-activesync";
        self.path.get(..PATH.len()).is_some_and(|it| it.eq_ignore_ascii_case(PATH))
    }

    pub(super) fn is_host(&self, host: &str) -> bool {
        self.host.is_none_or(|it| it.eq_ignore_ascii_case(host))
    }
}

#[cfg(test)]
mod tests {
    use parallax_model::{Answer, Body, Headers, HttpVersion};

    use super::Redirect;

    fn redirect(status: u16, location: &str) -> Answer {
        Answer {
            version: HttpVersion::Http11,
            status,
            reason: String::new(),
            headers: Headers(vec![("location".to_owned(), location.to_owned())]),
            headers_left_out: 0,
            challenges: Vec::new(),
            body: Body::default(),
            type2: None,
            took: std::time::Duration::ZERO,
        }
    }

    #[test]
    fn where_a_redirect_leads() {
        let read = |location: &str| {
            Redirect::of(&redirect(302, location))
                .map(|it| (it.is_https, it.host.map(str::to_owned), it.is_active_sync()))
        };
        let host = |name: &str| Some(name.to_owned());
        assert_eq!(
            read("HTTPS://Mail.contoso.example:443/microsoft-server-activesync?x"),
            Some((Some(true), host("Mail.contoso.example"), true))
        );
        assert_eq!(read("http://a"), Some((Some(false), host("a"), false)));
        assert_eq!(read("/Microsoft-Server-ActiveSync/"), Some((None, None, true)));
        assert_eq!(read("/é"), Some((None, None, false)));
        assert!(Redirect::of(&redirect(200, "/")).is_none());
    }
}
