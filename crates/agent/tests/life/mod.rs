//! Beyond one session: renewal, recovery, results that outlive sessions and processes, leaving in order, half-open ways.

mod relay;

use std::path::Path;
use std::time::Duration;

use parallax_agent::{AgentError, AgentSettings, Home, Identity, Policy, Timings, run};
use parallax_model::{Report, Silence, Zone};
use parallax_probe::{Dial, Instrument};
use parallax_process::{Ended, Signal, run_until_signalled};
use parallax_wire::pb::link as wire;
use parallax_wire::pb::link::session_request::Message as Said;
use parallax_wire::pb::link::session_response::Message as Tell;
use rustls_pki_types::CertificateDer;
use tempfile::{TempDir, tempdir};

use crate::bed::{
    Asked, Authority, Bed, Controller, Session, endless_look, go, logon, look, quick,
    scheduled_look, settings,
};
use crate::report;
use relay::{Direction, Relay};

/// A session whose peer went away without a word is over after 2¼ of them.
const BEAT: Duration = Duration::from_millis(400);

fn home(folder: &Path) -> Home {
    Home { identity: folder.join("identity.pem"), spool: folder.join("spool") }
}

fn at_home(controller: &Controller, folder: &TempDir) -> AgentSettings {
    let mut settings = settings(&controller.address.to_string());
    settings.home = Some(home(folder.path()));
    settings
}

fn leaf(folder: &TempDir, authority: &Authority) -> CertificateDer<'static> {
    let authority_file = folder.path().join("authority.pem");
    let text = pem(authority.certificate());
    std::fs::write(&authority_file, text).expect("written");
    let read = Identity::read(&home(folder.path()).identity, &authority_file);
    read.expect("a whole identity").chain[0].clone()
}

fn pem(der: &CertificateDer<'_>) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

async fn spooled(session: &mut Session) -> String {
    session.hears_result().await.task
}

fn files(folder: &TempDir) -> usize {
    std::fs::read_dir(folder.path().join("spool")).expect("a spool").count()
}

#[tokio::test]
async fn renews_at_half_life_and_changes_over_without_a_gap() {
    let authority = Authority::new();
    let controller = Controller::start(&authority).await;
    let folder = tempdir().expect("a folder");
    let settings = at_home(&controller, &folder);
    // More than half of its 30 days are over.
    let mut bed = Bed::run(controller, authority.agent_for("hq", (-20, 10)), settings).await;
    let mut old = bed.controller.welcomed(1).await;
    let call = bed.controller.call().await;
    let Asked::Renew { request } = call.asked else { panic!("{:?}", call.asked) };
    let certificate = authority.certify(&request);
    let renewed = certificate.chain[0].clone();
    call.reply.send(Ok(certificate)).expect("it waits");
    // The new session begins while the old one stands.
    let (mut new, _) = bed.controller.session().await;
    old.tell(Tell::Heartbeat(wire::Heartbeat {})).await;
    new.welcome(2, Duration::from_secs(20)).await;
    old.ends().await;
    assert_eq!(leaf(&folder, &authority).as_ref(), renewed);
    new.offers(look("t1")).await;
    assert_eq!(new.hears_result().await.session_epoch, 2);
    new.acknowledges("t1").await;
    bed.stop().await;
}

#[tokio::test]
async fn the_end_of_the_old_session_does_not_hinder_the_new_one() {
    let authority = Authority::new();
    let controller = Controller::start(&authority).await;
    let mut settings = settings(&controller.address.to_string());
    settings.timings.session_age = Duration::from_millis(300);
    let mut bed = Bed::run(controller, authority.agent("hq"), settings).await;
    let old = bed.controller.welcomed(1).await;
    let (new, _) = bed.controller.session().await;
    // As a controller does that lets the newest session win: the old one is told to stay away, and ended.
    let away = Some(parallax_wire::encode_duration(Duration::from_mins(1)));
    let go_away = wire::GoAway { reconnect_after: away, reason: "a newer session began".into() };
    old.tell(Tell::GoAway(go_away)).await;
    drop(old);
    new.welcome(2, Duration::from_secs(20)).await;
    let mut new = new;
    new.offers(look("t1")).await;
    new.hears_result().await;
    new.acknowledges("t1").await;
    bed.stop().await;
}

#[tokio::test]
async fn a_session_is_not_replaced_in_the_middle_of_a_task() {
    let authority = Authority::new();
    let controller = Controller::start(&authority).await;
    let mut settings = settings(&controller.address.to_string());
    settings.timings.session_age = Duration::from_millis(200);
    let mut bed = Bed::run(controller, authority.agent("hq"), settings).await;
    let mut old = bed.controller.welcomed(1).await;
    old.offers(endless_look("t1")).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    old.tell(Tell::Cancel(wire::Cancel { task: "t1".to_owned() })).await;
    // In the old session still.
    assert_eq!(spooled(&mut old).await, "t1");
    old.acknowledges("t1").await;
    bed.controller.welcomed(2).await;
    old.ends().await;
    bed.stop().await;
}

#[tokio::test]
async fn no_begin_is_made_while_another_session_begins() {
    let authority = Authority::new();
    let controller = Controller::start(&authority).await;
    let mut settings = settings(&controller.address.to_string());
    settings.timings.session_age = Duration::from_millis(300);
    let mut bed = Bed::run(controller, authority.agent("hq"), settings).await;
    let mut old = bed.controller.welcomed(1).await;
    // The next session has said its hello and is not answered.
    let (mut new, _) = bed.controller.session().await;
    old.offers(logon("t1")).await;
    // Longer than the free part takes, and another look is done in between.
    old.offers(look("t2")).await;
    assert_eq!(spooled(&mut old).await, "t2");
    tokio::time::sleep(Duration::from_millis(300)).await;
    new.welcome(2, Duration::from_secs(20)).await;
    // Nothing but the one result was said in the old one.
    assert!(
        !old.rest().await.iter().any(|it| matches!(it, Said::Begin(_))),
        "its go would have been lost"
    );
    let mut heard = new.hears().await;
    if let Said::Result(result) = &heard {
        assert_eq!(result.task, "t2", "sent again, as it was not acknowledged");
        heard = new.hears().await;
    }
    let Said::Begin(begin) = heard else { panic!("{heard:?}") };
    new.tell(Tell::Go(go(&begin, 41))).await;
    assert_eq!(spooled(&mut new).await, "t1");
    assert_eq!(bed.target.credentials().len(), 1);
    bed.stop().await;
}

#[tokio::test]
async fn what_is_not_acknowledged_is_sent_again_in_the_same_session() {
    let timings = Timings { resend_after: Duration::from_millis(200), ..quick() };
    let mut bed = Bed::with(timings).await;
    let mut session = bed.controller.welcomed(1).await;
    session.offers(look("t1")).await;
    assert_eq!(spooled(&mut session).await, "t1");
    session.offers(look("t2")).await;
    assert_eq!(spooled(&mut session).await, "t2");
    session.acknowledges("t2").await;
    // Once more, and once more, until somebody has it; the other one never.
    for _ in 0..2 {
        let again = session.hears_result().await;
        assert_eq!((again.task.as_str(), again.session_epoch), ("t1", 1));
    }
    session.acknowledges("t1").await;
    // Whatever crossed the acknowledgement, then nothing any more.
    tokio::time::sleep(Duration::from_millis(100)).await;
    session.offers(look("t3")).await;
    while spooled(&mut session).await != "t3" {}
    session.acknowledges("t3").await;
    bed.stop().await;
}

#[tokio::test]
async fn a_second_agent_in_one_folder_does_not_start() {
    let authority = Authority::new();
    let controller = Controller::start(&authority).await;
    let folder = tempdir().expect("a folder");
    let settings = at_home(&controller, &folder);
    let mut bed = Bed::run(controller, authority.agent("hq"), settings.clone()).await;
    bed.controller.welcomed(1).await;
    let instrument = Instrument::new(Dial::Direct).expect("an instrument");
    let policy = Policy::embedded(Zone::Internal, Vec::new());
    let stop = bed.stop.child_token();
    let second = run(settings.clone(), authority.agent("hq"), instrument, policy, stop);
    let refused = second.await.expect_err("another one runs");
    assert!(matches!(refused, AgentError::Running { .. }), "{refused}");
    assert!(refused.to_string().contains(&folder.path().display().to_string()), "{refused}");
    // However the first one ends, the folder is free again.
    let controller = bed.kill().await;
    let mut bed = Bed::run(controller, authority.agent("hq"), settings).await;
    bed.controller.welcomed(2).await;
    bed.stop().await;
}

#[cfg(unix)]
fn signal_ourselves() {
    let us = std::process::id().to_string();
    let sent = std::process::Command::new("kill").args(["-TERM", &us]).status().expect("kill");
    assert!(sent.success());
}

/// As the program runs an agent: by the signals of its process.
#[cfg(unix)]
#[tokio::test]
async fn the_first_sigterm_sees_a_task_through_and_the_second_one_does_not_wait() {
    let authority = Authority::new();
    let controller = Controller::start(&authority).await;
    let folder = tempdir().expect("a folder");
    let mut settings = at_home(&controller, &folder);
    settings.timings.drain = Duration::from_secs(10);
    settings.timings.farewell = Duration::from_secs(5);
    let again = settings.clone();
    let identity = authority.agent("hq");
    let ended = run_until_signalled(|stop| async move {
        let mut bed = Bed::run(controller, identity, settings).await;
        let mut session = bed.controller.welcomed(1).await;
        session.tell(Tell::Offer(look("t1"))).await;
        session.hears_accept("t1").await;
        signal_ourselves();
        stop.cancelled().await;
        bed.stop.cancel();
        let result = session.hears_result().await;
        assert!(report(result).seen().is_some(), "it was not cut");
        session.acknowledges("t1").await;
        bed.ended().await
    });
    let ended = ended.await.expect("signals");
    let Ended::Stopped(Signal::Terminate, controller) = ended else { panic!("not by SIGTERM") };
    let identity = authority.agent("hq");
    let begun = std::time::Instant::now();
    let ended = run_until_signalled(|stop| async move {
        let mut bed = Bed::run(controller, identity, again).await;
        let mut session = bed.controller.welcomed(2).await;
        session.offers(endless_look("t2")).await;
        signal_ourselves();
        stop.cancelled().await;
        bed.stop.cancel();
        // It would be waited for; so somebody loses patience.
        session.tell(Tell::Offer(look("t3"))).await;
        assert_eq!(session.hears_refuse().await.reason, "the agent stops");
        signal_ourselves();
        bed.ended().await
    });
    let ended = ended.await.expect("signals");
    assert!(matches!(ended, Ended::Forced(Signal::Terminate)));
    assert!(begun.elapsed() < Duration::from_secs(8), "it did not wait for the task");
    assert_eq!(files(&folder), 0, "a task that was cut off has no result");
}

#[tokio::test]
async fn a_certificate_that_ended_is_recovered_with_its_key() {
    let authority = Authority::new();
    let controller = Controller::start(&authority).await;
    let folder = tempdir().expect("a folder");
    let ended = authority.agent_for("hq", (-40, -10));
    let shown = ended.chain[0].to_vec();
    let settings = at_home(&controller, &folder);
    let mut bed = Bed::run(controller, ended, settings).await;
    let call = bed.controller.call().await;
    let Asked::Recover { expired, request } = call.asked else { panic!("{:?}", call.asked) };
    assert_eq!(expired, shown);
    let certificate = authority.certify(&request);
    let recovered = certificate.chain[0].clone();
    call.reply.send(Ok(certificate)).expect("it waits");
    bed.controller.welcomed(1).await;
    assert_eq!(leaf(&folder, &authority).as_ref(), recovered);
    bed.stop().await;
}

#[tokio::test]
async fn a_recovery_that_is_refused_ends_nothing() {
    let authority = Authority::new();
    let controller = Controller::start(&authority).await;
    let settings = settings(&controller.address.to_string());
    let mut bed = Bed::run(controller, authority.agent_for("hq", (-40, -10)), settings).await;
    // Refused. The certificate is shown all the same, in case this clock is wrong, and TLS refuses it; no session comes of it.
    drop(bed.controller.call().await);
    // After the longest wait it asks again, and a controller that has changed its mind gets its agent.
    let call = bed.controller.call().await;
    let Asked::Recover { request, .. } = call.asked else { panic!("{:?}", call.asked) };
    call.reply.send(Ok(authority.certify(&request))).expect("it waits");
    bed.controller.welcomed(1).await;
    bed.stop().await;
}

#[tokio::test]
async fn a_result_outlives_the_process() {
    let authority = Authority::new();
    let controller = Controller::start(&authority).await;
    let folder = tempdir().expect("a folder");
    let settings = at_home(&controller, &folder);
    let mut bed = Bed::run(controller, authority.agent("hq"), settings.clone()).await;
    let mut session = bed.controller.welcomed(1).await;
    for task in ["t1", "t2"] {
        session.offers(look(task)).await;
        assert_eq!(spooled(&mut session).await, task);
    }
    drop(session);
    let controller = bed.kill().await;
    assert_eq!(files(&folder), 2);
    let mut bed = Bed::run(controller, authority.agent("hq"), settings).await;
    let (mut session, hello) = bed.controller.session().await;
    assert_eq!(hello.unacknowledged_tasks, ["t1", "t2"]);
    session.welcome(7, Duration::from_secs(20)).await;
    let results = [session.hears_result().await, session.hears_result().await];
    assert_eq!(results[0].session_epoch, 1);
    session.acknowledges("t1").await;
    // Of an earlier session, and nobody there knows it.
    session.tell(Tell::Cancel(wire::Cancel { task: "t2".to_owned() })).await;
    session.offers(look("t3")).await;
    assert_eq!(spooled(&mut session).await, "t3");
    assert_eq!(files(&folder), 1);
    session.acknowledges("t3").await;
    bed.stop().await;
    assert_eq!(files(&folder), 0);
}

#[tokio::test]
async fn after_a_stop_what_is_in_hand_ends_by_itself() {
    let authority = Authority::new();
    let timings =
        Timings { drain: Duration::from_secs(10), farewell: Duration::from_secs(5), ..quick() };
    let controller = Controller::start(&authority).await;
    let mut bed = Bed::between(controller, &authority, timings).await;
    let mut session = bed.controller.welcomed(1).await;
    session.tell(Tell::Offer(look("t1"))).await;
    session.hears_accept("t1").await;
    bed.stop.cancel();
    let result = session.hears_result().await;
    assert!(report(result).seen().is_some(), "it was not cut");
    session.tell(Tell::Offer(look("t2"))).await;
    assert_eq!(session.hears_refuse().await.reason, "the agent stops");
    session.acknowledges("t1").await;
    bed.ended().await;
}

#[tokio::test]
async fn a_stop_without_a_session_keeps_what_was_not_acknowledged() {
    let authority = Authority::new();
    let controller = Controller::start(&authority).await;
    let folder = tempdir().expect("a folder");
    let mut settings = at_home(&controller, &folder);
    settings.timings.reconnect_base = Duration::from_mins(1);
    settings.timings.reconnect_cap = Duration::from_mins(1);
    let mut bed = Bed::run(controller, authority.agent("hq"), settings).await;
    let mut session = bed.controller.welcomed(1).await;
    session.offers(endless_look("t1")).await;
    drop(session);
    bed.stop().await;
    assert_eq!(files(&folder), 1);
}

#[tokio::test]
async fn a_go_away_cuts_nothing() {
    let authority = Authority::new();
    let timings = Timings { drain: Duration::from_secs(10), ..quick() };
    let controller = Controller::start(&authority).await;
    let mut bed = Bed::between(controller, &authority, timings).await;
    let mut session = bed.controller.welcomed(1).await;
    session.offers(endless_look("t1")).await;
    let away = Some(parallax_wire::encode_duration(Duration::from_millis(50)));
    let go_away = wire::GoAway { reconnect_after: away, reason: "maintenance".to_owned() };
    session.tell(Tell::GoAway(go_away)).await;
    session.tell(Tell::Offer(look("t2"))).await;
    assert_eq!(session.hears_refuse().await.task, "t2");
    session.tell(Tell::Cancel(wire::Cancel { task: "t1".to_owned() })).await;
    let result = session.hears_result().await;
    assert_eq!(report(result), Report::Silent(Silence::Cancelled));
    session.acknowledges("t1").await;
    session.ends().await;
    let (_, hello) = bed.controller.session().await;
    assert_eq!(hello.unacknowledged_tasks, Vec::<String>::new());
    bed.stop().await;
}

#[tokio::test]
async fn schedules_leave_room_to_those_who_wait() {
    let authority = Authority::new();
    let controller = Controller::start(&authority).await;
    let mut bed = Bed::between(controller, &authority, quick()).await;
    let (mut session, _) = bed.controller.session().await;
    session.welcome_with(1, Duration::from_secs(20), 32).await;
    for number in 0..24 {
        session.offers(scheduled_look(&format!("s{number}"))).await;
    }
    session.tell(Tell::Offer(scheduled_look("s24"))).await;
    let refuse = session.hears_refuse().await;
    assert_eq!(refuse.reason, "no room for schedules: the last 8 places are not theirs");
    for number in 0..8 {
        session.offers(endless_look(&format!("t{number}"))).await;
    }
    session.tell(Tell::Offer(endless_look("t8"))).await;
    assert_eq!(session.hears_refuse().await.reason, "no room: 32 tasks are in hand");
    bed.stop().await;
}

#[tokio::test]
async fn a_way_that_carries_nothing_in_one_direction_is_noticed() {
    for direction in [Direction::ToAgent, Direction::ToController] {
        let authority = Authority::new();
        let mut controller = Controller::start(&authority).await;
        let relay = Relay::start(controller.address).await;
        let direct = std::mem::replace(&mut controller.address, relay.address);
        let mut bed = Bed::between(controller, &authority, quick()).await;
        let (session, _) = bed.controller.session().await;
        session.welcome(1, BEAT).await;
        relay.stop(direction);
        match direction {
            // Nothing is heard any more: the agent leaves after 2¼ heartbeats, and comes back.
            Direction::ToAgent => {}
            // Nothing of it is heard: the controller ends the session, and the agent hears that.
            Direction::ToController => drop(session),
        }
        relay.heal();
        bed.controller.welcomed(2).await;
        bed.stop().await;
        let _ = direct;
    }
}
