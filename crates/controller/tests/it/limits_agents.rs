//! What one agent may say: fields, rates, and results only of what was granted to it; strikes, and the ban.

use std::time::Duration;

use parallax_controller::Terms;
use parallax_controller::limits::Rate;
use parallax_model::{DiagnosisId, Zone};
use parallax_wire::pb;
use parallax_wire::pb::link as wire;
use parallax_wire::pb::link::agent_service_client::AgentServiceClient;
use parallax_wire::pb::link::session_request::Message as Say;
use parallax_wire::pb::link::session_response::Message as Told;
use tokio::time::Instant;
use tonic::Code;

use crate::agent::{ScriptedAgent, nothing_resolves};
use crate::bed::{Bed, SOON, published};

/// No ban: these tests break many rules in one session after the other.
fn lenient() -> Terms {
    let mut terms = Terms::default();
    terms.limits.agents.strikes_max = 100_000;
    terms.limits.agents.sessions = Rate::per_second(100, 100);
    terms
}

async fn ended_with(agent: &mut ScriptedAgent) -> Code {
    let ends = async {
        loop {
            match agent.raw().await {
                Ok(Some(_)) => {}
                Ok(None) => return Code::Ok,
                Err(status) => return status.code(),
            }
        }
    };
    tokio::time::timeout(SOON, ends).await.expect("the session ends soon")
}

fn begin(task: String, nonce: usize, key: usize) -> Say {
    Say::Begin(wire::Begin {
        attempt: "a".to_owned(),
        nonce: vec![7; nonce],
        public_key: vec![7; key],
        task,
    })
}

#[tokio::test]
async fn fields_beyond_their_bounds_end_the_session() {
    let bed = Bed::start_on(lenient(), None, &[("ext", Zone::External)]).await;
    let long = "x".repeat(129);
    let result = |task: &str, attempt: &str, nonce: usize| {
        Say::Result(wire::Result {
            task: task.to_owned(),
            attempt: attempt.to_owned(),
            nonce: vec![1; nonce],
            ..wire::Result::default()
        })
    };
    let hostile = [
        ("accept", Say::Accept(wire::Accept { task: long.clone() })),
        ("accept nothing", Say::Accept(wire::Accept::default())),
        ("refuse", Say::Refuse(wire::Refuse { task: long.clone(), reason: String::new() })),
        ("progress", Say::Progress(wire::Progress { task: long.clone(), ..Default::default() })),
        ("a short nonce", begin("t".to_owned(), 15, 32)),
        ("a long nonce", begin("t".to_owned(), 17, 32)),
        ("begin nothing", begin(String::new(), 16, 32)),
        ("a begin's task", begin(long.clone(), 16, 32)),
        ("no key", begin("t".to_owned(), 16, 0)),
        ("a huge key", begin("t".to_owned(), 16, 100_000)),
        ("a result's task", result(&long, "", 0)),
        ("a result's attempt", result("t", &long, 0)),
        ("a result's nonce", result("t", "a", 15)),
        ("a second hello", Say::Hello(wire::Hello::default())),
    ];
    for (what, message) in hostile {
        let mut agent = bed.agent("ext").await;
        agent.say(message).await;
        let code = ended_with(&mut agent).await;
        assert!(
            matches!(code, Code::InvalidArgument | Code::FailedPrecondition),
            "{what}: {code:?}"
        );
    }
    // More than 1 MiB is not even read.
    let mut agent = bed.agent("ext").await;
    let reason = "x".repeat(2 * 1024 * 1024);
    agent.say(Say::Refuse(wire::Refuse { task: "t".to_owned(), reason })).await;
    ended_with(&mut agent).await;
    let mut agent = bed.agent("ext").await;
    agent.say(Say::Heartbeat(wire::Heartbeat {})).await;
    agent.say(begin("t".to_owned(), 16, 32)).await;
    assert!(matches!(agent.next().await, Some(Told::Deny(_))), "an honest one goes on");
    bed.stop().await;
}

fn seen(change: impl FnOnce(&mut pb::Sight)) -> pb::path_report::Report {
    let mut sight = pb::Sight::default();
    change(&mut sight);
    pb::path_report::Report::Seen(sight)
}

#[expect(clippy::unnecessary_wraps, reason = "as the fields of messages are")]
fn duration(seconds: i64, nanos: i32) -> Option<pbjson_types::Duration> {
    Some(pbjson_types::Duration { seconds, nanos })
}

fn resolved(change: impl FnOnce(&mut pb::DnsFacts)) -> pb::path_report::Report {
    let source = pb::dns_facts::Source::Declared(pb::dns_facts::Declared {});
    let mut facts =
        pb::DnsFacts { source: Some(source), took: duration(0, 1), ..Default::default() };
    change(&mut facts);
    let outcome = Some(pb::dns_outcome::Outcome::Done(facts));
    seen(|it| it.dns = Some(pb::DnsOutcome { outcome }))
}

/// Reports that cannot be believed, for whatever reason.
fn nonsense() -> Vec<(&'static str, Option<pb::path_report::Report>)> {
    use pb::path_report::Report;
    let looks = vec![pb::Exchange::default(); 10_000];
    let observation = pb::Observation { exchanges: looks, ..Default::default() };
    let refused = |length: usize| Report::Refused(pb::Refusal { rule: "x".repeat(length) });
    vec![
        ("nothing at all", None),
        ("an empty sight", Some(seen(|_| {}))),
        ("10^4 looks", Some(seen(|it| it.observations = vec![observation]))),
        (
            "10^4 observations",
            Some(seen(|it| it.observations = vec![pb::Observation::default(); 10_000])),
        ),
        ("10^4 names", Some(resolved(|it| it.cname_chain = vec!["a".to_owned(); 10_000]))),
        ("10^4 addresses", Some(resolved(|it| it.addresses = vec!["::1".to_owned(); 10_000]))),
        ("no address", Some(resolved(|it| it.addresses = vec!["nowhere".to_owned()]))),
        ("a negative time", Some(resolved(|it| it.took = duration(-1, 0)))),
        ("negative nanoseconds", Some(resolved(|it| it.took = duration(0, -1)))),
        ("too many nanoseconds", Some(resolved(|it| it.took = duration(0, 1_000_000_000)))),
        ("an endless time", Some(resolved(|it| it.took = duration(i64::MAX, 0)))),
        ("an unknown reason", Some(Report::Silent(pb::Silence { reason: 4711 }))),
        ("silence of its own", Some(Report::Silent(pb::Silence { reason: 1 }))),
        ("a rule of 100 kB", Some(refused(100_000))),
        ("a rule of nearly 1 MiB", Some(refused(1024 * 1024 - 400))),
    ]
}

#[tokio::test]
async fn a_report_of_nonsense_is_a_path_that_nobody_looked_at() {
    let bed = Bed::start_on(lenient(), None, &[("ext", Zone::External)]).await;
    bed.target("shop", published(), Vec::new()).await;
    let mut agent = bed.agent("ext").await;
    for (what, report) in nonsense() {
        let diagnosis = bed.begin("shop").await;
        let offer = agent.accept().await;
        let mut result = agent.result(&offer, nothing_resolves());
        result.report.as_mut().expect("a report").report = report;
        agent.say(Say::Result(result)).await;
        agent.acknowledged(&offer.task).await;
        let end = bed.end(&diagnosis.name).await;
        let kept = end.rounds[0].reports[0].report.as_ref();
        let Some(pb::path_report::Report::Unable(unable)) = kept else {
            panic!("{what}: {kept:?}")
        };
        assert!(unable.detail.len() <= 500, "{what}: {}", unable.detail);
        assert_eq!(end.verdict.expect("a verdict").fault, "undetermined", "{what}");
    }
    bed.stop().await;
}

#[tokio::test]
async fn a_report_about_another_path_counts_for_nothing_and_on_the_third_the_agent_is_banned() {
    let bed = Bed::start(&[("ext", Zone::External), ("dmz", Zone::Dmz)]).await;
    bed.target("shop", published(), Vec::new()).await;
    let (mut ext, mut dmz) = (bed.agent("ext").await, bed.agent("dmz").await);
    let forged = [("dmz", "published"), ("ext", "other"), ("dmz", "other")];
    for (number, (vantage, endpoint)) in forged.into_iter().enumerate() {
        let diagnosis = bed.begin("shop").await;
        let (ours, theirs) = (ext.accept().await, dmz.accept().await);
        dmz.report(&theirs, nothing_resolves()).await;
        let mut result = ext.result(&ours, nothing_resolves());
        let path = pb::Path { vantage: vantage.to_owned(), endpoint: endpoint.to_owned() };
        result.report.as_mut().expect("a report").path = Some(path);
        ext.say(Say::Result(result)).await;
        let end = bed.end(&diagnosis.name).await;
        let reports = &end.rounds[0].reports;
        assert_eq!(reports.len(), 2);
        let of = |name: &str| {
            let is_of =
                |it: &&pb::PathReport| it.path.as_ref().is_some_and(|it| it.vantage == name);
            reports.iter().find(is_of).and_then(|it| it.report.clone())
        };
        assert!(matches!(of("dmz"), Some(pb::path_report::Report::Seen(_))), "what dmz said stays");
        dmz.acknowledged(&theirs.task).await;
        if number < 2 {
            ext.acknowledged(&ours.task).await;
            let kept = of("ext");
            assert!(matches!(kept, Some(pb::path_report::Report::Unable(_))), "{kept:?}");
        }
    }
    assert_eq!(ended_with(&mut ext).await, Code::PermissionDenied);
    let refused = ScriptedAgent::join(&bed, Some(bed.identity("ext"))).await;
    assert_eq!(refused.err().map(|it| it.code()), Some(Code::PermissionDenied), "and stays out");
    let request = pb::GetAgentRequest { name: "agents/ext".to_owned() };
    let agent = bed.fleet().await.get_agent(request).await.expect("an agent").into_inner();
    assert_eq!(agent.state(), pb::agent::State::Banned);
    assert!(agent.state_reason.contains("another path"), "{}", agent.state_reason);
    // Its neighbour is not touched.
    let _diagnosis = bed.begin("shop").await;
    dmz.accept().await;
    bed.stop().await;
}

#[tokio::test]
async fn a_late_result_cannot_put_its_report_on_another_path() {
    let bed = Bed::start(&[("ext", Zone::External)]).await;
    bed.target("shop", published(), Vec::new()).await;
    let mut agent = bed.agent("ext").await;
    let diagnosis = bed.begin("shop").await;
    let offer = agent.accept().await;
    let cancel = pb::CancelDiagnosisRequest { name: diagnosis.name.clone() };
    bed.diagnoses().await.cancel_diagnosis(cancel).await.expect("cancelled");
    let mut result = agent.result(&offer, nothing_resolves());
    let forged = pb::Path { vantage: "dmz".to_owned(), endpoint: "published".to_owned() };
    result.report.as_mut().expect("a report").path = Some(forged);
    agent.say(Say::Result(result)).await;
    agent.acknowledged(&offer.task).await;
    let id = diagnosis.name.strip_prefix("diagnoses/").expect("a name");
    let stored = bed.store.reports(&DiagnosisId::new(id).expect("an id")).await.expect("reports");
    for kept in &stored {
        let path = kept.report.path.as_ref().expect("a path");
        assert_eq!((path.vantage.as_str(), path.endpoint.as_str()), ("ext", "published"));
    }
    bed.stop().await;
}

#[tokio::test]
async fn an_agent_above_its_rate_is_slowed_down_and_a_flood_ends_its_session() {
    let mut terms = lenient();
    terms.limits.agents.messages = Rate::per_second(100, 20);
    terms.limits.agents.flood = Duration::from_secs(1);
    let bed = Bed::start_on(terms, None, &[("ext", Zone::External)]).await;
    let mut agent = bed.agent("ext").await;
    let begun = Instant::now();
    for _ in 0..70 {
        agent.say(Say::Heartbeat(wire::Heartbeat {})).await;
    }
    agent.say(begin("none".to_owned(), 16, 32)).await;
    assert!(matches!(agent.next().await, Some(Told::Deny(_))), "nothing of it was lost");
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(450), "71 at 100 per second after 20: {took:?}");
    let flood = async { while agent.try_say(Say::Heartbeat(wire::Heartbeat {})).await {} };
    let ended = tokio::time::timeout(SOON, flood).await;
    assert!(ended.is_ok(), "a flood without a pause ends the session");
    bed.stop().await;
}

#[tokio::test]
async fn an_agent_asks_for_so_many_sessions_and_certificates() {
    let bed = Bed::start(&[("ext", Zone::External), ("dmz", Zone::Dmz)]).await;
    let channel = crate::agent::connect(&bed, Some(bed.identity("ext"))).await;
    let mut client = AgentServiceClient::new(channel);
    let mut codes = Vec::new();
    for _ in 0..6 {
        // What it sends is no request; it is counted all the same.
        let renewed = client.renew(wire::RenewRequest::default()).await;
        codes.push(renewed.expect_err("no request").code());
    }
    assert_eq!(codes[..5], [Code::InvalidArgument; 5]);
    assert_eq!(codes[5], Code::ResourceExhausted);
    let mut sessions = 0;
    let refused = loop {
        match ScriptedAgent::join(&bed, Some(bed.identity("ext"))).await {
            Ok(_) => sessions += 1,
            Err(status) => break status,
        }
        assert!(sessions < 40, "no end of it");
    };
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(refused.message().contains("wait"), "{refused}");
    assert!(
        sessions >= 10,
        "an agent that comes back now and then is not kept waiting: {sessions}"
    );
    drop(bed.agent("dmz").await);
    bed.stop().await;
}
