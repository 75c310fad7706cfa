//! The rules of the logon ledger, one by one.

use std::time::Duration;

use parallax_model::{Threshold, VantageName};

use super::{Fixture, account_id, new_account, request, secret};
use crate::{
    BreakerOpened, LogonResult, ReserveRefused, ReserveRequest, SettleRefused, StartRefused,
    StoreError, Swept,
};

const HALF_HOUR: Duration = Duration::from_mins(30);
const QUIET: Duration = Duration::from_secs(3600 + 190);
const PROVEN: LogonResult = LogonResult::Refused { proof: true };
const REFUSED: LogonResult = LogonResult::Refused { proof: false };

#[tokio::test]
async fn the_seed_takes_three_logons_and_charges_one() {
    let mut it = Fixture::new().await;
    it.add_account("newer", Threshold::At(10), HALF_HOUR).await;
    it.add_account("legacy", Threshold::At(10), HALF_HOUR).await;
    let through_cas =
        ReserveRequest { cas: Some("CAS1".to_owned()), ..request("legacy", "d1", "cas1") };
    it.logon(&request("newer", "d1", "cas1"), LogonResult::Accepted).await.expect("granted");
    it.logon(&request("legacy", "d1", "be1"), LogonResult::Accepted).await.expect("granted");
    let standing = it.store.standing(&account_id("legacy"), &super::diagnosis_id("d1")).await;
    assert!(standing.expect("known").has_proof);
    let refused = it
        .logon(&ReserveRequest { cost: 2, ..through_cas.clone() }, PROVEN)
        .await
        .expect("granted");
    assert_eq!(refused.breaker, BreakerOpened::Endpoint);
    assert_eq!(it.budget("legacy").await, (2, 2));
    assert_eq!(it.budget("newer").await, (0, 4));
    let external = it.reserve(&request("legacy", "d1", "published")).await;
    assert_eq!(external, Err(ReserveRefused::RefusedInDiagnosis));
    let standing = it.store.standing(&account_id("legacy"), &super::diagnosis_id("d1")).await;
    let standing = standing.expect("known");
    assert_eq!((standing.used, standing.refused, standing.ended), (2, 1, true));
    // Somebody fixes it and asks again: the endpoint's breaker binds schedules only.
    let scheduled = ReserveRequest {
        scheduled: true,
        diagnosis: super::diagnosis_id("d2"),
        ..through_cas.clone()
    };
    let held = it.reserve(&scheduled).await;
    assert!(matches!(held, Err(ReserveRefused::EndpointBreakerOpen { .. })), "{held:?}");
    let again = ReserveRequest { diagnosis: super::diagnosis_id("d2"), ..through_cas };
    it.logon(&again, LogonResult::Accepted).await.expect("granted");
    it.pass(Duration::from_mins(1));
    it.reserve(&scheduled).await.expect("the breaker closed");
}

#[tokio::test]
async fn a_refusal_without_proof_stops_the_secret_everywhere() {
    let mut it = Fixture::new().await;
    it.add_account("legacy", Threshold::At(10), HALF_HOUR).await;
    // The caller claims proof, but there is none.
    let refused = it.logon(&request("legacy", "d1", "cas1"), PROVEN).await.expect("granted");
    assert_eq!(refused.breaker, BreakerOpened::Secret);
    let held = it.reserve(&request("legacy", "d2", "be1")).await;
    assert!(matches!(held, Err(ReserveRefused::BreakerOpen { .. })), "{held:?}");
    it.pass(QUIET);
    let held = it.reserve(&request("legacy", "d3", "be1")).await;
    assert!(matches!(held, Err(ReserveRefused::BreakerOpen { .. })), "time does not close it");
    it.store.release(&account_id("legacy"), "admin", "typo").await.expect("released");
    it.logon(&request("legacy", "d4", "be1"), REFUSED).await.expect("granted");
    it.store
        .rotate_account(&account_id("legacy"), &secret("Another-Secret"), "admin", None)
        .await
        .expect("rotated");
    assert_eq!(it.budget("legacy").await, (1, 3), "rotating does not refund");
    it.logon(&request("legacy", "d5", "be1"), LogonResult::Accepted).await.expect("granted");
}

#[tokio::test]
async fn proof_is_of_this_diagnosis_fresh_and_not_from_a_cache() {
    for (earlier, between, expected) in [
        (None, Duration::from_mins(10), BreakerOpened::Endpoint),
        (None, Duration::from_mins(10) + Duration::from_millis(1), BreakerOpened::Secret),
        (Some(Duration::from_mins(15)), Duration::ZERO, BreakerOpened::Secret),
        (Some(Duration::from_mins(16)), Duration::ZERO, BreakerOpened::Endpoint),
    ] {
        let mut it = Fixture::new().await;
        it.add_account("legacy", Threshold::At(10), HALF_HOUR).await;
        if let Some(before) = earlier {
            it.logon(&request("legacy", "d0", "be1"), LogonResult::Accepted)
                .await
                .expect("granted");
            it.pass(before);
        }
        it.logon(&request("legacy", "d1", "be1"), LogonResult::Accepted).await.expect("granted");
        it.pass(between);
        let refused = it.logon(&request("legacy", "d1", "cas1"), PROVEN).await.expect("granted");
        assert_eq!(refused.breaker, expected, "{earlier:?} {between:?}");
    }
}

#[tokio::test]
async fn charges_fall_away_after_the_quiet_gap_and_not_before() {
    let mut it = Fixture::new().await;
    it.add_account("a", Threshold::At(5), HALF_HOUR).await;
    for diagnosis in ["d1", "d2"] {
        it.logon(&request("a", diagnosis, "x"), LogonResult::Unproven).await.expect("granted");
        it.pass(HALF_HOUR);
    }
    let held = it.reserve(&request("a", "d3", "x")).await;
    assert!(matches!(held, Err(ReserveRefused::OverBudget { cost: 1, left: 0, .. })), "{held:?}");
    it.pass(Duration::from_secs(3600 + 190 - 1800) - Duration::from_millis(1));
    assert_eq!(it.budget("a").await, (2, 0));
    it.pass(Duration::from_millis(1));
    assert_eq!(it.budget("a").await, (0, 2));
    it.reserve(&request("a", "d3", "x")).await.expect("granted");
}

#[tokio::test]
async fn a_refund_after_the_quiet_gap_gives_nothing_back() {
    let mut it = Fixture::new().await;
    it.add_account("a", Threshold::At(5), HALF_HOUR).await;
    let first = it.reserve(&request("a", "d1", "x")).await.expect("granted");
    let nonce = it.nonce();
    let agent = request("a", "d1", "x").agent;
    it.store.start(&first.id, &nonce, &agent).await.expect("answers").expect("starts");
    it.pass(Duration::from_secs(131));
    assert_eq!(it.store.sweep().await.expect("swept"), Swept { voided: 0, charged: 1 });
    it.pass(QUIET);
    it.logon(&request("a", "d2", "x"), LogonResult::Unproven).await.expect("granted");
    let late = it.store.settle(&first.id, &nonce, LogonResult::Accepted).await;
    assert!(late.expect("answers").expect("settles").changed);
    assert_eq!(it.budget("a").await, (1, 1), "the charge of this period stays");
}

#[tokio::test]
async fn unproven_ends_the_account_in_the_diagnosis_and_opens_no_breaker() {
    let mut it = Fixture::new().await;
    it.add_account("a", Threshold::Unknown, HALF_HOUR).await;
    let lost = it.logon(&request("a", "d1", "x"), LogonResult::Unproven).await.expect("granted");
    assert_eq!(lost.breaker, BreakerOpened::None);
    let held = it.reserve(&request("a", "d1", "y")).await;
    assert_eq!(held, Err(ReserveRefused::UnprovenInDiagnosis));
    it.reserve(&request("a", "d2", "y")).await.expect("another diagnosis may");
}

#[tokio::test]
async fn not_sent_is_believed_for_k_counts_in_a_quiet_period() {
    let mut it = Fixture::new().await;
    it.add_account("a", Threshold::At(5), HALF_HOUR).await;
    for _ in 0..2 {
        it.logon(&request("a", "d1", "x"), LogonResult::NotSent).await.expect("granted");
    }
    assert_eq!(it.budget("a").await, (0, 2));
    it.logon(&request("a", "d1", "x"), LogonResult::NotSent).await.expect("granted");
    assert_eq!(it.budget("a").await, (1, 1), "the third is charged");
    it.pass(QUIET);
    it.logon(&request("a", "d2", "x"), LogonResult::NotSent).await.expect("granted");
    assert_eq!(it.budget("a").await, (0, 2));
    let dear = ReserveRequest { cost: 2, ..request("a", "d3", "x") };
    it.logon(&dear, LogonResult::NotSent).await.expect("granted");
    assert_eq!(it.budget("a").await, (2, 0), "a refund above K counts is not given");
}

#[tokio::test]
async fn what_may_not_be_reserved_says_why() {
    let it = Fixture::new().await;
    it.add_account("two", Threshold::At(2), HALF_HOUR).await;
    it.add_account("three", Threshold::At(3), HALF_HOUR).await;
    let bare = crate::NewAccount {
        secret: None,
        ..new_account("none", "corp", &["none"], Threshold::Never, None)
    };
    it.store.create_account(bare, None).await.expect("made");
    let dear = ReserveRequest { cost: 2, ..request("three", "d1", "x") };
    let free = ReserveRequest { cost: 0, ..request("three", "d1", "x") };
    for (request, expected) in [
        (request("nobody", "d1", "x"), ReserveRefused::UnknownAccount),
        (request("two", "d1", "x"), ReserveRefused::ThresholdTooLow),
        (request("none", "d1", "x"), ReserveRefused::NoSecret),
        (dear, ReserveRefused::CostAboveLimit { cost: 2, limit: 1 }),
        (free, ReserveRefused::NoCost),
    ] {
        assert_eq!(it.reserve(&request).await, Err(expected));
    }
    it.reserve(&request("three", "d1", "x")).await.expect("granted");
    assert_eq!(it.reserve(&request("three", "d2", "x")).await, Err(ReserveRefused::InFlight));
}

#[tokio::test]
async fn two_logons_per_cas_and_minute_reach_a_back_end() {
    let mut it = Fixture::new().await;
    for id in ["a", "b", "c"] {
        it.add_account(id, Threshold::At(10), HALF_HOUR).await;
    }
    let through =
        |id, cas: &str| ReserveRequest { cas: Some(cas.to_owned()), ..request(id, "d1", "cas1") };
    it.logon(&through("a", "cas1"), LogonResult::Accepted).await.expect("granted");
    it.pass(Duration::from_secs(10));
    it.logon(&through("b", "CAS1"), LogonResult::Accepted).await.expect("granted");
    assert_eq!(it.reserve(&through("c", "cas1")).await, Err(ReserveRefused::Wait { seconds: 50 }));
    it.reserve(&request("c", "d1", "cas1")).await.map(|_| ()).expect("not through to a back end");
    let other = it.reserve(&through("a", "cas2")).await.expect("another server");
    assert!(it.store.void_unstarted(&other.id).await.expect("answers"));
    it.pass(Duration::from_secs(50));
    it.store.sweep().await.expect("swept");
    it.logon(&through("a", "cas1"), LogonResult::Accepted).await.expect("a minute has passed");
}

#[tokio::test]
async fn a_start_happens_once_for_its_agent_with_a_fresh_nonce() {
    let mut it = Fixture::new().await;
    it.add_account("a", Threshold::At(10), HALF_HOUR).await;
    let hq = VantageName::new("hq").expect("a name");
    let other = VantageName::new("other").expect("a name");
    let used = it.nonce();
    let first = it.reserve(&request("a", "d1", "x")).await.expect("granted").id;
    let unknown = crate::AttemptId::new("nothing");
    for (attempt, agent, expected) in
        [(&unknown, &hq, StartRefused::UnknownAttempt), (&first, &other, StartRefused::OtherAgent)]
    {
        let started = it.store.start(attempt, &used, agent).await.expect("answers");
        assert_eq!(started, Err(expected));
    }
    let started = it.store.start(&first, &used, &hq).await.expect("answers").expect("starts");
    assert_eq!((started.ledger_sequence, started.secret_version), (1, 1));
    let nonce = it.nonce();
    let again = it.store.start(&first, &nonce, &hq).await.expect("answers");
    assert_eq!(again, Err(StartRefused::AlreadyStarted));
    let wrong = it.store.settle(&first, &nonce, LogonResult::Accepted).await.expect("answers");
    assert_eq!(wrong, Err(SettleRefused::OtherNonce));
    it.store.settle(&first, &used, LogonResult::Accepted).await.expect("answers").expect("settles");
    let again = it.store.start(&first, &nonce, &hq).await.expect("answers");
    assert_eq!(again, Err(StartRefused::AlreadySettled));
    let second = it.reserve(&request("a", "d1", "x")).await.expect("granted").id;
    let reused = it.store.start(&second, &used, &hq).await.expect("answers");
    assert_eq!(reused, Err(StartRefused::NonceReused));
    it.pass(Duration::from_millis(60_001));
    let old = it.store.start(&second, &nonce, &hq).await.expect("answers");
    assert_eq!(old, Err(StartRefused::TooOld));
    let audit = it.store.audit_after(0).await.expect("read");
    let starts: Vec<_> = audit.iter().filter(|line| line.entry.action == "logon.start").collect();
    assert_eq!(starts.len(), 1);
    assert_eq!(
        (starts[0].entry.principal.as_str(), starts[0].entry.subject.as_str()),
        ("operator", "accounts/a")
    );
}

#[tokio::test]
async fn a_rotation_takes_the_permission_of_what_was_reserved() {
    let mut it = Fixture::new().await;
    it.add_account("a", Threshold::At(10), HALF_HOUR).await;
    let attempt = it.reserve(&request("a", "d1", "x")).await.expect("granted");
    it.store
        .rotate_account(&account_id("a"), &secret("Another-Secret"), "admin", None)
        .await
        .expect("rotated");
    let nonce = it.nonce();
    let started = it.store.start(&attempt.id, &nonce, &request("a", "d1", "x").agent).await;
    assert_eq!(started.expect("answers"), Err(StartRefused::SecretChanged));
    assert!(it.store.secret(&account_id("a"), attempt.secret_version).await.is_err());
}

#[tokio::test]
async fn the_secret_that_is_held_closes_no_breaker_when_it_is_given_again() {
    let mut it = Fixture::new().await;
    let id = account_id("a");
    it.add_account("a", Threshold::At(10), HALF_HOUR).await;
    let refused = it.logon(&request("a", "d1", "x"), REFUSED).await.expect("granted");
    assert_eq!(refused.breaker, BreakerOpened::Secret);
    let before = it.store.account(&id).await.expect("known");
    let same = it.store.rotate_account(&id, &secret(super::PASSWORD), "admin", None).await;
    assert_eq!(same.expect("answers").into_inner(), before);
    assert_eq!(it.store.account(&id).await.expect("known"), before);
    let held = it.reserve(&request("a", "d2", "x")).await;
    assert!(matches!(held, Err(ReserveRefused::BreakerOpen { .. })), "{held:?}");
    assert_eq!(it.store.secret(&id, 1).await.expect("opens").expose(), super::PASSWORD);

    let next = it.store.rotate_account(&id, &secret("Another-Secret"), "admin", None).await;
    assert_eq!(next.expect("rotated").into_inner().secret_version, 2);
    it.reserve(&request("a", "d3", "x")).await.expect("granted");
}

#[tokio::test]
async fn a_late_refusal_opens_the_breaker_once() {
    let mut it = Fixture::new().await;
    it.add_account("a", Threshold::At(10), HALF_HOUR).await;
    let attempt = it.reserve(&request("a", "d1", "x")).await.expect("granted").id;
    let nonce = it.nonce();
    let agent = request("a", "d1", "x").agent;
    it.store.start(&attempt, &nonce, &agent).await.expect("answers").expect("starts");
    it.pass(Duration::from_secs(131));
    it.store.sweep().await.expect("swept");
    for (expected, breaker) in [(true, BreakerOpened::Secret), (false, BreakerOpened::None)] {
        let late =
            it.store.settle(&attempt, &nonce, REFUSED).await.expect("answers").expect("settles");
        assert_eq!((late.changed, late.breaker), (expected, breaker));
    }
    let flip = it.store.settle(&attempt, &nonce, LogonResult::Accepted).await.expect("answers");
    assert!(!flip.expect("settles").changed, "a refusal is not taken back");
    assert_eq!(it.budget("a").await, (1, 3));
}

#[tokio::test]
async fn one_directory_account_has_one_budget_under_all_its_names() {
    let mut it = Fixture::new().await;
    let names = ["anna@corp.example", "CORP\\anna"];
    let policy = (Threshold::At(5), Some(HALF_HOUR));
    it.add_agent("hq").await;
    it.store
        .create_account(new_account("a", "Corp", &names, policy.0, policy.1), None)
        .await
        .expect("made");
    let twin = it
        .store
        .create_account(new_account("b", "corp", &["ANNA"], policy.0, policy.1), None)
        .await;
    assert!(matches!(twin, Err(StoreError::SameAccount { ref by, .. }) if by == "a"), "{twin:?}");
    it.logon(&request("a", "d1", "x"), LogonResult::Unproven).await.expect("granted");
    it.store.delete_account(&account_id("a"), "admin").await.expect("deleted");
    let smaller = new_account("b", "corp", &["anna"], Threshold::At(2), policy.1);
    let refused = it.store.create_account(smaller, None).await;
    assert!(
        matches!(refused, Err(StoreError::LedgerHolds { charged: 1, limit: 0, .. })),
        "{refused:?}"
    );
    it.store
        .create_account(new_account("b", "corp", &["anna"], policy.0, policy.1), None)
        .await
        .expect("made");
    assert_eq!(it.budget("b").await, (1, 1), "the ledger remembers");
    assert_eq!(it.store.budget(&account_id("b")).await.expect("known").secret_version, 2);
}

#[tokio::test]
async fn no_logon_starts_for_an_agent_that_is_banned_or_gone() {
    for is_ban in [true, false] {
        let mut it = Fixture::new().await;
        it.add_account("a", Threshold::At(10), HALF_HOUR).await;
        let attempt = it.reserve(&request("a", "d1", "x")).await.expect("granted").id;
        let hq = request("a", "d1", "x").agent;
        if is_ban {
            it.store.ban_agent(&hq, "anna", "stolen").await.expect("banned");
        } else {
            it.store.delete_agent(&hq, "anna").await.expect("deleted");
        }
        let nonce = it.nonce();
        let started = it.store.start(&attempt, &nonce, &hq).await.expect("answers");
        assert_eq!(started, Err(StartRefused::AgentShutOut));
        it.pass(Duration::from_mins(2));
        let swept = it.store.sweep().await.expect("swept");
        assert_eq!((swept.voided, swept.charged), (1, 0), "it costs nothing");
    }
}
