//! What is registered, seen against worlds of the set.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

use parallax_model::{Look, Sight};
use parallax_wire::pb;

use super::*;

fn world(name: &str) -> World {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/worlds").join(name);
    crate::format::read(&path).expect("a world")
}

fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

fn registered(world: &World) -> Registration {
    register(world, &Addresses::of(world), &Secrets::issue(world), start())
}

#[test]
fn the_seed_is_registered_as_its_operator_would() {
    let world = world("x01-seed.json");
    let secrets = Secrets::issue(&world);
    let addresses = Addresses::of(&world);
    let it = register(&world, &addresses, &secrets, start());
    assert_eq!(it.target_id, "x01-seed");
    assert_eq!(it.left_out, Vec::<String>::new());
    let [published, cas, be] = it.target.endpoints.as_slice() else { panic!("three endpoints") };
    assert_eq!((published.connect.as_str(), cas.name.as_str()), ("", "cas1"));
    let cas1 = addresses.of_host("cas1", Family::V4).expect("an address").to_string();
    assert_eq!(cas.connect, cas1);
    assert!(be.allow_plaintext_logon && !cas.allow_plaintext_logon);
    assert_eq!(be.generation(), pb::Generation::Generation2003);
    let [anna, pilot] = it.accounts.as_slice() else { panic!("two accounts") };
    assert_eq!(anna.account.mailbox(), pb::Generation::Generation2003);
    assert_eq!(anna.account.user_principal_name, "anna@contoso.example");
    assert_eq!(Some(anna.account.secret.as_str()), secrets.held("anna"));
    assert_eq!(pilot.purpose, pb::target_account::Purpose::Witness);
    let lockout = anna.account.lockout.expect("known");
    assert_eq!(lockout.threshold, Some(pb::lockout_policy::Threshold::Count(10)));
    assert_eq!(it.vantages.iter().filter(|it| it.reports).count(), 4);
}

#[test]
fn silent_agents_are_registered() {
    let it = registered(&world("seed-external-silent.json"));
    let silent: BTreeSet<&str> =
        it.vantages.iter().filter(|it| !it.reports).map(|it| it.name.as_str()).collect();
    assert_eq!(silent, BTreeSet::from(["ext", "dmz"]));
}

#[test]
fn forms_with_one_principal_name_are_one_account() {
    let it = registered(&world("upn-mismatch-domain-form-2016.json"));
    let forms: Vec<usize> = it.accounts.iter().map(|it| it.account.user_names.len()).collect();
    assert_eq!(forms, [2], "{:?}", it.names.accounts);
    let ids: BTreeSet<&String> = it.names.accounts.values().collect();
    assert_eq!((ids.len(), it.names.accounts.len()), (1, 2));
    assert_eq!(it.target.accounts.len(), 1);
}

#[test]
fn what_the_product_must_not_know_changes_nothing() {
    let mut world = world("x01-seed.json");
    let secrets = Secrets::issue(&world);
    let addresses = Addresses::of(&world);
    let before = register(&world, &addresses, &secrets, start());
    for account in &mut world.accounts {
        account.resolves = false;
        account.secret = crate::format::SecretState::Wrong;
        account.state = crate::format::AccountState::Locked;
        account.bad_count = 7;
        account.mailbox = "none".to_owned();
    }
    world.hosts.clear();
    world.directories.clear();
    assert_eq!(register(&world, &addresses, &secrets, start()), before);
}

#[test]
fn a_secret_outside_ascii_stays_outside() {
    let mut world = world("x01-seed.json");
    world.accounts[0].secret_charset = crate::format::SecretCharset::Utf8Only;
    let it = registered(&world);
    assert_eq!(it.accounts[0].account.secret, "");
    assert_ne!(it.accounts[1].account.secret, "");
}

#[test]
fn a_policy_of_zero_never_locks_and_none_is_unknown() {
    let mut world = world("x01-seed.json");
    world.target.known_lockout = Some(crate::format::KnownLockout { threshold: 0, window_s: 0 });
    let lockout = registered(&world).accounts[0].account.lockout.expect("known");
    assert!(matches!(lockout.threshold, Some(pb::lockout_policy::Threshold::Never(_))));
    assert_eq!(lockout.window, None);
    world.target.known_lockout = None;
    assert_eq!(registered(&world).accounts[0].account.lockout, None);
}

#[test]
fn history_is_stored_as_far_as_it_says() {
    let it = registered(&world("seed-flip-back.json"));
    let schemes = |at: usize| -> Vec<String> {
        let record = it.history[at].clone();
        assert_eq!(Look::try_from(record.look).expect("a look"), Look::OPTIONS);
        let sight = Sight::try_from(record.sight).expect("a sight");
        let exchange = &sight.observations[0].exchanges[0];
        let answer = exchange.outcome.done().expect("an answer");
        assert_eq!(answer.status, 401);
        answer.challenges.iter().map(|it| it.scheme.name().to_owned()).collect()
    };
    assert_eq!(schemes(0), ["Basic"]);
    assert_eq!(schemes(1), ["Negotiate", "NTLM", "Basic"]);
    assert_eq!(it.history[1].at, start() - Duration::from_mins(25));

    let it = registered(&world("seed-recent-success-cached.json"));
    let sight = Sight::try_from(it.history[0].sight.clone()).expect("a sight");
    let exchange = &sight.observations[0].exchanges[0];
    assert!(exchange.look.is_logon());
    assert!(exchange.outcome.done().expect("an answer").headers.has("MS-ASProtocolCommands"));
}

#[test]
fn stages_of_the_past_have_their_outcomes() {
    let mut world = world("seed-flip-back.json");
    for (stage, is_kept) in [
        ("dns:nxdomain", true),
        ("tcp:timeout", true),
        ("tls:alert40", true),
        ("http:reset", true),
        ("tls:magic", false),
    ] {
        world.history[0].to = "published".to_owned();
        world.history[0].saw.stage = Some(stage.to_owned());
        let it = registered(&world);
        assert_eq!(it.history.len(), if is_kept { 3 } else { 2 }, "{stage}");
        assert_eq!(it.left_out.len(), usize::from(!is_kept), "{stage}");
        for record in &it.history {
            Sight::try_from(record.sight.clone()).expect("a sight");
        }
    }
}

#[test]
fn every_world_of_the_set_has_a_place_for_all_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/worlds");
    let worlds = crate::format::find(&folder).expect("worlds");
    assert!(worlds.len() >= 40);
    for (path, world) in worlds {
        let it = registered(&world);
        assert_eq!(it.left_out, Vec::<String>::new(), "{}", path.display());
        let target = pb::Target { name: format!("targets/{}", it.target_id), ..it.target };
        parallax_wire::check_target(&target).expect("a target");
    }
}
