//! What a chain is worth: is there a path to an accepted root, do the dates hold, is the name right. Three questions, apart.
//!
//! The path is judged at a moment at which every certificate of the chain is valid, so that an expired leaf is an expired leaf and
//! not an unknown issuer. Absent on purpose: revocation; no probe asks a third party.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use parallax_model::{Certificate, ChainJudgement, ChainProblem, ChainTrust, Trust};
use rustls_pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, Error, KeyUsage, anchor_from_trusted_cert};

use super::certificate;

/// A set of accepted certificates.
#[derive(Debug)]
pub(crate) struct Roots {
    anchors: Vec<TrustAnchor<'static>>,
    /// Hashes of the certificates as given: a leaf that is itself among them is accepted.
    exact: BTreeSet<[u8; 32]>,
}

impl Roots {
    /// The roots that browsers ship.
    pub(crate) fn public() -> Self {
        Self { anchors: webpki_roots::TLS_SERVER_ROOTS.to_vec(), exact: BTreeSet::new() }
    }

    /// Certificates from somewhere else; what is not readable as one is left out.
    pub(crate) fn of<'a>(certificates: impl Iterator<Item = &'a CertificateDer<'a>>) -> Self {
        let mut roots = Self { anchors: Vec::new(), exact: BTreeSet::new() };
        for der in certificates {
            roots.exact.insert(certificate::hash(der));
            roots.anchors.extend(anchor_from_trusted_cert(der).map(|anchor| anchor.to_owned()));
        }
        roots
    }
}

/// When a path to an accepted root holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    Now,
    /// Not now, but at a time at which its certificates are valid.
    Another,
    /// There is no path.
    Never,
}

/// One chain under judgement.
pub(super) struct Judge<'a> {
    sent: &'a [CertificateDer<'a>],
    chain: &'a [Certificate],
    now: SystemTime,
    leaf: Option<EndEntityCert<'a>>,
}

impl<'a> Judge<'a> {
    /// `chain` is `sent`, as read.
    pub(super) fn new(
        sent: &'a [CertificateDer<'a>],
        chain: &'a [Certificate],
        now: SystemTime,
    ) -> Self {
        let leaf = sent.first().and_then(|der| EndEntityCert::try_from(der).ok());
        Self { sent, chain, now, leaf }
    }

    pub(super) fn name_matches(&self, name: &ServerName<'_>) -> bool {
        self.leaf.as_ref().is_some_and(|leaf| leaf.verify_is_valid_for_subject_name(name).is_ok())
    }

    pub(super) fn leaf_is_in_date(&self) -> bool {
        self.chain.first().is_some_and(|leaf| leaf.is_valid_at(self.now))
    }

    /// Against the three sets of roots, and when the path that the endpoint's own trust accepts holds.
    pub(super) fn trust(
        &self,
        public: &Roots,
        store: &Roots,
        trust: &Trust,
    ) -> (ChainTrust, Moment) {
        let in_public = self.path(public);
        let in_store = self.path(store);
        let (endpoint, moment) = match trust {
            Trust::PublicOrStore => better(in_public, in_store),
            Trust::Public => in_public,
            Trust::Store => in_store,
            Trust::Authorities(list) => {
                let list: Vec<_> =
                    list.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
                self.path(&Roots::of(list.iter()))
            }
            Trust::Pinned(pins) => self.pinned(pins),
        };
        (ChainTrust { public: in_public.0, store: in_store.0, endpoint }, moment)
    }

    fn pinned(&self, pins: &[[u8; 32]]) -> (ChainJudgement, Moment) {
        if self.chain.first().is_some_and(|leaf| pins.contains(&leaf.sha256)) {
            (ChainJudgement::Trusted, Moment::Now)
        } else {
            (ChainJudgement::Untrusted(ChainProblem::NotPinned), Moment::Never)
        }
    }

    fn path(&self, roots: &Roots) -> (ChainJudgement, Moment) {
        let untrusted = |problem| (ChainJudgement::Untrusted(problem), Moment::Never);
        let (Some(leaf), Some(first)) = (&self.leaf, self.chain.first()) else {
            return untrusted(ChainProblem::Unusable);
        };
        if roots.exact.contains(&first.sha256) {
            return (ChainJudgement::Trusted, Moment::Now);
        }
        let mut problem = match self.verify(leaf, roots, self.now) {
            Ok(()) => return (ChainJudgement::Trusted, Moment::Now),
            Err(error) => error,
        };
        for moment in self.other_moments() {
            if !is_about_dates(&problem) {
                break;
            }
            match self.verify(leaf, roots, moment) {
                Ok(()) => return (ChainJudgement::Trusted, Moment::Another),
                Err(error) => problem = error,
            }
        }
        untrusted(name_of(&problem, first))
    }

    fn verify(&self, leaf: &EndEntityCert<'_>, roots: &Roots, at: SystemTime) -> Result<(), Error> {
        let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        leaf.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &roots.anchors,
            self.sent.get(1..).unwrap_or_default(),
            UnixTime::since_unix_epoch(since),
            KeyUsage::server_auth(),
            None,
            None,
        )
        .map(|_| ())
    }

    /// Moments worth trying when the present is outside some validity: one inside all of them, else the edges of each, for a
    /// chain may carry certificates that its path does not need.
    fn other_moments(&self) -> Vec<SystemTime> {
        let starts = || self.chain.iter().map(|it| it.not_before);
        let ends = || self.chain.iter().map(|it| it.not_after);
        match (starts().max(), ends().min()) {
            (Some(start), Some(end)) if start <= end => vec![start],
            _ => starts().chain(ends()).collect(),
        }
    }
}

/// The judgement of "either of two sets": the accepting one, the present before another moment.
fn better(
    one: (ChainJudgement, Moment),
    two: (ChainJudgement, Moment),
) -> (ChainJudgement, Moment) {
    match (one.1, two.1) {
        (Moment::Another, Moment::Now) | (Moment::Never, Moment::Now | Moment::Another) => two,
        (Moment::Now, _)
        | (Moment::Another, Moment::Another | Moment::Never)
        | (Moment::Never, Moment::Never) => one,
    }
}

fn is_about_dates(error: &Error) -> bool {
    matches!(error, Error::CertExpired { .. } | Error::CertNotValidYet { .. })
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the list of a foreign library grows; the rest makes a certificate unusable"
)]
fn name_of(error: &Error, leaf: &Certificate) -> ChainProblem {
    match error {
        Error::UnknownIssuer | Error::CaUsedAsEndEntity if leaf.is_self_issued() => {
            ChainProblem::SelfSigned
        }
        Error::UnknownIssuer => ChainProblem::UnknownIssuer,
        Error::InvalidSignatureForPublicKey => ChainProblem::BadSignature,
        _ => ChainProblem::Unusable,
    }
}
