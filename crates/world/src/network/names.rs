//! What does the name server of a vantage answer?
//!
//! One server per vantage, on UDP and TCP of one loopback port (RFC 1035 section 4.2). A name that
//! the world times out gets no answer at all. Absent on purpose: recursion, zones, DNSSEC.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::site::{Happening, Site};
use crate::format::{DnsAnswer, DnsDefault, DnsRecords, Family, Vantage};

/// Time to live of every record, in seconds.
const TTL_S: u32 = 60;

/// How many aliases are followed.
const ALIASES_MAX: usize = 8;

/// The largest message over UDP.
const DATAGRAM_BYTES_MAX: usize = 4096;

/// How often a port is sought that is free for both protocols.
const BIND_ATTEMPTS_MAX: usize = 32;

/// Connections over TCP that one server holds at once.
const CONNECTIONS_MAX: usize = 64;

/// How long a connection over TCP may last.
const CONNECTION_LIMIT: Duration = Duration::from_mins(1);

/// The sockets of one server, both on one port.
#[derive(Debug)]
pub(super) struct NameServer {
    pub(super) address: SocketAddr,
    udp: UdpSocket,
    tcp: TcpListener,
}

impl NameServer {
    pub(super) async fn bind() -> io::Result<Self> {
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..BIND_ATTEMPTS_MAX {
            let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let address = tcp.local_addr()?;
            match UdpSocket::bind(address).await {
                Ok(udp) => return Ok(Self { address, udp, tcp }),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Answers until `stop`. Its connections end with it.
    pub(super) async fn run(self, site: Arc<Site>, vantage: String, stop: CancellationToken) {
        let mut connections = JoinSet::new();
        let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                received = self.udp.recv_from(&mut datagram) => match received {
                    Ok((length, peer)) => {
                        let reply = reply(&site, &vantage, datagram.get(..length).unwrap_or_default());
                        if let Some(reply) = reply && let Err(error) = self.udp.send_to(&reply, peer).await {
                            debug!(%error, vantage, "name server cannot send");
                        }
                    }
                    Err(error) => debug!(%error, vantage, "name server cannot receive"),
                },
                accepted = self.tcp.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                    Ok((stream, _)) => {
                        let (site, vantage) = (Arc::clone(&site), vantage.clone());
                        connections.spawn(async move {
                            // The end of the limit ends the connection; there is nothing to tell.
                            let _ = tokio::time::timeout(CONNECTION_LIMIT, serve(stream, &site, &vantage)).await;
                        });
                    }
                    Err(error) => debug!(%error, vantage, "name server cannot accept"),
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

/// Messages over TCP, each behind its length.
async fn serve(mut stream: TcpStream, site: &Site, vantage: &str) -> io::Result<()> {
    loop {
        let mut message = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut message).await?;
        if let Some(reply) = reply(site, vantage, &message) {
            let length = u16::try_from(reply.len()).map_err(io::Error::other)?;
            stream.write_all(&[&length.to_be_bytes()[..], &reply].concat()).await?;
        }
    }
}

/// The answer to one message; `None` = silence.
fn reply(site: &Site, vantage: &str, message: &[u8]) -> Option<Vec<u8>> {
    let query = Message::from_vec(message).ok()?;
    let vantage = site.world.vantage(vantage)?;
    site.clock.now();
    let reply = answer(site, vantage, &query);
    if reply.is_none() {
        site.say(Happening::NameUnanswered { vantage: vantage.name.clone() });
    }
    reply?.to_vec().ok()
}

fn answer(site: &Site, vantage: &Vantage, query: &Message) -> Option<Message> {
    let mut reply = Message::response(query.metadata.id, query.metadata.op_code);
    reply.metadata.recursion_desired = query.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    let Some(question) = query.queries.first() else {
        reply.metadata.response_code = ResponseCode::FormErr;
        return Some(reply);
    };
    reply.add_query(question.clone());
    let mut name = question.name().clone();
    for _ in 0..ALIASES_MAX {
        match meaning(vantage, &name) {
            Meaning::Fails(DnsDefault::Timeout) => return None,
            Meaning::Fails(DnsDefault::NxDomain) => {
                reply.metadata.response_code = ResponseCode::NXDomain;
                return Some(reply);
            }
            Meaning::Fails(DnsDefault::ServFail) => {
                reply.metadata.response_code = ResponseCode::ServFail;
                return Some(reply);
            }
            Meaning::Alias(target) => {
                let Ok(target) = Name::from_ascii(&target) else { break };
                let data = RData::CNAME(CNAME(target.clone()));
                reply.add_answer(Record::from_rdata(name, TTL_S, data));
                if question.query_type() == RecordType::CNAME {
                    return Some(reply);
                }
                name = target;
            }
            Meaning::Hosts(records) => {
                for data in addresses(site, records, question.query_type()) {
                    reply.add_answer(Record::from_rdata(name.clone(), TTL_S, data));
                }
                return Some(reply);
            }
        }
    }
    reply.answers.clear();
    reply.metadata.response_code = ResponseCode::ServFail;
    Some(reply)
}

enum Meaning<'a> {
    Fails(DnsDefault),
    Alias(String),
    /// Hosts by family; A records, then AAAA records.
    Hosts((&'a [String], &'a [String])),
}

fn meaning<'a>(vantage: &'a Vantage, name: &Name) -> Meaning<'a> {
    let name = name.to_ascii();
    let wanted = name.trim_end_matches('.');
    let entry =
        vantage.dns.iter().find(|(it, _)| it.trim_end_matches('.').eq_ignore_ascii_case(wanted));
    match entry.map(|(_, it)| it) {
        None => Meaning::Fails(vantage.dns_default),
        Some(DnsAnswer::Fails(how)) => Meaning::Fails(*how),
        Some(DnsAnswer::Host(host)) => Meaning::Hosts((std::slice::from_ref(host), &[])),
        Some(DnsAnswer::Hosts(hosts)) => Meaning::Hosts((hosts, &[])),
        Some(DnsAnswer::Records(DnsRecords { cname: Some(target), .. })) => {
            Meaning::Alias(format!("{}.", target.trim_end_matches('.')))
        }
        Some(DnsAnswer::Records(records)) => Meaning::Hosts((&records.a, &records.aaaa)),
    }
}

fn addresses(site: &Site, (a, aaaa): (&[String], &[String]), wanted: RecordType) -> Vec<RData> {
    let (hosts, family) = if wanted == RecordType::A {
        (a, Family::V4)
    } else if wanted == RecordType::AAAA {
        (aaaa, Family::V6)
    } else {
        // The name exists and has nothing of this type: an empty answer, RFC 2308 section 2.2.
        return Vec::new();
    };
    let found = hosts.iter().filter_map(|it| site.addresses.of_host(it, family));
    found
        .map(|it| match it {
            IpAddr::V4(address) => RData::A(A(address)),
            IpAddr::V6(address) => RData::AAAA(AAAA(address)),
        })
        .collect()
}
