//! One logon from reservation to settlement, against a scripted agent that opens what it is sent.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use parallax_auth::{Binding, Opener, Sealed};
use parallax_model::{
    AccountId, Answer, Body, Certificate, ChainJudgement, ChainTrust, Connection, DnsFacts,
    DnsSource, Exchange, FamilyAnswer, Headers, HttpVersion, Look, NameForm, Observation, Outcome,
    Place, Report, Sight, TcpFacts, TlsFacts, TlsVersion, Transport, VantageName, Zone,
};
use parallax_wire::pb;
use parallax_wire::pb::link as wire;
use parallax_wire::pb::link::session_request::Message as Say;
use parallax_wire::pb::link::session_response::Message as Told;
use parallax_wire::pb::watch_diagnosis_response::Event;

use crate::agent::ScriptedAgent;
use crate::bed::{Bed, published};

/// Planted; must turn up nowhere but in the agent's hands.
const SECRET: &str = "Xyzzy-Planted-8831";

fn exchange(look: Look, connection: u32, status: u16, headers: &[(&str, &str)]) -> Exchange {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let headers = Headers(headers.collect());
    let answer = Answer {
        version: HttpVersion::Http11,
        status,
        reason: String::new(),
        challenges: headers.challenges(),
        headers,
        headers_left_out: 0,
        body: Body::default(),
        type2: None,
        took: Duration::from_millis(5),
    };
    let connection = Connection { number: connection, local_port: 50_000 };
    Exchange {
        look,
        connection,
        sent: true,
        asked_for_certificate: false,
        outcome: Outcome::Done(answer),
    }
}

fn sight(exchanges: Vec<Exchange>) -> Report {
    let address: SocketAddr = "203.0.113.10:443".parse().expect("an address");
    let took = Duration::from_millis(1);
    let trusted = ChainJudgement::Trusted;
    let leaf = Certificate {
        sha256: [7; 32],
        subject: "CN=mail.example.com".to_owned(),
        issuer: "CN=Public".to_owned(),
        serial: "01".to_owned(),
        names: vec!["mail.example.com".to_owned()],
        not_before: SystemTime::UNIX_EPOCH,
        not_after: SystemTime::now() + Duration::from_hours(24 * 300),
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
        took,
    };
    Report::Seen(Sight {
        dns: Outcome::Done(DnsFacts {
            source: DnsSource::NameServer("192.0.2.53:53".parse().expect("an address")),
            cname_chain: Vec::new(),
            addresses: vec![address.ip()],
            left_out: 0,
            v4: FamilyAnswer::Addresses(vec![address.ip()]),
            v6: FamilyAnswer::NotAsked,
            took,
        }),
        observations: vec![Observation {
            address,
            tcp: Outcome::Done(TcpFacts { local_port: 50_000, took }),
            transport: Transport::Tls(Outcome::Done(tls)),
            without_sni: Outcome::NotReached,
            exchanges,
        }],
    })
}

const SERVER: [(&str, &str); 2] = [("Server", "Microsoft-IIS/10.0"), ("X-FEServer", "EX01")];

fn anonymous() -> Exchange {
    let headers = [SERVER[0], SERVER[1], ("WWW-Authenticate", "Basic realm=\"mail.example.com\"")];
    exchange(Look::OPTIONS, 0, 401, &headers)
}

fn logon(status: u16) -> Exchange {
    let account = AccountId::new("alice").expect("a name");
    let look = Look::logon(account, NameForm::Upn, Place::ActiveSync);
    match status {
        200 => exchange(
            look,
            1,
            200,
            &[
                SERVER[0],
                SERVER[1],
                ("MS-Server-ActiveSync", "15.1"),
                ("MS-ASProtocolVersions", "14.1,16.1"),
                ("MS-ASProtocolCommands", "Sync,FolderSync"),
            ],
        ),
        _ => exchange(
            look,
            1,
            status,
            &[SERVER[0], SERVER[1], ("WWW-Authenticate", "Basic realm=\"mail.example.com\"")],
        ),
    }
}

/// A target with one account, whose directory locks at 10.
async fn bed() -> Bed {
    let bed = Bed::start(&[("ext", Zone::External)]).await;
    let account = pb::Account {
        directory: "corp".to_owned(),
        user_names: vec![pb::UserName {
            form: pb::NameForm::Upn.into(),
            login: "alice@example.com".to_owned(),
        }],
        mailbox: pb::Generation::Generation2016.into(),
        lockout: Some(pb::LockoutPolicy {
            threshold: Some(pb::lockout_policy::Threshold::Count(10)),
            window: Some(pbjson_types::Duration { seconds: 1800, nanos: 0 }),
        }),
        secret: SECRET.to_owned(),
        ..pb::Account::default()
    };
    let request = pb::CreateAccountRequest {
        account_id: "alice".to_owned(),
        account: Some(account),
        ..pb::CreateAccountRequest::default()
    };
    let created = bed.accounts().await.create_account(request).await.expect("created").into_inner();
    assert!(created.secret.is_empty() && created.secret_version == 1);
    assert_eq!(created.budget.expect("a budget").limit, 4);
    let subject = pb::TargetAccount {
        account: "accounts/alice".to_owned(),
        purpose: pb::target_account::Purpose::Subject.into(),
    };
    let mut endpoints = published();
    endpoints[0].set_generation(pb::Generation::Generation2016);
    bed.target("shop", endpoints, vec![subject]).await;
    bed
}

/// Answers free looks until a logon is offered.
async fn until_logon(agent: &mut ScriptedAgent) -> wire::Offer {
    loop {
        let offer = agent.accept().await;
        if offer.logon.is_some() {
            return offer;
        }
        agent.report(&offer, sight(vec![anonymous()])).await;
        agent.acknowledged(&offer.task).await;
    }
}

/// Begins and opens what comes back; the nonce and the secret.
async fn begin(agent: &mut ScriptedAgent, offer: &wire::Offer) -> (Vec<u8>, String) {
    let attempt = offer.logon.as_ref().expect("a logon").attempt.clone();
    let (opener, nonce) = (Opener::generate().expect("a key pair"), vec![42_u8; 16]);
    let message = wire::Begin {
        attempt: attempt.clone(),
        nonce: nonce.clone(),
        public_key: opener.public_key().to_vec(),
        task: offer.task.clone(),
    };
    agent.say(Say::Begin(message.clone())).await;
    let Some(Told::Go(go)) = agent.next().await else { panic!("no go") };
    let sequence = u64::try_from(go.ledger_sequence).expect("a number");
    let binding = Binding { attempt: &attempt, nonce: &nonce, sequence };
    let sealed = Sealed { encapsulated_key: go.encapsulated_key, ciphertext: go.ciphertext };
    let vantage = VantageName::new(agent.vantage.as_str()).expect("a name");
    let secret = opener.open(&binding, parallax_wire::go_aad(&vantage), &sealed).expect("opens");
    // A second begin never gets a second go.
    agent.say(Say::Begin(message)).await;
    assert!(matches!(agent.next().await, Some(Told::Deny(_))));
    (nonce, secret.expose().to_owned())
}

async fn finish(bed: &Bed, status: u16) -> (pb::Diagnosis, Vec<String>) {
    let mut agent = bed.agent("ext").await;
    let diagnosis = bed.begin("shop").await;
    let offer = until_logon(&mut agent).await;
    let (nonce, secret) = begin(&mut agent, &offer).await;
    assert_eq!(secret, SECRET);
    let result = agent.result(&offer, sight(vec![anonymous(), logon(status)]));
    agent.say(Say::Result(wire::Result { nonce, ..result })).await;
    agent.acknowledged(&offer.task).await;
    let events = bed.events(&diagnosis.name, 0).await;
    let told = events.iter().filter_map(|it| match &it.event {
        Some(Event::Logon(logon)) => Some(logon.what.clone()),
        _ => None,
    });
    let told = told.collect();
    (bed.end(&diagnosis.name).await, told)
}

#[tokio::test]
async fn an_accepted_logon_is_refunded_and_leaves_no_trace_of_the_secret() {
    let bed = bed().await;
    let (end, told) = finish(&bed, 200).await;
    assert_eq!(told, ["started", "accepted"]);
    let logons = end.logons.clone().expect("logons");
    assert_eq!((logons.used, logons.refused, logons.budget), (1, 0, 4));
    assert_eq!(logons.accounts[0].charged, 0);
    assert_eq!(end.verdict.clone().expect("a verdict").fault, "healthy");
    assert!(!format!("{end:?}").contains(SECRET));
    let site = bed.stop().await;
    for entry in std::fs::read_dir(site.folder.path()).expect("folder") {
        let path = entry.expect("entry").path();
        if path.is_file() {
            let bytes = std::fs::read(&path).expect("read");
            let found = bytes.windows(SECRET.len()).any(|it| it == SECRET.as_bytes());
            assert!(!found, "the secret stands in {}", path.display());
        }
    }
}

#[tokio::test]
async fn a_refused_logon_is_charged_and_the_next_diagnosis_makes_none() {
    let bed = bed().await;
    let (end, told) = finish(&bed, 401).await;
    assert_eq!(told.first().map(String::as_str), Some("started"));
    assert!(told.contains(&"refused".to_owned()), "{told:?}");
    let logons = end.logons.expect("logons");
    assert_eq!((logons.used, logons.refused), (1, 1));
    assert!(logons.accounts[0].charged >= 1);
    let request = pb::GetAccountRequest { name: "accounts/alice".to_owned() };
    let account = bed.accounts().await.get_account(request).await.expect("there").into_inner();
    assert!(account.budget.expect("a budget").breaker_open);

    let mut agent = bed.agent("ext").await;
    let again = bed.begin("shop").await;
    let offer = agent.accept().await;
    assert!(offer.logon.is_none());
    agent.report(&offer, sight(vec![anonymous()])).await;
    let end = bed.end(&again.name).await;
    assert_eq!(end.logons.expect("logons").used, 0);
}

#[tokio::test]
async fn a_session_lost_after_go_is_charged_unless_its_result_comes_after_all() {
    let bed = bed().await;
    let mut agent = bed.agent("ext").await;
    let diagnosis = bed.begin("shop").await;
    let offer = until_logon(&mut agent).await;
    let (nonce, _) = begin(&mut agent, &offer).await;
    let result = agent.result(&offer, sight(vec![anonymous(), logon(200)]));
    drop(agent);
    // The agent comes back with what it had spooled, under the epoch in which it took the task.
    let mut agent = bed.agent("ext").await;
    agent.say(Say::Result(wire::Result { nonce, ..result })).await;
    agent.acknowledged(&offer.task).await;
    let end = bed.end(&diagnosis.name).await;
    let logons = end.logons.expect("logons");
    assert_eq!((logons.used, logons.refused, logons.accounts[0].charged), (1, 0, 0));
}

#[tokio::test]
async fn an_anonymous_diagnosis_sends_no_credential() {
    let bed = bed().await;
    let mut agent = bed.agent("ext").await;
    let asked = pb::Diagnosis {
        target: "targets/shop".to_owned(),
        anonymous_only: true,
        ..pb::Diagnosis::default()
    };
    let request = pb::CreateDiagnosisRequest {
        diagnosis: Some(asked),
        ..pb::CreateDiagnosisRequest::default()
    };
    let diagnosis =
        bed.diagnoses().await.create_diagnosis(request).await.expect("accepted").into_inner();
    assert_eq!(diagnosis.plan.as_ref().map(|it| it.logons_max), Some(0));
    let offer = agent.accept().await;
    assert!(offer.logon.is_none());
    agent.report(&offer, sight(vec![anonymous()])).await;
    let end = bed.end(&diagnosis.name).await;
    let logons = end.logons.expect("logons");
    assert_eq!((logons.used, logons.held), (0, 1), "said, not silently left out");
    assert_eq!(end.verdict.expect("a verdict").fault, "undetermined");
}
