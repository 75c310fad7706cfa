//! Which machine does a connection end at?
//!
//! Reachability tables, interception, TCP pass-through and balancing. Absent on purpose: real
//! addresses (`network`); here machines have names.

use std::collections::{BTreeMap, BTreeSet};

use super::{Lost, Simulation};
use crate::format::{
    Balance, Ciphers, Family, Handshake, Reach, ReachDefault, Tls, Vantage, World,
};

/// How many machines may hand a connection on, so that two that point at each other end.
const PASSTHROUGH_HOPS_MAX: usize = 16;

/// A balancer: a host and one of its rules, or `None` for its TCP pass-through.
pub(super) type Wheel = (String, Option<usize>);

/// The machine that answers a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landed {
    pub host: String,
    /// How its port speaks TLS; `None` = plain HTTP.
    pub tls: Option<Tls>,
}

/// What dialling a machine from a vantage comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Landing {
    /// Something may answer; which machine is decided per connection, by [`Simulation::land`].
    At {
        dialled: String,
        reach: Reach,
    },
    Refused,
    /// No answer at all.
    Silent,
    /// The vantage has no address of this family.
    NoFamily,
}

/// What a vantage meets when it dials `host` at `port`.
pub fn dial(world: &World, vantage: &Vantage, host: &str, port: u16, family: Family) -> Landing {
    if !vantage.families.contains(&family) {
        return Landing::NoFamily;
    }
    let intercepted = vantage.intercept.as_ref().filter(|it| it.ports.contains(&port));
    let (dialled, reach) = match intercepted {
        Some(intercept) => (intercept.by.as_str(), Reach::Open),
        None => (host, reach(&vantage.reach, vantage.reach_default, host, port, family)),
    };
    match reach {
        Reach::Refused => Landing::Refused,
        Reach::Blackhole => Landing::Silent,
        Reach::Open | Reach::ResetAfterRequest(_) | Reach::TlsStall => {
            if answers(world, dialled, port, &mut BTreeSet::new()) {
                Landing::At { dialled: dialled.to_owned(), reach }
            } else {
                Landing::Refused
            }
        }
    }
}

/// Whether a connection to this port can end at a listener at all.
fn answers<'w>(world: &'w World, name: &'w str, port: u16, seen: &mut BTreeSet<&'w str>) -> bool {
    let Some(host) = world.host(name).filter(|_| seen.insert(name)) else { return false };
    match host.passthrough.as_ref().filter(|it| it.ports.contains(&port)) {
        Some(through) => through.to.iter().any(|it| answers(world, it, port, seen)),
        None => host.listeners.iter().any(|it| it.port == port),
    }
}

/// The most exact entry of a reachability table.
pub(super) fn reach(
    table: &BTreeMap<String, Reach>,
    default: ReachDefault,
    host: &str,
    port: u16,
    family: Family,
) -> Reach {
    let family = family.word();
    let keys = [
        format!("{host}:{port}/{family}"),
        format!("{host}/{family}"),
        format!("{host}:{port}"),
        host.to_owned(),
    ];
    keys.iter().find_map(|it| table.get(it)).cloned().unwrap_or(match default {
        ReachDefault::Open => Reach::Open,
        ReachDefault::Refused => Reach::Refused,
        ReachDefault::Blackhole => Reach::Blackhole,
    })
}

/// The TLS handshake of a forwarding host, which speaks every version and has a certificate.
pub(super) fn handshake(tls: Option<&Tls>) -> Result<(), Lost> {
    let Some(tls) = tls else { return Err(Lost::TlsNotTls) };
    match tls.handshake {
        Handshake::Ok | Handshake::ResetModern if tls.ciphers == Ciphers::NoneCommon => {
            Err(Lost::TlsAlert40)
        }
        Handshake::Ok | Handshake::ResetModern if tls.min_version > tls.max_version => {
            Err(Lost::TlsAlert70)
        }
        // The box in front of an old server speaks as that server does.
        Handshake::Ok | Handshake::ResetModern => Ok(()),
        Handshake::Reset => Err(Lost::TlsReset),
        Handshake::Stall => Err(Lost::TlsTimeout),
        Handshake::Alert40 => Err(Lost::TlsAlert40),
    }
}

impl Simulation {
    /// Follows TCP pass-through from `name` to the machine that answers; `None` = refused there.
    /// Every call is one connection: it moves the balancers on the way.
    pub fn land(&mut self, name: &str, port: u16, origin: &str) -> Option<Landed> {
        let world = std::sync::Arc::clone(&self.world);
        let mut name = name.to_owned();
        for _ in 0..PASSTHROUGH_HOPS_MAX {
            let host = world.host(&name)?;
            let through = host.passthrough.as_ref().filter(|it| it.ports.contains(&port));
            if let Some(through) = through {
                name = self.pick((&host.name, None), &through.to, through.balance, origin);
            } else {
                let listener = host.listeners.iter().find(|it| it.port == port)?;
                return Some(Landed { host: host.name.clone(), tls: listener.tls.clone() });
            }
        }
        None
    }

    /// One of several machines. An empty list, which no checked world has, gives an empty name.
    pub(super) fn pick(
        &mut self,
        (host, rule): (&str, Option<usize>),
        to: &[String],
        balance: Balance,
        origin: &str,
    ) -> String {
        let turn = match balance {
            Balance::First => 0,
            Balance::RoundRobin => {
                let turn = self.turns.entry((host.to_owned(), rule)).or_insert(0);
                *turn += 1;
                *turn - 1
            }
            Balance::ByOrigin => {
                let mut names: Vec<&str> =
                    self.world.vantages.iter().map(|it| it.name.as_str()).collect();
                names.sort_unstable();
                names.iter().position(|it| *it == origin).unwrap_or(0)
            }
        };
        to.get(turn.checked_rem(to.len()).unwrap_or(0)).cloned().unwrap_or_default()
    }
}
