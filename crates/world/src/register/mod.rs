//! What may the product know of a world before it looks? The target, the given accounts, events, history, and the fleet.
//!
//! Everything becomes the messages and records that a real operator would have brought in. Absent on purpose: every other
//! part of a world; the diagnosis has to see it, or say that it cannot.
//!
//! INVARIANT: nothing here reads `hosts`, `directories`, the expectation, or anything of an account but what section 2 of
//! the format gives away.

mod accounts;
mod history;
mod names;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use parallax_model::{Vantage, VantageName};
use parallax_store::PastRecord;
use parallax_wire::{encode_time, pb};

pub use self::accounts::RegisteredAccount;
pub use self::names::Names;

use crate::format::{self, AgentState, EventKind, Family, Generation, Role, World, Zone};
use crate::network::Addresses;
use crate::simulation::Secrets;

/// Characters of a display name and of an event's text.
const DISPLAY_NAME_MAX: usize = 200;
const EVENT_TEXT_MAX: usize = 1000;
/// Events of one target; the newest are kept.
const EVENTS_MAX: usize = 200;
/// Addresses that an endpoint is published on.
const PUBLISHED_MAX: usize = 16;

/// An agent of the fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredVantage {
    pub vantage: Vantage,
    /// The vantage's name in the world.
    pub name: String,
    /// False: it is registered and never reports.
    pub reports: bool,
}

/// Everything that is brought in before a diagnosis.
#[derive(Clone, Debug, PartialEq)]
pub struct Registration {
    pub target_id: String,
    pub target: pb::Target,
    pub accounts: Vec<RegisteredAccount>,
    pub vantages: Vec<RegisteredVantage>,
    pub history: Vec<PastRecord>,
    pub names: Names,
    /// What the world says and the product has no place for, in words.
    pub left_out: Vec<String>,
}

/// Collects what the product has no place for.
#[derive(Debug, Default)]
struct LeftOut(Vec<String>);

impl LeftOut {
    fn say(&mut self, what: String) {
        self.0.push(what);
    }
}

/// What the operator of a world registers; `start` is when its time begins.
pub fn register(
    world: &World,
    addresses: &Addresses,
    secrets: &Secrets,
    start: SystemTime,
) -> Registration {
    let mut left_out = LeftOut::default();
    let mut names = Names {
        vantages: names::ids(world.vantages.iter().map(|it| it.name.as_str())),
        endpoints: names::ids(world.target.endpoints.iter().map(|it| it.name.as_str())),
        ..Names::default()
    };
    let accounts = accounts::accounts(world, secrets, &mut names, &mut left_out);
    let history = history::history(world, addresses, &names, start, &mut left_out);
    Registration {
        target_id: names::id(&world.id),
        target: target(world, addresses, &names, &accounts, start),
        vantages: vantages(world, &names),
        accounts,
        history,
        names,
        left_out: left_out.0,
    }
}

fn vantages(world: &World, names: &Names) -> Vec<RegisteredVantage> {
    let registered = world.vantages.iter().filter_map(|it| {
        let name = VantageName::new(names.vantages.get(&it.name)?.as_str()).ok()?;
        let vantage = Vantage { name, zone: zone(it.zone), site: it.site.clone() };
        Some(RegisteredVantage {
            vantage,
            name: it.name.clone(),
            reports: it.agent == AgentState::Up,
        })
    });
    registered.collect()
}

fn zone(zone: Zone) -> parallax_model::Zone {
    match zone {
        Zone::External => parallax_model::Zone::External,
        Zone::Dmz => parallax_model::Zone::Dmz,
        Zone::Internal => parallax_model::Zone::Internal,
        Zone::Backend => parallax_model::Zone::Backend,
    }
}

fn target(
    world: &World,
    addresses: &Addresses,
    names: &Names,
    accounts: &[RegisteredAccount],
    start: SystemTime,
) -> pb::Target {
    let target = &world.target;
    pb::Target {
        display_name: shortened(&target.name, DISPLAY_NAME_MAX),
        generation: declared_generation(target.generation).into(),
        endpoints: target.endpoints.iter().map(|it| endpoint(it, addresses, names)).collect(),
        accounts: accounts
            .iter()
            .map(|it| pb::TargetAccount {
                account: format!("accounts/{}", it.id),
                purpose: it.purpose.into(),
            })
            .collect(),
        events: events(world, start),
        ..pb::Target::default()
    }
}

fn endpoint(endpoint: &format::Endpoint, addresses: &Addresses, names: &Names) -> pb::Endpoint {
    let connect = endpoint.connect.as_deref().and_then(|it| addresses.of_host(it, Family::V4));
    let published: BTreeSet<String> = endpoint
        .published_on
        .iter()
        .flat_map(|host| [Family::V4, Family::V6].map(|family| addresses.of_host(host, family)))
        .flatten()
        .map(|it| it.to_string())
        .collect();
    let role = match endpoint.role {
        Role::External => pb::endpoint::Role::External,
        Role::Cas => pb::endpoint::Role::Cas,
        Role::Backend => pb::endpoint::Role::Backend,
        Role::Control => pb::endpoint::Role::Control,
    };
    let from = endpoint.from.iter().flatten().filter_map(|it| names.vantages.get(it).cloned());
    pb::Endpoint {
        name: names.endpoints.get(&endpoint.name).cloned().unwrap_or_default(),
        role: role.into(),
        url: plain_url(&endpoint.url),
        generation: declared_generation(endpoint.generation).into(),
        connect: connect.map(|it| it.to_string()).unwrap_or_default(),
        trust: None,
        from: from.collect(),
        published_on: published.into_iter().take(PUBLISHED_MAX).collect(),
        allow_plaintext_logon: endpoint.allow_plaintext_logon,
        logon_cost: 0,
    }
}

/// Without user, query and fragment, which an endpoint's URL has not.
fn plain_url(text: &str) -> String {
    let Ok(mut url) = url::Url::parse(text) else { return text.to_owned() };
    url.set_query(None);
    url.set_fragment(None);
    // A URL with a host takes both; the format has no other ones.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

fn declared_generation(generation: Option<Generation>) -> pb::Generation {
    match generation {
        None => pb::Generation::Unspecified,
        Some(Generation::E2003) => pb::Generation::Generation2003,
        Some(Generation::E2007) => pb::Generation::Generation2007,
        Some(Generation::E2010) => pb::Generation::Generation2010,
        Some(Generation::E2013) => pb::Generation::Generation2013,
        Some(Generation::E2016) => pb::Generation::Generation2016,
        Some(Generation::E2019) => pb::Generation::Generation2019,
        Some(Generation::Se) => pb::Generation::Se,
        Some(Generation::Online) => pb::Generation::Online,
        Some(Generation::Other) => pb::Generation::Other,
    }
}

fn events(world: &World, start: SystemTime) -> Vec<pb::Event> {
    let mut events: Vec<&format::Event> = world.events.iter().collect();
    events.sort_by(|a, b| b.at_s.total_cmp(&a.at_s));
    events.truncate(EVENTS_MAX);
    events.reverse();
    let kind = |it: EventKind| match it {
        EventKind::AdminChange => pb::event::Kind::AdminChange,
        EventKind::PasswordChange => pb::event::Kind::PasswordChange,
        EventKind::Restart => pb::event::Kind::Restart,
        EventKind::Update => pb::event::Kind::Update,
        EventKind::Cutover => pb::event::Kind::Cutover,
        EventKind::UserReport => pb::event::Kind::UserReport,
        EventKind::ServerLog => pb::event::Kind::ServerLog,
    };
    events
        .into_iter()
        .map(|it| pb::Event {
            event_time: Some(encode_time(before(start, it.at_s))),
            kind: kind(it.what).into(),
            text: shortened(&it.text, EVENT_TEXT_MAX),
        })
        .collect()
}

/// The time that lies `at_s` (negative) before the start.
fn before(start: SystemTime, at_s: f64) -> SystemTime {
    let age = Duration::try_from_secs_f64(-at_s).unwrap_or_default();
    start.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Printable, and at most this many characters.
fn shortened(text: &str, characters: usize) -> String {
    text.chars().map(|it| if it.is_control() { ' ' } else { it }).take(characters).collect()
}
