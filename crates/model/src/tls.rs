//! What the TLS stage saw: version, cipher, the chain as sent, and how it is judged.
//!
//! INVARIANT: a certificate that is not trusted is a judgement inside `Done`, not a failure.
//! INVARIANT: [`TlsFailure::OurLimit`] is never evidence against the target.

use std::time::{Duration, SystemTime};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    Tls10,
    Tls11,
    Tls12,
    Tls13,
}

/// One certificate of the chain as sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// SHA-256 over the DER encoding.
    pub sha256: [u8; 32],
    /// Distinguished name, RFC 4514 text.
    pub subject: String,
    pub issuer: String,
    /// Serial number in lower-case hexadecimal.
    pub serial: String,
    /// `dNSName` and `iPAddress` entries of the subject alternative name.
    pub names: Vec<String>,
    pub not_before: SystemTime,
    pub not_after: SystemTime,
}

impl Certificate {
    pub fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }

    pub fn is_valid_at(&self, time: SystemTime) -> bool {
        self.not_before <= time && time <= self.not_after
    }
}

/// Why no path leads from the leaf to an accepted root. Dates and names are not part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChainProblem {
    /// No accepted root, or an intermediate that was not sent.
    UnknownIssuer,
    /// The leaf signed itself.
    SelfSigned,
    BadSignature,
    /// Not readable as X.509, or with a constraint that forbids this use.
    Unusable,
    /// The leaf is not among the pinned ones.
    NotPinned,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChainJudgement {
    Trusted,
    Untrusted(ChainProblem),
}

/// The chain against three sets of roots, each by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainTrust {
    pub public: ChainJudgement,
    pub store: ChainJudgement,
    /// Against the endpoint's declared trust.
    pub endpoint: ChainJudgement,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    pub version: TlsVersion,
    /// IANA name, as `TLS13_AES_256_GCM_SHA384`.
    pub cipher: String,
    pub alpn: Option<String>,
    /// As sent, leaf first; at least one.
    pub chain: Vec<Certificate>,
    pub trust: ChainTrust,
    /// Whether the host of the URL is among the leaf's names (RFC 9525).
    pub name_matches: bool,
    /// Whether the leaf's dates hold on the agent's clock, and with them some path that the endpoint's trust accepts: an
    /// expired intermediate that the path needs is as bad as an expired leaf.
    pub dates_hold: bool,
    pub client_certificate_requested: bool,
    pub took: Duration,
}

impl TlsFacts {
    /// Whether a secret may go over this connection: chain accepted by the endpoint's trust, name and dates in order.
    pub fn may_carry_a_secret(&self) -> bool {
        self.trust.endpoint == ChainJudgement::Trusted && self.name_matches && self.dates_hold
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsFailure {
    /// The server ended the handshake with a fatal alert (RFC 8446 section 6, its number).
    Alert {
        number: u8,
    },
    Reset,
    /// The server closed the connection in the middle of the handshake.
    Closed,
    TimedOut {
        after: Duration,
    },
    /// What answered is not TLS.
    NotTls,
    /// The server insists on a client certificate.
    ClientCertificateRequired,
    /// The server broke a bound: a handshake message of more than 64 KiB, or too many empty records, warnings or requests.
    Limit {
        detail: String,
    },
    /// No version or cipher in common with what *our* library can do. Says nothing about the target.
    OurLimit {
        detail: String,
    },
    Other {
        detail: String,
    },
}
