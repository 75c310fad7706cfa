//! Joining: a token, a key made here, and a folder with which an agent runs; or nothing at all.

use std::path::Path;
use std::time::Duration;

use parallax_agent::{
    AgentConfig, JoinError, JoinRequest, Joined, Trouble, WrittenAgentSettings, join,
};
use parallax_auth::JoinToken;
use parallax_model::VantageName;
use parallax_process::{Layers, read_settings};
use tempfile::tempdir;
use tonic::Status;
use zeroize::Zeroizing;

use crate::bed::{Asked, Authority, Bed, Call, Controller, FRESH};

fn token(pin: [u8; 32]) -> JoinToken {
    JoinToken {
        secret: Zeroizing::new([0x5a; 20]),
        authority_pin: pin,
        agent: VantageName::new("hq").expect("a name"),
    }
}

fn request(controller: &Controller, pin: [u8; 32], folder: &Path) -> JoinRequest {
    JoinRequest {
        controller: controller.address.to_string(),
        server_name: Some("controller.test".to_owned()),
        token: token(pin),
        folder: folder.to_owned(),
        proxy: None,
        hosts: vec!["be03-8.corp.example".to_owned()],
        replace: false,
    }
}

/// Joins while the controller answers each call.
async fn joined(
    controller: &mut Controller,
    request: &JoinRequest,
    mut answer: impl FnMut(Call),
) -> Result<Joined, JoinError> {
    let joining = join(request);
    tokio::pin!(joining);
    loop {
        tokio::select! {
            joined = &mut joining => return joined,
            call = controller.call() => answer(call),
        }
    }
}

fn enrolled(authority: &Authority) -> impl FnMut(Call) + '_ {
    |call| {
        let enroll = match call.asked {
            Asked::Enroll { token, request } => Some((token, request)),
            Asked::Renew { .. } | Asked::Recover { .. } => None,
        };
        let (token, request) = enroll.expect("an enrollment");
        assert_eq!(token, [0x5a; 20]);
        call.reply.send(Ok(authority.certify(&request))).expect("it waits");
    }
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|it| it.count() == 0)
}

#[tokio::test]
async fn a_token_becomes_a_folder_with_which_an_agent_runs() {
    let authority = Authority::new();
    let mut controller = Controller::start(&authority).await;
    let home = tempdir().expect("a folder");
    let folder = home.path().join("etc/parallax");
    let request = request(&controller, authority.pin(), &folder);
    let done = joined(&mut controller, &request, enrolled(&authority)).await.expect("joined");
    assert_eq!((done.vantage.as_str(), done.zone, done.files.len()), ("hq", "internal", 4));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode =
            |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&folder.join("identity.pem"))), (0o700, 0o600));
    }
    let policy = parallax_agent::Policy::read(&folder.join("policy.toml")).expect("a policy");
    assert_eq!(policy.denies_everything(), None);
    let layers = Layers::default().with_file(folder.join("agent.toml"));
    let config = read_settings::<WrittenAgentSettings, _>(&layers, |written, mistakes| {
        AgentConfig::check(written, &|_| None, mistakes)
    });
    let config = config.expect("good settings");
    let identity = config.read_identity().expect("an identity");
    let mut bed = Bed::run(controller, identity, config.settings).await;
    let session = bed.controller.welcomed(1).await;
    // A second one into the same folder is refused before anything is asked.
    let again = join(&request).await.expect_err("used");
    assert!(matches!(again, JoinError::Used { .. }), "{again}");
    drop(session);
    bed.stop().await;
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> =
        entries.map(|it| it.expect("an entry").file_name().into_string().expect("text")).collect();
    names.sort();
    names
}

#[tokio::test]
async fn results_stay_for_the_same_agent_and_are_set_aside_for_another() {
    let (authority, other) = (Authority::new(), Authority::new());
    let mut controller = Controller::start(&authority).await;
    let home = tempdir().expect("a folder");
    let mut first = request(&controller, authority.pin(), home.path());
    let done = joined(&mut controller, &first, enrolled(&authority)).await.expect("joined");
    assert_eq!((done.spool_set_aside, done.policy_of_zone), (None, None));
    let spool = home.path().join("spool");
    let kept = |text: &str| {
        std::fs::create_dir_all(&spool).expect("made");
        std::fs::write(spool.join("00000000000000000001.result"), text).expect("written");
    };
    kept("of hq");
    first.replace = true;
    let done = joined(&mut controller, &first, enrolled(&authority)).await.expect("joined");
    assert_eq!(done.spool_set_aside, None, "it is the same agent");
    assert_eq!(names(&spool).len(), 1);
    // Its policy is for another zone, and its controller is another one.
    std::fs::write(home.path().join("policy.toml"), "zone = \"external\"\n").expect("written");
    let mut controller = Controller::start(&other).await;
    let mut second = request(&controller, other.pin(), home.path());
    second.replace = true;
    let done = joined(&mut controller, &second, enrolled(&other)).await.expect("joined");
    assert_eq!(done.policy_of_zone, Some("external"));
    let aside = done.spool_set_aside.expect("set aside");
    assert_eq!(names(&aside), ["00000000000000000001.result"]);
    assert!(!spool.exists());
    // And another name, as on a machine that was cloned.
    kept("of somebody else");
    let stranger = other.agent("elsewhere");
    write_identity(home.path(), &stranger);
    let done = joined(&mut controller, &second, enrolled(&other)).await.expect("joined");
    assert!(done.spool_set_aside.is_some_and(|it| it != aside));
    assert!(!names(home.path()).contains(&"joining".to_owned()));
}

/// As it stands in its file.
fn write_identity(folder: &Path, identity: &parallax_agent::Identity) {
    use base64::Engine as _;
    let encode = |der: &[u8]| base64::engine::general_purpose::STANDARD.encode(der);
    let text = format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        encode(&identity.chain[0]),
        encode(identity.key.secret_der())
    );
    // Over a file that is there, so its mode stays.
    std::fs::write(folder.join("identity.pem"), text).expect("written");
}

#[tokio::test]
async fn a_join_that_was_cut_off_is_noticed_and_mended_by_another() {
    let authority = Authority::new();
    let mut controller = Controller::start(&authority).await;
    let home = tempdir().expect("a folder");
    let mut request = request(&controller, authority.pin(), home.path());
    joined(&mut controller, &request, enrolled(&authority)).await.expect("joined");
    let read = || {
        let layers = Layers::default().with_file(home.path().join("agent.toml"));
        let config = read_settings::<WrittenAgentSettings, _>(&layers, |written, mistakes| {
            AgentConfig::check(written, &|_| None, mistakes)
        });
        config.expect("good settings").read_identity()
    };
    read().expect("whole");
    std::fs::write(home.path().join("joining"), "").expect("written");
    let refused = read().expect_err("its files may not belong together").to_string();
    assert!(refused.contains("cut off") && refused.contains("--replace"), "{refused}");
    request.replace = true;
    joined(&mut controller, &request, enrolled(&authority)).await.expect("joined");
    read().expect("whole again");
}

#[tokio::test]
async fn nobody_joins_in_a_folder_with_which_an_agent_runs() {
    let authority = Authority::new();
    let mut controller = Controller::start(&authority).await;
    let home = tempdir().expect("a folder");
    let mut request = request(&controller, authority.pin(), home.path());
    joined(&mut controller, &request, enrolled(&authority)).await.expect("joined");
    let lock = std::fs::File::create(home.path().join("agent.lock")).expect("made");
    lock.lock().expect("as an agent does");
    request.replace = true;
    let refused = join(&request).await.expect_err("it runs");
    assert!(matches!(refused, JoinError::Running { .. }), "{refused}");
    drop(lock);
    joined(&mut controller, &request, enrolled(&authority)).await.expect("joined");
}

#[tokio::test]
async fn an_answer_that_was_lost_is_asked_for_again_with_the_same_key() {
    let authority = Authority::new();
    let mut controller = Controller::start(&authority).await;
    let home = tempdir().expect("a folder");
    let request = request(&controller, authority.pin(), home.path());
    let mut asked = Vec::new();
    let done = joined(&mut controller, &request, |call| {
        let Asked::Enroll { request, .. } = &call.asked else { panic!("{:?}", call.asked) };
        asked.push(request.clone());
        let answer = if asked.len() == 1 {
            Err(Status::unavailable("the answer was lost"))
        } else {
            Ok(authority.certify(request))
        };
        call.reply.send(answer).expect("it waits");
    });
    done.await.expect("joined");
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0], asked[1]);
}

#[tokio::test]
async fn nothing_is_sent_to_anybody_but_the_pinned_authority() {
    let ours = Authority::new();
    let proxy = Authority::named("Corp Inspection CA");
    let mut controller = Controller::start_with(proxy.server(FRESH)).await;
    let home = tempdir().expect("a folder");
    let folder = home.path().join("new");
    let request = request(&controller, ours.pin(), &folder);
    let refused = joined(&mut controller, &request, |call| panic!("{:?}", call.asked)).await;
    let refused = refused.expect_err("not ours");
    let JoinError::Trouble(Trouble::OtherAuthority { issuer }) = &refused else {
        panic!("{refused:?}")
    };
    assert_eq!(issuer, "CN=Corp Inspection CA");
    assert!(!folder.exists() && is_empty(home.path()));
}

#[tokio::test]
async fn a_refused_token_leaves_nothing_behind() {
    let authority = Authority::new();
    let mut controller = Controller::start(&authority).await;
    let home = tempdir().expect("a folder");
    let request = request(&controller, authority.pin(), home.path());
    let refused = joined(&mut controller, &request, |call| {
        let status = Status::failed_precondition("this token was used");
        call.reply.send(Err(status)).expect("it waits");
    });
    let refused = refused.await.expect_err("used");
    let text = refused.to_string();
    assert!(text.contains("this token was used") && text.contains("fleet token"), "{text}");
    assert!(is_empty(home.path()));
    // An answer for another key is worth nothing either.
    let other = Authority::new();
    let wrong = joined(&mut controller, &request, |call| {
        let Asked::Enroll { request, .. } = call.asked else { panic!() };
        call.reply.send(Ok(other.certify(&request))).expect("it waits");
    });
    let wrong = wrong.await.expect_err("another authority");
    assert!(matches!(wrong, JoinError::Trouble(Trouble::OutOfTurn { .. })), "{wrong}");
    assert!(is_empty(home.path()));
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_costs_no_token() {
    let authority = Authority::new();
    let mut controller = Controller::start(&authority).await;
    let home = tempdir().expect("a folder");
    let file = home.path().join("file");
    std::fs::write(&file, "").expect("written");
    let request = request(&controller, authority.pin(), &file.join("parallax"));
    let joining = joined(&mut controller, &request, |call| panic!("{:?}", call.asked));
    let refused = tokio::time::timeout(Duration::from_secs(20), joining).await.expect("soon");
    assert!(matches!(refused, Err(JoinError::Folder { .. })), "{refused:?}");
}
