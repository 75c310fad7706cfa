//! DNS stage: which addresses does the name have from here, and which name server said so?
//!
//! Each name server is asked by itself, A and AAAA side by side, without cache and search list, so that the answer has one known
//! source. The first server that answers anything wins, in the order configured; silence passes the question on.
//!
//! INVARIANT: one family that fails does not hide the addresses of the other; both outcomes are kept.

mod question;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};
use parallax_model::{DnsFacts, DnsFailure, DnsSource, FamilyAnswer};
use tokio::time::Instant;

use question::{Unanswered, ask};

/// How long one name server gets before the question goes on.
const ATTEMPT: Duration = Duration::from_secs(1);
/// The longest chain of CNAME records followed.
const CHAIN_MAX: usize = 8;
/// The most addresses kept.
const ADDRESSES_MAX: usize = 16;

/// Resolves a fully qualified name.
pub(crate) async fn run(
    servers: &[SocketAddr],
    name: &Name,
    limit: Duration,
) -> Result<(DnsFacts, Vec<IpAddr>), DnsFailure> {
    let started = Instant::now();
    if servers.is_empty() {
        return Err(DnsFailure::NoNameServer);
    }
    let ends = started + limit;
    let mut answers = Answers::default();
    let mut order = servers.iter().copied().cycle();
    let mut server = order.next();
    while let Some(asked) = server {
        let left = ends.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        answers.ask(asked, name, left.min(ATTEMPT)).await;
        if answers.is_settled() {
            break;
        }
        // Whoever answered one family is asked again for the other: one sight, one source.
        server = answers.source.or_else(|| order.next());
    }
    answers.conclude(started.elapsed())
}

/// An address that nobody had to be asked for.
pub(crate) fn declared(address: IpAddr) -> (DnsFacts, Vec<IpAddr>) {
    let facts = DnsFacts {
        source: DnsSource::Declared,
        cname_chain: Vec::new(),
        addresses: vec![address],
        v4: FamilyAnswer::NotAsked,
        v6: FamilyAnswer::NotAsked,
        took: Duration::ZERO,
    };
    (facts, vec![address])
}

/// What both questions have come to so far.
#[derive(Default)]
struct Answers {
    source: Option<SocketAddr>,
    v4: Family,
    v6: Family,
    asked_for: Duration,
}

/// One question: addresses and the names passed, a failure, or nothing yet.
#[derive(Default)]
enum Family {
    #[default]
    Silent,
    /// The transport failed; kept for the report if nothing better comes.
    Broken(String),
    Answered(Result<(Vec<IpAddr>, Vec<String>), DnsFailure>),
}

impl Family {
    fn is_answered(&self) -> bool {
        matches!(self, Self::Answered(_))
    }

    fn addresses(&self) -> &[IpAddr] {
        match self {
            Self::Answered(Ok((addresses, _))) => addresses,
            Self::Answered(Err(_)) | Self::Silent | Self::Broken(_) => &[],
        }
    }

    fn chain(&self) -> &[String] {
        match self {
            Self::Answered(Ok((_, chain))) => chain,
            Self::Answered(Err(_)) | Self::Silent | Self::Broken(_) => &[],
        }
    }

    fn answer(&self, after: Duration) -> FamilyAnswer {
        match self {
            Self::Silent => FamilyAnswer::Failed(DnsFailure::TimedOut { after }),
            Self::Broken(detail) => {
                FamilyAnswer::Failed(DnsFailure::Other { detail: detail.clone() })
            }
            Self::Answered(Ok((addresses, _))) if addresses.is_empty() => {
                FamilyAnswer::Failed(DnsFailure::NoAddress)
            }
            Self::Answered(Ok((addresses, _))) => FamilyAnswer::Addresses(addresses.clone()),
            Self::Answered(Err(failure)) => FamilyAnswer::Failed(failure.clone()),
        }
    }
}

impl Answers {
    /// Asks one server for whatever family is still open.
    async fn ask(&mut self, server: SocketAddr, name: &Name, limit: Duration) {
        self.asked_for += limit;
        let one = |record, is_open: bool| async move {
            if is_open { Some(ask(server, name, record, limit).await) } else { None }
        };
        let (v4, v6) = tokio::join!(
            one(RecordType::A, !self.v4.is_answered()),
            one(RecordType::AAAA, !self.v6.is_answered()),
        );
        for (family, reply, record) in
            [(&mut self.v4, v4, RecordType::A), (&mut self.v6, v6, RecordType::AAAA)]
        {
            match reply {
                None | Some(Err(Unanswered::TimedOut)) => {}
                Some(Err(Unanswered::Broken(detail))) => *family = Family::Broken(detail),
                Some(Ok(message)) => {
                    *family = Family::Answered(read(&message, name, record));
                    self.source = Some(server);
                }
            }
        }
    }

    /// Whether asking on could change anything that matters: addresses of one family are enough to go on with.
    fn is_settled(&self) -> bool {
        (self.v4.is_answered() && self.v6.is_answered())
            || !self.v4.addresses().is_empty()
            || !self.v6.addresses().is_empty()
    }

    fn conclude(self, took: Duration) -> Result<(DnsFacts, Vec<IpAddr>), DnsFailure> {
        let mut addresses: Vec<IpAddr> = Vec::new();
        for address in self.v4.addresses().iter().chain(self.v6.addresses()) {
            if addresses.len() < ADDRESSES_MAX && !addresses.contains(address) {
                addresses.push(*address);
            }
        }
        let (v4, v6) = (self.v4.answer(self.asked_for), self.v6.answer(self.asked_for));
        let Some(source) = self.source.filter(|_| !addresses.is_empty()) else {
            return Err(worst(v4, v6, took));
        };
        let chain = if self.v4.addresses().is_empty() { &self.v6 } else { &self.v4 }.chain();
        let facts = DnsFacts {
            source: DnsSource::NameServer(source),
            cname_chain: chain.to_vec(),
            addresses: addresses.clone(),
            v4,
            v6,
            took,
        };
        Ok((facts, addresses))
    }
}

/// What two failed families mean for the name. NXDOMAIN speaks of the name, whichever family it answered; a family that could not
/// be answered outweighs one that was empty.
fn worst(v4: FamilyAnswer, v6: FamilyAnswer, took: Duration) -> DnsFailure {
    fn rank(failure: &DnsFailure) -> u8 {
        match failure {
            DnsFailure::NxDomain => 0,
            DnsFailure::ServFail => 1,
            DnsFailure::Refused => 2,
            DnsFailure::Other { .. } => 3,
            DnsFailure::TimedOut { .. } => 4,
            DnsFailure::NoAddress => 5,
            DnsFailure::NoNameServer => 6,
        }
    }
    let failures = [v4, v6].into_iter().filter_map(|answer| match answer {
        FamilyAnswer::Failed(failure) => Some(failure),
        FamilyAnswer::Addresses(_) | FamilyAnswer::NotAsked => None,
    });
    match failures.min_by_key(rank) {
        Some(DnsFailure::TimedOut { .. }) | None => DnsFailure::TimedOut { after: took },
        Some(failure) => failure,
    }
}

/// Addresses of the asked type at the end of the chain, and the chain's names.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "every other response code is kept as text, every other record passed over"
)]
fn read(
    message: &Message,
    name: &Name,
    record: RecordType,
) -> Result<(Vec<IpAddr>, Vec<String>), DnsFailure> {
    let code = message.metadata.response_code;
    match code {
        ResponseCode::NoError => {}
        ResponseCode::NXDomain => return Err(DnsFailure::NxDomain),
        ResponseCode::ServFail => return Err(DnsFailure::ServFail),
        ResponseCode::Refused => return Err(DnsFailure::Refused),
        _ => return Err(DnsFailure::Other { detail: format!("response code {code}") }),
    }
    let records = || message.answers.iter().filter(|it| it.dns_class == DNSClass::IN);
    let mut owner = name;
    let mut chain = Vec::new();
    while chain.len() < CHAIN_MAX {
        let next = records().filter(|it| it.name == *owner).find_map(|it| match &it.data {
            RData::CNAME(target) => Some(&target.0),
            _ => None,
        });
        let Some(next) = next else { break };
        chain.push(plain(next));
        owner = next;
    }
    let addresses = records()
        .filter(|it| it.name == *owner && it.record_type() == record)
        .filter_map(|it| it.data.ip_addr())
        .take(ADDRESSES_MAX)
        .collect();
    Ok((addresses, chain))
}

/// As people write it: lower case, without the dot at its end.
fn plain(name: &Name) -> String {
    name.to_lowercase().to_ascii().trim_end_matches('.').to_owned()
}
