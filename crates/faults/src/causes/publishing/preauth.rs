//! What the causes of pre-authentication share: whether an answer is a logon page, and whose.
//!
//! Absent on purpose: where a logon page is right. A phone that speaks `ActiveSync` can use none.
//!
//! INVARIANT: an answer has one gate at most, so that of these causes one explains it. A cookie names the box that answered; an
//! address in `Location` may only name whom it asks for identities, so it counts where no cookie speaks.

use std::collections::BTreeMap;

use parallax_model::{
    Answer, EndpointName, FaultId, Look, Need, Place, Role, Scheme, Standing, TextPlace,
};

use super::fronts::{Inside, Redirect, is_marked_by_exchange, published, says};
use crate::claim::{Claim, all};
use crate::claims::{is_meant_address, other_side, unanswered};
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::recognise::{self, Product, holds};
use crate::seen::{Met, Seen, Spot};
use crate::sign::{self, Sign};
use crate::texts::Pages;
use crate::words;

/// Whose logon page it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    F5Apm,
    Citrix,
    WebApplicationProxy,
    EntraProxy,
    /// Forms of ISA Server or TMG: whom they are shown depends on the client's `User-Agent`.
    IsaOrTmg,
    /// Somebody's: no product of its own in the catalogue, or no mark.
    Unnamed,
}

/// Parts of a `Location`, in lower case, that lead to somebody's logon page rather than to a portal.
const LOGON_PAGES: [&str; 22] = [
    "/owa/auth/",
    "cookieauth.dll",
    "/adfs/ls",
    "/adfs/oauth2/",
    "login.microsoftonline.com",
    "login.windows.net",
    "/my.policy",
    "/my.logout.php3",
    "/vpn/",
    "/cgi/",
    "/logon",
    "/login",
    "/signin",
    "/internalsite/",
    "reason=",
    "samlrequest=",
    "wa=wsignin",
    "/oauth2/authorize",
    "/saml2",
    "/remote/login",
    "/dana-na/",
    "cloudflareaccess.com",
];

/// Parts of a `Location` that lead to the logon page of a Citrix gateway or AAA server.
const CITRIX_PAGES: [&str; 4] = ["/vpn/", "/cgi/", "/logon/logonpoint", "/nf/auth"];

/// Whether an address is that of a logon page.
pub(super) fn is_logon_address(location: &str) -> bool {
    LOGON_PAGES.iter().any(|it| holds(location, it))
}

/// The gate that an answer to `ActiveSync` comes from; `None`: it is no logon page, or Exchange's own.
pub(super) fn gate(answer: &Answer) -> Option<Gate> {
    if is_marked_by_exchange(answer) {
        return None;
    }
    match answer.status {
        301..=303 | 307 | 308 => redirecting_gate(answer),
        200 | 440 => is_form(answer).then(|| named(answer).unwrap_or(Gate::Unnamed)),
        403 if answer.headers.has("X-Forms_Based_Auth_Required") => Some(Gate::WebApplicationProxy),
        401 => is_federated_challenge(answer).then_some(Gate::WebApplicationProxy),
        _ => None,
    }
}

fn redirecting_gate(answer: &Answer) -> Option<Gate> {
    let redirect = Redirect::of(answer)?;
    let location = answer.headers.first("Location")?;
    let by_cookie = named(answer);
    // APM opens a session on its first redirect, wherever that leads.
    if by_cookie == Some(Gate::F5Apm) {
        return by_cookie;
    }
    if redirect.is_active_sync() && redirect.host.is_none() || !is_logon_address(location) {
        return None;
    }
    Some(by_cookie.unwrap_or_else(|| by_address(location)))
}

/// The one product that left a mark of its own; several contradict each other.
fn named(answer: &Answer) -> Option<Gate> {
    let mut named = None;
    let mut is_contradicted = false;
    recognise::marks(answer, Place::ActiveSync, |product, _| {
        let gate = match product {
            Product::F5Apm => Gate::F5Apm,
            Product::WebApplicationProxy => Gate::WebApplicationProxy,
            Product::EntraProxy => Gate::EntraProxy,
            Product::IsaOrTmg => Gate::IsaOrTmg,
            Product::Citrix if is_citrix_page(answer) => Gate::Citrix,
            Product::Uag
            | Product::F5Ltm
            | Product::F5Asm
            | Product::Citrix
            | Product::KernelPublisher
            | Product::RequestRouting
            | Product::ApplicationGateway
            | Product::Kemp
            | Product::Cloudflare
            | Product::Akamai
            | Product::Nginx
            | Product::Apache
            | Product::Haproxy
            | Product::Sentry
            | Product::SecureEmailGateway
            | Product::OnlineEdge
            | Product::Unnamed => return,
        };
        is_contradicted |= named.is_some_and(|it| it != gate);
        named = Some(gate);
    });
    if is_contradicted { Some(Gate::Unnamed) } else { named }
}

fn is_citrix_page(answer: &Answer) -> bool {
    let location = answer.headers.first("Location").unwrap_or_default();
    answer.status == 200 || CITRIX_PAGES.iter().any(|it| holds(location, it))
}

/// Without a mark on the answer itself. A request in SAML says that somebody else asks.
fn by_address(location: &str) -> Gate {
    let is_another = holds(location, "samlrequest=");
    if !is_another && holds(location, "/adfs/ls") {
        Gate::WebApplicationProxy
    } else if !is_another && holds(location, "login.microsoftonline.com") {
        Gate::EntraProxy
    } else {
        Gate::Unnamed
    }
}

/// 401 that offers nothing but a token of AD FS: Web Application Proxy for a client that it takes for a modern one.
fn is_federated_challenge(answer: &Answer) -> bool {
    let is_of_federation = |uri: &str| holds(uri, "/adfs/");
    !answer.challenges.iter().any(|it| it.scheme == Scheme::Basic)
        && answer.challenges.iter().any(|it| {
            it.scheme == Scheme::Bearer
                && it.parameter("authorization_uri").is_some_and(is_of_federation)
        })
}

/// A page that asks for a password; 440 is the word of Outlook Web Access and of ISA Server for a form whose time ran out.
fn is_form(answer: &Answer) -> bool {
    const FIELDS: [&str; 4] =
        ["type=\"password\"", "type=password", "type='password'", "cookieauth.dll"];
    answer.status == 440
        || (answer.headers.mentions("Content-Type", "text/html")
            && FIELDS.iter().any(|it| says(answer, it)))
}

/// Whether the anonymous question along a path is answered by this gate.
pub(super) fn sign<'e>(spot: &Spot<'e>, gate_is: impl Fn(Gate) -> bool) -> Sign<'e> {
    spot.sign(&Look::OPTIONS, |answer| gate(answer).is_some_and(&gate_is))
}

/// Exchange itself, asked from behind, answers as it should. The same gate at a client access server says that the server itself
/// answers so, unless the gate has a name.
pub(super) fn is_sound_behind(inside: &Inside<'_, '_>, spot: &Spot<'_>, is_named: bool) -> Claim {
    let same = inside.nodes.iter().find(|it| gate(it.answer).is_some());
    // One server of several may send everybody to its page, and outside may lead to that one.
    if let (Some(same), false) = (same, is_named) {
        let is_alone = inside.nodes.iter().all(|it| it.answer.status != 401);
        return if is_alone { Claim::fails(same.met.reference()) } else { Claim::undecidable() };
    }
    if let Some(sound) = inside.sound(spot) {
        return Claim::holds(sound.met.reference());
    }
    let is_asked = |status| status == 401;
    if let Some(asked) = inside.nodes.iter().find(|it| is_asked(it.answer.status)) {
        return Claim::holds(asked.met.reference());
    }
    Claim::unknown(other_side(spot))
}

/// `GET` is not asked for a password in Basic where `OPTIONS` is sent to a logon page: that would be about the verb.
pub(super) fn get_is_guarded(spot: &Spot<'_>) -> Claim {
    match spot.answer(&Look::GET) {
        Some((met, answer))
            if answer.status == 401
                && answer.challenges.iter().any(|it| it.scheme == Scheme::Basic) =>
        {
            Claim::fails(met.reference())
        }
        Some((met, _)) => Claim::holds(met.reference()),
        None => unanswered(spot, &Look::GET),
    }
}

/// What a user name that cannot exist was told, by endpoint: it is asked once per endpoint, so what one vantage was told counts for
/// all of them.
pub(super) type Told<'e> = BTreeMap<&'e EndpointName, (Met<'e>, &'e Answer)>;

pub(super) fn told<'e>(seen: &Seen<'e>) -> Told<'e> {
    let mut told = Told::new();
    for spot in seen.with_role(Role::External) {
        if let Some(found) = spot.answer(&Look::IMPOSSIBLE_USER) {
            told.entry(&spot.endpoint.name).or_insert(found);
        }
    }
    told
}

/// A user name that cannot exist is answered in such a way.
pub(super) fn nobody_is(
    told: &Told<'_>,
    spot: &Spot<'_>,
    is_such: impl Fn(&Answer) -> bool,
) -> Claim {
    match told.get(&spot.endpoint.name) {
        Some((met, answer)) if is_such(answer) => Claim::holds(met.reference()),
        Some((met, _)) => Claim::fails(met.reference()),
        None => Claim::unknown(Need::Look { path: spot.path.clone(), look: Look::IMPOSSIBLE_USER }),
    }
}

/// A gateway for managed devices gives itself away on some answer along the path.
pub(super) fn is_behind_mobile_gateway(spot: &Spot<'_>) -> bool {
    spot.met().iter().any(|met| {
        met.exchange.look.place == Place::ActiveSync
            && met.answer().is_some_and(|it| {
                recognise::is_marked(it, Place::ActiveSync, Product::is_mobile_gateway)
            })
    })
}

/// ISA Server or TMG left a mark on some answer along the path; without one somebody has to look.
pub(super) fn is_isa(spot: &Spot<'_>, what: &'static str) -> Claim {
    let is_isa = |met: &&Met<'_>| {
        met.answer().is_some_and(|it| {
            recognise::is_marked(it, met.exchange.look.place, |it| it == Product::IsaOrTmg)
        })
    };
    match spot.met().iter().find(is_isa) {
        Some(met) => Claim::holds(met.reference()),
        None => Claim::unknown(Need::OnTheServer { what }),
    }
}

/// The cases of a logon page in front of `ActiveSync`: the page along the path, with a credential as well, and a sound Exchange
/// behind it.
pub(super) fn cases(
    seen: &Seen<'_>,
    gate_is: fn(Gate) -> bool,
    is_named: bool,
    at_most: fn(&Answer) -> Standing,
) -> Vec<Case> {
    let (inside, told) = (Inside::of(seen), told(seen));
    let spots: Vec<&Spot<'_>> = published(seen).collect();
    sign::along(
        spots,
        |spot| sign(spot, gate_is),
        |spot, shown| {
            let said = spot.answer(&Look::OPTIONS).map(|(_, it)| it);
            let behind = is_sound_behind(&inside, spot, is_named);
            let at_no_server = match &behind {
                Claim::Fails(_) => behind.clone(),
                Claim::Holds(_) | Claim::Unknown { .. } if is_named => Claim::given(),
                Claim::Holds(_) | Claim::Unknown { .. } => inside.no_server_says_the_same(spot),
            };
            Case::new(
                spot,
                all([shown, get_is_guarded(spot), is_meant_address(spot), at_no_server]),
                &[Stage::Anonymous, Stage::Logon],
            )
            .firmer(all([behind, nobody_is(&told, spot, |it| gate(it).is_some())]))
            .at_most(said.map_or(Standing::Likely, at_most))
            .with(TextPlace::Seen, said.map(words::answer).unwrap_or_default())
            .with(TextPlace::Expected, "401 Basic")
        },
    )
}

/// What the faults of this kind have in common.
pub(super) const fn fault(
    id: &'static str,
    basis: Basis,
    pages: Pages,
    cases: fn(&Seen<'_>) -> Vec<Case>,
) -> Fault {
    Fault {
        id: FaultId(id),
        layer: Layer::Publishing,
        owner: Owner::Publishing,
        era: Era::Any,
        basis,
        reach: Reach::Options,
        severity: Severity::Failure,
        pages,
        cases,
    }
}
