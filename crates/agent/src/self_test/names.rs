//! Does each name server of this machine answer, and does it know domain controllers of the policy's domains?
//!
//! Each server is asked by itself, over UDP, twice. Domain controllers are found as RFC 4120 section 7.2.3.2 says: SRV records
//! of `_kerberos._tcp`.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout};

use super::{Finding, Verdict};

/// One datagram and its answer.
const ATTEMPT: Duration = Duration::from_secs(2);
const ATTEMPTS: u32 = 2;
const ANSWER_BYTES_MAX: usize = 4096;
/// Domains asked for; more hosts than these share them.
const DOMAINS_MAX: usize = 8;

/// One finding a server: it is asked for the controller's name, or for the root if that is an address.
pub(super) async fn servers(servers: &[SocketAddr], controller: &str) -> Vec<Finding> {
    const WHAT: &str = "name server";
    if servers.is_empty() {
        return vec![Finding::new(WHAT, Verdict::Bad, "none is configured on this machine")];
    }
    let is_address = controller.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let (asked, record) =
        if is_address { (".", RecordType::NS) } else { (controller, RecordType::A) };
    let mut findings = Vec::new();
    for server in servers {
        let started = Instant::now();
        let (verdict, text) = match ask(*server, asked, record).await {
            Ok(answer) => {
                let code = answer.metadata.response_code;
                let took = started.elapsed().as_millis();
                let is_good = matches!(code, ResponseCode::NoError | ResponseCode::NXDomain);
                let verdict = if is_good { Verdict::Good } else { Verdict::Caution };
                (verdict, format!("{server} answers in {took} ms: {code} for {asked}"))
            }
            Err(error) => (Verdict::Bad, format!("{server} does not answer: {error}")),
        };
        findings.push(Finding::new(WHAT, verdict, text));
    }
    findings
}

/// One finding a domain of the hosts.
pub(super) async fn kerberos(servers: &[SocketAddr], hosts: &[&str]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for domain in domains(hosts) {
        let name = format!("_kerberos._tcp.{domain}.");
        let mut found: Result<Vec<String>, String> = Err("no name server".to_owned());
        for server in servers {
            match ask(*server, &name, RecordType::SRV).await {
                Ok(answer) => {
                    found = Ok(targets(&answer));
                    break;
                }
                Err(error) => found = Err(format!("{server}: {error}")),
            }
        }
        let (verdict, text) = match found {
            Ok(controllers) if controllers.is_empty() => (
                Verdict::Caution,
                format!(
                    "{domain}: no domain controller is named in DNS; Kerberos cannot be judged from here"
                ),
            ),
            Ok(controllers) => (Verdict::Good, format!("{domain}: {}", controllers.join(", "))),
            Err(error) => (Verdict::Caution, format!("{domain}: not known, {error}")),
        };
        findings.push(Finding::new("kerberos", verdict, text));
    }
    findings
}

/// What is above each host, once: `be03.corp.example` is of `corp.example`.
fn domains(hosts: &[&str]) -> BTreeSet<String> {
    let names = hosts.iter().filter(|it| it.parse::<IpAddr>().is_err());
    names
        .filter_map(|it| it.split_once('.'))
        .map(|(_, domain)| domain.trim_end_matches('.').to_ascii_lowercase())
        .filter(|it| it.contains('.'))
        .take(DOMAINS_MAX)
        .collect()
}

fn targets(answer: &Message) -> Vec<String> {
    let mut found: Vec<String> = answer
        .answers
        .iter()
        .filter_map(|record| {
            let RData::SRV(service) = &record.data else { return None };
            Some(format!("{}:{}", service.target.to_utf8().trim_end_matches('.'), service.port))
        })
        .collect();
    found.sort();
    found.dedup();
    found.truncate(8);
    found
}

async fn ask(server: SocketAddr, name: &str, record: RecordType) -> io::Result<Message> {
    let mut name = Name::from_utf8(name).map_err(io::Error::other)?;
    name.set_fqdn(true);
    let mut failed = io::Error::from(io::ErrorKind::TimedOut);
    for _ in 0..ATTEMPTS {
        match timeout(ATTEMPT, ask_once(server, &name, record)).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => failed = error,
            Err(_) => failed = io::Error::new(io::ErrorKind::TimedOut, "no answer within 2 s"),
        }
    }
    Err(failed)
}

async fn ask_once(server: SocketAddr, name: &Name, record: RecordType) -> io::Result<Message> {
    let ours: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // A socket, and so a port, of its own for every question.
    let socket = UdpSocket::bind((ours, 0)).await?;
    socket.connect(server).await?;
    let id: u16 = rand::random();
    let mut question = Message::query();
    question.metadata.id = id;
    question.metadata.op_code = OpCode::Query;
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(name.clone(), record));
    socket.send(&question.to_vec().map_err(io::Error::other)?).await?;
    let mut buffer = vec![0; ANSWER_BYTES_MAX];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // What is not the answer to this question is not looked at; the limit is the caller's.
        if let Ok(answer) = Message::from_vec(&buffer[..length])
            && answer.metadata.id == id
            && answer.queries.first().is_none_or(|it| it.name() == name)
        {
            return Ok(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_what_is_above_the_hosts() {
        let hosts = [
            "be03.corp.example",
            "BE04.corp.example.",
            "mail.example.org",
            "10.0.0.8",
            "x.local",
            "bare",
        ];
        let domains: Vec<String> = domains(&hosts).into_iter().collect();
        assert_eq!(domains, ["corp.example", "example.org"]);
    }

    #[tokio::test]
    async fn a_name_server_that_answers_and_one_that_is_not_there() {
        let server = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let address = server.local_addr().expect("an address");
        let answering = async {
            let mut buffer = [0; 512];
            let (length, from) = server.recv_from(&mut buffer).await.expect("a question");
            // A stray datagram first; then the answer: the question with the response bit and NXDOMAIN.
            server.send_to(b"stray", from).await.expect("sent");
            buffer[2] |= 0x80;
            buffer[3] |= 3;
            server.send_to(&buffer[..length], from).await.expect("sent");
        };
        let list = [address];
        let (findings, ()) = tokio::join!(servers(&list, "controller.test"), answering);
        assert_eq!(findings[0].verdict, Verdict::Good, "{findings:?}");
        drop(server);
        let findings = servers(&list, "controller.test").await;
        assert_eq!(findings[0].verdict, Verdict::Bad, "{findings:?}");
        assert_eq!(servers(&[], "a").await[0].verdict, Verdict::Bad);
    }
}
