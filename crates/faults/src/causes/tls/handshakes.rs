//! What the causes of this layer share: handshakes that were finished, which chains other paths were shown, and whether
//! a server asked for a certificate of the client's.
//!
//! Absent on purpose: verdicts. Each cause says itself what it makes of this.
//!
//! INVARIANT: the limit of our own library is no handshake at all here, neither a good nor a bad one.

use std::collections::BTreeMap;
use std::net::IpAddr;

use parallax_model::{
    Answer, ChainJudgement, EvidenceRef, Look, Need, Observation, Outcome, Role, TlsFacts,
    TlsFailure, Transport,
};

use crate::seen::{Met, Seen, Spot};
use crate::sign::Fact;
use crate::words;

/// What would settle a fault of client certificates: nobody here holds one.
pub(super) const CERTIFICATE_NEEDED: Need =
    Need::Declared { what: "a client certificate for an account, to be shown to the server" };

/// One finished handshake.
#[derive(Clone, Copy)]
pub(super) struct Session<'a, 'e> {
    pub(super) spot: &'a Spot<'e>,
    round: u32,
    pub(super) address: IpAddr,
    pub(super) tls: &'e TlsFacts,
}

impl Session<'_, '_> {
    pub(super) fn reference(&self, value: impl Into<String>) -> EvidenceRef {
        self.spot.reference(self.round, Some(self.address), value)
    }

    /// The leaf as shown: who it is for and who made it.
    pub(super) fn leaf_reference(&self) -> EvidenceRef {
        let issuer = self.tls.chain.first().map(|it| words::shortened(&it.issuer));
        let judged = words::chain_judgement(self.tls.trust.public);
        self.reference(format!(
            "certificate issued by {}, public roots: {judged}",
            issuer.unwrap_or_default()
        ))
    }
}

/// The finished handshakes of a path, the latest one at each address, with whichever stack they came about.
pub(super) fn sessions<'a, 'e>(
    spot: &'a Spot<'e>,
) -> impl Iterator<Item = Session<'a, 'e>> + use<'a, 'e> {
    spot.observations().iter().filter_map(move |(round, it)| {
        Some(Session { spot, round: *round, address: it.address.ip(), tls: it.transport.tls()? })
    })
}

/// Whether a path to a public root leads from the leaf, with what was sent.
pub(super) fn is_public(tls: &TlsFacts) -> bool {
    tls.trust.public == ChainJudgement::Trusted
}

fn leaf(tls: &TlsFacts) -> Option<[u8; 32]> {
    tls.chain.first().map(|it| it.sha256)
}

/// Where something was shown first, and where else: a place never speaks for itself.
type Places<'a, 'e> = Vec<Session<'a, 'e>>;

/// Enough of one kind for any vantage to find one that is not its own.
const ENOUGH: usize = 2;

/// Which chains the fronts showed to whom. Each path asks for it, so it is gathered once.
pub(super) struct Chains<'a, 'e> {
    /// By subject: certificates between the leaf and the root of a chain that ends at a public root.
    intermediates: BTreeMap<&'e str, Session<'a, 'e>>,
    /// By leaf: chains that some agent's own store accepts as they were sent.
    in_a_store: BTreeMap<[u8; 32], Session<'a, 'e>>,
    /// By leaf: every place but the first two left out.
    by_leaf: BTreeMap<[u8; 32], Places<'a, 'e>>,
    /// By address of a published name: public chains, of two places.
    public_at: BTreeMap<IpAddr, Places<'a, 'e>>,
    /// Public chains at any front, of two places.
    public: Places<'a, 'e>,
}

impl<'a, 'e> Chains<'a, 'e> {
    pub(super) fn of(seen: &'a Seen<'e>) -> Self {
        let mut chains = Self {
            intermediates: BTreeMap::new(),
            in_a_store: BTreeMap::new(),
            by_leaf: BTreeMap::new(),
            public_at: BTreeMap::new(),
            public: Vec::new(),
        };
        for session in seen.fronts().flat_map(sessions) {
            chains.take(session);
        }
        chains
    }

    fn take(&mut self, session: Session<'a, 'e>) {
        let Some(leaf) = leaf(session.tls) else { return };
        keep(self.by_leaf.entry(leaf).or_default(), session);
        if session.tls.trust.store == ChainJudgement::Trusted {
            self.in_a_store.entry(leaf).or_insert(session);
        }
        if !is_public(session.tls) {
            return;
        }
        for link in session.tls.chain.iter().skip(1) {
            self.intermediates.entry(&link.subject).or_insert(session);
        }
        keep(&mut self.public, session);
        if session.spot.endpoint.role == Role::External {
            keep(self.public_at.entry(session.address).or_default(), session);
        }
    }

    /// A complete public chain in which this leaf's issuer stands between leaf and root.
    pub(super) fn public_issuer_of(&self, tls: &TlsFacts) -> Option<Session<'a, 'e>> {
        self.intermediates.get(tls.chain.first()?.issuer.as_str()).copied()
    }

    /// An agent whose own store accepts this leaf with what was sent: its issuer is a root there.
    pub(super) fn stored(&self, tls: &TlsFacts) -> Option<Session<'a, 'e>> {
        self.in_a_store.get(&leaf(tls)?).copied()
    }

    /// Another vantage that was shown this very leaf.
    pub(super) fn same_leaf(&self, here: &Session<'_, '_>) -> Option<Session<'a, 'e>> {
        another(self.by_leaf.get(&leaf(here.tls)?)?, here)
    }

    /// Another vantage that was shown a public chain at the same address of the published name.
    pub(super) fn public_at_same_address(&self, here: &Session<'_, '_>) -> Option<Session<'a, 'e>> {
        another(self.public_at.get(&here.address)?, here)
    }

    /// Another vantage that was shown a public chain at any front.
    pub(super) fn public_elsewhere(&self, here: &Session<'_, '_>) -> Option<Session<'a, 'e>> {
        another(&self.public, here)
    }

    /// On the way of this vantage alone something shows a leaf of its own: at the same address another one is shown a public
    /// chain, and no other vantage ever met this leaf (else it is that of a server of a pool).
    pub(super) fn only_here(&self, here: &Session<'_, '_>) -> Option<Session<'a, 'e>> {
        if self.same_leaf(here).is_some() {
            return None;
        }
        self.public_at_same_address(here)
    }
}

/// Two agents of one place may stand behind the same device, and are one view.
fn is_same_place(left: &Spot<'_>, right: &Spot<'_>) -> bool {
    let (left, right) = (left.vantage, right.vantage);
    left.name == right.name
        || (left.zone == right.zone && left.site == right.site && !left.site.is_empty())
}

/// Keeps the first of each place, up to enough of them.
fn keep<'a, 'e>(places: &mut Places<'a, 'e>, session: Session<'a, 'e>) {
    let is_new = places.iter().all(|it| !is_same_place(it.spot, session.spot));
    if is_new && places.len() < ENOUGH {
        places.push(session);
    }
}

fn another<'a, 'e>(places: &Places<'a, 'e>, here: &Session<'_, '_>) -> Option<Session<'a, 'e>> {
    places.iter().find(|it| !is_same_place(it.spot, here.spot)).copied()
}

/// How the handshake ended, where it ended badly with every stack that was tried.
pub(super) fn failure(transport: &Transport) -> Option<&TlsFailure> {
    transport.handshake().and_then(Outcome::failed)
}

/// Whether the server ended the handshake because no client certificate came.
pub(super) fn is_refused_without_certificate(observation: &Observation) -> bool {
    failure(&observation.transport) == Some(&TlsFailure::ClientCertificateRequired)
        || observation.transport.modern_failure() == Some(&TlsFailure::ClientCertificateRequired)
}

/// Whether a certificate was asked for in the handshake that this exchange went over, or after its request.
pub(in crate::causes) fn is_asked(met: &Met<'_>) -> bool {
    met.exchange.asked_for_certificate || is_asked_in_handshake(met.observation)
}

fn is_asked_in_handshake(observation: &Observation) -> bool {
    observation.transport.tls().is_some_and(|it| it.client_certificate_requested)
}

/// What shows that a certificate is asked for along this path.
pub(super) fn request<'e>(spot: &Spot<'e>) -> Option<Fact<'e>> {
    let in_handshake = spot
        .observations()
        .iter()
        .find(|(_, it)| is_asked_in_handshake(it) || is_refused_without_certificate(it));
    if let Some((round, observation)) = in_handshake {
        return Some(Fact::Tls(*round, observation));
    }
    let asked = [Look::OPTIONS, Look::GET];
    let mut met = asked.iter().flat_map(|look| spot.latest(look));
    met.find(|it| it.exchange.asked_for_certificate).map(|it| Fact::Exchange(*it))
}

/// Whether a page of IIS names this sub-status of 403. Only IIS 6, and later versions to local clients, do so.
pub(super) fn names_sub_status(answer: &Answer, sub_status: &str) -> bool {
    answer.status == 403 && answer.body.beginning.contains(sub_status)
}
