//! What an agent reports of a simulated target: the exchanges of one logon, as the probe would have seen them.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use parallax_model::{
    Answer, Body, Certificate, ChainJudgement, ChainTrust, Connection, DnsFacts, DnsSource,
    Exchange, FamilyAnswer, Headers, HttpFailure, HttpVersion, Look, Observation, Outcome, Report,
    Sight, Task, TcpFacts, TlsFacts, TlsVersion, Transport,
};

const SERVER: [(&str, &str); 2] = [("Server", "Microsoft-IIS/10.0"), ("X-FEServer", "EX01")];
const CHALLENGE: (&str, &str) = ("WWW-Authenticate", "Basic realm=\"mail.example.com\"");
const TOOK: Duration = Duration::from_millis(5);

/// What became of a credential, as the agent tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Accepted,
    Refused,
    /// 503: tells neither.
    Busy,
    /// It was sent, and no answer came.
    Lost,
    /// Not a byte of it was sent, for this reason.
    NotSent(String),
}

/// The report of a logon that came so far.
pub(super) fn logon(task: &Task, ending: &Ending) -> Report {
    let Some(logon) = &task.logon else { return free_part() };
    let look = Look::logon(logon.account.clone(), logon.name.form, logon.place);
    let (sent, outcome) = match ending {
        Ending::Accepted => {
            let headers = [
                SERVER[0],
                SERVER[1],
                ("MS-Server-ActiveSync", "15.1"),
                ("MS-ASProtocolVersions", "14.1,16.1"),
                ("MS-ASProtocolCommands", "Sync,FolderSync"),
            ];
            (true, Outcome::Done(answer(200, &headers)))
        }
        Ending::Refused => (true, Outcome::Done(answer(401, &[SERVER[0], SERVER[1], CHALLENGE]))),
        Ending::Busy => (true, Outcome::Done(answer(503, &[]))),
        Ending::Lost => {
            (true, Outcome::Failed(HttpFailure::TimedOut { after: task.limits.credentialed }))
        }
        Ending::NotSent(reason) => {
            (false, Outcome::Failed(HttpFailure::NotPermitted { reason: reason.clone() }))
        }
    };
    sight(vec![
        anonymous(),
        Exchange { look, connection: connection(1), sent, asked_for_certificate: false, outcome },
    ])
}

/// The report of a logon that ended before a credential was asked for.
pub(super) fn free_part() -> Report {
    sight(vec![anonymous()])
}

fn anonymous() -> Exchange {
    let outcome = Outcome::Done(answer(401, &[SERVER[0], SERVER[1], CHALLENGE]));
    Exchange {
        look: Look::OPTIONS,
        connection: connection(0),
        sent: true,
        asked_for_certificate: false,
        outcome,
    }
}

fn connection(number: u32) -> Connection {
    Connection { number, local_port: 50_000 }
}

fn answer(status: u16, headers: &[(&str, &str)]) -> Answer {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let headers = Headers(headers.collect());
    Answer {
        version: HttpVersion::Http11,
        status,
        reason: String::new(),
        challenges: headers.challenges(),
        headers,
        headers_left_out: 0,
        body: Body::default(),
        type2: None,
        took: TOOK,
    }
}

fn sight(exchanges: Vec<Exchange>) -> Report {
    let address = SocketAddr::from(([10, 0, 0, 10], 443));
    let trusted = ChainJudgement::Trusted;
    let leaf = Certificate {
        sha256: [7; 32],
        subject: "CN=mail.example.com".to_owned(),
        issuer: "CN=Public".to_owned(),
        serial: "01".to_owned(),
        names: vec!["mail.example.com".to_owned()],
        not_before: SystemTime::UNIX_EPOCH,
        not_after: SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 365 * 100),
    };
    let tls = TlsFacts {
        version: TlsVersion::Tls12,
        cipher: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384".to_owned(),
        alpn: None,
        chain: vec![leaf],
        trust: ChainTrust { public: trusted, store: trusted, endpoint: trusted },
        name_matches: true,
        dates_hold: true,
        client_certificate_requested: false,
        took: TOOK,
    };
    Report::Seen(Sight {
        dns: Outcome::Done(DnsFacts {
            source: DnsSource::NameServer(SocketAddr::from(([10, 0, 0, 53], 53))),
            cname_chain: Vec::new(),
            addresses: vec![address.ip()],
            left_out: 0,
            v4: FamilyAnswer::Addresses(vec![address.ip()]),
            v6: FamilyAnswer::NotAsked,
            took: TOOK,
        }),
        observations: vec![Observation {
            address,
            tcp: Outcome::Done(TcpFacts { local_port: 50_000, took: TOOK }),
            transport: Transport::Tls(Outcome::Done(tls)),
            without_sni: Outcome::NotReached,
            exchanges,
        }],
    })
}
