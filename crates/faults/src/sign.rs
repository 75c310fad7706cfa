//! What a path shows of a fault at first sight, before anything is compared.
//!
//! A target may have thousands of paths, and most deny most faults. A [`Sign`] points to what was seen without writing it down;
//! [`along`] writes down only what somebody will read.
//!
//! INVARIANT: dropping a denial never changes a standing: a fault is ruled out where every case denies it, and one denial tells why.

use std::collections::BTreeSet;

use parallax_model::{Answer, EvidenceRef, Look, Need, Observation};

use crate::claim::Claim;
use crate::claims;
use crate::fault::Case;
use crate::judge::EVIDENCE_MAX;
use crate::seen::{Met, Spot};
use crate::words;

/// Something that was seen along a path.
#[derive(Clone, Copy)]
pub(crate) enum Fact<'e> {
    Exchange(Met<'e>),
    /// What the name led to.
    Dns,
    Tcp(u32, &'e Observation),
    Tls(u32, &'e Observation),
}

impl Fact<'_> {
    pub(crate) fn reference(&self, spot: &Spot<'_>) -> EvidenceRef {
        match self {
            Self::Exchange(met) => met.reference(),
            Self::Dns => {
                let (round, value) = spot
                    .dns()
                    .map_or((0, String::new()), |(round, outcome)| (round, words::dns(outcome)));
                spot.reference(round, None, value)
            }
            Self::Tcp(round, it) => {
                spot.reference(*round, Some(it.address.ip()), words::tcp(&it.tcp))
            }
            Self::Tls(round, it) => {
                spot.reference(*round, Some(it.address.ip()), words::transport(&it.transport))
            }
        }
    }
}

/// Whether a path shows what a fault looks like.
pub(crate) enum Sign<'e> {
    Shown(Fact<'e>),
    Denied(Fact<'e>),
    /// Not known; these would tell, if any.
    Unknown(Vec<Need>),
}

impl Sign<'_> {
    pub(crate) fn claim(&self, spot: &Spot<'_>) -> Claim {
        match self {
            Self::Shown(fact) => Claim::holds(fact.reference(spot)),
            Self::Denied(fact) => Claim::fails(fact.reference(spot)),
            Self::Unknown(needs) => Claim::Unknown { seen: Vec::new(), needs: needs.clone() },
        }
    }
}

impl<'e> Spot<'e> {
    /// Whether the latest answer to this look, at some address, is such a one.
    pub(crate) fn sign(&self, look: &Look, is_such: impl Fn(&Answer) -> bool) -> Sign<'e> {
        let mut denied = None;
        for met in self.latest(look) {
            match met.answer() {
                Some(answer) if is_such(answer) => return Sign::Shown(Fact::Exchange(*met)),
                Some(_) => denied = denied.or(Some(*met)),
                None => {}
            }
        }
        match denied {
            Some(met) => Sign::Denied(Fact::Exchange(met)),
            None => Sign::Unknown(claims::needed_look(self, look)),
        }
    }

    /// Whether the latest observation of some address is such a one, as far as TLS goes.
    pub(crate) fn tls_sign(&self, is_such: impl Fn(&Observation) -> bool) -> Sign<'e> {
        self.observation_sign(Fact::Tls, is_such)
    }

    /// Whether the latest observation of some address is such a one, as far as TCP goes.
    pub(crate) fn tcp_sign(&self, is_such: impl Fn(&Observation) -> bool) -> Sign<'e> {
        self.observation_sign(Fact::Tcp, is_such)
    }

    fn observation_sign(
        &self,
        fact: fn(u32, &'e Observation) -> Fact<'e>,
        is_such: impl Fn(&Observation) -> bool,
    ) -> Sign<'e> {
        let observations = self.observations();
        let found = observations.iter().find(|(_, it)| is_such(it));
        match (found, observations.first()) {
            (Some((round, it)), _) => Sign::Shown(fact(*round, it)),
            (None, Some((round, it))) => Sign::Denied(fact(*round, it)),
            (None, None) if self.dns().is_some() => Sign::Denied(Fact::Dns),
            (None, None) => Sign::Unknown(Vec::new()),
        }
    }
}

/// One case per path that shows a fault or may; of those that deny it, as many as anybody reads. `sign` may look at other paths, and
/// must say the same of two paths that show the same (see `face`).
pub(crate) fn along<'a, 'e: 'a>(
    spots: impl IntoIterator<Item = &'a Spot<'e>>,
    sign: impl Fn(&'a Spot<'e>) -> Sign<'e>,
    case: impl Fn(&'a Spot<'e>, Claim) -> Case,
) -> Vec<Case> {
    let (mut cases, mut denials, mut blank) = (Vec::new(), 0, 0);
    let mut denying = BTreeSet::new();
    for spot in spots {
        if denials > EVIDENCE_MAX && spot.face.is_some_and(|it| denying.contains(&it)) {
            continue;
        }
        let sign = sign(spot);
        let left_out = match &sign {
            Sign::Shown(_) => false,
            Sign::Denied(_) => {
                denying.extend(spot.face);
                denials += 1;
                denials > EVIDENCE_MAX
            }
            Sign::Unknown(_) if spot.is_seen() => false,
            Sign::Unknown(_) => {
                blank += 1;
                blank > EVIDENCE_MAX
            }
        };
        if left_out {
            continue;
        }
        match sign {
            Sign::Denied(_) => cases.push(Case::new(spot, sign.claim(spot), &[])),
            Sign::Shown(_) | Sign::Unknown(_) => cases.push(case(spot, sign.claim(spot))),
        }
    }
    cases
}
