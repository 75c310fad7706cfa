//! DNS stage: which addresses does the name have from here, and which name server said so?
//!
//! Each name server is asked by itself, A and AAAA side by side, without cache and search list, so that the answer has one known
//! source. The first server that answers wins, in the order configured; silence passes the question on, and so does a server that cannot
//! tell (SERVFAIL, REFUSED and their kind). That counts only if no other server tells more. NXDOMAIN is an answer.
//!
//! INVARIANT: one family that fails does not hide the addresses of the other; both outcomes are kept.
//! INVARIANT: only silence is asked again. A server that declined a question, or answered what cannot be read, is not asked it
//! again, so that servers which answer at once are not asked in a circle.

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
    while !answers.is_settled() {
        let left = ends.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        // Whoever answered one family is asked again for the other: one sight, one source.
        let same = answers.source.filter(|it| answers.is_open_to(*it));
        let once_round = order.by_ref().take(servers.len());
        let next = same.or_else(|| once_round.into_iter().find(|it| answers.is_open_to(*it)));
        let Some(server) = next else { break };
        answers.ask(server, name, left.min(ATTEMPT)).await;
    }
    answers.conclude(started.elapsed())
}

/// An address that nobody had to be asked for.
pub(crate) fn declared(address: IpAddr) -> (DnsFacts, Vec<IpAddr>) {
    let facts = DnsFacts {
        source: DnsSource::Declared,
        cname_chain: Vec::new(),
        addresses: vec![address],
        left_out: 0,
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
    v4: Question,
    v6: Question,
    asked_for: Duration,
}

/// One question, as all servers asked so far left it.
#[derive(Default)]
struct Question {
    reply: Reply,
    /// Servers that are done with this question.
    declined_by: Vec<SocketAddr>,
}

/// The best that came, worst first.
#[derive(Default)]
enum Reply {
    #[default]
    Silent,
    /// The transport failed; kept for the report if nothing better comes.
    Broken(String),
    /// A server could not tell. The first such stays if nothing better comes.
    Declined(DnsFailure),
    NxDomain,
    /// More aliases than are followed.
    TooFar,
    Found(Found),
}

/// What an answer holds at the end of its chain.
#[derive(Default)]
struct Found {
    /// Once each, at most [`ADDRESSES_MAX`].
    addresses: Vec<IpAddr>,
    left_out: u32,
    /// The names passed.
    chain: Vec<String>,
}

impl Question {
    fn is_answered(&self) -> bool {
        matches!(self.reply, Reply::Found(_) | Reply::NxDomain | Reply::TooFar)
    }

    fn is_no_name(&self) -> bool {
        matches!(self.reply, Reply::NxDomain)
    }

    fn is_open_to(&self, server: SocketAddr) -> bool {
        !self.is_answered() && !self.declined_by.contains(&server)
    }

    /// Takes in what came of asking this server. Returns whether it is an answer.
    fn take(&mut self, server: SocketAddr, reply: Reply) -> bool {
        if matches!(reply, Reply::Declined(_) | Reply::Broken(_)) {
            self.declined_by.push(server);
        }
        match (&self.reply, &reply) {
            (_, Reply::Silent) | (Reply::Declined(_), Reply::Broken(_) | Reply::Declined(_)) => {}
            (
                _,
                Reply::Declined(_)
                | Reply::Broken(_)
                | Reply::NxDomain
                | Reply::TooFar
                | Reply::Found(_),
            ) => self.reply = reply,
        }
        self.is_answered()
    }

    fn found(&self) -> Option<&Found> {
        match &self.reply {
            Reply::Found(found) => Some(found),
            Reply::Silent
            | Reply::Broken(_)
            | Reply::Declined(_)
            | Reply::NxDomain
            | Reply::TooFar => None,
        }
    }

    fn addresses(&self) -> &[IpAddr] {
        self.found().map_or(&[], |found| &found.addresses)
    }

    fn answer(&self, after: Duration) -> FamilyAnswer {
        FamilyAnswer::Failed(match &self.reply {
            Reply::Silent => DnsFailure::TimedOut { after },
            Reply::Broken(detail) => DnsFailure::Other { detail: detail.clone() },
            Reply::Declined(failure) => failure.clone(),
            Reply::NxDomain => DnsFailure::NxDomain,
            Reply::TooFar => DnsFailure::ChainTooLong,
            Reply::Found(found) if found.addresses.is_empty() => DnsFailure::NoAddress,
            Reply::Found(found) => return FamilyAnswer::Addresses(found.addresses.clone()),
        })
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
            one(RecordType::A, self.v4.is_open_to(server)),
            one(RecordType::AAAA, self.v6.is_open_to(server)),
        );
        for (question, asked, record) in
            [(&mut self.v4, v4, RecordType::A), (&mut self.v6, v6, RecordType::AAAA)]
        {
            let Some(asked) = asked else { continue };
            let reply = match asked {
                Err(Unanswered::TimedOut) => Reply::Silent,
                Err(Unanswered::Broken(detail)) => Reply::Broken(detail),
                Ok(message) => read(&message, name, record),
            };
            if question.take(server, reply) {
                self.source = Some(server);
            }
        }
    }

    fn is_open_to(&self, server: SocketAddr) -> bool {
        self.v4.is_open_to(server) || self.v6.is_open_to(server)
    }

    /// Whether asking on could change nothing that matters: addresses of one family are enough to go on with, and NXDOMAIN speaks of
    /// the name, so that a server which declined the other family needs no second opinion.
    fn is_settled(&self) -> bool {
        let is_over = |question: &Question| match question.reply {
            Reply::Silent | Reply::Broken(_) => false,
            Reply::Declined(_) => [&self.v4, &self.v6].iter().any(|it| it.is_no_name()),
            Reply::NxDomain | Reply::TooFar | Reply::Found(_) => true,
        };
        (is_over(&self.v4) && is_over(&self.v6))
            || !self.v4.addresses().is_empty()
            || !self.v6.addresses().is_empty()
    }

    fn conclude(self, took: Duration) -> Result<(DnsFacts, Vec<IpAddr>), DnsFailure> {
        let mut addresses: Vec<IpAddr> = Vec::new();
        let mut left_out: u32 =
            [&self.v4, &self.v6].iter().filter_map(|it| it.found()).map(|it| it.left_out).sum();
        for address in self.v4.addresses().iter().chain(self.v6.addresses()) {
            if addresses.contains(address) {
                continue;
            }
            if addresses.len() < ADDRESSES_MAX {
                addresses.push(*address);
            } else {
                left_out += 1;
            }
        }
        let (v4, v6) = (self.v4.answer(self.asked_for), self.v6.answer(self.asked_for));
        let Some(source) = self.source.filter(|_| !addresses.is_empty()) else {
            return Err(worst(v4, v6, took));
        };
        let answered = if self.v4.addresses().is_empty() { &self.v6 } else { &self.v4 };
        let cname_chain = answered.found().map(|it| it.chain.clone()).unwrap_or_default();
        let facts = DnsFacts {
            source: DnsSource::NameServer(source),
            cname_chain,
            addresses: addresses.clone(),
            left_out,
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
            DnsFailure::ChainTooLong => 1,
            DnsFailure::ServFail => 2,
            DnsFailure::Refused => 3,
            DnsFailure::Other { .. } => 4,
            DnsFailure::TimedOut { .. } => 5,
            DnsFailure::NoAddress => 6,
            DnsFailure::NoNameServer => 7,
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

/// Addresses of the asked type at the end of the chain, and the chain's names; or what the response code says instead.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "every other response code is kept as text, every other record passed over"
)]
fn read(message: &Message, name: &Name, record: RecordType) -> Reply {
    let code = message.metadata.response_code;
    match code {
        ResponseCode::NoError => {}
        ResponseCode::NXDomain => return Reply::NxDomain,
        ResponseCode::ServFail => return Reply::Declined(DnsFailure::ServFail),
        ResponseCode::Refused => return Reply::Declined(DnsFailure::Refused),
        _ => {
            let detail = format!("response code {code}");
            return Reply::Declined(DnsFailure::Other { detail });
        }
    }
    let records = || message.answers.iter().filter(|it| it.dns_class == DNSClass::IN);
    let mut owner = name;
    let mut found = Found::default();
    loop {
        let next = records().filter(|it| it.name == *owner).find_map(|it| match &it.data {
            RData::CNAME(target) => Some(&target.0),
            _ => None,
        });
        let Some(next) = next else { break };
        // A circle ends here too.
        if found.chain.len() == CHAIN_MAX {
            return Reply::TooFar;
        }
        found.chain.push(plain(next));
        owner = next;
    }
    let held = records()
        .filter(|it| it.name == *owner && it.record_type() == record)
        .filter_map(|it| it.data.ip_addr());
    for address in held {
        if found.addresses.contains(&address) {
            continue;
        }
        if found.addresses.len() < ADDRESSES_MAX {
            found.addresses.push(address);
        } else {
            found.left_out += 1;
        }
    }
    Reply::Found(found)
}

/// As people write it: lower case, without the dot at its end.
fn plain(name: &Name) -> String {
    name.to_lowercase().to_ascii().trim_end_matches('.').to_owned()
}
