//! Freezes: by hand, by a moved clock, by an agent that has seen more than we.

use std::time::Duration;

use parallax_model::{Threshold, VantageName};

use super::{Fixture, account_id, request};
use crate::{FreezeScope, LogonResult, ReserveRefused, StartRefused};

const HALF_HOUR: Duration = Duration::from_mins(30);
const QUIET: Duration = Duration::from_secs(3600 + 190);

async fn is_frozen(it: &Fixture, id: &str) -> bool {
    it.store.budget(&account_id(id)).await.expect("known").frozen.is_some()
}

#[tokio::test]
async fn nothing_starts_while_frozen() {
    let mut it = Fixture::new().await;
    it.add_account("a", Threshold::At(10), HALF_HOUR).await;
    let attempt = it.reserve(&request("a", "d1", "x")).await.expect("granted").id;
    it.store.freeze(&FreezeScope::All, None, "admin", "maintenance").await.expect("frozen");
    let nonce = it.nonce();
    let started = it.store.start(&attempt, &nonce, &request("a", "d1", "x").agent).await;
    assert!(matches!(started.expect("answers"), Err(StartRefused::Frozen(_))));
    assert!(it.store.void_unstarted(&attempt).await.expect("answers"));
    it.add_account("later", Threshold::At(10), HALF_HOUR).await;
    for id in ["a", "later"] {
        let held = it.reserve(&request(id, "d2", "x")).await;
        assert!(
            matches!(held, Err(ReserveRefused::Frozen(ref it)) if it.reason == "maintenance"),
            "{held:?}"
        );
    }
    it.store.release(&account_id("a"), "admin", "done").await.expect("released");
    it.logon(&request("a", "d3", "x"), LogonResult::Accepted).await.expect("granted");
    assert!(is_frozen(&it, "later").await);
    it.pass(Duration::from_hours(24));
    assert!(!is_frozen(&it, "later").await);
}

#[tokio::test]
async fn a_moved_clock_freezes_and_passing_time_does_not() {
    for (jump_s, expected) in [(60, false), (-60, false), (61, true), (-61, true), (86_400, true)] {
        let mut it = Fixture::new().await;
        it.add_account("a", Threshold::At(10), HALF_HOUR).await;
        it.pass(Duration::from_hours(30));
        it.logon(&request("a", "d1", "x"), LogonResult::Accepted).await.expect("granted");
        it.jump_s(jump_s);
        let held = it.reserve(&request("a", "d2", "x")).await;
        assert_eq!(
            matches!(held, Err(ReserveRefused::Frozen(_))),
            expected,
            "{jump_s} s: {held:?}"
        );
        it.pass(QUIET);
        it.store.sweep().await.expect("swept");
        it.reserve(&request("a", "d3", "x")).await.expect("over after the quiet gap");
    }
}

#[tokio::test]
async fn small_jumps_add_up() {
    let it = Fixture::new().await;
    it.add_account("a", Threshold::At(10), HALF_HOUR).await;
    it.jump_s(40);
    let attempt = it.reserve(&request("a", "d1", "x")).await.expect("granted");
    it.store.void_unstarted(&attempt.id).await.expect("answers");
    it.jump_s(40);
    let held = it.reserve(&request("a", "d1", "x")).await;
    assert!(matches!(held, Err(ReserveRefused::Frozen(_))), "{held:?}");
}

#[tokio::test]
async fn an_agent_that_saw_a_start_we_do_not_know_freezes() {
    let mut it = Fixture::new().await;
    it.add_account("a", Threshold::At(10), HALF_HOUR).await;
    it.logon(&request("a", "d1", "x"), LogonResult::Accepted).await.expect("granted");
    let agent = VantageName::new("hq").expect("a name");
    assert!(!it.store.agent_saw_sequence(&agent, 1).await.expect("answers"));
    assert!(!is_frozen(&it, "a").await);
    assert!(it.store.agent_saw_sequence(&agent, 7).await.expect("answers"));
    assert!(is_frozen(&it, "a").await);
    it.store.release(&account_id("a"), "admin", "looked").await.expect("released");
    let attempt = it.reserve(&request("a", "d2", "x")).await.expect("granted").id;
    let nonce = it.nonce();
    let started = it.store.start(&attempt, &nonce, &agent).await.expect("answers").expect("starts");
    assert_eq!(started.ledger_sequence, 8, "numbers go on where the agent left");
}
