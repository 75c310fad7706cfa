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
