//! Tokens, renewals and recoveries: who gets in, once, and who does not any more.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parallax_model::{Vantage, VantageName, Zone};
use tokio::sync::Barrier;

use super::Fixture;
use crate::{
    Introduction, JoinRefused, NewCertificate, NewJoinToken, Presented, RECOVERABLE, REPLAYED,
    Store, StoreError, TokenStanding,
};

const TTL: Duration = Duration::from_mins(10);
const MONTH: Duration = Duration::from_hours(30 * 24);
const TOKEN: [u8; 32] = [1; 32];

fn vantage(name: &str) -> Vantage {
    let name = VantageName::new(name).expect("a name");
    Vantage { name, zone: Zone::Dmz, site: "hq".to_owned() }
}

fn token(sha256: [u8; 32], name: &str, may_replace: bool) -> NewJoinToken {
    let principal = "anna".to_owned();
    NewJoinToken { token_sha256: sha256, vantage: vantage(name), may_replace, principal, ttl: TTL }
}

fn certificate(number: u8, key: u8) -> NewCertificate {
    NewCertificate {
        der: vec![number; 8],
        sha256: [number; 32],
        public_key_sha256: [key; 32],
        expires: UNIX_EPOCH + Duration::from_secs(1_900_000_000) + MONTH,
    }
}

async fn joined(it: &Fixture, name: &str, number: u8) {
    it.store.create_join_token(&token([number; 32], name, false)).await.expect("made");
    let outcome = it.store.join(&[number; 32], &certificate(number, number)).await.expect("asked");
    outcome.expect("joined");
}

async fn refusal(store: &Store, token: [u8; 32], certificate: NewCertificate) -> JoinRefused {
    let first = store.join_token(&token, &certificate.public_key_sha256).await.expect("asked");
    let second = store.join(&token, &certificate).await.expect("asked");
    let (first, second) = (first.expect_err("refused"), second.expect_err("refused"));
    assert_eq!(first, second, "both questions have one answer");
    second
}

async fn actions(store: &Store) -> Vec<(String, String, String)> {
    let lines = store.audit_after(0).await.expect("read");
    lines.into_iter().map(|it| (it.entry.principal, it.entry.action, it.entry.subject)).collect()
}

#[tokio::test]
async fn a_token_is_good_once_and_each_refusal_says_why() {
    let it = Fixture::new().await;
    let unknown = refusal(&it.store, TOKEN, certificate(2, 2)).await;
    assert_eq!(unknown, JoinRefused::TokenUnknown);
    let ends = it.store.create_join_token(&token(TOKEN, "ext", false)).await.expect("made");
    assert_eq!(ends, UNIX_EPOCH + Duration::from_secs(1_900_000_000) + TTL);
    let open = it.store.join_token(&TOKEN, &[2; 32]).await.expect("asked").expect("open");
    assert_eq!(open, TokenStanding::Open(vantage("ext")));
    let agent = it.store.join(&TOKEN, &certificate(2, 2)).await.expect("asked").expect("joined");
    assert_eq!((agent.vantage, agent.replaced), (vantage("ext"), None));
    let used = JoinRefused::TokenUsed { agent: vantage("ext").name };
    assert_eq!(refusal(&it.store, TOKEN, certificate(3, 3)).await, used);

    // The same key asks again: the same answer, whatever was signed meanwhile, and for so long only.
    it.pass(REPLAYED);
    let again = it.store.join(&TOKEN, &certificate(4, 2)).await.expect("asked").expect("answered");
    assert_eq!(again.certificate, certificate(2, 2).der);
    it.pass(Duration::from_millis(1));
    assert_eq!(refusal(&it.store, TOKEN, certificate(2, 2)).await, used);

    it.store.create_join_token(&token([9; 32], "late", false)).await.expect("made");
    it.pass(TTL);
    let late = refusal(&it.store, [9; 32], certificate(5, 5)).await;
    assert_eq!(late, JoinRefused::TokenExpired { agent: vantage("late").name });
    assert_eq!(it.store.agents().await.expect("read").len(), 1);
    let record = it.store.agent(&vantage("ext").name).await.expect("there");
    assert_eq!(record.public_key_sha256, Some([2; 32]));
    let line = |who: &str, action: &str, what: &str| {
        (who.to_owned(), action.to_owned(), format!("agents/{what}"))
    };
    let expected = [
        line("anna", "agent.token", "ext"),
        line("agents/ext", "agent.join", "ext"),
        line("anna", "agent.token", "late"),
    ];
    assert_eq!(actions(&it.store).await, expected);
}

#[tokio::test]
async fn a_taken_name_needs_a_token_that_may_replace() {
    let it = Fixture::new().await;
    joined(&it, "ext", 2).await;
    it.store.create_join_token(&token(TOKEN, "ext", false)).await.expect("made");
    let taken = JoinRefused::NameTaken { agent: vantage("ext").name };
    assert_eq!(refusal(&it.store, TOKEN, certificate(3, 3)).await, taken);
    it.store.create_join_token(&token([4; 32], "ext", true)).await.expect("made");
    let agent = it.store.join(&[4; 32], &certificate(3, 3)).await.expect("asked").expect("joined");
    let before: Vec<_> = agent.replaced.expect("one before").certificates().collect();
    assert_eq!(before, [[2; 32]]);
    assert_eq!(it.store.present(&[2; 32]).await.expect("read"), Presented::Unknown);
    // Its token is not good for the one it made before, either.
    let used = JoinRefused::TokenUsed { agent: vantage("ext").name };
    assert_eq!(refusal(&it.store, [2; 32], certificate(2, 2)).await, used);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_one_wins() {
    const ASKERS: u8 = 40;
    let it = Fixture::new().await;
    let store = Arc::new(it.store);
    store.create_join_token(&token(TOKEN, "ext", false)).await.expect("made");
    let barrier = Arc::new(Barrier::new(ASKERS.into()));
    let mut askers = tokio::task::JoinSet::new();
    for number in 10..10 + ASKERS {
        let (store, barrier) = (Arc::clone(&store), Arc::clone(&barrier));
        askers.spawn(async move {
            barrier.wait().await;
            store.join(&TOKEN, &certificate(number, number)).await.expect("asked")
        });
    }
    let outcomes = askers.join_all().await;
    let used = JoinRefused::TokenUsed { agent: vantage("ext").name };
    assert_eq!(outcomes.iter().filter(|it| it.is_ok()).count(), 1);
    assert!(outcomes.iter().all(|it| it.as_ref().err().is_none_or(|it| *it == used)));
    let winner = outcomes.into_iter().find_map(Result::ok).expect("one");
    let record = store.agent(&vantage("ext").name).await.expect("there");
    assert_eq!(record.certificate_sha256, [winner.certificate[0]; 32], "what counts was told");
}

#[tokio::test]
async fn the_schema_refuses_a_second_use_and_an_end_of_a_ban() {
    let it = Fixture::new().await;
    joined(&it, "ext", 2).await;
    it.store.ban_agent(&vantage("ext").name, "anna", "stolen").await.expect("banned");
    for sql in [
        "UPDATE join_token SET used_ms = used_ms + 1",
        "UPDATE join_token SET used_ms = NULL, used_key_sha256 = NULL, certificate = NULL",
        "UPDATE agent SET banned_ms = NULL, ban_reason = NULL",
    ] {
        sqlx::raw_sql(sql).execute(&it.store.core.writer).await.expect_err(sql);
    }
}

#[tokio::test]
async fn a_token_is_stored_as_its_hash_alone() {
    let it = Fixture::new().await;
    let secret = b"planted-secret-of-20";
    let sha256 = <sha2::Sha256 as sha2::Digest>::digest(secret).into();
    it.store.create_join_token(&token(sha256, "ext", false)).await.expect("made");
    it.store.join(&sha256, &certificate(2, 2)).await.expect("asked").expect("joined");
    for entry in std::fs::read_dir(it.folder.path()).expect("listed") {
        let bytes = std::fs::read(entry.expect("there").path()).expect("read");
        assert!(!bytes.windows(secret.len()).any(|it| it == secret));
    }
}

#[tokio::test]
async fn the_old_certificate_is_good_until_the_new_one_is_used() {
    let it = Fixture::new().await;
    joined(&it, "ext", 2).await;
    let is_in = async |number: u8| {
        matches!(it.store.present(&[number; 32]).await.expect("read"), Presented::Agent(_))
    };
    // Two answers are lost; whoever asks a third time gets its certificate all the same.
    for number in 3..6 {
        let renewed = it.store.renew_agent(&[2; 32], &certificate(number, number)).await;
        renewed.expect("asked").expect("renewed");
        assert!(is_in(2).await, "the one before still holds");
    }
    assert!(!is_in(3).await && !is_in(4).await, "what nobody has is worth nothing");
    assert!(is_in(5).await && is_in(5).await);
    // From here on only a copy can show the old one; that is told, and stays told.
    let copied = Presented::Copied { vantage: vantage("ext").name };
    assert_eq!(it.store.present(&[2; 32]).await.expect("read"), copied);
    let renewed = it.store.renew_agent(&[2; 32], &certificate(8, 8)).await.expect("asked");
    assert_eq!(renewed, Err(JoinRefused::Copied { agent: vantage("ext").name }));
    let record = it.store.agent(&vantage("ext").name).await.expect("there");
    assert!(record.copied.is_some());
    assert_eq!(record.certificates().collect::<Vec<_>>(), [[5; 32]], "the right one goes on");
    let renewals = actions(&it.store).await.into_iter().filter(|it| it.1 == "agent.renew").count();
    assert_eq!(renewals, 3);
}

#[tokio::test]
async fn what_ended_is_recovered_for_ninety_days_by_the_newest_alone() {
    let it = Fixture::new().await;
    joined(&it, "ext", 2).await;
    let end = certificate(2, 2).expires;
    let recover = async |shown: u8, end: SystemTime, number: u8| {
        let checked = it.store.recoverable(&[shown; 32], end).await.expect("asked");
        let done = it.store.recover_agent(&[shown; 32], end, &certificate(number, 2)).await;
        let done = done.expect("asked");
        assert_eq!(checked.err(), done.clone().err());
        done
    };
    let early = recover(2, end, 3).await.expect_err("it holds");
    assert_eq!(early, JoinRefused::NotEnded { hours: 30 * 24 });
    it.pass(MONTH + RECOVERABLE);
    assert_eq!(recover(7, end, 3).await, Err(JoinRefused::NotNewest));
    recover(2, end, 3).await.expect("recovered");
    // The answer was lost: once more with the old one, until the new one is used.
    recover(2, end, 4).await.expect("recovered again");
    assert!(matches!(it.store.present(&[4; 32]).await, Ok(Presented::Agent(_))));
    let copied = JoinRefused::Copied { agent: vantage("ext").name };
    assert_eq!(recover(2, end, 5).await, Err(copied));
    it.pass(Duration::from_millis(1));
    assert_eq!(recover(4, end, 5).await, Err(JoinRefused::EndedLongAgo));
}

#[tokio::test]
async fn a_ban_ends_everything_and_only_deletion_ends_it() {
    let it = Fixture::new().await;
    joined(&it, "ext", 2).await;
    it.store.renew_agent(&[2; 32], &certificate(3, 3)).await.expect("asked").expect("renewed");
    let name = vantage("ext").name;
    let record = it.store.ban_agent(&name, "anna", "stolen").await.expect("banned");
    it.store.ban_agent(&name, "bert", "again").await.expect("nothing new");
    assert_eq!(record.certificates().collect::<Vec<_>>(), [[3; 32], [2; 32]]);
    let banned = JoinRefused::Banned { agent: name.clone(), reason: "stolen".to_owned() };
    for number in [2, 3] {
        let presented = it.store.present(&[number; 32]).await.expect("read");
        assert!(matches!(presented, Presented::Banned { .. }), "{presented:?}");
        let renewed = it.store.renew_agent(&[number; 32], &certificate(5, 5)).await;
        assert_eq!(renewed.expect("asked"), Err(banned.clone()));
        let end = certificate(2, 2).expires;
        let recovered = it.store.recover_agent(&[number; 32], end, &certificate(5, 5)).await;
        assert_eq!(recovered.expect("asked"), Err(banned.clone()));
    }
    let begun = it.store.begin_session(&name, &Introduction::default()).await;
    assert!(matches!(begun, Err(StoreError::NotFound { .. })), "{begun:?}");
    // Neither a token that may replace, nor its key under another name, brings it back.
    it.store.create_join_token(&token(TOKEN, "ext", true)).await.expect("made");
    assert_eq!(refusal(&it.store, TOKEN, certificate(6, 6)).await, banned);
    it.store.create_join_token(&token([8; 32], "other", false)).await.expect("made");
    let other = it.store.join(&[8; 32], &certificate(6, 3)).await.expect("asked");
    assert_eq!(other, Err(banned));
    it.store.delete_agent(&name, "anna").await.expect("deleted");
    it.store.join(&TOKEN, &certificate(6, 6)).await.expect("asked").expect("joined anew");
    let bans = actions(&it.store).await.into_iter().filter(|it| it.1 == "agent.ban").count();
    assert_eq!(bans, 1);
}

#[tokio::test]
async fn a_drain_and_what_an_agent_says_of_itself_are_kept() {
    let it = Fixture::new().await;
    joined(&it, "ext", 2).await;
    let name = vantage("ext").name;
    for (drained, actions_then) in [(true, 3), (true, 3), (false, 4)] {
        let record = it.store.drain_agent(&name, "anna", drained).await.expect("done");
        assert_eq!(record.drained.is_some(), drained);
        assert_eq!(actions(&it.store).await.len(), actions_then, "no change, no line");
    }
    let said = Introduction { version: "1.2.3".to_owned(), policy_sha256: "ab".to_owned() };
    let first = it.store.begin_session(&name, &said).await.expect("begun");
    it.pass(Duration::from_secs(5));
    let second = it.store.begin_session(&name, &said).await.expect("begun");
    it.pass(Duration::from_secs(5));
    it.store.end_session(&name, first).await.expect("an old one ends");
    let record = it.store.agent(&name).await.expect("there");
    let start = UNIX_EPOCH + Duration::from_secs(1_900_000_000);
    assert_eq!(record.seen, Some(start + Duration::from_secs(5)));
    it.store.end_session(&name, second).await.expect("the newest ends");
    let record = it.store.agent(&name).await.expect("there");
    assert_eq!(record.seen, Some(start + Duration::from_secs(10)));
    assert_eq!((record.version, record.policy_sha256), (said.version, said.policy_sha256));
}
