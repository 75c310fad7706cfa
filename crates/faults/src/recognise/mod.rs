//! Which boxes stand along each path, and by which marks we know: a proxy in the vantage's own network, publishing layers, servers.
//!
//! Absent on purpose: any conclusion from what is missing, and any use of it as a premise: a cause reads the marks it needs itself.
//!
//! INVARIANT: every entry says how we know; one entry per path, kind and product, sorted.
//! INVARIANT: one pass over the answers of a path, whatever the number of paths.

mod egress;
mod publisher;
mod server;

use std::collections::BTreeMap;
use std::ops::Range;

use parallax_model::{EvidenceRef, Kind, Recognised, Role};

pub(crate) use publisher::{Mark, Product, first_mark, holds, is_marked, marks};
pub(crate) use server::other;

use crate::seen::{Met, Seen, Spot};

/// More marks of one box say nothing new.
const MARKS_MAX: usize = 3;

/// How one box is known.
#[derive(Clone)]
enum Marked<'a, 'e> {
    Seen(&'a Met<'e>, Mark<'e>),
    /// The version in an NTLM Type-2.
    Type2(&'a Met<'e>, (u8, u8, u16)),
    Declared(String),
    Ready(EvidenceRef),
}

impl Marked<'_, '_> {
    fn reference(&self) -> EvidenceRef {
        match self {
            Self::Seen(met, mark) => EvidenceRef { value: mark.to_string(), ..met.place() },
            Self::Type2(met, (major, minor, build)) => EvidenceRef {
                value: format!("NTLM Type-2: Windows {major}.{minor}.{build}"),
                ..met.place()
            },
            Self::Declared(said) => Seen::declared(said.as_str()),
            Self::Ready(reference) => reference.clone(),
        }
    }

    /// The same mark, wherever along the path it was seen.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Seen(_, a), Self::Seen(_, b)) => a == b,
            (Self::Type2(_, a), Self::Type2(_, b)) => a == b,
            (Self::Declared(a), Self::Declared(b)) => a == b,
            (Self::Ready(a), Self::Ready(b)) => a.value == b.value,
            _ => false,
        }
    }
}

fn add<'a, 'e>(list: &mut Vec<Marked<'a, 'e>>, by: Marked<'a, 'e>) {
    if list.len() < MARKS_MAX && !list.iter().any(|it| it.is_same(&by)) {
        list.push(by);
    }
}

/// One box along a path.
struct Device<'a, 'e> {
    what: String,
    by: Vec<Marked<'a, 'e>>,
}

impl<'a, 'e> Device<'a, 'e> {
    fn add(&mut self, by: Marked<'a, 'e>) {
        add(&mut self.by, by);
    }

    fn told(self, spot: &Spot<'_>, kind: Kind) -> Recognised {
        Recognised {
            path: spot.path.clone(),
            kind,
            what: self.what,
            by: self.by.iter().map(Marked::reference).collect(),
        }
    }
}

/// Everything that gives itself away, sorted by path, kind and product.
pub(crate) fn recognised(seen: &Seen<'_>) -> Vec<Recognised> {
    let own = egress::Own::of(seen);
    let mut found = Vec::new();
    let every = seen.every();
    for spot in every.iter().copied().chain(&seen.set_aside) {
        found.extend(own.along(spot).into_iter().map(|it| it.told(spot, Kind::Egress)));
    }
    // By face, where the boxes of its first path stand.
    let mut known: BTreeMap<usize, Range<usize>> = BTreeMap::new();
    for spot in every.into_iter().filter(|it| it.endpoint.role != Role::Control) {
        let face = spot.face.filter(|_| own.is_nowhere());
        if let Some(same) = face.and_then(|it| found.get(known.get(&it)?.clone())) {
            let same: Vec<Recognised> = same.iter().map(|it| along(it, spot)).collect();
            found.extend(same);
            continue;
        }
        let begin = found.len();
        let servers = server::along(seen, spot);
        let is_other = spot.met().iter().filter_map(Met::answer).any(|it| other(it).is_some());
        found.extend(
            publishers(spot, &own, is_other).into_iter().map(|it| it.told(spot, Kind::Publisher)),
        );
        found.extend(servers.into_iter().map(|it| it.told(spot, Kind::Server)));
        known.extend(face.map(|it| (it, begin..found.len())));
    }
    found.sort_by(|a, b| (&a.path, a.kind, &a.what).cmp(&(&b.path, b.kind, &b.what)));
    found
}

/// The same box along a path that shows the same.
fn along(known: &Recognised, spot: &Spot<'_>) -> Recognised {
    let by = known
        .by
        .iter()
        .map(|it| EvidenceRef { path: it.path.as_ref().map(|_| spot.path.clone()), ..it.clone() });
    Recognised { path: spot.path.clone(), by: by.collect(), ..known.clone() }
}

fn publishers<'a, 'e>(
    spot: &'a Spot<'e>,
    own: &egress::Own<'_>,
    is_other: bool,
) -> Vec<Device<'a, 'e>> {
    let mut found: Vec<(Product, Device<'a, 'e>)> = Vec::new();
    let mut via: Option<Device<'a, 'e>> = None;
    for met in spot.met() {
        let Some(answer) = met.answer() else { continue };
        marks(answer, met.exchange.look.place, |product, mark| {
            let by = Marked::Seen(met, mark);
            match (product, mark) {
                (Product::OnlineEdge, _) => {}
                (Product::Unnamed, Mark::Named(_, value)) => {
                    if !own.is_own_via(&spot.vantage.name, value) {
                        match &mut via {
                            Some(known) => known.add(by),
                            None => {
                                via = Some(Device { what: via_name(value), by: vec![by] });
                            }
                        }
                    }
                }
                _ if is_other && server::is_its_web_server(product) => {}
                _ => match found.iter_mut().find(|(it, _)| *it == product) {
                    Some((_, known)) => known.add(by),
                    None => {
                        found.push((
                            product,
                            Device { what: product.name().to_owned(), by: vec![by] },
                        ));
                    }
                },
            }
        });
    }
    let mut boxes: Vec<Device<'a, 'e>> = found.into_iter().map(|(_, it)| it).collect();
    // A product that is known by more writes `Via` as well.
    match (via, boxes.first_mut()) {
        (Some(via), Some(known)) => via.by.into_iter().for_each(|it| known.add(it)),
        (Some(via), None) => boxes.push(via),
        (None, _) => {}
    }
    boxes
}

/// `1.1 ISA1` is a proxy that calls itself ISA1.
fn via_name(value: &str) -> String {
    let name = value.split(',').next_back().unwrap_or_default().trim();
    let name = name.split_once(' ').map_or(name, |(_, name)| name);
    format!("{} {}", Product::Unnamed.name(), crate::words::shortened(name))
}
