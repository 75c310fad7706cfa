//! What a probe saw along one path: one DNS outcome, then per address one outcome per stage.
//!
//! INVARIANT: all stages of an [`Observation`] concern one address; each [`Exchange`] names its connection.
//! INVARIANT: `Err` has no place here. What the network did is an [`Outcome`].

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::{Challenge, Headers, Look, TlsFacts, TlsFailure, Type2};

/// What one stage came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Outcome<Facts, Failure> {
    /// The stage ran to its end.
    Done(Facts),
    /// The stage ran, and the network or the peer said no.
    Failed(Failure),
    /// An earlier stage failed, so this one never ran.
    #[default]
    NotReached,
}

impl<Facts, Failure> Outcome<Facts, Failure> {
    pub fn done(&self) -> Option<&Facts> {
        match self {
            Self::Done(facts) => Some(facts),
            Self::Failed(_) | Self::NotReached => None,
        }
    }

    pub fn failed(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            Self::Done(_) | Self::NotReached => None,
        }
    }

    /// Keeps the facts or the failure of a stage and hands on what the next one needs.
    pub fn record<Next>(&mut self, result: Result<(Facts, Next), Failure>) -> Option<Next> {
        match result {
            Ok((facts, next)) => {
                *self = Self::Done(facts);
                Some(next)
            }
            Err(failure) => {
                *self = Self::Failed(failure);
                None
            }
        }
    }
}

/// Where an address came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsSource {
    /// The endpoint declares the address to dial, or its URL holds an address; nobody was asked.
    Declared,
    /// This name server answered.
    NameServer(SocketAddr),
}

/// What one question (A or AAAA) came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FamilyAnswer {
    Addresses(Vec<IpAddr>),
    Failed(DnsFailure),
    /// Not asked: this vantage has no address of that family, or the address was declared.
    NotAsked,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsFacts {
    pub source: DnsSource,
    /// Names passed on the way, the asked one not included; at most 8.
    pub cname_chain: Vec<String>,
    /// Every address of both families, IPv4 first, at most 16.
    pub addresses: Vec<IpAddr>,
    /// Addresses that the answers held beyond these.
    pub left_out: u32,
    pub v4: FamilyAnswer,
    pub v6: FamilyAnswer,
    pub took: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsFailure {
    NxDomain,
    ServFail,
    /// The name server refuses to answer this client.
    Refused,
    TimedOut {
        after: Duration,
    },
    /// The name exists and has no address.
    NoAddress,
    /// This vantage has no name server to ask.
    NoNameServer,
    /// More than 8 CNAME records one after another, or a chain that leads back into itself; what lies behind was not looked at.
    ChainTooLong,
    Other {
        detail: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpFacts {
    pub local_port: u16,
    pub took: Duration,
}

/// How a TCP handshake can go wrong: one variant per thing an operator would do differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TcpFailure {
    Refused,
    Reset,
    TimedOut {
        after: Duration,
    },
    Unreachable,
    /// Kept for the report; no fault may match on it.
    Other {
        detail: String,
    },
}

/// What lies between TCP and HTTP on this endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// The URL says `http`.
    Plain,
    Tls(Outcome<TlsFacts, TlsFailure>),
    /// The modern stack met its own limits; a second connection was tried with the old one, which still speaks what Windows Server
    /// 2003 to 2012 R2 offer. What a modern client meets and what an old one does are two facts, and both are kept.
    OldTls {
        modern: TlsFailure,
        old: Outcome<TlsFacts, TlsFailure>,
    },
}

impl Transport {
    /// What the handshake told, with whichever stack it came about.
    pub fn tls(&self) -> Option<&TlsFacts> {
        self.handshake().and_then(Outcome::done)
    }

    /// The handshake that HTTP was spoken over, or would have been: the old stack's where both were tried.
    pub fn handshake(&self) -> Option<&Outcome<TlsFacts, TlsFailure>> {
        match self {
            Self::Plain => None,
            Self::Tls(outcome) | Self::OldTls { old: outcome, .. } => Some(outcome),
        }
    }

    /// Why a modern client gets no TLS here, where only the old stack could go on or neither could.
    pub fn modern_failure(&self) -> Option<&TlsFailure> {
        match self {
            Self::Plain => None,
            Self::Tls(outcome) => outcome.failed(),
            Self::OldTls { modern, .. } => Some(modern),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Counts from 0 within the observation.
    pub number: u32,
    pub local_port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    Http10,
    Http11,
}

/// How the reading of a body ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyEnd {
    /// At its end, as the answer's framing says.
    #[default]
    Whole,
    /// At the bound of 64 KiB; there was more.
    Bound,
    /// The exchange's limit ran out.
    TimedOut,
    /// Less than 1 KiB came in 5 s.
    TooSlow,
    /// The connection ended before the body did, or its framing cannot be read.
    Broken,
}

/// What is kept of a body: its beginning as text, its length and its hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// At most 2 KiB; bytes outside UTF-8 replaced.
    pub beginning: String,
    /// Bytes read, at most the bound of 64 KiB.
    pub length: u64,
    pub sha256: [u8; 32],
    pub end: BodyEnd,
}

/// One HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub version: HttpVersion,
    pub status: u16,
    pub reason: String,
    pub headers: Headers,
    /// Fields that are not among `headers`: more than is kept of one head.
    pub headers_left_out: u32,
    pub challenges: Vec<Challenge>,
    pub body: Body,
    /// The decoded Type-2, if this answer carried one.
    pub type2: Option<Type2>,
    /// From the request's first byte to the end of the answer's head.
    pub took: Duration,
}

/// Which bound a hostile or broken answer broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitBroken {
    HeadBytes,
    HeaderCount,
    InterimResponses,
    /// Less than 1 KiB came in 5 s after the head had begun.
    Progress,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpFailure {
    Reset,
    /// Closed before the head was complete.
    Closed,
    TimedOut {
        after: Duration,
    },
    /// Not HTTP/1.x.
    Malformed {
        detail: String,
    },
    Limit(LimitBroken),
    /// A connection of its own for this exchange could not be had (TCP or TLS failed this time).
    NoConnection {
        detail: String,
    },
    /// A secret would have gone over a connection whose peer the endpoint's trust does not accept; nothing was sent.
    UntrustedPeer,
    /// The controller did not say go (budget, freeze, cancel); nothing was sent.
    NotPermitted {
        reason: String,
    },
    Other {
        detail: String,
    },
}

/// One request and what came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    pub look: Look,
    pub connection: Connection,
    /// Whether the request's bytes were handed to the socket; for a credential this decides what it may have cost.
    pub sent: bool,
    /// Whether the server asked for another handshake after the request, as IIS does for a client certificate of a directory
    /// (TLS 1.2 `HelloRequest`, RFC 5246 section 7.4.1.1; TLS 1.3 `CertificateRequest` after the handshake, RFC 8446 section 4.6.2).
    pub asked_for_certificate: bool,
    pub outcome: Outcome<Answer, HttpFailure>,
}

/// What a probe saw at one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    pub address: SocketAddr,
    pub tcp: Outcome<TcpFacts, TcpFailure>,
    pub transport: Transport,
    /// The same handshake without a server name (RFC 6066 section 3), if the task asked for it.
    pub without_sni: Outcome<TlsFacts, TlsFailure>,
    pub exchanges: Vec<Exchange>,
}

/// Everything one probe saw along its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    pub dns: Outcome<DnsFacts, DnsFailure>,
    /// One per address, at most 8.
    pub observations: Vec<Observation>,
}

/// Why a path has no sight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Silence {
    /// Its agent has no session with the controller.
    NoSession,
    /// Its session ended while it was asked.
    Lost,
    /// It did not answer in time.
    Late,
    /// The diagnosis was cancelled first.
    Cancelled,
}

/// What one path answered in a round. "Broken" and "we do not know" are different things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    Seen(Sight),
    /// The agent's own policy forbids it, by this rule.
    Refused {
        rule: String,
    },
    /// The agent could not look (its own failure, never the target's).
    Unable {
        detail: String,
    },
    Silent(Silence),
}

impl Report {
    pub fn seen(&self) -> Option<&Sight> {
        match self {
            Self::Seen(sight) => Some(sight),
            Self::Refused { .. } | Self::Unable { .. } | Self::Silent(_) => None,
        }
    }
}
