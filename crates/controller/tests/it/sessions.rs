//! Rules of sessions: who may have one, the newest wins, whose result counts, what is acknowledged when.

use parallax_controller::FleetView;
use parallax_model::Zone;
use parallax_wire::pb;
use parallax_wire::pb::link as wire;
use parallax_wire::pb::link::session_request::Message as Say;
use parallax_wire::pb::link::session_response::Message as Told;
use tonic::Code;

use crate::agent::{ScriptedAgent, nothing_resolves};
use crate::bed::{Bed, SOON, published};

async fn until(bed: &Bed, condition: impl FnMut(&FleetView) -> bool) {
    let mut view = bed.view.clone();
    tokio::time::timeout(SOON, view.wait_for(condition)).await.expect("soon").expect("a fleet");
}

#[tokio::test]
async fn only_a_registered_certificate_gets_a_session() {
    let bed = Bed::start(&[("ext", Zone::External)]).await;
    let refused = |it: Result<ScriptedAgent, tonic::Status>| it.err().map(|it| it.code());
    assert_eq!(refused(ScriptedAgent::join(&bed, None).await), Some(Code::Unauthenticated));
    for name in ["nobody", "ext"] {
        let stranger = bed.stranger(name);
        let joined = ScriptedAgent::join(&bed, Some(&stranger)).await;
        assert_eq!(refused(joined), Some(Code::PermissionDenied), "{name}");
    }
    let agent = bed.agent("ext").await;
    assert_eq!(agent.vantage, "ext");
    until(&bed, |it| it.connected.len() == 1).await;
    drop(agent);
    until(&bed, |it| it.connected.is_empty()).await;
}

#[tokio::test]
async fn the_newest_session_wins_and_its_epoch_grows() {
    let bed = Bed::start(&[("ext", Zone::External)]).await;
    let mut older = bed.agent("ext").await;
    let newer = bed.agent("ext").await;
    assert!(newer.epoch > older.epoch);
    assert!(matches!(older.next().await, Some(Told::GoAway(_))));
    assert_eq!(older.next().await, None, "the old stream ends");
    until(&bed, |it| it.connected.len() == 1).await;
}

#[tokio::test]
async fn a_result_is_acknowledged_when_it_is_on_disk() {
    let bed = Bed::start(&[("ext", Zone::External)]).await;
    bed.target("shop", published(), Vec::new()).await;
    let mut agent = bed.agent("ext").await;
    let diagnosis = bed.begin("shop").await;
    let offer = agent.accept().await;
    assert_eq!(offer.diagnosis, diagnosis.name);
    assert!(offer.looks.iter().any(|it| it.method() == pb::look::Method::Options), "{offer:?}");
    agent.report(&offer, nothing_resolves()).await;
    agent.acknowledged(&offer.task).await;
    let id = diagnosis.name.strip_prefix("diagnoses/").expect("a name");
    let id = parallax_model::DiagnosisId::new(id).expect("an id");
    let stored = bed.store.reports(&id).await.expect("reports");
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].task, offer.task);
    // A second copy changes nothing and is acknowledged as well.
    agent.report(&offer, nothing_resolves()).await;
    agent.acknowledged(&offer.task).await;
    assert_eq!(bed.store.reports(&id).await.expect("reports").len(), 1);
}

#[tokio::test]
async fn results_of_foreign_and_unknown_tasks_are_rejected_and_counted() {
    let bed = Bed::start(&[("ext", Zone::External), ("dmz", Zone::Dmz)]).await;
    bed.target("shop", published(), Vec::new()).await;
    let (mut ext, mut dmz) = (bed.agent("ext").await, bed.agent("dmz").await);
    let diagnosis = bed.begin("shop").await;
    let (ours, theirs) = (ext.accept().await, dmz.accept().await);
    dmz.report(&ours, nothing_resolves()).await;
    assert!(matches!(dmz.next().await, Some(Told::Cancel(it)) if it.task == ours.task));
    let unknown = wire::Offer { task: "no-such-task".to_owned(), ..theirs.clone() };
    dmz.report(&unknown, nothing_resolves()).await;
    assert!(matches!(dmz.next().await, Some(Told::Cancel(_))));
    let mut other_session = dmz.result(&theirs, nothing_resolves());
    other_session.session_epoch -= 1;
    dmz.say(Say::Result(other_session)).await;
    assert!(matches!(dmz.next().await, Some(Told::Cancel(_))));
    until(&bed, |it| it.rejected_results == 3).await;
    // Nothing of that harmed the diagnosis.
    ext.report(&ours, nothing_resolves()).await;
    dmz.report(&theirs, nothing_resolves()).await;
    let end = bed.end(&diagnosis.name).await;
    assert_eq!(end.rounds[0].reports.len(), 2);
}

#[tokio::test]
async fn a_lost_session_is_silence_and_never_a_broken_path() {
    let bed = Bed::start(&[("ext", Zone::External)]).await;
    bed.target("shop", published(), Vec::new()).await;
    let mut agent = bed.agent("ext").await;
    let diagnosis = bed.begin("shop").await;
    agent.accept().await;
    drop(agent);
    let end = bed.end(&diagnosis.name).await;
    let report = &end.rounds[0].reports[0].report;
    let Some(pb::path_report::Report::Silent(silence)) = report else { panic!("{report:?}") };
    assert_eq!(silence.reason(), pb::silence::Reason::Lost);
    assert_eq!(end.verdict.expect("a verdict").fault, "undetermined");
}

#[tokio::test]
async fn what_is_out_of_turn_ends_the_session() {
    let bed = Bed::start(&[("ext", Zone::External)]).await;
    let mut agent = bed.agent("ext").await;
    agent.say(Say::Hello(wire::Hello::default())).await;
    assert_eq!(agent.next().await, None);
    let mut agent = bed.agent("ext").await;
    let begin = wire::Begin { nonce: vec![1, 2, 3], ..wire::Begin::default() };
    agent.say(Say::Begin(begin)).await;
    assert_eq!(agent.next().await, None, "a nonce of three bytes is none");
    // A begin for no task at all is denied, not answered with go.
    let mut agent = bed.agent("ext").await;
    let begin = wire::Begin {
        nonce: vec![7; 16],
        attempt: "a".to_owned(),
        public_key: vec![7; 32],
        task: "none".to_owned(),
    };
    agent.say(Say::Begin(begin)).await;
    assert!(matches!(agent.next().await, Some(Told::Deny(it)) if it.nonce == [7; 16]));
}
