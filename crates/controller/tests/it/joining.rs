//! Joining, renewal, drain and ban as agents and operators meet them: over real mutual TLS and the API.

use std::sync::Arc;
use std::time::Duration;

use parallax_auth::JoinToken;
use parallax_controller::Terms;
use parallax_controller::limits::Rate;
use parallax_model::{VantageName, Zone};
use parallax_wire::pb;
use parallax_wire::pb::agent::State;
use parallax_wire::pb::link as wire;
use parallax_wire::pb::link::agent_service_client::AgentServiceClient;
use parallax_wire::pb::link::enrollment_service_client::EnrollmentServiceClient;
use parallax_wire::pb::link::session_request::Message as Say;
use parallax_wire::pb::link::session_response::Message as Told;
use rcgen::{CertificateParams, KeyPair};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::agent::{ScriptedAgent, connect_as, nothing_resolves};
use crate::bed::{Bed, SOON, published};

/// The promise: a banned agent is out after this.
const CUT_MAX: Duration = Duration::from_secs(5);

/// A machine that joined.
struct Machine {
    chain: Vec<Vec<u8>>,
    key: KeyPair,
}

impl Machine {
    async fn channel(&self, bed: &Bed) -> Channel {
        let chain = self.chain.iter().map(|it| it.clone().into()).collect();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        connect_as(bed, Some((chain, key))).await.expect("connected")
    }

    async fn session(&self, bed: &Bed) -> Result<ScriptedAgent, Status> {
        ScriptedAgent::join_over(self.channel(bed).await).await
    }

    /// The same machine after a renewal whose answer it received.
    async fn renewed(&self, bed: &Bed) -> Result<Self, Status> {
        let key = KeyPair::generate().expect("a key");
        let request = wire::RenewRequest { signing_request: signing_request(&key) };
        let mut client = AgentServiceClient::new(self.channel(bed).await);
        let answer = client.renew(request).await?.into_inner();
        Ok(Self { chain: answer.certificate.expect("a certificate").chain, key })
    }
}

fn signing_request(key: &KeyPair) -> Vec<u8> {
    let params = CertificateParams::new(["root".to_owned()]).expect("a name");
    params.serialize_request(key).expect("a request").der().to_vec()
}

async fn token(bed: &Bed, agent: &str, replace: bool) -> Result<JoinToken, Status> {
    let join_token = pb::JoinToken {
        agent: agent.to_owned(),
        zone: "external".to_owned(),
        replace,
        ..pb::JoinToken::default()
    };
    let request = pb::CreateJoinTokenRequest { join_token: Some(join_token), validate_only: false };
    let made = bed.fleet().await.create_join_token(request).await?.into_inner();
    assert!(made.expire_time.is_some());
    assert!(!format!("{made:?}").contains(&made.token));
    Ok(JoinToken::read(&made.token).expect("a token"))
}

/// Waits out the limit of one attempt a second first.
async fn enroll(bed: &Bed, token: &JoinToken) -> Result<Machine, Status> {
    enroll_with(bed, token, KeyPair::generate().expect("a key")).await
}

async fn enroll_with(bed: &Bed, token: &JoinToken, key: KeyPair) -> Result<Machine, Status> {
    let channel = connect_as(bed, None).await.expect("connected");
    loop {
        let request = wire::EnrollRequest {
            token: token.secret.to_vec(),
            signing_request: signing_request(&key),
        };
        let answer = EnrollmentServiceClient::new(channel.clone()).enroll(request).await;
        match answer {
            Err(status) if status.code() == Code::ResourceExhausted => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            answer => {
                let answer = answer?.into_inner();
                assert_eq!(answer.zone, "external");
                let certificate = answer.certificate.expect("a certificate");
                let (_, shown) = x509_parser::parse_x509_certificate(&certificate.authority)
                    .expect("a certificate");
                let pin: [u8; 32] = Sha256::digest(shown.public_key().raw).into();
                assert_eq!(pin, token.authority_pin);
                return Ok(Machine { chain: certificate.chain, key });
            }
        }
    }
}

async fn shown(bed: &Bed, name: &str) -> pb::Agent {
    let request = pb::GetAgentRequest { name: name.to_owned() };
    bed.fleet().await.get_agent(request).await.expect("there").into_inner()
}

async fn ban(bed: &Bed, name: &str) -> pb::Agent {
    let request = pb::BanAgentRequest { name: name.to_owned(), reason: "stolen".to_owned() };
    bed.fleet().await.ban_agent(request).await.expect("banned").into_inner()
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|it| it.reason).unwrap_or_default()
}

/// Waits until the stream ends. Gives what was told until then.
async fn told_until_cut(agent: &mut ScriptedAgent) -> Vec<Told> {
    let started = Instant::now();
    let mut told = Vec::new();
    while let Some(message) = agent.next().await {
        told.push(message);
    }
    assert!(started.elapsed() < CUT_MAX, "{:?}", started.elapsed());
    told
}

#[tokio::test]
async fn a_machine_joins_renews_and_its_old_certificate_ends() {
    let bed = Bed::start(&[]).await;
    let made = token(&bed, "ext", false).await.expect("made");
    assert_eq!((made.agent.as_str(), made.authority_pin), ("ext", bed.pin()));
    let machine = enroll(&bed, &made).await.expect("joined");
    let agent = shown(&bed, "agents/ext").await;
    assert_eq!((agent.state(), agent.last_seen_time), (State::Disconnected, None));
    let session = machine.session(&bed).await.expect("a session");
    assert_eq!(session.vantage, "ext");
    assert_eq!(shown(&bed, "agents/ext").await.state(), State::Connected);

    // The first answer is lost; the old certificate goes on until a new one is used.
    machine.renewed(&bed).await.expect("renewed");
    let renewed = machine.renewed(&bed).await.expect("renewed again");
    drop(machine.session(&bed).await.expect("the old one still holds"));
    let session = renewed.session(&bed).await.expect("the new one");
    let refused = machine.session(&bed).await.err().expect("the old one ended");
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("two machines"), "{refused}");
    let agent = shown(&bed, "agents/ext").await;
    assert!(agent.warnings.iter().any(|it| it.contains("two machines hold")), "{agent:?}");
    assert_eq!(agent.state(), State::Connected, "the right one goes on");
    assert!(machine.renewed(&bed).await.is_err(), "nor does it get another one");
    drop(session);
    bed.stop().await;
}

#[tokio::test]
async fn every_call_but_joining_needs_a_certificate_and_a_token_is_told_what_is_wrong() {
    let bed = Bed::start(&[]).await;
    let channel = connect_as(&bed, None).await.expect("connected");
    let session = ScriptedAgent::join_over(channel.clone()).await.err().expect("refused");
    assert_eq!(session.code(), Code::Unauthenticated);
    let renewal = AgentServiceClient::new(channel).renew(wire::RenewRequest::default()).await;
    assert_eq!(renewal.expect_err("refused").code(), Code::Unauthenticated);

    let made = token(&bed, "ext", false).await.expect("made");
    enroll(&bed, &made).await.expect("joined");
    let used = enroll(&bed, &made).await.err().expect("used");
    assert!(used.message().contains("used already"), "{used}");
    let taken = token(&bed, "ext", false).await.expect_err("the name is taken");
    assert_eq!(reason(&taken), "RESOURCE_ALREADY_EXISTS");
    let made = token(&bed, "ext", true).await.expect("made");
    let machine = enroll(&bed, &made).await.expect("joined in its place");
    drop(machine.session(&bed).await.expect("a session"));
}

#[tokio::test]
async fn nothing_is_resumed_and_the_chain_holds_the_authority() {
    let bed = Bed::start(&[]).await;
    let mut roots = RootCertStore::empty();
    roots.add(bed.authority()).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    for _ in 0..2 {
        let stream = tokio::net::TcpStream::connect(bed.agents).await.expect("connected");
        let name = ServerName::try_from("localhost").expect("a name");
        let mut stream = connector.connect(name, stream).await.expect("TLS");
        // The server's settings follow any ticket.
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
            .await
            .expect("sent");
        timeout(SOON, stream.read_u8()).await.expect("soon").expect("an answer");
        let (_, session) = stream.get_ref();
        assert_eq!(session.handshake_kind(), Some(HandshakeKind::Full));
        let chain = session.peer_certificates().expect("a chain");
        assert_eq!((chain.len(), &chain[1]), (2, &bed.authority()));
    }
}

#[tokio::test]
async fn a_ban_cuts_an_idle_agent_and_keeps_it_out() {
    let bed = Bed::start(&[("ext", Zone::External)]).await;
    let mut agent = bed.agent("ext").await;
    let banned = ban(&bed, "agents/ext").await;
    assert_eq!((banned.state(), banned.state_reason.as_str()), (State::Banned, "stolen"));
    assert_eq!(told_until_cut(&mut agent).await, []);
    let identity = bed.identity("ext");
    let refused = ScriptedAgent::join(&bed, Some(identity)).await.err().expect("banned");
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("banned: stolen"), "{refused}");
    // It is still so after a restart, and no token brings it back until it is deleted.
    let bed = Bed::start_again(bed.stop().await).await;
    assert!(ScriptedAgent::join(&bed, Some(bed.identity("ext"))).await.is_err());
    let status = token(&bed, "ext", true).await.expect_err("banned");
    assert_eq!(reason(&status), "AGENT_BANNED");
    let request = pb::ResumeAgentRequest { name: "agents/ext".to_owned() };
    let status = bed.fleet().await.resume_agent(request).await.expect_err("banned");
    assert_eq!(reason(&status), "AGENT_BANNED");
}

#[tokio::test]
async fn a_ban_in_the_middle_of_a_probe_leaves_silence_and_no_further_task() {
    let bed = Bed::start(&[("ext", Zone::External)]).await;
    bed.target("shop", published(), Vec::new()).await;
    let mut agent = bed.agent("ext").await;
    let diagnosis = bed.begin("shop").await;
    let offer = agent.accept().await;
    ban(&bed, "agents/ext").await;
    // Its result crosses the ban: nobody hears it, nothing is acknowledged.
    agent.say_if_heard(Say::Result(agent.result(&offer, nothing_resolves()))).await;
    let second = pb::CreateDiagnosisRequest {
        diagnosis: Some(pb::Diagnosis { target: "targets/shop".to_owned(), ..Default::default() }),
        ..Default::default()
    };
    let refused = bed.diagnoses().await.create_diagnosis(second).await.expect_err("nobody is left");
    assert_eq!(reason(&refused), "NO_VANTAGE");
    assert_eq!(told_until_cut(&mut agent).await, []);
    let end = bed.end(&diagnosis.name).await;
    let report = &end.rounds[0].reports[0].report;
    assert!(matches!(report, Some(pb::path_report::Report::Silent(_))), "{report:?}");
}

#[tokio::test]
async fn a_ban_against_an_agent_that_reconnects_all_the_time_holds() {
    let mut terms = Terms::default();
    terms.limits.agents.sessions = Rate::per_second(1000, 1000);
    let bed = Arc::new(Bed::start_on(terms, None, &[("ext", Zone::External)]).await);
    let racing = Arc::clone(&bed);
    let reconnecting = tokio::spawn(async move {
        let mut sessions = 0;
        let until = Instant::now() + Duration::from_secs(2);
        let mut last = None;
        while Instant::now() < until {
            match ScriptedAgent::join(&racing, Some(racing.identity("ext"))).await {
                Ok(agent) => (sessions, last) = (sessions + 1, Some(agent)),
                Err(status) => assert_ne!(status.code(), Code::Internal, "{status}"),
            }
        }
        (sessions, last)
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    ban(&bed, "agents/ext").await;
    assert!(bed.view.borrow().connected.is_empty(), "once it is told, it is so");
    let (sessions, last) = reconnecting.await.expect("no panic");
    assert!(sessions > 1, "{sessions}");
    let mut last = last.expect("one");
    assert!(told_until_cut(&mut last).await.iter().all(|it| !matches!(it, Told::Offer(_))));
    assert!(bed.view.borrow().connected.is_empty());
}

/// An agent with a session that it began with a certificate which was renewed since, and whose successor is in use.
async fn renewed_meanwhile(bed: &Bed) -> ScriptedAgent {
    let made = token(bed, "ext", false).await.expect("made");
    let machine = enroll(bed, &made).await.expect("joined");
    let session = machine.session(bed).await.expect("a session");
    let renewed = machine.renewed(bed).await.expect("renewed");
    // The first use of the new one ends the one before; there are two more, so that nobody remembers the first.
    let again = renewed.renewed(bed).await.expect("renewed");
    again.renewed(bed).await.expect("renewed");
    let name = VantageName::new("ext").expect("a name");
    let record = bed.store.agent(&name).await.expect("there");
    let first: [u8; 32] = Sha256::digest(&machine.chain[0]).into();
    assert!(record.certificates().all(|it| it != first));
    session
}

#[tokio::test]
async fn a_ban_and_a_removal_cut_a_session_whose_certificate_was_renewed_since() {
    for is_ban in [true, false] {
        let bed = Bed::start(&[]).await;
        let mut session = renewed_meanwhile(&bed).await;
        if is_ban {
            ban(&bed, "agents/ext").await;
        } else {
            let request = pb::DeleteAgentRequest { name: "agents/ext".to_owned() };
            bed.fleet().await.delete_agent(request).await.expect("deleted");
        }
        assert!(bed.view.borrow().connected.is_empty());
        assert_eq!(told_until_cut(&mut session).await, []);
        bed.stop().await;
    }
}

#[tokio::test]
async fn who_is_replaced_is_cut_with_whatever_certificate_and_its_successor_stays() {
    let bed = Bed::start(&[]).await;
    let mut session = renewed_meanwhile(&bed).await;
    let made = token(&bed, "ext", true).await.expect("made");
    let machine = enroll(&bed, &made).await.expect("joined in its place");
    assert_eq!(told_until_cut(&mut session).await, []);
    let successor = machine.session(&bed).await.expect("a session");
    // Its answer was lost, it believes, and it asks again.
    let key = KeyPair::from_pem(&machine.key.serialize_pem()).expect("a key");
    enroll_with(&bed, &made, key).await.expect("the same answer");
    successor.say(Say::Heartbeat(wire::Heartbeat {})).await;
    assert_eq!(bed.view.borrow().connected.len(), 1);
    drop(successor);
    bed.stop().await;
}

#[tokio::test]
async fn a_banned_agent_is_no_vantage_of_a_diagnosis() {
    let bed = Bed::start(&[("ext", Zone::External), ("other", Zone::External)]).await;
    bed.target("shop", published(), Vec::new()).await;
    ban(&bed, "agents/ext").await;
    let mut other = bed.agent("other").await;
    let diagnosis = bed.begin("shop").await;
    let offer = other.accept().await;
    other.report(&offer, nothing_resolves()).await;
    let end = bed.end(&diagnosis.name).await;
    let vantages: Vec<_> = end.rounds[0]
        .reports
        .iter()
        .filter_map(|it| it.path.as_ref().map(|it| it.vantage.as_str()))
        .collect();
    assert_eq!(vantages, ["other"]);
    bed.stop().await;
}

#[tokio::test]
async fn an_agent_that_froze_the_ledger_is_named() {
    let bed = Bed::start(&[("ext", Zone::External)]).await;
    let hello = wire::Hello { protocol: 1, ledger_sequence: 7, ..wire::Hello::default() };
    let said = tokio_stream::once(wire::SessionRequest { message: Some(Say::Hello(hello)) });
    let channel = crate::agent::connect(&bed, Some(bed.identity("ext"))).await;
    let session = AgentServiceClient::new(channel).session(said).await;
    session.expect("it gets a session all the same");
    let warnings = shown(&bed, "agents/ext").await.warnings;
    assert!(warnings.iter().any(|it| it.contains("does not know")), "{warnings:?}");
    bed.stop().await;
}

#[tokio::test]
async fn a_removed_agent_is_cut_and_may_join_anew() {
    let bed = Bed::start(&[("ext", Zone::External)]).await;
    let mut agent = bed.agent("ext").await;
    let request = || pb::DeleteAgentRequest { name: "agents/ext".to_owned() };
    bed.fleet().await.delete_agent(request()).await.expect("deleted");
    assert_eq!(told_until_cut(&mut agent).await, []);
    let again = bed.fleet().await.delete_agent(request()).await.expect_err("gone");
    assert_eq!(reason(&again), "RESOURCE_NOT_FOUND");
    let made = token(&bed, "ext", false).await.expect("made");
    let machine = enroll(&bed, &made).await.expect("joined");
    drop(machine.session(&bed).await.expect("a session"));
    assert!(ScriptedAgent::join(&bed, Some(bed.identity("ext"))).await.is_err());
}

#[tokio::test]
async fn a_drained_agent_finishes_and_is_given_nothing_new() {
    let bed = Bed::start(&[("ext", Zone::External)]).await;
    bed.target("shop", published(), Vec::new()).await;
    let mut agent = bed.agent("ext").await;
    let held = bed.begin("shop").await;
    let offer = agent.accept().await;
    let name = || "agents/ext".to_owned();
    let request = pb::DrainAgentRequest { name: name() };
    let drained = bed.fleet().await.drain_agent(request).await.expect("drained").into_inner();
    assert_eq!(drained.state(), State::Draining);
    let refused = bed.begin("shop").await;
    let end = bed.end(&refused.name).await;
    let Some(pb::path_report::Report::Unable(unable)) = &end.rounds[0].reports[0].report else {
        panic!("{end:?}");
    };
    assert_eq!(unable.detail, "its agent is being drained");
    agent.report(&offer, nothing_resolves()).await;
    agent.acknowledged(&offer.task).await;
    let end = bed.end(&held.name).await;
    assert!(matches!(end.rounds[0].reports[0].report, Some(pb::path_report::Report::Seen(_))));

    // It outlives a restart, and ends when it is told to.
    drop(agent);
    let bed = Bed::start_again(bed.stop().await).await;
    let mut agent = bed.agent("ext").await;
    let mut view = bed.view.clone();
    let drained = view.wait_for(|it| it.draining.len() == 1 && it.connected.is_empty());
    timeout(SOON, drained).await.expect("soon").expect("a fleet");
    let request = pb::ResumeAgentRequest { name: name() };
    bed.fleet().await.resume_agent(request).await.expect("resumed");
    assert_eq!(shown(&bed, "agents/ext").await.state(), State::Connected);
    bed.begin("shop").await;
    agent.accept().await;
}

#[tokio::test]
async fn two_machines_with_one_certificate_are_warned_of() {
    let bed = Bed::start(&[("ext", Zone::External)]).await;
    let first = bed.agent("ext").await;
    assert_eq!(shown(&bed, "agents/ext").await.warnings, Vec::<String>::new());
    let second = bed.agent("ext").await;
    let warnings = shown(&bed, "agents/ext").await.warnings;
    assert!(warnings.iter().any(|it| it.contains("two machines may share")), "{warnings:?}");
    drop((first, second));
}

#[tokio::test]
async fn agents_are_listed_by_name_page_by_page_and_wrong_fields_are_named() {
    let bed = Bed::start(&[("b", Zone::Dmz), ("a", Zone::External), ("c", Zone::Backend)]).await;
    let page = async |page_token: String| {
        let request = pb::ListAgentsRequest { page_size: 2, page_token };
        bed.fleet().await.list_agents(request).await.expect("a page").into_inner()
    };
    let first = page(String::new()).await;
    let second = page(first.next_page_token.clone()).await;
    assert!(second.next_page_token.is_empty());
    let names: Vec<_> = first.agents.iter().chain(&second.agents).map(|it| &it.name).collect();
    assert_eq!(names, ["agents/a", "agents/b", "agents/c"]);
    let wrong = pb::BanAgentRequest { name: "agents/a".to_owned(), reason: " ".to_owned() };
    let status = bed.fleet().await.ban_agent(wrong).await.expect_err("no reason");
    assert_eq!(reason(&status), "FIELDS_INVALID");
    let wrong = pb::CreateJoinTokenRequest::default();
    let status = bed.fleet().await.create_join_token(wrong).await.expect_err("nothing given");
    assert!(status.message().contains("`join_token.agent`"), "{status}");
    let join_token =
        pb::JoinToken { agent: "d".to_owned(), zone: "dmz".to_owned(), ..pb::JoinToken::default() };
    let request = pb::CreateJoinTokenRequest { join_token: Some(join_token), validate_only: true };
    let checked = bed.fleet().await.create_join_token(request).await.expect("right").into_inner();
    assert_eq!((checked.token.as_str(), checked.expire_time), ("", None));
    assert_eq!(bed.store.audit_after(0).await.expect("read").len(), 0, "nothing was made");
}
