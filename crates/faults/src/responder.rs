//! Who answered? The first decision about any answer, before its status means anything.
//!
//! INVARIANT: a header that is missing is evidence only where the hop that would add it is known to have answered.

use parallax_model::{Answer, Endpoint, Generation, Look, Place, Role, Scheme};

use crate::recognise;
use crate::seen::{Seen, Spot};

/// Whether this answer carries a mark of IIS or Exchange.
pub(crate) fn is_exchange_or_iis(answer: &Answer) -> bool {
    answer.headers.mentions("Server", "Microsoft-IIS")
        || answer.headers.mentions("Server", "Microsoft-HTTPAPI")
        || answer.headers.has("X-FEServer")
        || answer.headers.has("X-OWA-Version")
        || answer.headers.has("X-BEServer")
        || answer.headers.has("X-AspNet-Version")
        || answer.headers.mentions("X-Powered-By", "ASP.NET")
}

/// Whether this answer carries a mark that only Exchange makes, whatever IIS adds for anybody.
pub(crate) fn is_exchange_named(answer: &Answer) -> bool {
    const MARKS: [&str; 4] = ["X-FEServer", "X-BEServer", "X-CalculatedBETarget", "X-OWA-Version"];
    MARKS.iter().any(|it| answer.headers.has(it)) && other_product(answer).is_none()
}

/// The product, if the answer names an `ActiveSync` server that is not Exchange, as it stands there.
pub(crate) fn other_product(answer: &Answer) -> Option<String> {
    recognise::other(answer).map(|it| {
        let is_realm = matches!(it.mark, recognise::Mark::Realm(_));
        if is_realm { it.mark.to_string() } else { it.name.to_owned() }
    })
}

/// A publishing layer's mark on an answer, as it stands there.
pub(crate) fn publisher_mark(answer: &Answer) -> Option<String> {
    recognise::first_mark(answer, Place::ActiveSync)
}

/// The generation of Exchange behind an endpoint: declared for it, else for the target, else recognised from its answers.
pub(crate) fn generation(seen: &Seen<'_>, endpoint: &Endpoint) -> Option<Generation> {
    seen.generation(endpoint)
}

/// The same, worked out.
pub(crate) fn find_generation(seen: &Seen<'_>, endpoint: &Endpoint) -> Option<Generation> {
    if is_online_host(&endpoint.host) {
        return Some(Generation::Online);
    }
    let for_target = match endpoint.role {
        Role::External | Role::Cas => seen.evidence.target.generation,
        Role::Backend | Role::Control => None,
    };
    endpoint.generation.or(for_target).or_else(|| seen.recognised(endpoint))
}

/// Exchange Online's protocol front, in the worldwide and the other clouds, and `Outlook.com`'s.
const ONLINE_HOSTS: [&str; 7] = [
    "outlook.office365.com",
    "outlook.office.com",
    "outlook-cba.office365.com",
    "outlook.office365.us",
    "outlook-dod.office365.us",
    "partner.outlook.cn",
    "eas.outlook.com",
];

/// Hosts of Exchange Online's protocol front.
pub(crate) fn is_online_host(host: &str) -> bool {
    ONLINE_HOSTS.iter().any(|it| it.eq_ignore_ascii_case(host))
}

/// What the answers along one path say.
pub(crate) fn recognised(spot: &Spot<'_>) -> Option<Generation> {
    let answers = || {
        spot.exchanges(|look| look.place == parallax_model::Place::ActiveSync)
            .into_iter()
            .filter_map(|it| it.answer())
    };
    if answers().any(|it| other_product(it).is_some()) {
        return Some(Generation::Other);
    }
    let by_version = answers().filter(|it| is_exchange_or_iis(it)).find_map(|answer| {
        let version = answer.headers.first("MS-Server-ActiveSync")?;
        let (major, rest) = version.split_once('.')?;
        let is_of_a_later_front = answer.headers.has("X-FEServer");
        match (major, rest.split('.').next()?) {
            // What a front end of 2013 or later relays from an older server says nothing about itself.
            ("6" | "8" | "14", _) if is_of_a_later_front => None,
            ("6", _) => Some(Generation::Exchange2003),
            ("8", _) => Some(Generation::Exchange2007),
            ("14", _) => Some(Generation::Exchange2010),
            ("15", "0") => Some(Generation::Exchange2013),
            ("15", "1") => Some(Generation::Exchange2016),
            ("15", "2") => Some(Generation::Exchange2019),
            ("15", "20" | "21") => Some(Generation::Online),
            _ => None,
        }
    });
    // Windows Server 2003 runs Exchange 2003 and 2007; only a back end without TLS and without /Proxy is the former.
    by_version.or_else(|| {
        let is_iis6 = answers().any(|it| it.headers.mentions("Server", "Microsoft-IIS/6.0"));
        (is_iis6 && spot.endpoint.role == Role::Backend).then_some(Generation::Exchange2003)
    })
}

/// Whether Exchange itself is known to have asked the anonymous question on this path: `X-FEServer`
/// on that answer; a client access or back-end server dialled directly; up to 2010 leaf, realm and Type-2 computer
/// equal to those of the CAS dialled directly, and no publisher's mark.
pub(crate) fn is_exchange_itself(seen: &Seen<'_>, spot: &Spot<'_>) -> bool {
    let Some((_, answer)) = spot.answer(&Look::OPTIONS) else { return false };
    if answer.headers.has("X-FEServer") {
        return true;
    }
    match spot.endpoint.role {
        Role::Cas | Role::Backend => true,
        Role::Control => false,
        Role::External => {
            spot.endpoint.connect.is_some()
                || (publisher_mark(answer).is_none()
                    && seen.with_role(Role::Cas).any(|cas| is_same_server(spot, cas)))
        }
    }
}

/// Leaf, realm and Type-2 computer equal on both paths, each known on both.
fn is_same_server(outer: &Spot<'_>, cas: &Spot<'_>) -> bool {
    let leaf = |spot: &Spot<'_>| {
        spot.observations().iter().find_map(|(_, it)| {
            it.transport.tls().and_then(|tls| tls.chain.first()).map(|it| it.sha256)
        })
    };
    let realm = |spot: &Spot<'_>| {
        spot.answer(&Look::OPTIONS).and_then(|(_, it)| {
            it.challenges.iter().find(|it| it.scheme == Scheme::Basic)?.realm().map(str::to_owned)
        })
    };
    let computer = |spot: &Spot<'_>| {
        spot.exchanges(|look| look.credential == parallax_model::Credential::NtlmType1)
            .into_iter()
            .filter_map(|met| met.answer()?.type2.as_ref()?.netbios_computer.clone())
            .next_back()
    };
    same(leaf(outer), leaf(cas))
        && same(realm(outer), realm(cas))
        && same(computer(outer), computer(cas))
}

fn same<T: PartialEq>(left: Option<T>, right: Option<T>) -> bool {
    left.is_some() && left == right
}
