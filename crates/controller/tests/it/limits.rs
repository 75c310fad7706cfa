//! What one caller may take of the API's port: rates, room, connections; and what it is told.

use std::time::Duration;

use parallax_controller::limits::Rate;
use parallax_controller::token::TokenDigest;
use parallax_controller::{Principal, Role, Terms};
use parallax_model::Zone;
use parallax_wire::pb;
use parallax_wire::pb::link as wire;
use parallax_wire::pb::link::agent_service_client::AgentServiceClient;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;

use crate::agent::nothing_resolves;
use crate::bed::{Bed, SOON, published};

const OTHER: &str = "other-0123456789abcdef0123456789ab";
/// HTTP/2's preface and an empty SETTINGS frame (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

fn slow(burst: u32) -> Rate {
    Rate { every: Duration::from_mins(1), burst }
}

#[track_caller]
fn check_told(status: &Status, reason: &str) {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    let info = status.get_details_error_info().expect("an ErrorInfo");
    assert_eq!(info.reason, reason);
    let delay = status.get_details_retry_info().expect("a RetryInfo").retry_delay.expect("a delay");
    let pushback = status.metadata().get("grpc-retry-pushback-ms").expect("a trailer");
    let pushback: u128 = pushback.to_str().expect("text").parse().expect("a number");
    assert_eq!(pushback, delay.as_millis().max(1));
    assert!(delay <= Duration::from_mins(1), "{delay:?}");
}

async fn list(bed: &Bed, token: &str) -> Result<(), Status> {
    bed.targets_as(token).await.list_targets(pb::ListTargetsRequest::default()).await.map(|_| ())
}

#[tokio::test]
async fn a_caller_above_its_rate_is_told_when_to_come_back_and_others_are_not_touched() {
    let other = Principal { name: "other".to_owned(), role: Role::Viewer };
    let mut terms = Terms { callers: vec![(TokenDigest::of(OTHER), other)], ..Terms::default() };
    terms.limits.api.reads = slow(5);
    terms.limits.api.writes = slow(2);
    let bed = Bed::start_on(terms, None, &[]).await;
    for _ in 0..5 {
        list(&bed, crate::bed::TOKEN).await.expect("within the burst");
    }
    check_told(&list(&bed, crate::bed::TOKEN).await.expect_err("refused"), "RATE_LIMIT_EXCEEDED");
    list(&bed, OTHER).await.expect("another principal has a rate of its own");
    // Writes are another rate, and so is what needs no token.
    bed.target("shop", published(), Vec::new()).await;
    let mut health = HealthClient::new(bed.channel().await);
    health.check(HealthCheckRequest::default()).await.expect("open");
    bed.stop().await;
}

#[tokio::test]
async fn wrong_tokens_spend_the_addresss_rate_and_never_keep_the_right_one_waiting() {
    let mut terms = Terms::default();
    terms.limits.api.failures = slow(3);
    let bed = Bed::start_on(terms, None, &[]).await;
    for _ in 0..3 {
        let status = list(&bed, "wrong").await.expect_err("refused");
        assert_eq!(status.code(), Code::Unauthenticated);
    }
    for token in ["wrong", "", OTHER] {
        check_told(&list(&bed, token).await.expect_err("refused"), "RATE_LIMIT_EXCEEDED");
    }
    list(&bed, crate::bed::TOKEN).await.expect("the right token is let in");
    bed.stop().await;
}

#[tokio::test]
async fn one_target_is_not_diagnosed_without_end_whoever_asks() {
    let mut terms = Terms::default();
    terms.limits.api.diagnoses_of_target = slow(2);
    let bed = Bed::start_on(terms, None, &[("ext", Zone::External)]).await;
    bed.target("shop", published(), Vec::new()).await;
    bed.target("mail", published(), Vec::new()).await;
    let create = |target: &str| pb::CreateDiagnosisRequest {
        diagnosis: Some(pb::Diagnosis {
            target: format!("targets/{target}"),
            ..pb::Diagnosis::default()
        }),
        validate_only: true,
        ..pb::CreateDiagnosisRequest::default()
    };
    let mut client = bed.diagnoses().await;
    for _ in 0..2 {
        client.create_diagnosis(create("shop")).await.expect("within the burst");
    }
    let refused = client.create_diagnosis(create("shop")).await.expect_err("refused");
    check_told(&refused, "RATE_LIMIT_EXCEEDED");
    client.create_diagnosis(create("mail")).await.expect("another target");
    bed.stop().await;
}

#[tokio::test]
async fn what_finds_no_room_is_refused_at_once_and_room_comes_back() {
    let mut terms = Terms::default();
    terms.limits.api.long_calls_max = 2;
    let bed = Bed::start_on(terms, None, &[("ext", Zone::External)]).await;
    bed.target("shop", published(), Vec::new()).await;
    let mut agent = bed.agent("ext").await;
    let diagnosis = bed.begin("shop").await;
    let offer = agent.accept().await;
    let watch = || pb::WatchDiagnosisRequest { name: diagnosis.name.clone(), ..Default::default() };
    let mut client = bed.diagnoses().await;
    let first = client.watch_diagnosis(watch()).await.expect("a stream");
    let _second = client.watch_diagnosis(watch()).await.expect("a stream");
    let refused = client.watch_diagnosis(watch()).await.expect_err("no room");
    check_told(&refused, "CONTROLLER_OVERLOADED");
    list(&bed, crate::bed::TOKEN).await.expect("short calls have room of their own");
    drop(first);
    let again = async {
        while client.watch_diagnosis(watch()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, again).await.expect("the room of the first is given back");
    agent.report(&offer, nothing_resolves()).await;
    agent.acknowledged(&offer.task).await;
    bed.stop().await;
}

/// How long until the peer closes, having been sent this.
async fn closed_after(address: std::net::SocketAddr, sent: &[u8]) -> Duration {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(sent).await.expect("sent");
    let mut read = [0; 4096];
    let ended = async { while matches!(stream.read(&mut read).await, Ok(length) if length > 0) {} };
    tokio::time::timeout(SOON, ended).await.expect("it is closed");
    begun.elapsed()
}

#[tokio::test]
async fn connections_are_asked_to_end_each_at_a_time_of_its_own() {
    let mut terms = Terms::default();
    terms.limits.api_port.stranger_age = Some(Duration::from_secs(2));
    terms.limits.api_port.grace = Duration::from_millis(300);
    let bed = Bed::start_on(terms, None, &[]).await;
    let all = (0..16).map(|_| closed_after(bed.api, PREFACE));
    let mut lives: Vec<Duration> = futures::future::join_all(all).await;
    lives.sort();
    let (first, last) = (lives[0], lives[lives.len() - 1]);
    assert!(first >= Duration::from_millis(1790), "{first:?}");
    assert!(last <= Duration::from_secs(4), "{last:?}");
    assert!(
        last.saturating_sub(first) >= Duration::from_millis(20),
        "together: {first:?} to {last:?}"
    );
    // A stream that goes on holds the connection for the grace alone.
    let mut health = HealthClient::new(bed.channel().await);
    let begun = Instant::now();
    let mut stream =
        health.watch(HealthCheckRequest::default()).await.expect("a stream").into_inner();
    let ended = async { while let Ok(Some(_)) = stream.message().await {} };
    tokio::time::timeout(SOON, ended).await.expect("it is cut");
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    // A client of gRPC comes back by itself.
    health.check(HealthCheckRequest::default()).await.expect("connected again");
    bed.stop().await;
}

#[tokio::test]
async fn a_connection_is_read_no_faster_than_its_rate() {
    let mut terms = Terms::default();
    terms.limits.api_port.bytes_per_second = 64 * 1024;
    terms.limits.api_port.bytes_burst = 64 * 1024;
    let bed = Bed::start_on(terms, None, &[]).await;
    let target = pb::Target { display_name: "x".repeat(160 * 1024), ..pb::Target::default() };
    let request = pb::CreateTargetRequest {
        target_id: "shop".to_owned(),
        target: Some(target),
        ..pb::CreateTargetRequest::default()
    };
    let begun = Instant::now();
    let status = bed.targets().await.create_target(request).await.expect_err("refused");
    assert_eq!(status.code(), Code::InvalidArgument);
    let took = begun.elapsed();
    assert!((Duration::from_millis(1400)..Duration::from_secs(5)).contains(&took), "{took:?}");
    bed.stop().await;
}

#[tokio::test]
async fn who_says_nothing_is_closed_and_a_full_port_takes_nobody() {
    let mut terms = Terms::default();
    terms.limits.api_port.handshake = Duration::from_millis(500);
    terms.limits.api_port.connections_max = 4;
    let bed = Bed::start_on(terms, None, &[]).await;
    let silent = closed_after(bed.api, b"").await;
    assert!((Duration::from_millis(450)..Duration::from_secs(4)).contains(&silent), "{silent:?}");
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(bed.api).await.expect("connected");
        stream.write_all(PREFACE).await.expect("sent");
        let mut frame = [0; 9];
        stream.read_exact(&mut frame).await.expect("SETTINGS");
        held.push(stream);
    }
    let refused = closed_after(bed.api, PREFACE).await;
    assert!(refused < Duration::from_millis(400), "{refused:?}");
    drop(held.pop());
    let again = async {
        loop {
            let mut stream = TcpStream::connect(bed.api).await.expect("connected");
            let mut frame = [0; 9];
            if stream.write_all(PREFACE).await.is_ok()
                && stream.read_exact(&mut frame).await.is_ok()
            {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, again).await.expect("there is room again");
    bed.stop().await;
}

#[tokio::test]
async fn handshakes_that_stall_hold_up_others_no_longer_than_their_deadline() {
    let mut terms = Terms::default();
    terms.limits.agent_port.handshake = Duration::from_millis(700);
    terms.limits.agent_port.handshakes_max = 3;
    let bed = Bed::start_on(terms, None, &[("ext", Zone::External)]).await;
    let mut stalled = Vec::new();
    for sent in [&b""[..], b"\x16\x03\x01", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
        let mut stream = TcpStream::connect(bed.agents).await.expect("connected");
        stream.write_all(sent).await.expect("sent");
        stalled.push(stream);
    }
    let begun = Instant::now();
    let agent = tokio::time::timeout(SOON, bed.agent("ext")).await.expect("a session");
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_millis(300), "the cap held: {waited:?}");
    assert!(waited <= Duration::from_secs(5), "{waited:?}");
    for mut stream in stalled {
        let mut read = [0; 64];
        let ended = async { while matches!(stream.read(&mut read).await, Ok(1..)) {} };
        tokio::time::timeout(SOON, ended).await.expect("its handshake was ended");
    }
    drop(agent);
    bed.stop().await;
}

/// A call over raw frames, with no window for its answer.
fn call_without_window() -> Vec<u8> {
    let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // SETTINGS_INITIAL_WINDOW_SIZE = 0.
    sent.extend(b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\0");
    let mut block = vec![0x83, 0x86]; // `:method: POST`, `:scheme: http`
    for (name, value) in [
        (":path", "/parallax.v1.CatalogService/ListFaults"),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("authorization", &format!("Bearer {}", crate::bed::TOKEN)),
    ] {
        block.push(0); // literal, not indexed, new name (RFC 7541 section 6.2.2)
        for text in [name, value] {
            block.push(u8::try_from(text.len()).expect("short"));
            block.extend(text.as_bytes());
        }
    }
    sent.extend(u32::try_from(block.len()).expect("short").to_be_bytes()[1..].iter());
    sent.extend(b"\x01\x04\0\0\0\x01"); // HEADERS, END_HEADERS, stream 1
    sent.extend(block);
    sent.extend(b"\0\0\x05\0\x01\0\0\0\x01\0\0\0\0\0"); // DATA, END_STREAM: an empty message
    sent
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_cut_and_nobody_else_is() {
    let mut terms = Terms::default();
    terms.limits.api_port.stall = Duration::from_secs(1);
    let bed = Bed::start_on(terms, None, &[]).await;
    let begun = Instant::now();
    let mut health = HealthClient::new(bed.channel().await);
    let mut patient =
        health.watch(HealthCheckRequest::default()).await.expect("a stream").into_inner();
    patient.message().await.expect("open").expect("a status");
    let cut = closed_after(bed.api, &call_without_window()).await;
    assert!((Duration::from_millis(900)..Duration::from_secs(4)).contains(&cut), "{cut:?}");
    list(&bed, crate::bed::TOKEN).await.expect("others go on");
    // A stream on which there is nothing to say is no slow reader.
    let next = tokio::time::timeout(Duration::from_millis(1500), patient.message()).await;
    assert!(next.is_err() || next.is_ok_and(|it| it.is_ok_and(|it| it.is_some())));
    assert!(begun.elapsed() < SOON);
    bed.stop().await;
}

#[tokio::test]
async fn deadlines_end_calls_in_time_and_cancelled_calls_leave_nothing_behind() {
    let bed = Bed::start(&[("ext", Zone::External)]).await;
    bed.target("shop", published(), Vec::new()).await;
    let _agent = bed.agent("ext").await;
    let diagnosis = bed.begin("shop").await;
    let mut client = bed.diagnoses().await;
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let before = alive();
    let diagnose = || pb::DiagnoseRequest {
        diagnosis: Some(pb::Diagnosis { target: "targets/shop".to_owned(), ..Default::default() }),
        ..Default::default()
    };
    for milliseconds in [1, 5, 20, 100, 500] {
        let limit = Duration::from_millis(milliseconds);
        let mut request = tonic::Request::new(diagnose());
        request.set_timeout(limit);
        let begun = Instant::now();
        let status = client.diagnose(request).await.expect_err("too short");
        let overshoot = begun.elapsed().saturating_sub(limit);
        let told = [Code::DeadlineExceeded, Code::Cancelled];
        assert!(told.contains(&status.code()), "{status:?}");
        assert!(overshoot <= Duration::from_millis(250), "{limit:?}: {overshoot:?} over");
    }
    for _ in 0..100 {
        let watch =
            pb::WatchDiagnosisRequest { name: diagnosis.name.clone(), ..Default::default() };
        let stream = client.watch_diagnosis(watch).await.expect("a stream");
        drop(stream);
    }
    let left = async {
        while alive() > before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(1), left).await;
    assert!(waited.is_ok(), "{} tasks before, {} a second after", before, alive());
    drop(client);
}

#[tokio::test]
async fn strangers_take_no_connection_from_agents() {
    let mut terms = Terms::default();
    terms.limits.agent_port.connections_max = 8;
    terms.limits.agent_port.strangers_max = 4;
    terms.limits.agent_port.strangers_per_source = 3;
    let bed = Bed::start_on(terms, None, &[("ext", Zone::External)]).await;
    let asks = async |channel: &tonic::transport::Channel| {
        let mut client = AgentServiceClient::new(channel.clone());
        let asked = client.renew(wire::RenewRequest::default());
        let asked = tokio::time::timeout(SOON, asked).await.expect("an answer or an end");
        asked.expect_err("refused").code()
    };
    let mut held = Vec::new();
    for _ in 0..3 {
        let channel = crate::agent::connect(&bed, None).await;
        assert_eq!(asks(&channel).await, Code::Unauthenticated, "heard, and refused");
        held.push(channel);
    }
    let fourth = crate::agent::connect_as(&bed, None).await;
    if let Ok(fourth) = fourth {
        assert_ne!(asks(&fourth).await, Code::Unauthenticated, "it is not even heard");
    }
    drop(bed.agent("ext").await);
    drop(held);
    bed.stop().await;
}

#[tokio::test]
async fn a_connection_without_a_call_ends_and_one_with_a_session_does_not() {
    let mut terms = Terms::default();
    terms.limits.agent_port.idle = Some(Duration::from_millis(600));
    // This peer does not say that it understood.
    terms.limits.agent_port.grace = Duration::from_millis(200);
    let bed = Bed::start_on(terms, None, &[("ext", Zone::External), ("dmz", Zone::Dmz)]).await;
    let session = bed.agent("dmz").await;
    let identity = bed.identity("ext");
    let mut idle = crate::agent::tls(&bed, Some(identity)).await;
    idle.write_all(PREFACE).await.expect("sent");
    let begun = Instant::now();
    let mut read = [0; 256];
    let ended = async { while matches!(idle.read(&mut read).await, Ok(1..)) {} };
    tokio::time::timeout(SOON, ended).await.expect("it is ended");
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(550), "{took:?}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bed.view.borrow().connected.len(), 1, "a session is a call");
    drop(session);
    bed.stop().await;
}
