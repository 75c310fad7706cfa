//! The words of the domain: what a target is, what a path saw, what we concluded.
//!
//! Plain values that every other crate shares. The wire format lives in `wire` and may change without us.
//!
//! INVARIANT: no I/O, no clock, no async, no serialization, no dependency on another crate. A point in time is a
//! [`std::time::SystemTime`] that somebody else read.
//! INVARIANT: what the network did is a value ([`Outcome`]); absence has a name ([`Silence`]), never a missing key.

mod account;
mod ask;
mod diagnosis;
mod evidence;
mod http;
mod names;
mod ntlm;
mod observation;
mod target;
mod tls;

pub use account::{Account, LockoutPolicy, NameForm, Threshold, UserName};
pub use ask::{Credential, Limits, LogonTask, Look, Method, Place, Task};
pub use diagnosis::{
    Cell, Column, Diagnosis, DifferentField, ExcludedVantage, Finding, FirstDifference, Kind,
    MatrixRow, Need, OpenFault, PathCondition, Place as TextPlace, Recognised, RuledOut, Standing,
    Unexplained, Verdict,
};
pub use evidence::{Evidence, EvidenceRef, Past, PathReport, Round};
pub use http::{Challenge, Headers, Scheme};
pub use names::{
    AccountId, DiagnosisId, EndpointName, FaultId, InvalidName, PathId, TargetId, VantageName,
};
pub use ntlm::Type2;
pub use observation::{
    Answer, Body, BodyEnd, Connection, DnsFacts, DnsFailure, DnsSource, Exchange, FamilyAnswer,
    HttpFailure, HttpVersion, LimitBroken, Observation, Outcome, Report, Sight, Silence, TcpFacts,
    TcpFailure, Transport,
};
pub use target::{
    Endpoint, Event, EventKind, Generation, Purpose, Role, Target, TargetAccount, Trust, Vantage,
    Zone,
};
pub use tls::{
    Certificate, ChainJudgement, ChainProblem, ChainTrust, TlsFacts, TlsFailure, TlsVersion,
};
